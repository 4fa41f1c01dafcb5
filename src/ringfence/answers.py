"""What commands answer: the values that travel over the control socket and that `--json` prints as they are.

Points in time are ISO 8601 text in UTC ("2026-02-03T04:05:06Z"); an end that never comes is "forever".
Durations are seconds. Imports the model only; nothing here judges or touches anything.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from msgspec import Struct, field

from ringfence.model import FOREVER, AllowEntry, Attacker, Ban, Event, Lockdown

FOREVER_TEXT = "forever"


def stamp(moment: float) -> str:
    """`moment` (seconds UTC) as ISO 8601 text in UTC, milliseconds only where there are any; FOREVER as "forever"."""
    if moment == FOREVER:
        return FOREVER_TEXT
    if not math.isfinite(moment):
        return "never"
    try:
        when = datetime.fromtimestamp(round(moment, 3), UTC)
    except (OverflowError, ValueError, OSError):
        return FOREVER_TEXT if moment > 0 else "never"
    return when.isoformat(timespec="milliseconds" if when.microsecond else "seconds").replace("+00:00", "Z")


class BanRow(Struct, frozen=True, kw_only=True):
    """A ban as people see it. `packets` is what it dropped so far, None where the kernel was not asked."""

    id: int
    target: str
    service: str
    since: str
    until: str
    state: str
    author: str
    reason: str = ""
    detail: str = ""
    note: str = ""
    ended: str | None = None
    packets: int | None = None

    @classmethod
    def of(cls, ban: Ban, packets: int | None = None) -> BanRow:
        """The row of `ban`."""
        ended = None if ban.ended is None else stamp(ban.ended)
        return cls(
            id=ban.id, target=ban.target, service=ban.service, since=stamp(ban.since), until=stamp(ban.until),
            state=ban.state, author=ban.author, reason=ban.reason, detail=ban.detail, note=ban.note, ended=ended,
            packets=packets,
        )  # fmt: skip


class AttackRow(Struct, frozen=True, kw_only=True):
    """One line of the attack list."""

    address: str
    attempts: int
    successes: int
    level: str
    services: tuple[str, ...]
    accounts: tuple[str, ...]
    first_seen: str
    last_seen: str
    banned: bool = False

    @classmethod
    def of(cls, attacker: Attacker, banned: bool) -> AttackRow:
        """The row of `attacker`."""
        return cls(
            address=attacker.address, attempts=attacker.attempts, successes=attacker.successes, level=attacker.level,
            services=attacker.services, accounts=attacker.accounts, first_seen=stamp(attacker.first_seen),
            last_seen=stamp(attacker.last_seen), banned=banned,
        )  # fmt: skip


class EventRow(Struct, frozen=True, kw_only=True):
    """One counted event."""

    time: str
    service: str
    address: str
    account: str
    outcome: str
    cause: str
    detail: str
    pattern: str
    source: str
    line: int

    @classmethod
    def of(cls, event: Event) -> EventRow:
        """The row of `event`."""
        return cls(
            time=stamp(event.time), service=event.service, address=event.address, account=event.account,
            outcome="failed" if event.failed else "succeeded", cause=event.cause, detail=event.detail,
            pattern=event.pattern, source=event.source, line=event.line,
        )  # fmt: skip


class AllowRow(Struct, frozen=True, kw_only=True):
    """One line of the whitelist; `fixed` entries come from the policy, others were added by command."""

    target: str
    service: str
    note: str
    author: str
    created: str
    expires: str
    addresses: tuple[str, ...]
    fixed: bool = False

    @classmethod
    def of(cls, entry: AllowEntry, fixed: bool = False) -> AllowRow:
        """The row of `entry`."""
        return cls(
            target=entry.target, service=entry.service, note=entry.note, author=entry.author,
            created=stamp(entry.created), expires=stamp(entry.expires), addresses=entry.addresses, fixed=fixed,
        )  # fmt: skip


class TrialRow(Struct, frozen=True, kw_only=True):
    """A change that undoes itself at `deadline`, in `left` seconds, unless somebody confirms it.

    kind: "policy", "lockdown", "allow" or "ban".
    """

    id: int
    what: str
    kind: str
    began: str
    deadline: str
    left: float
    author: str


class LockdownRow(Struct, frozen=True, kw_only=True):
    """Whether telephone traffic is interrupted, since when, until when and by whom.

    After a change `why` says what is not in force; `monitor` says that this is so because nothing is enforced at all.
    """

    on: bool
    services: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    author: str = ""
    enforced: bool = False
    monitor: bool = False
    why: str = ""
    trial: TrialRow | None = None

    @classmethod
    def of(cls, lockdown: Lockdown | None, enforced: bool) -> LockdownRow:
        """The row of `lockdown`; None is off."""
        if lockdown is None:
            return cls(on=False)
        return cls(
            on=True, services=lockdown.services, since=stamp(lockdown.since), until=stamp(lockdown.until),
            author=lockdown.author, enforced=enforced,
        )  # fmt: skip


class Attacks(Struct, frozen=True, kw_only=True):
    """A page of the attack list out of `total` that match."""

    total: int
    rows: list[AttackRow]


class Bans(Struct, frozen=True, kw_only=True):
    """A page of bans out of `total` that match."""

    total: int
    rows: list[BanRow]


class Banned(Struct, frozen=True, kw_only=True):
    """A ban by hand: `enforced` says that the kernel confirmed it; otherwise `why` it is not (yet).

    `monitor`: it is not because the guard enforces nothing at all.
    """

    ban: BanRow
    enforced: bool
    why: str = ""
    monitor: bool = False
    trial: TrialRow | None = None


class Lifted(Struct, frozen=True, kw_only=True):
    """The bans that were lifted; `why` says what the kernel did not take, if anything.

    `monitor`: the guard enforces nothing; `why` says then what an earlier run may have left in force.
    """

    rows: list[BanRow]
    why: str = ""
    monitor: bool = False


class Allowed(Struct, frozen=True, kw_only=True):
    """A new whitelist entry and the bans it lifted. `enforced`: the kernel has taken it; `why` tells what lacks.

    `monitor`: it is not enforced because the guard enforces nothing at all.
    """

    entry: AllowRow
    lifted: list[BanRow]
    why: str = ""
    enforced: bool = True
    monitor: bool = False


class Done(Struct, frozen=True, kw_only=True):
    """A command was carried out; `message` says what it means in one sentence."""

    message: str
    trial: TrialRow | None = None


class PolicyAnswer(Struct, frozen=True, kw_only=True):
    """A policy revision and its TOML text."""

    revision: int
    time: str
    author: str
    note: str
    text: str


class Applied(Struct, frozen=True, kw_only=True):
    """A policy came into force as `revision`; `changed` tells the differences line by line."""

    revision: int
    changed: list[str]
    trial: TrialRow | None = None


class SourceRow(Struct, frozen=True, kw_only=True):
    """A log that is watched: `lag` is how many bytes are still unread, `trouble` what is wrong with it, if anything.

    `events` ("matched" in JSON) counts the lines that told of a login: several may tell of one attempt.
    """

    source: str
    kinds: tuple[str, ...]
    lines: int = 0
    events: int = field(default=0, name="matched")
    lines_per_second: float = 0.0
    lag: int = 0
    last_line: str = ""
    trouble: str = ""


class ServiceRow(Struct, frozen=True, kw_only=True):
    """A service, whether it is judged at all, which logs tell of it and what is held against it.

    `rules` have their name and their numbers in short: "standard 10/10m→10m".
    """

    name: str
    title: str
    enabled: bool
    ports: tuple[str, ...]
    rules: tuple[str, ...]
    sources: int
    bans: int


class Status(Struct, frozen=True, kw_only=True):
    """How the guard is. `guarded` is True only when nothing at all is in `problems`."""

    guarded: bool
    headline: str
    problems: list[str]
    notices: list[str]
    version: str
    pid: int
    started: str
    mode: str
    ledger: str
    policy_revision: int
    bans_enforced: int
    bans_wanted: int
    whitelisted: int
    lockdown: LockdownRow
    services: list[ServiceRow]
    sources: list[SourceRow]


class StatRow(Struct, frozen=True, kw_only=True):
    """What happened to one service since `since`.

    mails: messages that were sent; unsent: given up; untold: warnings that nobody wanted to be told of.
    """

    service: str
    since: str
    attempts: int
    addresses: int
    bans: int
    packets: int
    mails: int
    unsent: int = 0
    untold: int = 0


class Stats(Struct, frozen=True, kw_only=True):
    """Statistics of all services."""

    rows: list[StatRow]


class StoreRow(Struct, frozen=True, kw_only=True):
    """A bounded list: how much of it is used; -1 where a number is not known."""

    name: str
    capacity: int
    used: int
    free: int
    peak: int
    overflows: int
    bytes_per_item: int


class UnknownRow(Struct, frozen=True, kw_only=True):
    """Lines of one form that sound like failed logins and that no pattern takes: `shape`, with what varies blanked."""

    source: str
    lines: int
    shape: str
    last: str


class Diag(Struct, frozen=True, kw_only=True):
    """How the guard's memory, lists and sources are."""

    resident: int
    uptime: float
    cpu_seconds: float
    ledger_bytes: int
    stores: list[StoreRow]
    entries: dict[str, int]
    sources: list[SourceRow]
    unreadable_times: int = 0
    unknown: list[UnknownRow] = []


class WindowRow(Struct, frozen=True, kw_only=True):
    """How near an address is to what a rule needs."""

    service: str
    rule: str
    count: int
    needed: int
    counted: str
    within: float
    since: str


class Explanation(Struct, frozen=True, kw_only=True):
    """Why an address is banned, or why not."""

    address: str
    banned: bool
    verdict: str
    reasons: list[str]
    bans: list[BanRow]
    earlier: list[BanRow]
    evidence: list[EventRow]
    windows: list[WindowRow]
    whitelist: list[AllowRow]
    attacker: AttackRow | None
    events: list[EventRow]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that `check` looked at."""

    what: str
    good: bool
    detail: str


class Checked(Struct, frozen=True, kw_only=True):
    """Everything that `check` looked at."""

    good: bool
    findings: list[Finding]
