"""Whether a change of policy or whitelist would shut out whoever makes it.

The recorded events of that address, and of those it would be counted together with, are judged by the policy that is
and by the one that is to be: what only the new one would ban now speaks against it. Rules that count by account are
not followed to other networks.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ringfence.detect import AllowList, Detector
from ringfence.detect.address import network_of
from ringfence.guard import Guard
from ringfence.ledger import Ledger
from ringfence.model import EVERY, Event, Policy, Verdict
from ringfence.orders import named, overlap
from ringfence.policy_text import describe_rule
from ringfence.whitelist import POLICY

MOST_EVENTS = 2000
"""The newest events that are judged: some 10 ms."""
MOST_NEIGHBOURS = 200


def harm_of_policy(guard: Guard, policy: Policy, address: str) -> str:
    """Why `policy` would keep `address` out, or take its protection: a sentence, or nothing."""
    now = guard.clock()
    allow = guard.whitelist.under(policy)
    lost = unprotected(guard, guard.whitelist.list, allow, address)
    if lost:
        return lost
    events = events_near(guard.ledger, address, (guard.policy, policy))
    known = {(ban.target, ban.service) for ban in guard.bans_on(address)}
    known |= {(one.target, _closed(one)) for one in bans_at(guard.policy, guard.whitelist.list, events, address, now)}
    for verdict in bans_at(policy, allow, events, address, now):
        service = _closed(verdict)
        if (verdict.target, service) not in known and (verdict.target, EVERY) not in known:
            rule = next(one for one in policy.rules_for(verdict.service) if one.name == verdict.rule)
            return f"by rule {verdict.rule} ({describe_rule(rule)}) {address} would be banned from {named(service)}"
    return ""


def harm_of_removal(guard: Guard, target: str, service: str, address: str) -> str:
    """Why to take `target` off the whitelist for `service` would take the protection of `address`, or nothing."""
    before = guard.whitelist.list
    removed = {entry.target for entry in guard.ledger.whitelist(guard.clock()) if entry.service == service}
    if target not in removed:
        return ""
    kept = [
        one for one in before.entries if one.target != target or one.service != service or one.author in (POLICY, "")
    ]
    return unprotected(guard, before, AllowList(kept, own=sorted(guard.whitelist.own)), address)


def unprotected(guard: Guard, before: AllowList, after: AllowList, address: str) -> str:
    """That `address` is on the whitelist `before` and not `after`: a sentence, or nothing."""
    now = guard.clock()
    for service in (EVERY, *sorted(guard.services)):
        entry = before.covers(address, service, now)
        if entry is not None and after.covers(address, service, now) is None:
            within = "" if entry.target == address else f" (by {entry.target})"
            return f"{address} is on the whitelist{within} for {named(service)} and would no longer be"
    return ""


def bans_at(
    policy: Policy, allow: AllowList, events: Sequence[Event], address: str, now: float
) -> list[Verdict]:  # fmt: skip
    """The bans that hold `address` at `now` if `events` are judged by `policy`."""
    verdicts = Detector(policy, allow, capacity=10 * MOST_EVENTS).feed(events)
    return [
        verdict
        for verdict in verdicts
        if "block" in verdict.actions
        and verdict.until > now
        and overlap(address, ipaddress.ip_network(verdict.target))
        and allow.covers(address, _closed(verdict), now) is None
    ]


def events_near(ledger: Ledger, address: str, policies: Sequence[Policy]) -> list[Event]:
    """The newest events of `address` and of the addresses that count together with it, in the order of time."""
    found = {address: None}
    for policy in policies:
        if ":" not in address and not _counts_networks(policy):
            continue
        network = network_of(address, policy.limits.ipv4_network, policy.limits.ipv6_network)
        found |= dict.fromkeys(ledger.neighbours_of(network, limit=MOST_NEIGHBOURS))
    events = [event for one in found for _, event in ledger.events_of(one, limit=MOST_EVENTS)]
    return sorted(events, key=lambda event: event.time)[-MOST_EVENTS:]


def _counts_networks(policy: Policy) -> bool:
    return any(rule.per == "network" for rules in (policy.rules, *policy.overrides.values()) for rule in rules)


def _closed(verdict: Verdict) -> str:
    return verdict.service if verdict.scope == "service" else EVERY
