"""What the detector must say, computed the slow and obvious way: every attempt is kept, every rule looks at all."""

from __future__ import annotations

import math

from ringfence.model import EVERY, Ban, Event, Policy, Rule, Verdict


def event(
    time: float,
    address: str = "192.0.2.1",
    account: str = "root",
    *,
    service: str = "ssh",
    failed: bool = True,
    cause: str = "password",
    proven: bool = True,
) -> Event:
    return Event(time, address, service, account, failed, cause, "", proven, "test/test", "test.log", 0, "")


def rule(name: str, failures: int | None = None, *, within: float = 600.0, ban: float = 600.0, **more: object) -> Rule:
    return Rule(name=name, failures=failures, within=within, ban=ban, **more)  # type: ignore[arg-type]


def policy(*rules: Rule, **more: object) -> Policy:
    return Policy(rules=rules, **more)  # type: ignore[arg-type]


class BruteForce:
    """Rules that count by address, IPv4 only, no whitelist."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.attempts: dict[tuple[str, str], list[tuple[Event, set[str]]]] = {}
        self.bans: list[tuple[str, str, float, float, bool, set[str]]] = []

    def feed(self, events: list[Event]) -> list[Verdict]:
        return [verdict for event in events for verdict in self.judge(event)]

    def judge(self, event: Event) -> list[Verdict]:
        if not event.failed:
            return []
        attempts = self.attempts.setdefault((event.address, event.service), [])
        attempts.append((event, set()))
        fired = []
        for rule in self.policy.rules_for(event.service):
            if rule.failures is None or not self.counts(rule, event):
                continue
            found = [
                (each, used)
                for each, used in attempts
                if event.time - rule.within <= each.time <= event.time
                and self.counts(rule, each)
                and rule.name not in used
            ]
            if rule.count == "accounts":
                newest: dict[str, float] = {}
                for each, _ in found:
                    if each.account:
                        newest[each.account] = max(each.time, newest.get(each.account, -math.inf))
                times = list(newest.values())
            else:
                times = [each.time for each, _ in found]
            if len(times) >= rule.failures:
                for _, used in found:
                    used.add(rule.name)
                fired.append((rule, len(times), min(times)))
        return self.sentence(event, fired)

    def counts(self, rule: Rule, event: Event) -> bool:
        left_out = {cause[1:] for cause in rule.causes if cause[0] == "!"}
        named = set(rule.causes) if not left_out else {event.cause} - left_out
        return (not rule.causes or event.cause in named) and (event.proven or not rule.proven)

    def end(self, target: str, closed: str, time: float) -> float:
        return max(
            (end for who, what, _, end, _, _ in self.bans if who == target and what in (closed, EVERY) and end > time),
            default=-math.inf,
        )

    def extend(self, event: Event, rule: Rule) -> tuple[bool, bool]:
        target, time, until = event.address, event.time, event.time + rule.ban
        closed = EVERY if rule.scope == "all" else event.service
        end = self.end(target, closed, time)
        if until <= end:
            return False, False
        for at, (who, what, since, runs, counts, used) in enumerate(self.bans):
            if who == target and what == closed and runs > time:
                self.bans[at] = (who, what, since, until, counts, used)
                return True, False
        self.bans.append((target, closed, time, until, end == -math.inf, set()))
        return True, end == -math.inf

    def sentence(self, event: Event, fired: list[tuple[Rule, int, float]]) -> list[Verdict]:
        said = []
        new = False
        for rule, count, since in sorted(fired, key=lambda each: each[0].ban):
            if "block" in rule.actions:
                moves, begins = self.extend(event, rule)
                new |= begins
                if not moves:
                    continue
            said.append(self.verdict(event, rule, count, since))
        for rule in sorted(self.policy.rules_for(event.service), key=lambda rule: rule.ban):
            if not new or rule.bans is None:
                continue
            mine = [ban for ban in self.bans if ban[0] == event.address and ban[1] in (event.service, EVERY) and ban[4]]
            spent = {ban[2] for ban in mine if rule.name in ban[5]}
            starts = {ban[2] for ban in mine if event.time - rule.within <= ban[2] <= event.time} - spent
            if len(starts) >= rule.bans:
                if "block" not in rule.actions or self.extend(event, rule)[0]:
                    said.append(self.verdict(event, rule, len(starts), min(starts)))
                for ban in self.bans:
                    if ban[0] == event.address and ban[2] in starts:
                        ban[5].add(rule.name)
        return sorted(said, key=lambda verdict: verdict.until)

    def verdict(self, event: Event, rule: Rule, count: int, since: float) -> Verdict:
        until = event.time + rule.ban
        return Verdict(
            event.time,
            rule.name,
            event.service,
            event.address,
            event.address,
            until,
            rule.actions,
            rule.scope,
            count,
            since,
            "bans" if rule.bans is not None else rule.count,
        )


class TinyLedger:
    """Bans as a ledger keeps them: a verdict lengthens the ban that runs, or is a new one."""

    def __init__(self) -> None:
        self.bans: list[Ban] = []

    def record(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if "block" not in verdict.actions:
                continue
            closed = EVERY if verdict.scope == "all" else verdict.service
            fields = {
                "target": verdict.target,
                "service": closed,
                "until": verdict.until,
                "author": f"rule:{verdict.rule}",
            }
            for at, ban in enumerate(self.bans):
                if (ban.target, ban.service) == (verdict.target, closed) and ban.until > verdict.time:
                    self.bans[at] = Ban(id=ban.id, since=ban.since, state="wanted", **fields)  # type: ignore[arg-type]
                    break
            else:
                new = Ban(id=len(self.bans), since=verdict.time, state="wanted", **fields)  # type: ignore[arg-type]
                self.bans.append(new)
