"""How the guard is at this moment, from memory: what the page asks again and again and what measures it.

Nothing here looks through the bans or the events of the ledger, so an answer costs well under a millisecond.
"""

from __future__ import annotations

import psutil
from msgspec import Struct

import ringfence
from ringfence.answers import LockdownRow, SourceRow, StoreRow, UnknownRow, stamp
from ringfence.control import Caller, command
from ringfence.guard import Guard
from ringfence.reports import headline, missing, tracked_store


class Pulse(Struct, frozen=True, kw_only=True):
    """How the guard is. `guarded` is True only when nothing at all is in `problems`.

    bans_missing: running bans that are not known to be in force; waiting: decided, and on their way to the kernel.
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
    whitelisted: int
    sources: list[SourceRow]
    bans_running: int
    bans_missing: int
    waiting: int


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
        whitelisted=guard.whitelist.count(), sources=guard.watch.rows(), bans_running=running,
        bans_missing=missing(guard, running), waiting=guard.pipeline.waiting,
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
