"""Why an address is banned, or why not: every reason, with what speaks for it."""

from __future__ import annotations

import ipaddress

from ringfence.answers import AllowRow, AttackRow, BanRow, EventRow, Explanation, WindowRow, stamp
from ringfence.detect import WindowView
from ringfence.guard import Guard
from ringfence.model import EVERY, FOREVER, Attacker, Ban, Rule, causes_in_words
from ringfence.render import duration, local_time, plural
from ringfence.reports import ban_rows, end_bans

MOST_EARLIER = 20


def explain(guard: Guard, address: str, limit: int) -> Explanation:
    """Everything that is known about `address` (or a network), `limit` events at most."""
    now = guard.clock()
    end_bans(guard)
    bans = guard.bans_on(address)
    evidence = [event for ban in bans[:3] for event in guard.ledger.evidence(ban.id)]
    windows = guard.detector.windows(address, now)
    attacker = guard.ledger.attacker(address, harmless=guard.policy.limits.harmless)
    earlier = [
        ban for target in guard.targets_of(address) for ban in guard.ledger.history(target) if ban.ended is not None
    ]
    rows = ban_rows(guard, bans)
    allowed = guard.whitelist.covering(address, now)
    spared = any(entry.service == EVERY for entry in allowed)
    return Explanation(
        address=address,
        banned=bool(bans) and not spared,
        verdict=_verdict(address, bans, spared, attacker is not None, _not_in_force(guard, rows)),
        reasons=[*(_because(ban) for ban in bans), *_but(guard, address, windows, bool(allowed), attacker)],
        bans=rows,
        earlier=[BanRow.of(ban) for ban in sorted(earlier, key=lambda ban: -ban.since)[:MOST_EARLIER]],
        evidence=[EventRow.of(event) for event in evidence[-limit:]],
        windows=[_window(guard, view) for view in windows if view.counted or view.uncounted],
        whitelist=[AllowRow.of(entry) for entry in allowed],
        attacker=None if attacker is None else AttackRow.of(attacker, bool(bans)),
        events=[EventRow.of(event) for _, event in guard.ledger.events_of(address, limit=limit)],
    )


def _not_in_force(guard: Guard, rows: list[BanRow]) -> str:
    """Why a ban is not in force, as an addition to a sentence; empty when all are."""
    if all(row.state == "enforced" for row in rows):
        return ""
    if guard.barrier.blocks:
        return " (not in force yet: the kernel has not confirmed it)"
    return f" (recorded only, {guard.barrier.mode}: {guard.barrier.blocked()})"


def _verdict(address: str, bans: list[Ban], spared: bool, known: bool, not_in_force: str) -> str:
    if bans and spared:
        return f"{address} is banned on paper, but the whitelist lets it in"
    if bans:
        services = sorted({"all services" if ban.service == EVERY else ban.service for ban in bans})
        until = max(ban.until for ban in bans)
        end = "for good" if until == FOREVER else f"until {local_time(until)}"
        return f"{address} is banned from {', '.join(services)} {end}{not_in_force}"
    never = "" if known or "/" in address else " and has never failed to log in"
    return f"{address} is not banned{never}"


def _because(ban: Ban) -> str:
    whom = "" if ipaddress.ip_network(ban.target).num_addresses == 1 else f" (all of {ban.target})"
    by = ban.author.removeprefix("rule:")
    who = f"rule {by} fired" if ban.author.startswith("rule:") else f"{ban.author.removeprefix('user:')} banned it"
    why = "; ".join(filter(None, (ban.reason, ban.note)))
    return f"{who} on {local_time(ban.since)}{whom}" + (f": {why}" if why else "")


def _but(guard: Guard, address: str, windows: list[WindowView], allowed: bool, attacker: Attacker | None) -> list[str]:
    """What keeps it from being banned, and how near the rules are to firing."""
    reasons = []
    entry = guard.whitelist.list.covers(address, EVERY, guard.clock()) if "/" not in address else None
    if entry is not None and not allowed:
        reasons.append(f"it is never banned: {entry.note or 'it is protected'}")
    elif allowed:
        reasons.append("it is on the whitelist, which beats every ban")
    seen = set(attacker.services) if attacker is not None else set()
    reasons += [
        f"service {name} is switched off: nothing is judged there" for name in sorted(seen & guard.policy.disabled)
    ]
    for view in windows:
        if view.uncounted or 0 < view.counted < view.needed:
            reasons.append(f"rule {view.rule} for {view.service}: {_progress(view, _rule(guard, view))}")
    return list(dict.fromkeys(reasons))


def _progress(view: WindowView, rule: Rule | None) -> str:
    """How far a rule is, in words; what it does not count has fired it, unless it filters what it counts."""
    if rule is None:
        return f"{view.counted} of {view.needed}"
    what = "bans" if rule.bans is not None else rule.count
    if view.uncounted and not (rule.causes or rule.proven):
        since = "" if what == "attempts" else f" {what}"
        return f"{plural(view.uncounted, 'attempt')} fired it; {view.counted} of {view.needed}{since} since"
    text = f"{view.counted} of {view.needed} {what} in {duration(rule.within)}"
    if not view.uncounted:
        return text
    only = [causes_in_words(rule.causes)] if rule.causes else []
    only += ["only proven addresses count"] if rule.proven else []
    more = plural(view.uncounted, "more attempt")
    return "; ".join([text, f"{more} fired it already or can't count here", *only])


def _rule(guard: Guard, view: WindowView) -> Rule | None:
    return next((one for one in guard.policy.rules_for(view.service) if one.name == view.rule), None)


def _window(guard: Guard, view: WindowView) -> WindowRow:
    rule = _rule(guard, view)
    counted = "bans" if rule is not None and rule.bans is not None else rule.count if rule is not None else "attempts"
    return WindowRow(
        service=view.service, rule=view.rule, count=view.counted, needed=view.needed, counted=counted,
        within=rule.within if rule is not None else 0.0, since="" if view.oldest is None else stamp(view.oldest),
    )  # fmt: skip
