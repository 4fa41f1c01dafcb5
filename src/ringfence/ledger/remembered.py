"""What a reader remembers between pages: what bans are aimed at, counts of bans, who tried an account.

Everything of it follows the ledger's append-only tables by number: the first time all is read, later what was added.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ringfence.errors import LedgerError
from ringfence.ledger.cover import Targets, within
from ringfence.ledger.upkeep import UpkeepStore

MOST_WHO_TRIED: Final = 20_000
"""Addresses that a search for an account may find: those that tried it last."""
HOURS: Final = 31 * 24
"""Hours before the newest ban whose bans are counted in memory."""
SEARCHES: Final = 4
"""Searches for an account that are remembered."""


class Tried:
    """The addresses that tried accounts whose name holds a text, the latest last, up to event number `upto`."""

    def __init__(self) -> None:
        self.upto = 0
        self.addresses: dict[str, None] = {}
        self.targets: frozenset[str] = frozenset()

    def add(self, found: list[str], around: Targets) -> None:
        """Add addresses; when there are too many, those that tried longest ago are left out."""
        for address in found:
            self.addresses.pop(address, None)
            self.addresses[address] = None
        for address in list(self.addresses)[:-MOST_WHO_TRIED]:
            del self.addresses[address]
        self.targets = frozenset(around.around(self.addresses))

    def as_json(self, *, targets: bool = False) -> str:
        """The addresses, or what they are banned as, for a statement."""
        return json.dumps(list(self.targets if targets else self.addresses))


class RememberingStore(UpkeepStore):
    """Keeps up with the ledger; every method looks first at what is new."""

    _targets_upto = -1
    _running_upto = -1
    _made_upto = 0
    _hours_upto = -1
    _first_hour = 0

    def _connect(self) -> sqlite3.Connection:
        self._targets = Targets()
        self._searches: dict[str, Tried] = {}
        self._running_bans: Counter[str] = Counter()
        self._hours: Counter[tuple[int, str]] = Counter()
        self._bans_ever: Counter[tuple[str, str]] = Counter()
        connection = super()._connect()
        connection.create_function("within", 2, within, deterministic=True)
        connection.create_function("covered", 1, lambda address: address in self._targets)
        connection.create_function("tried", 2, lambda text, address: address in self._searches[text].addresses)
        connection.create_function("aimed", 2, lambda text, target: target in self._searches[text].targets)
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read inside is of one moment. Not for long: the guard's log grows meanwhile."""
        if self.writable:
            raise LedgerError(f"{self.path}: the guard itself needs no snapshot; open a reader")
        with self._moment():
            yield

    @contextmanager
    def _moment(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        with self._told():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _follow_targets(self) -> Targets:
        """What all running bans are aimed at."""
        with self._moment():
            span = {"after": self._targets_upto, "upto": self._value("last_change")}
            if span["upto"] != self._targets_upto:
                first = self._targets_upto < 0
                rows = self._rows("targets_banned") if first else self._rows("targets_changed", span)
                # At first ended bans are among them, whose target may have a running one too.
                for target, running in sorted(rows, key=lambda row: bool(row[1])) if first else rows:
                    (self._targets.add if running else self._targets.remove)(target)
                self._targets_upto = span["upto"]
        return self._targets

    def service_counts(self) -> dict[str, int]:
        """How many bans run, by service (EVERY: of all services)."""
        with self._moment():
            span = {"after": self._running_upto, "upto": self._value("last_change")}
            if span["upto"] != self._running_upto:
                first = self._running_upto < 0
                changed = self._rows("running_by_service") if first else self._rows("running_changed", span)
                self._running_bans.update(dict(changed))
                self._running_upto = span["upto"]
        return {service: count for service, count in sorted(self._running_bans.items()) if count}

    def _made_ever(self) -> Counter[tuple[str, str]]:
        """Bans ever made, by service and author."""
        span = {"after": self._made_upto, "upto": self._value("last_change")}
        for service, author, count in self._rows("bans_made", span):
            self._bans_ever[service, author] += count
        self._made_upto = span["upto"]
        return self._bans_ever

    def _bans_by_hour(self) -> tuple[int, Counter[tuple[int, str]]]:
        """Bans that began, by hour and service, from the hour on that is told first."""
        with self._moment():
            span = {"after": self._hours_upto, "upto": self._value("last_ban")}
            if self._hours_upto < 0:
                self._first_hour = self._value("last_ban_time") // 3600 - HOURS
                rows = self._rows("bans_by_hour", {"since": self._first_hour * 3600, "upto": span["upto"]})
                self._hours.update({(hour, service): count for hour, service, count in rows})
            elif span["upto"] != self._hours_upto:
                self._hours.update(self._rows("bans_added", span))
            self._hours_upto = span["upto"]
        return self._first_hour, self._hours

    def warm(self) -> None:
        """Read now what would make the first pages slow."""
        self._follow_targets()
        self.service_counts()
        self._made_ever()
        self._bans_by_hour()

    def _who_tried(self, account: str) -> tuple[str, Tried]:
        """The addresses that tried an account whose name holds this, with the text they are remembered under.

        The first time it looks at every event, half a second for a million; afterwards only at new ones.
        """
        text = account.encode(errors="replace").lower().decode()  # as the database does: ASCII only
        tried = self._searches.pop(text, None) or Tried()
        upto = self._value("last_event")
        if upto > tried.upto:
            span = {"after": tried.upto, "upto": upto, "account": text}
            found = [address for (address,) in self._rows("who_tried", span)]
            if found:
                tried.add(found, self._follow_targets())
            tried.upto = upto
        self._searches[text] = tried
        while len(self._searches) > SEARCHES:
            del self._searches[next(iter(self._searches))]
        return text, tried
