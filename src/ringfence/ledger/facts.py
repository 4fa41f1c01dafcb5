"""What the ledger answers with, beside the values of `model`. Times are seconds since 1970-01-01 UTC."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ringfence.model import Ban, BanState, Role, TokenScope, Verdict


class Recorded(Struct, frozen=True, kw_only=True):
    """What one `record` changed: bans to put into the kernel (new or extended) and bans to take out of it.

    new: the numbers of those of `wanted` that were made just now; the others became longer.
    evicted: automatic bans that made room because the list was full (lifted).
    expired: bans whose time was over when a new one for the same target was made.
    """

    wanted: list[Ban]
    new: frozenset[int] = frozenset()
    evicted: list[Ban]
    expired: list[Ban]


class BanChange(Struct, frozen=True, kw_only=True):
    """One line of a ban's history: what happened, which state and end that led to, and who did it."""

    time: float
    change: str
    state: BanState
    until: float
    author: str


class RecordedVerdict(Struct, frozen=True, kw_only=True):
    """A verdict as it was recorded; `ban` is the ban it made, extended or found running."""

    id: int
    ban: int | None
    verdict: Verdict


class PolicyRevision(Struct, frozen=True, kw_only=True):
    """One version of the policy as it was applied."""

    revision: int
    text: str
    author: str
    time: float
    note: str = ""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """A command that somebody gave."""

    id: int
    time: float
    author: str
    command: str
    arguments: dict[str, Any]
    origin: str


class ServiceStatistics(Struct, frozen=True, kw_only=True):
    """Counted for one service since `since`; `addresses` are the distinct addresses with attempts.

    mails: messages that were sent; unsent: given up; untold: warnings that nobody wanted to be told of.
    """

    service: str
    since: float
    attempts: int = 0
    successes: int = 0
    addresses: int = 0
    bans: int = 0
    packets: int = 0
    mails: int = 0
    unsent: int = 0
    untold: int = 0


class Size(Struct, frozen=True, kw_only=True):
    """How full the ledger is.

    bytes: the file and its write-ahead log; used: pages of the file that hold something.
    bans_now, bans_peak, bans_capacity: running bans; bans_overflow: bans that were evicted or not recorded for want
    of room. forgotten: attackers that were pruned.
    """

    bytes: int
    used: int
    max_bytes: int
    events: int
    attackers: int
    bans: int
    evidence: int
    verdicts: int
    bans_now: int
    bans_peak: int
    bans_capacity: int
    bans_overflow: int
    forgotten: int


class User(Struct, frozen=True, kw_only=True):
    """Who may use the page and the API.

    password: argon2id in PHC string form; empty: nobody can log in with one. totp: the base32 secret of RFC 6238;
    empty: only the password is asked for. accounts: what an account holder sees; may_ask: for an unban. changed: when
    password, role or second factor last changed, or the user was disabled or enabled; older sessions end.
    """

    name: str
    role: Role
    password: str = ""
    totp: str = ""
    accounts: tuple[str, ...] = ()
    may_ask: bool = False
    disabled: bool = False
    created: float
    changed: float
    author: str = ""


class Token(Struct, frozen=True, kw_only=True):
    """A key of the API; its secret is not known here. `service` belongs to scope "report": whose events it may tell."""

    id: int
    user: str
    label: str
    scope: TokenScope
    service: str = ""
    created: float
    expires: float
    revoked: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it is neither revoked nor over at `now`."""
        return self.revoked is None and now < self.expires


class Invitation(Struct, frozen=True, kw_only=True):
    """A one-time link; `name` is whom it is for, empty: whoever opens it chooses a name."""

    name: str
    role: Role
    created: float
    expires: float
    author: str = ""


class UnbanRequest(Struct, frozen=True, kw_only=True):
    """An account holder asks for the ban of `target` from `service` to be lifted; `decided` is None while it waits."""

    id: int
    user: str
    target: str
    service: str
    reason: str
    time: float
    decided: float | None = None
    granted: bool = False
    decider: str = ""


class ReportMark(Struct, frozen=True, kw_only=True):
    """What a report of an application is known by: it counts once for the same `token` and `key`."""

    token: int
    key: str
    events: int


class Mute(Struct, frozen=True, kw_only=True):
    """Nobody is told of warnings of `kind` about `subject` and `service` (empty: any) until then."""

    id: int
    kind: str
    subject: str = ""
    service: str = ""
    until: float
    created: float
    author: str = ""

    def covers(self, kind: str, subject: str, service: str) -> bool:
        """Whether it is about such a warning."""
        return self.kind == kind and self.subject in ("", subject) and self.service in ("", service)


class AlertingRevision(Struct, frozen=True, kw_only=True):
    """One version of the settings of warnings; `newest` is the last warning that there was before it."""

    revision: int
    text: str
    author: str
    time: float
    note: str
    newest: int


class Told(Struct, frozen=True, kw_only=True):
    """Up to which warning of `kind` a recipient has been told, and when last (0: never)."""

    channel: str
    recipient: str
    kind: str
    upto: int
    last: float


DeliveryState = Literal["waiting", "handed", "sent", "failed", "unclear"]


class Delivery(Struct, frozen=True, kw_only=True):
    """One message to one recipient: the warnings of `kind` and `services` with numbers from `first` to `last`.

    `due`: when it is tried (again); `marked`: when it was last handed over; `ended` is None while it is open.
    """

    id: int
    channel: str
    recipient: str
    kind: str
    services: tuple[str, ...]
    first: int
    last: int
    total: int
    created: float
    due: float
    tries: int
    state: DeliveryState
    marked: float | None = None
    ended: float | None = None
    answer: str = ""


class Pending(Struct, frozen=True, kw_only=True):
    """Warnings of one kind and service that somebody has not been told of: how many, and the last one's number."""

    service: str
    total: int
    last: int
    grave: bool


class Condition(Struct, frozen=True, kw_only=True):
    """Something that lasts and is warned of when it begins and when it ends."""

    kind: str
    subject: str
    service: str = ""
    since: float = 0.0
    facts: dict[str, Any] = {}
    grave: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return self.kind, self.subject, self.service


class BanLine(Struct, frozen=True, kw_only=True):
    """Something that happened to a ban, for the system's log: `id` is the number of the change.

    change: made, extended, set (by hand), lifted, expired, evicted or past (over before it was made).
    """

    id: int
    time: float
    change: str
    target: str
    service: str
    until: float
    author: str
    ban: int
