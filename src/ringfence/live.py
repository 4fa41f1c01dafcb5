"""How the guard is at this moment, from memory: what the page asks again and again and what measures it.

Nothing here looks through the bans or the events of the ledger, so an answer costs well under a millisecond.
"""

from __future__ import annotations

import psutil
from msgspec import Struct

import ringfence
from ringfence.answers import LockdownRow, SourceRow, StoreRow, TrialRow, UnknownRow, stamp
from ringfence.control import Caller, command
from ringfence.errors import RingfenceError
from ringfence.guard import Guard
from ringfence.reports import headline, missing, tracked_store

MOST_PACKETS = 200


class Pulse(Struct, frozen=True, kw_only=True):
    """How the guard is. `guarded` is True only when nothing at all is in `problems`.

    bans_missing: running bans that are not known to be in force; waiting: decided, and on their way to the kernel;
    services: the names that a ban or a whitelist entry may have.
    """

    guarded: bool
    headline: str
    problems: list[str]
    notices: list[str]
    mode: str
    blocks: bool
    version: str
    started: str
    policy_revision: int
    lockdown: LockdownRow
    trials: list[TrialRow]
    whitelisted: int
    sources: list[SourceRow]
    bans_running: int
    bans_missing: int
    waiting: int
    services: list[str] = []


class Bucket(Struct, frozen=True, kw_only=True):
    """How many took at most `le` seconds."""

    le: float
    count: int


class Latency(Struct, frozen=True, kw_only=True):
    """How long bans took from the reading of the deciding line until the kernel had confirmed, in seconds.

    What was caught up after a restart, and what reconcile had to put right later, is not counted.
    """

    buckets: list[Bucket]
    sum: float
    count: int


class Figures(Struct, frozen=True, kw_only=True):
    """Numbers for a monitoring system, from memory.

    waiting_bans: on their way to the kernel; missing_bans: not known to be in force; held_sightings: lines that wait
    for a later one; names_waiting: lines that wait for a host's address.
    """

    latency: Latency
    waiting_bans: int
    missing_bans: int
    held_sightings: int
    names_waiting: int
    bans_running: int
    bans_capacity: int
    trials: int
    guarded: bool
    blocks: bool
    sources: list[SourceRow]


class Vitals(Struct, frozen=True, kw_only=True):
    """What `diag` tells, as far as the guard knows it without counting rows; the page counts those itself.

    `entries`: tracked addresses by service.
    """

    resident: int
    uptime: float
    cpu_seconds: float
    tracked: StoreRow
    entries: dict[str, int]
    sources: list[SourceRow]
    unreadable_times: int
    unknown: list[UnknownRow]


class LiveCommands:
    """Questions that are asked every second."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def pulse(self, caller: Caller) -> Pulse:
        """How the guard is, from memory."""
        return pulse(self.guard)

    @command
    def figures(self, caller: Caller) -> Figures:
        """Numbers for a monitoring system."""
        return figures(self.guard)

    @command
    def packets(self, caller: Caller, *, ids: list[int]) -> dict[int, int]:
        """Packets dropped by the running bans of these numbers, at most 200; none for what is not in force."""
        if len(ids) > MOST_PACKETS:
            raise RingfenceError(f"packets of at most {MOST_PACKETS} bans can be asked for at once, not {len(ids)}")
        bans = (self.guard.ledger.ban_by_id(number) for number in dict.fromkeys(ids))
        return self.guard.barrier.packets_of([ban for ban in bans if ban is not None and ban.ended is None])

    @command
    def vitals(self, caller: Caller) -> Vitals:
        """Memory, lists and sources of the guard, from memory."""
        return vitals(self.guard)


def pulse(guard: Guard) -> Pulse:
    """How the guard is, from memory."""
    barrier = guard.barrier
    problems = guard.problems()
    running = guard.ledger.running_bans
    return Pulse(
        guarded=not problems, headline=headline(guard, problems, running, guard.watch.sources_of(guard.services)),
        problems=problems, notices=guard.notices(), mode=barrier.mode, blocks=barrier.blocks,
        version=ringfence.__version__, started=stamp(guard.started), policy_revision=guard.policy_revision,
        lockdown=LockdownRow.of(guard.ledger.lockdown(guard.clock()), barrier.lockdown_in_force),
        trials=guard.trials.rows(), whitelisted=guard.whitelist.count(), sources=guard.watch.rows(),
        bans_running=running, bans_missing=missing(guard, running), waiting=guard.pipeline.waiting,
        services=sorted(guard.services),
    )  # fmt: skip


def figures(guard: Guard) -> Figures:
    """Numbers for a monitoring system, from memory."""
    latency = guard.pipeline.latency
    running = guard.ledger.running_bans
    buckets = [Bucket(le=bound, count=count) for bound, count in latency.cumulative()]
    return Figures(
        latency=Latency(buckets=buckets, sum=latency.total, count=latency.count),
        waiting_bans=guard.pipeline.waiting, missing_bans=missing(guard, running),
        held_sightings=guard.parser.attempts.waiting(), names_waiting=len(guard.pipeline.names),
        bans_running=running, bans_capacity=guard.settings.bans.capacity, trials=len(guard.trials.open),
        guarded=not guard.problems(), blocks=guard.barrier.blocks, sources=guard.watch.rows(),
    )  # fmt: skip


def vitals(guard: Guard) -> Vitals:
    """Memory, lists and sources, from memory."""
    process = psutil.Process()
    times = process.cpu_times()
    tracked = guard.detector.statistics()
    return Vitals(
        resident=process.memory_info().rss, uptime=guard.clock() - guard.started,
        cpu_seconds=times.user + times.system, tracked=tracked_store(tracked), entries=tracked.services,
        sources=guard.watch.rows(), unreadable_times=guard.watch.unreadable_times(), unknown=guard.watch.unknown(),
    )  # fmt: skip
