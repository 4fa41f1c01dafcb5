"""A pattern made ready for the reader's loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from ringfence.parse.catalogue import Pattern
from ringfence.parse.linear import Linear

EXTRAS = ("transport", "service", "outcome", "cause", "proven", "token", "tries")


class Compiled:
    """A pattern with its expression compiled and the places of its fields in `groups()` at hand (-1: has none).

    It is compiled when the first line asks for it: most machines run few of all the servers that there are. The places
    are known from the first match on.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.match: Callable[..., re.Match[str] | None] = self._first

    def _first(self, text: str, start: int = 0) -> re.Match[str] | None:
        if self.pattern.linear is not None:
            self._prepare(Linear(self.pattern.linear))
        else:
            self._prepare(re.compile(self.pattern.expression, re.MULTILINE | re.ASCII))
        return self.match(text, start)

    def _prepare(self, compiled: re.Pattern[str] | Linear) -> None:
        pattern = self.pattern
        self.match = cast("Callable[..., re.Match[str] | None]", compiled.match)
        place = {name: number - 1 for name, number in compiled.groupindex.items()}
        self.stamp = place.get("stamp", -1)
        self.second_stamp = place.get("stamp2", -1)
        self.address = place.get("address", -1)
        self.account = place.get("account", -1)
        self.detail = place.get("detail", -1)
        self.repeated = place.get("repeated", -1)
        self.thread = place.get("thread", -1)
        self.join = tuple(place[name] for name in pattern.join)
        self.only_join = self.join[0] if pattern.join == ("origin",) else -1
        self.extras = {name: place[name] for name in EXTRAS if name in place}
        self.encoded = {name: pattern.encoded[name] for name in ("account", "detail") if name in pattern.encoded}
        self.ambiguous = pattern.ambiguous
        self.json = place.get("json", -1)
        self.forwarded = place.get("forwarded", -1)
        self.plain = self._plain(compiled)

    def _plain(self, compiled: re.Pattern[str] | Linear) -> tuple[int, ...]:
        """The groups that make an ordinary syslog event (stamp, origin, repeated, account, address), if it is one."""
        special = self.extras or self.encoded or self.ambiguous or self.pattern.host or self.forwarded >= 0
        is_plain = not special and self.detail < 0 and self.only_join >= 0
        numbers = [compiled.groupindex.get(name, 0) for name in ("stamp", "origin", "repeated", "account", "address")]
        return tuple(numbers) if is_plain and all(numbers) else ()
