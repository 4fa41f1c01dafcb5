"""What the detector knows, said in `WindowView`s and `DetectorStatistics`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from sys import getsizeof

from ringfence.detect.allow import AllowList
from ringfence.detect.history import History
from ringfence.detect.plan import Plan
from ringfence.detect.rules import Counted
from ringfence.detect.tracked import Tracked
from ringfence.detect.views import DetectorStatistics, WindowView
from ringfence.detect.window import ATTEMPT, Counter, Window
from ringfence.model import EVERY, Policy, causes_in_words

_SAMPLE = 300
_FLOAT = getsizeof(0.0)
_SLOT = 40
"""Bytes of a key's place in its dict and in the queue by age, roughly: 24 and an index, at the usual load."""


def windows(
    policy: Policy,
    plans: Mapping[str, Plan],
    allow: AllowList,
    history: History,
    address: str,
    keys: tuple[str, str, str],
    now: float,
) -> list[WindowView]:
    """One view for each rule of each service that was seen or is switched off; `keys`: address, network, target."""
    views: list[WindowView] = []
    for service in sorted({*plans, *policy.disabled} - {EVERY}):
        if service in policy.disabled:
            for rule in policy.overrides.get(service, policy.rules):
                needed = rule.failures or rule.bans or 0
                why = f"{service} is switched off"
                views.append(
                    WindowView(service=service, rule=rule.name, key=address, counted=0, needed=needed, why=why)
                )
            continue
        plan = plans[service]
        entry = allow.covers(address, service, now)
        why = f"{address} is whitelisted by {entry.target}" if entry is not None else ""
        for counter, key in ((plan.by_address, keys[0]), (plan.by_network, keys[1])):
            if counter is not None:
                views += [_view(counter, key, rule, now, why) for rule in counter.rules]
        views += _accounts(plan, address, now, why)
        views += [_bans(history, keys[2], service, rule, now, why) for rule in plan.repeated]
    return views


def _accounts(plan: Plan, address: str, now: float, why: str) -> list[WindowView]:
    """The accounts that `address` was seen at: found by going through all of them, which a command may do."""
    counter = plan.by_account
    if counter is None:
        return []
    tried = [key for key, window in counter.windows.items() if address in window[counter.first + 1 :: ATTEMPT]]
    return [_view(counter, key, rule, now, why) for key in tried for rule in counter.rules]


def _view(counter: Counter, key: str, rule: Counted, now: float, why: str) -> WindowView:
    window: Window = counter.windows.get(key) or []
    attempts = [
        (window[at], window[at + 1], window[at + 2] & rule.bit)
        for at in range(counter.first, len(window), ATTEMPT)
        if now - rule.within <= window[at] <= now
    ]
    counting = [(time, what) for time, what, counts in attempts if counts and (what or not rule.distinct)]
    times = [time for time, _ in counting]
    counted = len({what for _, what in counting}) if rule.distinct else len(counting)
    uncounted = sum(1 for _, _, counts in attempts if not counts)
    return WindowView(
        service=counter.service,
        rule=rule.name,
        key=key.removesuffix("/32") if ":" not in key else key,
        counted=counted,
        needed=rule.needed,
        uncounted=uncounted,
        oldest=min(times, default=None),
        newest=max(times, default=None),
        fires=not why and counted >= rule.needed - 1,
        why=why or _why(rule, counted, uncounted),
    )


def _why(rule: Counted, counted: int, uncounted: int) -> str:
    """Why a rule has not fired: too few, and why others don't count."""
    if counted >= rule.needed - 1:
        return ""
    reasons = [f"{counted} of {rule.needed} {'accounts' if rule.distinct else 'attempts'} in {rule.within:g} s"]
    if uncounted:
        reasons.append(f"{uncounted} more fired it already or are none that it counts")
    if rule.causes:
        reasons.append(causes_in_words(rule.causes))
    if rule.proven:
        reasons.append("only proven addresses count")
    return "; ".join(reasons)


def _bans(history: History, target: str, service: str, rule: Counted, now: float, why: str) -> WindowView:
    starts = history.count(target, service, rule.name, now - rule.within, now)
    lacks = "" if len(starts) >= rule.needed - 1 else f"{len(starts)} of {rule.needed} bans in {rule.within:g} s"
    return WindowView(
        service=service,
        rule=rule.name,
        key=target,
        counted=len(starts),
        needed=rule.needed,
        oldest=min(starts, default=None),
        newest=max(starts, default=None),
        fires=not why and not lacks,
        why=why or lacks,
    )


def statistics(tracked: Tracked, plans: Mapping[str, Plan]) -> DetectorStatistics:
    """How much is tracked; the bytes are those of some windows of each counter times their number."""
    services: dict[str, int] = {}
    total = 0.0
    # Asked for by a page: however many counters there are, some hundred windows are looked at.
    each_counter = max(1, _SAMPLE // max(1, sum(len(plan.counters) for plan in plans.values())))
    for service, plan in plans.items():
        for counter in plan.counters:
            number = len(counter.windows)
            if number:
                services[service] = services.get(service, 0) + number
                sample = list(islice(counter.windows.items(), each_counter))
                each = sum(getsizeof(key) + _weight(counter, window) for key, window in sample) / len(sample)
                total += number * (each + _SLOT)
    return DetectorStatistics(
        tracked=tracked.tracked,
        peak=tracked.peak,
        capacity=tracked.capacity,
        forgotten=tracked.forgotten,
        services=services,
        bytes=round(total),
    )


def _weight(counter: Counter, window: Window) -> int:
    return getsizeof(window) + (len(window) - counter.first) // ATTEMPT * _FLOAT
