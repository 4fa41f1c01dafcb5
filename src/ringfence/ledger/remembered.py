"""What a reader remembers between pages: what bans are aimed at, counts of bans, who tried an account.

Everything of it follows the ledger's append-only tables by number: the first time all is read, later what was added.
"""

from __future__ import annotations

import json
import sqlite3
import threading
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


class Memory:
    """What is remembered; several readers, each in a thread of its own, may share one. `lock` is held to change it.

    A mark (`…_upto`) never goes back, though a reader's own moment may be a little older than another's.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.targets = Targets()
        self.targets_upto = -1
        self.running: Counter[str] = Counter()
        self.running_upto = -1
        self.ever: Counter[tuple[str, str]] = Counter()
        self.ever_upto = 0
        self.hours: Counter[tuple[int, str]] = Counter()
        self.hours_upto = -1
        self.first_hour = 0
        self.searches: dict[str, Tried] = {}


_NOBODY: Final = Tried()


class RememberingStore(UpkeepStore):
    """Keeps up with the ledger; every method looks first at what is new."""

    def _connect(self) -> sqlite3.Connection:
        self.memory = Memory()
        connection = super()._connect()
        connection.create_function("within", 2, within, deterministic=True)
        connection.create_function("covered", 1, lambda address: address in self.memory.targets)
        connection.create_function("tried", 2, lambda text, address: address in self._search(text).addresses)
        connection.create_function("aimed", 2, lambda text, target: target in self._search(text).targets)
        return connection

    def _search(self, text: str) -> Tried:
        return self.memory.searches.get(text, _NOBODY)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read inside is of one moment. Not for long: the guard's log grows meanwhile."""
        if self.writable:
            raise LedgerError(f"{self.path}: the guard itself needs no snapshot; open a reader")
        with self._moment():
            yield

    def hold(self) -> None:
        """Everything that is read from now on is of this moment, until the reader is closed."""
        with self._told():
            self._connection.execute("BEGIN")
        self._value("last_event")  # a transaction begins with the first look

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
        memory = self.memory
        with memory.lock, self._moment():
            span = {"after": memory.targets_upto, "upto": self._value("last_change")}
            if span["upto"] > memory.targets_upto:
                first = memory.targets_upto < 0
                rows = self._rows("targets_banned") if first else self._rows("targets_changed", span)
                # At first ended bans are among them, whose target may have a running one too.
                for target, running in sorted(rows, key=lambda row: bool(row[1])) if first else rows:
                    (memory.targets.add if running else memory.targets.remove)(target)
                memory.targets_upto = span["upto"]
        return memory.targets

    def service_counts(self) -> dict[str, int]:
        """How many bans run, by service (EVERY: of all services)."""
        memory = self.memory
        with memory.lock, self._moment():
            span = {"after": memory.running_upto, "upto": self._value("last_change")}
            if span["upto"] > memory.running_upto:
                first = memory.running_upto < 0
                changed = self._rows("running_by_service") if first else self._rows("running_changed", span)
                memory.running.update(dict(changed))
                memory.running_upto = span["upto"]
            return {service: count for service, count in sorted(memory.running.items()) if count}

    def _made_ever(self) -> Counter[tuple[str, str]]:
        """Bans ever made, by service and author."""
        memory = self.memory
        with memory.lock:
            span = {"after": memory.ever_upto, "upto": self._value("last_change")}
            if span["upto"] > memory.ever_upto:
                for service, author, count in self._rows("bans_made", span):
                    memory.ever[service, author] += count
                memory.ever_upto = span["upto"]
            return Counter(memory.ever)

    def _bans_by_hour(self) -> tuple[int, Counter[tuple[int, str]]]:
        """Bans that began, by hour and service, from the hour on that is told first."""
        memory = self.memory
        with memory.lock, self._moment():
            span = {"after": memory.hours_upto, "upto": self._value("last_ban")}
            if memory.hours_upto < 0:
                memory.first_hour = self._value("last_ban_time") // 3600 - HOURS
                rows = self._rows("bans_by_hour", {"since": memory.first_hour * 3600, "upto": span["upto"]})
                memory.hours.update({(hour, service): count for hour, service, count in rows})
            elif span["upto"] > memory.hours_upto:
                memory.hours.update(self._rows("bans_added", span))
            memory.hours_upto = max(span["upto"], memory.hours_upto)
            return memory.first_hour, Counter(memory.hours)

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
        searches = self.memory.searches
        with self.memory.lock:
            tried = searches.get(text) or Tried()
            upto = self._value("last_event")
            if upto > tried.upto:
                span = {"after": tried.upto, "upto": upto, "account": text}
                found = [address for (address,) in self._rows("who_tried", span)]
                if found:
                    tried.add(found, self._follow_targets())
                tried.upto = upto
            searches.pop(text, None)
            searches[text] = tried
            while len(searches) > SEARCHES:
                del searches[next(iter(searches))]
            return text, tried
