"""`ringfence scan`: read any logs from beginning to end and say who attacked and whom the policy would have banned.

The same parser, attempts and detector as in the guard, without state. Several logs are read side by side, in order of
time, since one attempt may stand in two of them.
"""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ringfence.detect.allow import AllowList
from ringfence.detect.detector import Detector
from ringfence.model import EVERY, AllowEntry, Attacker, Event, Policy, Verdict
from ringfence.parse.attempts import Attempts
from ringfence.parse.catalogue import Catalogue
from ringfence.parse.drift import Drift, Shape
from ringfence.parse.parser import Parser
from ringfence.parse.reader import Reader
from ringfence.sense.compressed import blocks

Source = Path | Literal["-"]
LOOKED_AT = 8 << 20
"""Bytes of each log that are searched for lines of no known form."""
_FEW = 3


class ScanBan(Struct, frozen=True, kw_only=True):
    """A ban the policy would have given: `target` kept out of `service` from `since` to `until` (seconds UTC)."""

    target: str
    rule: str
    service: str
    since: float
    until: float


class ScanResult(Struct, frozen=True, kw_only=True):
    """What the logs hold. `named` lines told of a host by its name only; `cut_lines` were longer than 64 KiB and lost
    their rest. `unknown`: (log, lines of one form that sound like failed logins and that no pattern takes), looked for
    in the beginning of each log.
    """

    lines: int
    bytes: int
    unreadable_times: int
    unbelieved: int
    named: int
    cut_lines: int
    attackers: tuple[Attacker, ...]
    bans: dict[str, tuple[ScanBan, ...]]
    unknown: tuple[tuple[str, Shape], ...]


def scan(
    sources: Sequence[Source],
    policy: Policy,
    catalogue: Catalogue,
    *,
    zone: tzinfo,
    now: float,
    services: Collection[str] | None = None,
    year: int | None = None,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
    on_events: Callable[[Sequence[Event]], None] | None = None,
) -> ScanResult:
    """Read `sources`; `on_events` gets the counted events in order as they are found, `progress` the bytes read.

    now: seconds UTC, for stamps without a year on standard input; files use the time of their last change.
    Raises SensorError when a log can't be read.
    """
    parser = Parser(catalogue, zone=zone, cache=cache, services=services)
    detector = Detector(policy, AllowList(AllowEntry(target=target) for target in policy.whitelist))
    tally = _Tally()
    logs = [_Log(source, parser.reader(str(source), reference=_written(source, now), year=year)) for source in sources]
    # Millions of events and no cycles among them: the collector would only cost time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for sightings in _in_order(logs, parser.attempts, progress):
            tally.add(parser.attempts.feed(sightings), detector, on_events)
        tally.add(parser.attempts.finish(float("inf")), detector, on_events)
    finally:
        if collecting:
            gc.enable()
    statistics = [log.reader.statistics for log in logs]
    return ScanResult(
        lines=sum(each.lines for each in statistics),
        bytes=sum(each.bytes for each in statistics),
        unreadable_times=sum(each.unreadable_times for each in statistics),
        unbelieved=sum(each.unbelieved for each in statistics),
        named=sum(each.named for each in statistics),
        cut_lines=sum(log.cut_lines for log in logs),
        attackers=tally.attackers(policy.limits.harmless),
        bans=tally.bans(),
        unknown=tuple((str(log.source), shape) for log in logs for shape in log.drift.known(0.0)),
    )


class _Log:
    """One log under way: its reader, and sightings that wait for the other logs to come up in time."""

    def __init__(self, source: Source, reader: Reader) -> None:
        self.source = source
        self.reader = reader
        self.waiting: list[Event] = []
        self.ended = False
        self.cut_lines = 0
        self.drift = Drift()
        self._blocks: Iterator[bytes] | None = None

    def read(self, progress: Callable[[int], None] | None) -> list[Event]:
        """The sightings of the next block that has any; none: the log is at its end."""
        if self._blocks is None:
            self._blocks = blocks(self.source, progress=progress, on_cut=self._cut)
        for block in self._blocks:
            first = self.reader.statistics.lines + 1
            sightings = self.reader.read(block, first)
            if self.reader.statistics.bytes <= LOOKED_AT:
                self.drift.look(block, first, {event.line for event in sightings}, 0.0)
            if sightings:
                return sightings
        self.ended = True
        return []

    def _cut(self, count: int) -> None:
        self.cut_lines += count


def _in_order(logs: list[_Log], attempts: Attempts, progress: Callable[[int], None] | None) -> Iterator[list[Event]]:
    if len(logs) == 1:
        while sightings := logs[0].read(progress):
            yield sightings
        return
    while True:
        for log in logs:
            if not log.waiting and not log.ended:
                log.waiting = sorted(log.read(progress), key=_time)
        waiting = [log for log in logs if log.waiting]
        if not waiting:
            return
        for log in waiting:
            attempts.expect(log.waiting)
        # Up to where every log has been read, nothing earlier can come any more.
        limit = min((log.waiting[-1].time for log in waiting if not log.ended), default=float("inf"))
        ready: list[Event] = []
        for log in waiting:
            until = bisect_right(log.waiting, limit, key=_time)
            ready += log.waiting[:until]
            log.waiting = log.waiting[until:]
        ready.sort(key=_time)
        yield ready


def _time(event: Event) -> float:
    return event.time


def _written(source: Source, now: float) -> float:
    if source == "-":
        return now
    try:
        return source.stat().st_mtime
    except OSError:
        return now


class _Row:
    """One attacker so far. There may be a million of them, most with few accounts: tuples while they are short."""

    __slots__ = ("accounts", "attempts", "first", "last", "services", "successes")

    def __init__(self, time: float) -> None:
        self.attempts = 0
        self.successes = 0
        self.first = self.last = time
        self.accounts: tuple[str, ...] | dict[str, None] = ()
        self.services: tuple[str, ...] = ()

    def tried(self, account: str) -> None:
        """An account not tried before."""
        if isinstance(self.accounts, tuple):
            if len(self.accounts) < _FEW:
                self.accounts += (account,)
                return
            self.accounts = dict.fromkeys(self.accounts)
        self.accounts[account] = None


class _Tally:
    """The attack list and the bans, as they grow."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._bans: dict[str, list[ScanBan]] = {}

    def add(
        self, events: Sequence[Event], detector: Detector, on_events: Callable[[Sequence[Event]], None] | None
    ) -> None:
        if not events:
            return
        rows = self._rows
        for event in events:
            row = rows.get(event.address)
            if row is None:
                row = rows[event.address] = _Row(event.time)
            row.last = event.time
            if event.failed:
                row.attempts += 1
                if event.account not in row.accounts:
                    row.tried(event.account)
                if event.service not in row.services:
                    row.services += (event.service,)
            else:
                row.successes += 1
        for verdict in detector.feed(events):
            if "block" in verdict.actions:
                self._ban(verdict)
        if on_events is not None:
            on_events(events)

    def _ban(self, verdict: Verdict) -> None:
        service = verdict.service if verdict.scope == "service" else EVERY
        bans = self._bans.setdefault(verdict.address, [])
        ban = ScanBan(
            target=verdict.target, rule=verdict.rule, service=service, since=verdict.time, until=verdict.until
        )
        for index, running in enumerate(bans):
            if (running.target, running.service) == (ban.target, service) and running.until >= ban.since:
                if ban.until > running.until:
                    bans[index] = ScanBan(
                        target=ban.target, rule=ban.rule, service=service, since=running.since, until=ban.until
                    )
                return
        bans.append(ban)

    def attackers(self, harmless: int) -> tuple[Attacker, ...]:
        rows = [
            Attacker(
                address=address,
                attempts=row.attempts,
                level="threatening" if row.attempts > harmless else "harmless",
                services=row.services,
                accounts=tuple(account for account in row.accounts if account),
                first_seen=row.first,
                last_seen=row.last,
                successes=row.successes,
            )
            for address, row in self._rows.items()
            if row.attempts
        ]
        return tuple(sorted(rows, key=lambda row: (-row.attempts, row.address)))

    def bans(self) -> dict[str, tuple[ScanBan, ...]]:
        return {address: tuple(bans) for address, bans in self._bans.items()}
