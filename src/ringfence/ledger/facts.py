"""What the ledger answers with, beside the values of `model`. Times are seconds since 1970-01-01 UTC."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ringfence.model import Ban, BanState, Role, TokenScope, Verdict


class Recorded(Struct, frozen=True, kw_only=True):
    """What one `record` changed: bans to put into the kernel (new or extended) and bans to take out of it.

    evicted: automatic bans that made room because the list was full (lifted).
    expired: bans whose time was over when a new one for the same target was made.
    """

    wanted: list[Ban]
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
    """Counted for one service since `since`; `addresses` are the distinct addresses with attempts."""

    service: str
    since: float
    attempts: int = 0
    successes: int = 0
    addresses: int = 0
    bans: int = 0
    packets: int = 0
    mails: int = 0


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
