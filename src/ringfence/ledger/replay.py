"""Recorded events read once more in their order, quickly: only what judging needs, only of the kinds that matter.

A million events pass here while somebody waits, so rows stay rows, and what the events of one kind have in common is
told once, by number (`contexts`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ringfence.ledger.connection import Row
from ringfence.ledger.cover import text_range
from ringfence.ledger.sql import QUERIES
from ringfence.ledger.store import Ledger

PAGE = 10_000
_WALK = 4
"""How many events are looked through in the time in which one is followed to the one before it."""
_SAMPLES = 1_000
"""Events whose addresses tell where the middle is."""


class Context(NamedTuple):
    """What events of one kind have in common."""

    service: str
    failed: bool
    cause: str
    proven: bool


class Span(NamedTuple):
    """The events numbered `first` … `last` that are not older than `since` (seconds UTC)."""

    first: int
    last: int
    since: float


class Half(NamedTuple):
    """About half of the events: those of addresses from `middle` on (`upper`) or of the others."""

    middle: str
    upper: bool


class Replay:
    """Reads events of a ledger again. Raises LedgerError."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def span(self, since: float) -> Span:
        """All events of `since` or later that are recorded by now."""
        row = self._ledger._row("first_block_since", {"time": since})
        first = row[0] if row and row[0] is not None else self._ledger._value("folded") + 1
        return Span(int(first), self._ledger._value("last_event"), since)

    def contexts(self) -> dict[int, Context]:
        """The kinds of events there are."""
        rows = self._ledger._rows("contexts")
        return {
            number: Context(service, bool(failed), cause, bool(proven))
            for number, service, failed, cause, proven in rows
        }

    def halves(self, span: Span) -> tuple[Half, Half]:
        """Two halves that cut no network: all of an IPv4 /8 or an IPv6 /16 are in the same."""
        numbers = range(span.first, span.last + 1, max(1, (span.last - span.first) // _SAMPLES))
        rows = self._ledger._rows("addresses_of", {"events": json.dumps(list(numbers))})
        addresses = sorted(address for (address,) in rows if "1" <= address[:1] <= "9")
        median = addresses[len(addresses) // 2] if addresses else "2"
        middle = re.split("(?<=[.:])", median, maxsplit=1)[0]
        return Half(middle, False), Half(middle, True)

    def rows(
        self, span: Span, contexts: Collection[int] | None = None, half: Half | None = None
    ) -> Iterator[list[Row]]:
        """Pages of (time, address, context, account), in the order of recording; None: of every kind, of everybody.

        All pages come from one state of the ledger, whatever the guard writes or prunes meanwhile.
        """
        values: dict[str, object] = {**span._asdict(), "contexts": None, "middle": None, "upper": None}
        if contexts is not None:
            values["contexts"] = json.dumps(sorted(contexts))
        if half is not None:
            values.update(half._asdict())
        with self._ledger._told():
            cursor = self._ledger._connection.execute(QUERIES["replay"], values)
            while rows := cursor.fetchmany(PAGE):
                yield rows

    def events_of(self, span: Span, addresses: Collection[str]) -> Iterator[list[Row]]:
        """Pages of (address, context, account) of all events of `addresses`, in no order.

        Where they are a small part of all, each address's chain is followed; otherwise everything is looked through.
        """
        values = {**span._asdict(), "addresses": json.dumps(list(addresses))}
        few = self._ledger._value("events_expected", values) * _WALK <= span.last - span.first
        complete = self._ledger._value("folded") >= span.last
        with self._ledger._told():
            cursor = self._ledger._connection.execute(QUERIES["walk_many" if few and complete else "scan_many"], values)
            while rows := cursor.fetchmany(PAGE):
                yield rows

    def addresses_around(self, networks: Iterable[str]) -> set[str]:
        """Every address that is known and lies in one of `networks`; some that do not may be among them."""
        folded = self._ledger._value("folded")
        found = {address for address, _ in self._ledger._rows("unfolded_addresses", {"folded": folded})}
        for low, high in {text_range(network)[:2] for network in networks}:
            found.update(address for (address,) in self._ledger._rows("addresses_between", {"low": low, "high": high}))
        return found
