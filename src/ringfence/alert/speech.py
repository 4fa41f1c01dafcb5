"""A warning's facts, read with nothing taken for granted."""

from __future__ import annotations

import math
from typing import Any

from ringfence.model import Alert


class Facts:
    """The facts of one warning; what is missing or of another kind than expected is None, or empty."""

    def __init__(self, alert: Alert) -> None:
        self._facts = alert.facts
        self.time = alert.time

    def text(self, key: str) -> str:
        """A fact in words, of any length, as it was written."""
        value = self._facts.get(key)
        return "" if value is None or isinstance(value, bool | list | dict) else str(value)

    def number(self, key: str) -> float | None:
        """A fact that is a number, from zero on."""
        value: Any = self._facts.get(key)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
        return value if usable else None

    def moment(self, key: str) -> float | None:
        """A time, seconds UTC; None also for an end that never comes, see `endless`."""
        value = self.number(key)
        return value if value is not None and 0 < value < 1e11 else None

    def endless(self, key: str) -> bool:
        """Whether the fact is there and says that this never ends."""
        return key in self._facts and self._facts[key] in (None, math.inf)

    def names(self, key: str) -> list[str]:
        """A list of words; one word is a list too."""
        value = self._facts.get(key)
        if isinstance(value, str):
            return [value] if value else []
        return [str(one) for one in value if one is not None] if isinstance(value, list | tuple) else []

    def lasted(self, key: str) -> float | None:
        """Seconds from the time `key` until the warning."""
        since = self.moment(key)
        return self.time - since if since is not None and self.time >= since else None

    def ahead(self, key: str) -> float | None:
        """Seconds from the warning until the time `key`; negative when that had gone by."""
        until = self.moment(key)
        return None if until is None else until - self.time
