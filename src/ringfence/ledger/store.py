"""The ledger itself: opening, and the one transaction of the log path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ringfence.errors import LedgerError
from ringfence.ledger.canaries import CanaryStore
from ringfence.ledger.connection import Row
from ringfence.ledger.digests import DigestStore
from ringfence.ledger.events import FOLD, storable
from ringfence.ledger.facts import Recorded, ReportMark
from ringfence.ledger.feeds import FeedStore
from ringfence.ledger.opening import check_header, ensure_file
from ringfence.ledger.outbox import OutboxStore
from ringfence.ledger.people import PeopleStore
from ringfence.ledger.sql import QUERIES
from ringfence.ledger.upkeep import DAY
from ringfence.model import Event, Position, Verdict


class Ledger(OutboxStore, PeopleStore, FeedStore, DigestStore, CanaryStore):
    """The truth in one SQLite file: one writer (the guard), any number of readers.

    Not for use by several threads. After a LedgerError nothing of the failed step is kept, and the next one works
    as soon as its cause is gone.
    """

    @classmethod
    def open(
        cls, path: Path, *, bans_capacity: int = 1_000_000, keep_events: float = 30 * DAY, max_bytes: int = 1 << 30,
        now: float,
    ) -> Ledger:  # fmt: skip
        """Open the ledger for writing; makes file (0640) and directory when they are missing.

        Raises LedgerError; with `refused` when the file is foreign, damaged or of a newer version: it is left as it is.
        """
        ensure_file(path)
        ledger = cls(path, writable=True, bans_capacity=bans_capacity, keep_events=keep_events, max_bytes=max_bytes)
        ledger._now = now
        with ledger._told():
            ledger._load()
        if "convicted" not in ledger._counters:  # it was of an earlier version: now, not with the first line
            with ledger._writing():
                ledger._fold(now)
        return ledger

    @classmethod
    def open_reader(cls, path: Path) -> Ledger:
        """Open an existing ledger for reading beside the guard; every write raises LedgerError."""
        try:
            path.stat()
        except FileNotFoundError as error:
            raise LedgerError(f"{path}: there is no ledger; start the guard first") from error
        except OSError as error:
            raise LedgerError(f"{path}: can't be reached: {error.strerror}; check the rights of its folders") from error
        check_header(path)
        return cls(path, writable=False, bans_capacity=0, keep_events=0, max_bytes=0)

    def record(
        self, events: Sequence[Event], verdicts: Sequence[Verdict], positions: Sequence[Position], now: float,
        *, held: Sequence[Event] = (), released: Sequence[Event] = (), mark: ReportMark | None = None,
    ) -> Recorded:  # fmt: skip
        """Commit events, verdicts with the bans they make, and read positions: all or nothing.

        `held` are sightings that wait for a later line and must outlive us, `released` those that wait no longer.
        `mark` is kept with events that an application reported, so that the same report counts nothing again.

        Survives a kill at any instant (no fsync: a power cut may take back the last batches, positions included).
        """
        try:
            return self._record(events, verdicts, positions, now, held, released, mark)
        except UnicodeEncodeError:
            events = [storable(event) for event in events]
            held = [storable(event) for event in held]
            return self._record(events, verdicts, positions, now, held, released, mark)

    def _record(
        self, events: Sequence[Event], verdicts: Sequence[Verdict], positions: Sequence[Position], now: float,
        held: Sequence[Event], released: Sequence[Event], mark: ReportMark | None,
    ) -> Recorded:  # fmt: skip
        with self._writing():
            self._now = now
            self._append(events)
            for position in positions:
                self._run("set_position", _position_row(position))
            if held or released:
                many = self._connection.executemany
                many(QUERIES["hold"], [(_held_key(event), msgspec.json.encode(event)) for event in held])
                many(QUERIES["release"], [(_held_key(event),) for event in released])
            if mark is not None:
                self._run("insert_reported", (mark.token, mark.key, now, mark.events))
            before = self._last_ban
            draft = self._judge(verdicts, events, now)
            known = self._administrators()
            self._warn_of_logins([one for one in events if not one.failed and one.account in known], now)
            if self._unfolded() >= FOLD:
                self._fold(now)
                self._keep_within(now)
        draft.evicted.update((ban.id, ban) for ban in self._untold)
        self._untold.clear()
        return Recorded(
            wanted=list(draft.wanted.values()), new=frozenset(one for one in draft.wanted if one > before),
            evicted=list(draft.evicted.values()),
            expired=list(draft.expired.values()),
        )  # fmt: skip

    def tally(self) -> None:
        """Bring attackers, charts and statistics up to the last event: when what was decided is in force already."""
        if self._stale or self._unfolded():
            with self._writing():
                self._fold(self._now)
                self._keep_within(self._now)

    def _keep_within(self, now: float) -> None:
        """While more comes in than `prune` can take, record itself makes room: twice as much as it brought."""
        if self._used() > self.max_bytes:
            before = self._used()
            while self._prune_events(now, 2 * FOLD) and self._used() >= before:
                pass

    def reported(self, token: int, key: str, now: float) -> int | None:
        """How many events a report had that was taken within the last day; None when there was none with this key."""
        row = self._row("reported", (token, key, now - DAY))
        return int(row[0]) if row else None

    def positions(self) -> dict[str, Position]:
        """Where reading continues, by source."""
        return {row[0]: _position_from(row) for row in self._rows("positions")}

    def held(self) -> list[Event]:
        """The sightings that wait for a later line."""
        return [msgspec.json.decode(row[0], type=Event) for row in self._rows("held")]

    def forget_position(self, source: str) -> None:
        """Drop the position of a source that is no longer read."""
        with self._writing():
            self._run("delete_position", (source,))

    def close(self) -> None:
        """Fold what waits and close; never loses anything when it is not called."""
        try:
            self._catch_up()
        finally:
            super().close()


def _held_key(event: Event) -> str:
    return repr((event.address, event.session, event.token))


def _position_row(position: Position) -> Row:
    return (
        position.source, str(position.inode), position.fingerprint, position.fingerprinted, position.offset,
        position.line, position.cursor,
    )  # fmt: skip


def _position_from(row: Row) -> Position:
    source, inode, fingerprint, fingerprinted, offset, line, cursor = row
    return Position(
        source=source, inode=int(inode), fingerprint=fingerprint, fingerprinted=fingerprinted, offset=offset,
        line=line, cursor=cursor,
    )  # fmt: skip
