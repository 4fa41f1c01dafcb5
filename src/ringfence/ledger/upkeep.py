"""Keeps the file small: forgets what is older than `keep_events` or above `max_bytes`, oldest first, in small steps."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ringfence.ledger.connection import stale_bits
from ringfence.ledger.facts import Size
from ringfence.ledger.sql import QUERIES
from ringfence.ledger.statistics import StatisticsStore

EVENTS_STEP: Final = 5_000
"""Rows of events that one step of pruning may take."""
ROWS_STEP: Final = 1_000
"""Rows of attackers that one step looks at, and of verdicts that it may take."""
REPORTS_KEPT: Final = 86_400.0
"""Seconds for which the key of a report is remembered."""
BANS_STEP: Final = 50
"""Ended bans whose evidence one step may take."""
MINUTES_STEP: Final = 20
"""Minutes of the charts that one step may take."""
DAY: Final = 86_400.0
PAGES_STEP: Final = 500
"""Pages of the file that one step gives back."""


class UpkeepStore(StatisticsStore):
    """Prunes and measures."""

    _cursor = ""

    def prune(self, now: float) -> int:
        """One small step, a few milliseconds; returns the rows taken. Call it again while that is not 0.

        Bans and their history are kept for good; evidence goes `keep_events` after its ban ended, attackers when
        none of their events is left, nobody saw them for `keep_events` (or the file is full) and no ban runs.
        """
        with self._writing():
            self._fold(now)
            taken = self._prune_events(now, EVENTS_STEP)
            limit = now - self.keep_events
            full = self._used() > self.max_bytes
            taken += self._run("prune_verdicts", {"limit": now if full else limit, "rows": ROWS_STEP}).rowcount
            taken += self._prune_charts(limit, now - DAY if full else limit)
            taken += self._prune_evidence(limit)
            taken += self._run("prune_reported", {"limit": now - REPORTS_KEPT, "rows": ROWS_STEP}).rowcount
            taken += self._run("prune_trials", {"limit": limit, "rows": ROWS_STEP}).rowcount
            for name in ("prune_warnings", "prune_deliveries"):
                taken += self._run(name, {"limit": limit, "rows": ROWS_STEP}).rowcount
            self._run("prune_familiar")
            taken += self._prune_attackers(limit, now) + self._clear_recent()
        self._give_back()
        return taken

    def _prune_events(self, now: float, most: int) -> int:
        block = self._row("oldest_block")
        if block is None:
            return 0
        first, last, newest = block
        if newest >= now - self.keep_events and self._used() <= self.max_bytes:
            return 0
        fired = self._copy_firings(newest, now, most // 25)
        if fired:
            return fired
        end = min(last, first + most - 1)
        taken = self._run("delete_events", {"first": first, "last": end}).rowcount
        if end == last:
            self._run("delete_block", {"first": first})
        else:
            self._run("shorten_block", {"first": end + 1, "old": first})
        return taken

    def _prune_charts(self, hours: float, minutes: float) -> int:
        """Charts go back as far as events are kept; when the file is full, by the hour only."""
        span = {"minute": int(minutes // 60), "span": MINUTES_STEP}
        return self._run("prune_minutes", span).rowcount + self._run("prune_hours", {"hour": hours // 3600}).rowcount

    def _prune_evidence(self, limit: float) -> int:
        taken = 0
        for (number,) in self._rows("bans_with_old_evidence", {"limit": limit, "rows": BANS_STEP}):
            taken += self._run("delete_evidence", (number,)).rowcount
            self._run("no_evidence", (number,))
        return taken

    def _prune_attackers(self, limit: float, now: float) -> int:
        """Look at the next ROWS_STEP attackers in order of address, and begin again after the last."""
        upto, count = self._rows("attackers_after", {"after": self._cursor, "rows": ROWS_STEP})[0]
        if not count:
            self._cursor = ""
            return 0
        span = {"after": self._cursor, "upto": upto, "floor": self._value("floor"), "limit": limit}
        values = {**span, "full": self._used() > self.max_bytes}
        gone = self._run("delete_attackers", values, stale=stale_bits(self._resets)).fetchall()
        self._cursor = upto if count == ROWS_STEP else ""
        forgotten = Counter(mask for (mask,) in gone)
        for name, bit in self._bits.items():
            lost = sum(n for mask, n in forgotten.items() if mask >> bit & 1)
            if lost:
                self._add_statistic(name, now, forgotten=lost)
        if gone:
            self._count("forgotten", self._counters.get("forgotten", 0) + len(gone))
        return len(gone)

    def _clear_recent(self) -> int:
        """Clear what a reset of statistics made stale, of the next ROWS_STEP attackers; returns how many these were."""
        for mask, last in self._resets.items():
            upto, count = self._rows("attackers_after", {"after": self._cleared, "rows": ROWS_STEP})[0]
            if count:
                self._run("reset_recent", {"after": self._cleared, "upto": upto, "mask": mask, "last": last})
            self._cleared = upto if count == ROWS_STEP else ""
            if not self._cleared:
                self._run("end_reset", {"mask": mask})
                del self._resets[mask]
            return max(1, int(count))
        return 0

    def _give_back(self) -> None:
        # Each page is a row without columns, at which `execute` would stop; a script runs to its end.
        with self._told():
            self._connection.executescript(QUERIES["vacuum"].replace("{pages}", str(PAGES_STEP)))

    def _used(self) -> int:
        pages, free, size = self._rows("pages")[0]
        return int((pages - free) * size)

    @property
    def rows_changed(self) -> int:
        """How many rows this connection ever changed."""
        return self._connection.total_changes

    @property
    def log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except OSError:
            return 0

    def size(self) -> Size:
        """How full the ledger is; counts rows, so not for every second."""
        pages, free, page = self._rows("pages")[0]
        events, attackers, bans, evidence, verdicts = self._rows("count_rows")[0]
        counters: dict[str, int] = dict(self._rows("counters"))
        return Size(
            bytes=pages * page + self.log_size, used=(pages - free) * page,
            max_bytes=self.max_bytes, events=events, attackers=attackers, bans=bans, evidence=evidence,
            verdicts=verdicts, bans_now=self._value("running_bans"), bans_peak=counters.get("peak", 0),
            bans_capacity=self.bans_capacity, bans_overflow=counters.get("overflow", 0),
            forgotten=counters.get("forgotten", 0),
        )  # fmt: skip
