"""Words in somebody's language and times in their zone, and a warning's facts read with nothing taken for granted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from gettext import NullTranslations
from typing import Any, Final

from ringfence.answers import stamp
from ringfence.model import EVERY, Alert
from ringfence.translating import translations


class Words:
    """Texts in one language, times in one zone."""

    def __init__(
        self, translation: NullTranslations | None = None, zone: tzinfo = UTC, language: str = "en"
    ) -> None:  # fmt: skip
        self._translation = translation or NullTranslations()
        self.zone = zone
        self.language = language

    @classmethod
    def of(cls, language: str, zone: tzinfo = UTC) -> Words:
        """Texts in `language` as far as they are translated."""
        return cls(translations(language), zone, language)

    def __call__(self, text: str, **values: object) -> str:
        """`text` translated, its %(names)s filled in: called `_`, which makes it known to who collects the texts."""
        return _filled(self._translation.gettext(text), text, values)

    def ngettext(self, one: str, many: str, count: float, **values: object) -> str:
        """The same for a text that depends on a number, which is told as %(count)s."""
        whole = int(count) if float(count).is_integer() else 2
        values = {"count": number(count), **values}
        return _filled(self._translation.ngettext(one, many, whole), one if whole == 1 else many, values)

    def clock(self, moment: float) -> str:
        """Date and time in the zone: "2026-02-03 05:05:06 CET"."""
        return self._local(moment, "%Y-%m-%d %H:%M:%S %Z")

    def minute(self, moment: float) -> str:
        """The same without seconds, for periods."""
        return self._local(moment, "%Y-%m-%d %H:%M %Z")

    def _local(self, moment: float, form: str) -> str:
        try:
            return datetime.fromtimestamp(moment, self.zone).strftime(form).rstrip()
        except (OverflowError, ValueError, OSError):
            return stamp(moment)

    def exact(self, moment: float) -> str:
        """The same, and in UTC as ISO 8601 where that differs: "2026-02-03 05:05:06 CET, 2026-02-03T04:05:06Z"."""
        local, utc = self.clock(moment), stamp(math.floor(moment))
        return local if local.endswith(" UTC") or local == utc else f"{local}, {utc}"


ENGLISH: Final = Words()
"""What texts are in without anybody's choice; times are UTC."""


def _filled(translated: str, original: str, values: Mapping[str, object]) -> str:
    try:
        return translated % values
    except (KeyError, ValueError, TypeError):  # a translator's slip must not keep a warning from being told
        return original % values


def number(value: float) -> str:
    """A number with its thousands apart, and tenths only where there are few: "9,600", "3", "0.3"."""
    if value < 10 and not float(value).is_integer():
        return f"{value:.1f}"
    return f"{value:,.0f}"


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


def service_text(name: str, _: Words) -> str:
    """A service in words."""
    return _("all services") if name == EVERY else name
