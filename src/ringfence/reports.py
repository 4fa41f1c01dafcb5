"""Questions about a running guard, answered from its ledger, its kernel table and its own state. Changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import psutil
from msgspec import structs

import ringfence
from ringfence import beside
from ringfence.answers import (
    AttackRow,
    Attacks,
    BanRow,
    Bans,
    Checked,
    Diag,
    Finding,
    LockdownRow,
    PolicyAnswer,
    ServiceRow,
    StatRow,
    Stats,
    Status,
    StoreRow,
    stamp,
)
from ringfence.detect import DetectorStatistics
from ringfence.errors import LedgerError, NotFoundError
from ringfence.guard import Guard
from ringfence.ledger import PolicyRevision
from ringfence.ledger.facts import ServiceStatistics
from ringfence.ledger.statistics import with_addresses
from ringfence.model import EVERY, Ban
from ringfence.render import plural, rule_numbers
from ringfence.values import format_ports

MOST_FRESH = 200
"""Bans of one answer whose counters are read for it."""
SORTS = {"attempts": ("attempts", True), "last": ("last_seen", True), "first": ("first_seen", False),
         "address": ("address", False)}  # fmt: skip


def policy_answer(revision: PolicyRevision) -> PolicyAnswer:
    """A policy revision as it is answered."""
    return PolicyAnswer(
        revision=revision.revision, time=stamp(revision.time), author=revision.author, note=revision.note,
        text=revision.text,
    )  # fmt: skip


def attacks(
    guard: Guard, *, sort: str, level: Literal["harmless", "threatening"] | None, service: str, match: str, limit: int,
    offset: int,
) -> Attacks:  # fmt: skip
    """A page of the attack list, most first."""
    end_bans(guard)
    order, descending = SORTS[sort]
    wanted: dict[str, Any] = {
        "harmless": guard.policy.limits.harmless, "level": level, "service": service or None, "text": match or None,
    }  # fmt: skip
    total = guard.ledger.count_attackers(**wanted)
    page = guard.ledger.attackers(**wanted, order=order, descending=descending, limit=limit, offset=offset)
    return Attacks(total=total, rows=[AttackRow.of(row, bool(guard.bans_of(row.address))) for row in page])


def bans(guard: Guard, *, service: str, history: bool, match: str, limit: int, offset: int) -> Bans:
    """A page of the running bans (with `history`, also of the ended ones), newest first."""
    if service and service != EVERY and service not in guard.services:
        raise NotFoundError(f"there is no service {service!r}; known: {', '.join(sorted(guard.services))}")
    active = None if history else True
    end_bans(guard)
    text = match or None
    total = guard.ledger.count_bans(active=active, service=service or None, text=text)
    found = guard.ledger.bans(
        active=active, service=service or None, text=text, order="since", descending=True, limit=limit, offset=offset
    )
    fresh_counters(guard)
    return Bans(total=total, rows=ban_rows(guard, found))


def ban_rows(guard: Guard, bans: Sequence[Ban]) -> list[BanRow]:
    """Bans with what they dropped: of a page of them as it is now, of very many as it was read last."""
    counted = guard.barrier.packets()
    if len(bans) <= MOST_FRESH:
        fresh = guard.barrier.packets_of([ban for ban in bans if ban.ended is None])
        counted = counted | {(ban.target, ban.service): fresh[ban.id] for ban in bans if ban.id in fresh}
    return [ban_row(guard, ban, counted) for ban in bans]


def ban_row(guard: Guard, ban: Ban, packets: Mapping[tuple[str, str], int]) -> BanRow:
    """A ban with what it dropped; it is only called enforced while the kernel is known to hold it."""
    known = guard.barrier.blocks and not guard.barrier.unsure
    row = BanRow.of(ban, packets.get((ban.target, ban.service), 0) if known and ban.ended is None else None)
    return row if known or row.state != "enforced" else structs.replace(row, state="wanted")


def end_bans(guard: Guard) -> None:
    """A ban whose time is over is over in every answer, not only after the guard's next look at the clock."""
    with contextlib.suppress(LedgerError):  # the disk is full: then the guard says so anyway
        guard.ledger.expire(guard.clock())


def fresh_counters(guard: Guard) -> None:
    """What the kernel dropped until now, unless many bans run."""
    with contextlib.suppress(LedgerError):  # the disk is full: then the guard says so anyway
        guard.count_dropped()


def status(guard: Guard) -> Status:
    """How the guard is, with its problems first."""
    end_bans(guard)
    problems = guard.problems()
    by_service = guard.ledger.service_counts()
    running = sum(by_service.values())
    wanted = missing(guard, running)
    logs = guard.watch.sources_of(guard.services)
    services = [_service(guard, name, logs[name], by_service.get(name, 0)) for name in sorted(guard.services)]
    return Status(
        guarded=not problems, headline=headline(guard, problems, running, logs), problems=problems,
        notices=guard.notices(), version=ringfence.__version__, pid=os.getpid(), started=stamp(guard.started),
        mode=guard.barrier.mode, ledger=str(guard.settings.ledger.path), policy_revision=guard.policy_revision,
        bans_enforced=running - wanted, bans_wanted=wanted, whitelisted=len(guard.whitelist.entries()),
        lockdown=LockdownRow.of(guard.ledger.lockdown(guard.clock()), guard.barrier.lockdown_in_force),
        services=services, sources=guard.watch.rows(),
    )  # fmt: skip


def missing(guard: Guard, running: int) -> int:
    """How many of the `running` bans are not known to be in force."""
    return len(guard.barrier.missing) if guard.barrier.blocks and not guard.barrier.unsure else running


def headline(guard: Guard, problems: list[str], running: int, logs: Mapping[str, int]) -> str:
    """The state in one sentence; `logs`: how many logs tell of each service."""
    if problems:
        more = f" (and {plural(len(problems) - 1, 'more problem')})" if len(problems) > 1 else ""
        return f"Not everything is guarded: {problems[0]}{more}"
    watched = sum(1 for name, count in logs.items() if count and name not in guard.policy.disabled)
    sources = len(guard.watch.found())
    return (
        f"Everything is guarded: {plural(watched, 'service')}, {plural(sources, 'log')}, "
        f"{plural(running, 'ban')} in force."
    )


def _service(guard: Guard, name: str, logs: int, bans: int) -> ServiceRow:
    service = guard.services[name]
    return ServiceRow(
        name=name, title=service.title, enabled=name not in guard.policy.disabled,
        ports=tuple(map(format_ports, service.ports)),
        rules=tuple(f"{rule.name} {rule_numbers(rule)}" for rule in guard.policy.rules_for(name)),
        sources=logs, bans=bans,
    )  # fmt: skip


async def statistics(guard: Guard) -> Stats:
    """What happened to each service since its statistics began."""
    await beside.count(guard, asked=True)
    fresh_counters(guard)
    counted = beside.addresses(guard.ledger)
    return stats(with_addresses(guard.ledger.statistics_rows({}), await counted()))


async def reset_statistics(guard: Guard, service: str, author: str, origin: str) -> Stats:
    """Begin to count anew, for `service` or (empty) for all; returns what had been counted until then.

    Raises NotFoundError for a service of which nothing was ever counted.
    """
    await beside.count(guard, asked=True)
    fresh_counters(guard)
    counted = beside.addresses(guard.ledger)  # as they are at the instant of the reset
    rows = guard.ledger.begin_anew(service or None, author=author, origin=origin, now=guard.clock())
    found = await counted()
    if service and not rows:
        raise NotFoundError(f"nothing was counted for {service!r} yet")
    return stats(with_addresses(rows, found))


def stats(rows: Sequence[ServiceStatistics]) -> Stats:
    """The statistics as they travel."""
    return Stats(
        rows=[
            StatRow(
                service=one.service, since=stamp(one.since), attempts=one.attempts, addresses=one.addresses,
                bans=one.bans, packets=one.packets, mails=one.mails, unsent=one.unsent, untold=one.untold,
            )
            for one in rows
        ]
    )  # fmt: skip


def diag(guard: Guard) -> Diag:
    """Memory, bounded lists and sources."""
    process = psutil.Process()
    times = process.cpu_times()
    size = guard.ledger.size()
    tracked = guard.detector.statistics()
    stores = [
        StoreRow(
            name="bans", capacity=size.bans_capacity, used=size.bans_now, free=size.bans_capacity - size.bans_now,
            peak=size.bans_peak, overflows=size.bans_overflow, bytes_per_item=-1,
        ),
        tracked_store(tracked),
        StoreRow(
            name="ledger (bytes)", capacity=size.max_bytes, used=size.used, free=max(0, size.max_bytes - size.used),
            peak=size.bytes, overflows=size.forgotten,
            bytes_per_item=size.used // size.events if size.events else 0,
        ),
    ]  # fmt: skip
    return Diag(
        resident=process.memory_info().rss, uptime=guard.clock() - guard.started,
        cpu_seconds=times.user + times.system, ledger_bytes=size.bytes, stores=stores, entries=tracked.services,
        sources=guard.watch.rows(), unreadable_times=guard.watch.unreadable_times(),
        unknown=guard.watch.unknown(),
    )  # fmt: skip


def tracked_store(tracked: DetectorStatistics) -> StoreRow:
    """How full the detector's memory is."""
    return StoreRow(
        name="tracked addresses", capacity=tracked.capacity, used=tracked.tracked,
        free=tracked.capacity - tracked.tracked, peak=tracked.peak, overflows=tracked.forgotten,
        bytes_per_item=tracked.bytes // tracked.tracked if tracked.tracked else 0,
    )  # fmt: skip


def check(guard: Guard) -> Checked:
    """The running guard point by point."""
    findings = [Finding(what="guard", good=False, detail=problem) for problem in guard.problems()]
    findings += [Finding(what="guard", good=True, detail=notice) for notice in guard.notices()]
    if not findings:
        findings = [Finding(what="guard", good=True, detail=f"runs, {guard.barrier.mode}")]
    return Checked(good=all(finding.good for finding in findings), findings=findings)
