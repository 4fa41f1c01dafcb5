"""The connection under the ledger: transactions, errors told in our words, and what is kept in memory about the file.

All commit with `synchronous=NORMAL`: in WAL mode that survives a kill at any instant without an fsync a batch. What
people order must also survive a power cut once it was acknowledged: such transactions are counted (`orders`), and who
acknowledges them brings the log to the disk before (`opening.sync`), in a thread, so that bans go on meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ringfence.errors import LedgerError
from ringfence.ledger.opening import check_version
from ringfence.ledger.sql import QUERIES
from ringfence.model import Ban

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "make room on its disk; nothing of this step was kept, it can be repeated",
    sqlite3.SQLITE_IOERR: "check its disk; nothing of this step was kept, it can be repeated",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "check that the file and its directory exist and are writable for this user",
    sqlite3.SQLITE_BUSY: "another process writes to it; only one guard may use a ledger",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop the guard and restore it from a backup, or move it away",
}
LOG_PAGES: Final = 16_000
"""Pages of the write-ahead log (64 MB) at which a commit carries them into the file itself, if nobody did before: see
`opening.checkpoint`."""
CACHED_SERVICES: Final = 62
"""Services that have a bit of their own; all later ones share the last bit and are shown as "other"."""

Row = tuple[Any, ...]

COUNTED: Final = ("attempts", "successes", "forgotten", "bans", "packets", "mails", "unsent", "untold")
"""What is counted for each service."""


class Store:
    """One connection. `writable` is False for readers, whose attempts to write raise LedgerError."""

    def __init__(self, path: Path, *, writable: bool, bans_capacity: int, keep_events: float, max_bytes: int) -> None:
        self.path = path
        self.writable = writable
        self.bans_capacity = bans_capacity
        self.keep_events = keep_events
        self.max_bytes = max_bytes
        self.orders = 0  # durable transactions of this connection
        self._stale = True
        self._now = 0.0
        self._last = 0
        self._last_ban = 0
        self._running = 0
        self._counters: dict[str, int] = {}
        self._changed: set[str] = set()
        self._newest: dict[str, int] = {}
        self._contexts: dict[tuple[object, ...], int] = {}
        self._bits: dict[str, int] = {}
        self._resets: dict[int, int] = {}
        self._cleared = ""
        self._untold: list[Ban] = []
        self._made: Counter[str] = Counter()
        self._known_administrators: frozenset[str] | None = None
        with self._told():
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        mode = "rw" if self.writable else "ro"
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        # A reader may be handed to another thread; it is for one at a time all the same.
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, timeout=5, cached_statements=256, check_same_thread=self.writable
        )
        cache = 8192 if self.writable else 2048  # KiB; there are several readers in the page's process
        connection.execute(f"PRAGMA cache_size = -{cache}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if self.writable:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 33554432")
        else:
            connection.execute("PRAGMA query_only = ON")
        check_version(self.path, connection.execute("PRAGMA user_version").fetchone()[0])
        return connection

    def close(self) -> None:
        """Close the connection; the last one to close moves the write-ahead log into the file."""
        with self._told():
            self._connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> LedgerError:
        code = getattr(error, "sqlite_errorcode", None)
        advice = _ADVICE.get((code or 0) & 0xFF, "see the cause; nothing of this step was kept")
        return LedgerError(f"{self.path}: the ledger failed: {error}; {advice}")

    @contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction: all of it or, after any error, nothing, also not in memory.

        `durable`: it is acknowledged to somebody, who may count on it.
        """
        if not self.writable:
            raise LedgerError(f"{self.path}: opened for reading only; give the command to the guard instead")
        execute = self._connection.execute
        try:
            if self._stale:
                self._load()
            execute(QUERIES["begin"])
            yield
            self._save_counters()
            execute(QUERIES["commit"])
            self.orders += durable
        except sqlite3.Error as error:
            self._undo()
            raise self._error(error) from error
        except UnicodeEncodeError as error:
            self._undo()
            if not durable:
                raise
            raise LedgerError(
                f"{error.object!r} can't be written down: it is not UTF-8; give it as plain text"
            ) from error
        except BaseException:
            self._undo()
            raise
        finally:
            if durable:
                self._known_administrators = None  # a command may have made one

    def _undo(self) -> None:
        self._stale = True
        if self._connection.in_transaction:
            self._connection.execute(QUERIES["rollback"])

    def _load(self) -> None:
        """Read what is kept in memory from the file: at opening, and after a transaction that failed."""
        self._newest.clear()
        self._contexts.clear()
        self._changed.clear()
        self._made.clear()
        self._counters = dict(self._rows("counters"))
        self._last = max(self._value("last_event"), self._counters.get("folded", 0))
        self._last_ban = self._value("last_ban")
        self._running = self._value("running_bans")
        self._bits = {name: bit for bit, name in self._rows("services")}
        self._resets = dict(self._rows("resets"))
        self._cleared = ""
        # Events that were not folded yet are the only place that knows the newest event of their addresses.
        self._newest.update(self._rows("unfolded_addresses", {"folded": self._counters.get("folded", 0)}))
        self._stale = False

    def _count(self, name: str, value: int) -> None:
        self._counters[name] = value
        self._changed.add(name)

    def _save_counters(self) -> None:
        for name in self._changed:
            self._run("set_counter", (name, self._counters[name]))
        self._changed.clear()
        for service, bans in self._made.items():
            self._add_statistic(service, self._now, bans=bans)
        self._made.clear()

    def _add_statistic(self, service: str, now: float, **counts: int) -> None:
        self._run("add_statistic", {**dict.fromkeys(COUNTED, 0), "service": service, "now": now, **counts})

    def _run(
        self, name: str, values: Mapping[str, object] | tuple[object, ...] = (), **words: str
    ) -> sqlite3.Cursor:  # fmt: skip
        """Run a statement for its effect, within a transaction; `words` as for `_rows`."""
        return self._connection.execute(_filled(name, words), values)

    def _rows(self, name: str, values: Mapping[str, object] | tuple[object, ...] = (), **words: str) -> list[Row]:
        """All rows of a statement; `words` fill its braces and come from tables in the code only."""
        with self._told():
            return self._connection.execute(_filled(name, words), values).fetchall()

    def _row(self, name: str, values: Mapping[str, object] | tuple[object, ...] = ()) -> Row | None:
        rows = self._rows(name, values)
        return rows[0] if rows else None

    def _value(self, name: str, values: Mapping[str, object] | tuple[object, ...] = ()) -> int:
        row = self._row(name, values)
        return int(row[0]) if row and row[0] is not None else 0


def _filled(name: str, words: Mapping[str, str]) -> str:
    """The statement of this name with its braces filled."""
    text = QUERIES[name]
    for word, put in words.items():
        text = text.replace("{" + word + "}", put)
    return text


def stale_bits(resets: Mapping[int, int]) -> str:
    """An expression for the bits of `recent` that no longer count, by the mask and the last event of each reset.

    Who was not seen since a reset still has the bits from before it: they are cleared little by little, see `upkeep`.
    """
    return " | ".join(f"iif(newest <= {last:d}, {mask:d}, 0)" for mask, last in resets.items()) or "0"
