"""The way of a line through the guard: read, parse, count, judge, commit, enforce.

What was made of some chunks is committed as one; when the ledger fails it stays `pending`, and nothing more is read
until it could be committed. So nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from ringfence.barrier import Barrier
from ringfence.detect import Detector
from ringfence.errors import LedgerError
from ringfence.histogram import Histogram
from ringfence.ledger import Ledger, Recorded, ReportMark
from ringfence.model import Ban, Event, Position, Verdict
from ringfence.names import Names
from ringfence.parse.attempts import Attempts
from ringfence.parse.challenges import Held
from ringfence.watch import Watch

ENFORCE_EVERY = 0.5
"""Seconds for which bans are gathered while catching up; what happens live is enforced at once."""
HOLDS = 60.0
"""Seconds for which a ban must hold already for a later end to wait until everything is read."""

Tell = Callable[[Recorded, Sequence[Verdict]], None]


class Batch(Struct):
    """What was made of some chunks and is to be committed as one. `live`: some of it was written just now.

    `began`: when all of it was read, if all is live, by a clock that only goes on. `mark`: of an application's report.
    """

    events: list[Event]
    verdicts: list[Verdict]
    positions: list[Position]
    held: Held
    live: bool
    began: float | None = None
    mark: ReportMark | None = None


class Pipeline:
    """Joins the parts. `tell` hears of each commit that had verdicts. `names`: what waits for a host's address, in
    case the readers tell of names at all. `latency`: from reading the deciding line until the kernel has confirmed."""

    def __init__(
        self, watch: Watch, attempts: Attempts, detector: Detector, ledger: Ledger, barrier: Barrier,
        clock: Callable[[], float], tell: Tell,
    ) -> None:  # fmt: skip
        self.pending: Batch | None = None
        self.names = Names()
        self.latency = Histogram()
        self._watch = watch
        self._attempts = attempts
        self._detector = detector
        self._ledger = ledger
        self._barrier = barrier
        self._clock = clock
        self._tell = tell
        self._waiting: dict[int, Ban] = {}
        self._new: set[int] = set()
        self._holds: dict[int, float] = {}
        self._began: dict[int, float] = {}
        self._enforced_at = 0.0

    def take(self, most: int) -> bool:
        """Read some chunks and carry them through; False when there was nothing to read.

        Chunks are gathered until they hold `most` sightings (or as many kB): one transaction costs the same for many,
        but commands and live logs are not to wait for long. Raises LedgerError when it can't be committed.
        """
        if self.pending is None:
            self.pending = self._read(most)
        if self.pending is None:
            self.enforce_waiting()
            self._ledger.tally()
            return False
        self._commit(self.pending)
        return True

    def settle(self) -> bool:
        """Count what was held back for a later line that did not come; call it when everything is read."""
        events = self._attempts.finish(self._clock())
        if not events:
            return False
        self.pending = Batch(events, self._detector.feed(events), [], self._attempts.held(), live=True)
        self._commit(self.pending)
        return True

    def report(self, events: list[Event], mark: ReportMark | None) -> None:
        """Count and judge what an application reported. Raises LedgerError when it can't be committed (yet)."""
        self.catch_up()
        began = time.monotonic()
        self.pending = Batch(events, self._detector.feed(events), [], Held(), live=True, began=began, mark=mark)
        self._commit(self.pending)

    def catch_up(self) -> None:
        """Commit what could not be committed before. Raises LedgerError when it still can't."""
        if self.pending is not None:
            self._commit(self.pending)

    def resolved(self, answers: Mapping[str, Sequence[str]]) -> None:
        """Count what waited for the addresses of host names. Raises LedgerError when it can't be committed."""
        self.catch_up()
        sightings, released = self.names.answered(answers, self._clock())
        events = self._attempts.feed(sightings)
        held = self._attempts.held()
        held = Held(added=held.added, dropped=held.dropped + released)
        self.pending = Batch(events, self._detector.feed(events), [], held, live=True)
        self._commit(self.pending)

    def _read(self, most: int) -> Batch | None:
        sightings: list[Event] = []
        positions: dict[str, Position] = {}
        work = 0
        live, began = False, time.monotonic()
        late = False
        while work < most and (chunk := self._watch.next()) is not None:
            found = self._watch.sightings(chunk)
            positions[chunk.source] = chunk.position
            sightings += found
            live = live or chunk.live
            late = late or not chunk.live
            work += len(found) + (len(chunk.data) >> 10) + 1
        if not positions:
            return None
        if len(positions) > 1:
            # Two logs may tell of one attempt, one of them better: as near to the order of time as can be had.
            self._attempts.expect(sightings)
            sightings.sort(key=attrgetter("time"))
        waiting: list[Event] = []
        if self._watch.tells_names:
            sightings, waiting = self.names.sort_out(sightings, self._clock())
        events = self._attempts.feed(sightings)
        held = self._attempts.held()
        if waiting:
            held = Held(added=held.added + waiting, dropped=held.dropped)
        verdicts = self._detector.feed(events)
        return Batch(events, verdicts, list(positions.values()), held, live, None if late else began)

    def _commit(self, batch: Batch) -> None:
        now = self._clock()
        recorded = self._ledger.record(
            batch.events,
            batch.verdicts,
            batch.positions,
            now,
            held=batch.held.added,
            released=batch.held.dropped,
            mark=batch.mark,
        )
        self.pending = None
        if batch.began is not None:
            self._began.update((ban.id, batch.began) for ban in recorded.wanted)
        self._waiting.update((ban.id, ban) for ban in recorded.wanted)
        self._new |= recorded.new
        if recorded.evicted:
            self.forget(recorded.evicted)
            self._barrier.open(recorded.evicted)
        if batch.live:
            self.enforce_waiting()
        elif self._waiting and now - self._enforced_at >= ENFORCE_EVERY:
            # While catching up, a ban is made longer again and again: that can wait as long as it holds anyway.
            self._enforce([ban for ban in self._waiting.values() if self._holds.get(ban.id, 0.0) < now + HOLDS], now)
        if batch.verdicts:
            self._tell(recorded, batch.verdicts)

    def enforce_waiting(self) -> None:
        """Put in force all that was decided and is not yet."""
        if self._waiting:
            self._enforce(list(self._waiting.values()), self._clock())
            self._holds.clear()

    def _enforce(self, bans: Sequence[Ban], now: float) -> None:
        self._enforced_at = now
        began = {ban.id: self._began[ban.id] for ban in bans if ban.id in self._began}
        new = all(ban.id in self._new for ban in bans)
        self.forget(bans)
        confirmed = self._barrier.close(bans, now, new=new)
        for number in began.keys() & confirmed:
            self.latency.note(time.monotonic() - began[number])
        self._holds.update((ban.id, ban.until) for ban in bans if ban.id in confirmed)
        if confirmed:
            try:
                self._ledger.mark_enforced([ban for ban in bans if ban.id in confirmed], now)
            except LedgerError:
                # They are in force and only not called so yet; reconcile does that. The next commit tells the fault.
                self._barrier.changed = True

    @property
    def waiting(self) -> int:
        """How many bans are decided and on their way to the kernel."""
        return len(self._waiting)

    def forget(self, bans: Iterable[Ban]) -> None:
        """These bans are dealt with otherwise: by a command, or because they gave way."""
        for ban in bans:
            self._waiting.pop(ban.id, None)
            self._new.discard(ban.id)
            self._began.pop(ban.id, None)

    def forget_all(self) -> None:
        """Reconcile has put everything in force."""
        self._waiting.clear()
        self._new.clear()
        self._began.clear()
