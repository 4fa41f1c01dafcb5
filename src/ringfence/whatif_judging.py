"""What if: what is asked and answered, which services and addresses must be judged for it, and the comparison."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, structs

from ringfence.detect.allow import AllowList
from ringfence.errors import SettingsError
from ringfence.ledger import Ledger
from ringfence.ledger.cover import Targets
from ringfence.ledger.replay import Context, Half, Replay, Span
from ringfence.model import EVERY, FOREVER, AllowEntry, Policy, Rule, Verdict
from ringfence.policy import load_policy
from ringfence.whitelist import POLICY

MOST_ROWS = 1_000
MOST_DAYS = 30
FEW_ACCOUNTS = 5
MOST_AT_ONCE = 2_000_000
"""Events that may be kept in memory by both processes together, some 100 bytes each."""
DAY = 86_400.0

Pair = tuple[str, str]
"""Who is kept out of what: (target, service or EVERY)."""


class Entry(Struct, frozen=True, kw_only=True):
    """An entry of the whitelist as JSON has it: like `AllowEntry`, but an end that never comes is null."""

    target: str
    service: str = EVERY
    note: str = ""
    author: str = ""
    created: float = 0.0
    expires: float | None = None
    addresses: tuple[str, ...] = ()

    def allowed(self) -> AllowEntry:
        """The entry as the detector takes it."""
        return AllowEntry(**{**structs.asdict(self), "expires": FOREVER if self.expires is None else self.expires})


class Job(Struct, frozen=True, kw_only=True):
    """What is asked: how would `after` have judged the events of the last `days` before `now`, unlike `before`?

    ledger: the path of the database. before, after: policies as TOML. whitelist: the entries in force (those that come
    from the policy in force count only while the policy compared has them too); own: addresses never banned.
    capacity: how many addresses the detector remembers at most.
    """

    ledger: str
    before: str
    after: str
    days: float
    now: float
    whitelist: tuple[Entry, ...] = ()
    own: tuple[str, ...] = ()
    capacity: int = 1_000_000


class Row(Struct, frozen=True, kw_only=True):
    """Somebody who would have been banned by one policy and not by the other.

    `service` is what the ban closes (`EVERY`: all); `rule` banned first, at `since`, until `until` (None: forever), by
    an attempt of `address`. `attempts` and `accounts` (those tried most) are of the whole
    period at this service, from all of `target`. `succeeded`: a login from there went well, last at `success`.
    """

    target: str
    service: str
    rule: str
    address: str
    since: float
    until: float | None
    attempts: int
    succeeded: bool
    success: float | None
    accounts: tuple[str, ...]


class Result(Struct, frozen=True, kw_only=True):
    """The answer. `added` and `removed` have at most 1,000 rows, successful logins first, then the newest.

    `services`: those whose bans may differ; `events` of them were judged, and `before` and `after` count the addresses
    and networks that were banned from them. `added_succeeded` and `removed_succeeded` count, among all that the totals
    count, those who also logged in.
    """

    since: float
    now: float
    events: int
    services: tuple[str, ...]
    before: int
    after: int
    added: tuple[Row, ...]
    added_total: int
    added_succeeded: int
    removed: tuple[Row, ...]
    removed_total: int
    removed_succeeded: int


class Banned(NamedTuple):
    """The first ban of a pair: by which rule, when, until when, and whose attempt decided."""

    rule: str
    since: float
    until: float
    address: str


class Task(NamedTuple):
    """A part of the work: these sides ("before", "after"), for one half of the addresses or for all (None)."""

    sides: tuple[str, ...]
    half: Half | None


class Judged(Struct):
    """What came of a task: bans by side and pair, the newest successful login of each address, how many events."""

    bans: dict[str, dict[Pair, Banned]]
    successes: dict[str, float]
    events: int

    def ban(self, side: str, verdicts: Iterable[Verdict]) -> None:
        """Take up what the detector of one side said."""
        bans = self.bans[side]
        for verdict in verdicts:
            if "block" in verdict.actions:
                pair = (verdict.target, EVERY if verdict.scope == "all" else verdict.service)
                if pair not in bans:
                    bans[pair] = Banned(verdict.rule, verdict.time, verdict.until, verdict.address)


class Plan:
    """What must be judged to answer a job. Raises SettingsError for a policy that does not load, or a wrong period."""

    def __init__(self, job: Job) -> None:
        if not 1 <= job.days <= MOST_DAYS:
            raise SettingsError(f"days = {job.days:g}: must be from 1 to {MOST_DAYS}")
        self.job = job
        self.before = load_policy(job.before, "the policy before")
        self.after = load_policy(job.after, "the policy after")

    def policy(self, side: str) -> Policy:
        """The policy of one side: "before" or "after"."""
        return self.before if side == "before" else self.after

    def allow(self, policy: Policy) -> AllowList:
        """The whitelist in force, with the entries that `policy` has itself."""
        answers = {entry.target: entry.addresses for entry in self.job.whitelist}
        fixed = [AllowEntry(target=one, author=POLICY, addresses=answers.get(one, ())) for one in policy.whitelist]
        added = [entry.allowed() for entry in self.job.whitelist if entry.author != POLICY]
        return AllowList([*fixed, *added], own=self.job.own)

    def services(self, known: Iterable[str]) -> tuple[str, ...]:
        """Those of `known` services whose bans may differ."""
        known = sorted(set(known))
        before, after = self.before, self.after
        if set(before.whitelist) != set(after.whitelist) or not self.same_limits:
            return tuple(known)
        changed = {name for name in known if before.rules_for(name) != after.rules_for(name)}
        if self.closing(changed):
            return tuple(known)  # A ban of everything also stands in the way of other services' bans.
        return tuple(sorted(changed))

    def judged(self, known: Collection[str]) -> set[str]:
        """The services whose events are needed: those that may differ, and those whose bans close everything."""
        differing = self.services(known)
        return {*differing, *self.closing(known)} if differing else set()

    def tasks(self) -> list[Task]:
        """The work in two parts of much the same size.

        Addresses (with their networks, where these count) are judged independently of each other, unless a rule counts
        by account; so each part can take half of them, for both sides, and go through them one after the other, which
        is much faster than through all of them at once. That takes memory for each event, so it has a limit.
        """
        with closing(Ledger.open_reader(Path(self.job.ledger))) as ledger:
            replay = Replay(ledger)
            known = {context.service for context in replay.contexts().values()}
            span = replay.span(self.since)
            halves = replay.halves(span)
        if not self.judged(known):
            return []
        by_account = any(rule.per == "account" for rule in self.rules(self.judged(known)))
        if by_account or span.last - span.first >= MOST_AT_ONCE:
            return [Task(("before",), None), Task(("after",), None)]
        return [Task(("before", "after"), half) for half in halves]

    @property
    def since(self) -> float:
        """The beginning of the period."""
        return self.job.now - self.job.days * DAY

    @property
    def same_limits(self) -> bool:
        """Whether both mean the same by a network."""
        before, after = self.before.limits, self.after.limits
        return structs.replace(before, harmless=after.harmless) == after

    def rules(self, services: Iterable[str]) -> list[Rule]:
        """What holds for any of `services` on any side."""
        return [
            rule for service in services for policy in (self.before, self.after) for rule in policy.rules_for(service)
        ]

    def closing(self, services: Iterable[str]) -> set[str]:
        """Those of `services` with a rule that closes everything."""
        return {name for name in services if self._closes_all(name)}

    def _closes_all(self, service: str) -> bool:
        rules = (*self.before.rules_for(service), *self.after.rules_for(service))
        return any(rule.scope == "all" and "block" in rule.actions for rule in rules)


def merged(tasks: Sequence[Task], found: Sequence[Judged]) -> Judged:
    """The parts of the work put together."""
    whole = Judged(bans={"before": {}, "after": {}}, successes={}, events=0)
    for task, part in zip(tasks, found, strict=True):
        for side, bans in part.bans.items():
            whole.bans[side].update(bans)
        whole.successes.update(part.successes)
        whole.events += part.events if "after" in task.sides else 0
    return whole


def compare(plan: Plan, judged: Judged) -> Result:
    """Who would have been banned by only one of the two."""
    job = plan.job
    ledger = Ledger.open_reader(Path(job.ledger))
    try:
        replay = Replay(ledger)
        span, contexts = replay.span(plan.since), replay.contexts()
        services = set(plan.services({context.service for context in contexts.values()}))
        counting = {*services, EVERY}
        before, after = judged.bans["before"], judged.bans["after"]
        old = {pair for pair in before if pair[1] in counting}
        new = {pair for pair in after if pair[1] in counting}
        added, removed = new - old, old - new
        successes = _successes({*added, *removed}, judged.successes)
        best_added = _best(added, after, successes)
        best_removed = _best(removed, before, successes)
        tried = _tried(replay, span, contexts, {*best_added, *best_removed})
    finally:
        ledger.close()
    return Result(
        since=span.since, now=job.now, events=judged.events, services=tuple(sorted(services)),
        before=len({target for target, _ in old}), after=len({target for target, _ in new}),
        added=_rows(best_added, after, successes, tried), added_total=len(added),
        added_succeeded=sum(target in successes for target, _ in added),
        removed=_rows(best_removed, before, successes, tried), removed_total=len(removed),
        removed_succeeded=sum(target in successes for target, _ in removed),
    )  # fmt: skip


def _best(pairs: Iterable[Pair], bans: Mapping[Pair, Banned], successes: Mapping[str, float]) -> list[Pair]:
    """The rows to show: successful logins first, then the newest bans."""
    return heapq.nsmallest(MOST_ROWS, pairs, key=lambda pair: (pair[0] not in successes, -bans[pair].since, pair))


def _within(targets: Collection[str], addresses: Iterable[str]) -> dict[str, list[str]]:
    """Which of `addresses` each target means: itself, or those that lie in the network."""
    known = Targets()
    for target in targets:
        known.add(target)
    found: dict[str, list[str]] = {}
    for address in addresses:
        for target in known.around((address,)):
            if target in targets:
                found.setdefault(target, []).append(address)
    return found


def _successes(pairs: Iterable[Pair], successes: Mapping[str, float]) -> dict[str, float]:
    """The newest successful login from each target."""
    within = _within({target for target, _ in pairs}, successes)
    return {target: max(successes[address] for address in addresses) for target, addresses in within.items()}


def _tried(
    replay: Replay, span: Span, contexts: Mapping[int, Context], pairs: set[Pair]
) -> dict[Pair, tuple[int, tuple[str, ...]]]:
    """How many attempts there were behind each pair, and the accounts that were tried most."""
    targets = {target for target, _ in pairs}
    networks = {target for target in targets if "/" in target}
    around = replay.addresses_around(networks) if networks else set()
    within = _within(targets, around | (targets - networks))
    counts: Counter[tuple[str, int, str]] = Counter()
    if within:
        for rows in replay.events_of(span, {address for addresses in within.values() for address in addresses}):
            counts.update(rows)
    by_address: dict[str, list[tuple[str, str, int]]] = {}
    for (address, number, account), count in counts.items():
        context = contexts.get(number)
        if context is not None and context.failed:
            by_address.setdefault(address, []).append((context.service, account, count))
    found = {}
    for target, service in pairs:
        accounts: Counter[str] = Counter()
        for address in within.get(target, ()):
            for seen, account, count in by_address.get(address, ()):
                if service in (seen, EVERY):
                    accounts[account] += count
        named = sorted(((-count, account) for account, count in accounts.items() if account))[:FEW_ACCOUNTS]
        found[target, service] = (accounts.total(), tuple(account for _, account in named))
    return found


def _rows(
    pairs: Iterable[Pair],
    bans: Mapping[Pair, Banned],
    successes: Mapping[str, float],
    tried: Mapping[Pair, tuple[int, tuple[str, ...]]],
) -> tuple[Row, ...]:
    rows = []
    for pair in pairs:
        target, service = pair
        rule, since, until, address = bans[pair]
        attempts, accounts = tried.get(pair, (0, ()))
        rows.append(
            Row(
                target=target, service=service, rule=rule, address=address, since=since,
                until=None if until == FOREVER else until, attempts=attempts, succeeded=target in successes,
                success=successes.get(target), accounts=accounts,
            )
        )  # fmt: skip
    return tuple(rows)
