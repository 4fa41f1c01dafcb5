"""Recorded events read once more in their order, quickly: only what judging needs, only of the kinds that matter.

A million events pass here while somebody waits, so rows stay rows, and what the events of one kind have in common is
told once, by number (`contexts`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from ringfence.ledger.connection import Row
from ringfence.ledger.sql import QUERIES
from ringfence.ledger.store import Ledger

PAGE = 10_000
_WALK = 4
"""How many events are looked through in the time in which one is followed to the one before it."""
_REPLAYS: Final = {
    (False, False): "replay_all", (True, False): "replay_some",
    (False, True): "replay_all_half", (True, True): "replay_some_half",
}  # fmt: skip
"""The statement by whether only some kinds of events, and only half of the addresses, are wanted."""


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

    def rows(self, span: Span, contexts: Collection[int] | None = None, half: int | None = None) -> Iterator[list[Row]]:
        """Pages of (time, address, context, account), in the order of recording; None: of every kind.

        With `half` (0 or 1) only about half of the addresses; all of a network of IPv4 /8 or IPv6 /16 are in the same.
        All pages come from one state of the ledger, whatever the guard writes or prunes meanwhile.
        """
        name = _REPLAYS[contexts is not None, half is not None]
        values: dict[str, object] = {**span._asdict(), "half": half}
        if contexts is not None:
            values["contexts"] = json.dumps(sorted(contexts))
        with self._ledger._told():
            cursor = self._ledger._connection.execute(QUERIES[name], values)
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

    def addresses(self) -> set[str]:
        """Every address that is known."""
        found = {address for (address,) in self._ledger._rows("every_address")}
        folded = self._ledger._value("folded")
        found.update(address for address, _ in self._ledger._rows("unfolded_addresses", {"folded": folded}))
        return found
