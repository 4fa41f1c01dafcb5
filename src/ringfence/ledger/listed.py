"""What lists ask for and answer with: filters, rows, pages. Times are seconds since 1970-01-01 UTC.

A page is continued by its cursor, not by counting rows again: what was shown is never shown twice because something
was added above it, and the thousandth page costs what the first does.
"""

from __future__ import annotations

import math
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import Struct

from ringfence.model import Attacker, Ban, BanState, Event, Level

Cursor = tuple[Any, ...]
"""Where a page ends: plain text and numbers that survive JSON; of no meaning outside the list that gave it."""
AttackSort = Literal["attempts", "last_seen", "first_seen", "address"]
BanSort = Literal["since", "until", "target", "service"]
Running = Literal["running", "ended", "all"]

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Some rows of a list, and where it goes on; `next` None: this was the end.

    A page may hold fewer rows than asked for, even none, and still go on: a rare thing is looked for in steps.
    """

    rows: list[T]
    next: Cursor | None = None


class Count(Struct, frozen=True):
    """How many rows there are; not `exact`: at least so many, counting on would take too long."""

    rows: int
    exact: bool = True


class AttackFilter(Struct, frozen=True, kw_only=True):
    """Which attackers; an empty field keeps all.

    text: a part of the address; network: only addresses in it; account: a part of the name of an account that was
    tried, upper or lower case; since, until: seen at some time between; banned: whether a ban runs that keeps them
    out of anything; harmless: attempts up to which an attacker that no rule banned is harmless.
    """

    text: str = ""
    network: str = ""
    account: str = ""
    service: str = ""
    level: Level | None = None
    since: float = -math.inf
    until: float = math.inf
    banned: bool | None = None
    harmless: int = 5


class ListedAttacker(Attacker, frozen=True, kw_only=True):
    """A row of the attack list.

    banned: a ban runs for the address or for a network around it; convicted: a rule has banned it at some time;
    newest: the number of its newest event; networks of its bans are not told here.
    """

    banned: bool = False
    convicted: bool = False
    newest: int = 0


class NetworkSums(Struct, frozen=True):
    """What the addresses of a network did together; one that threatens makes all of it threatening."""

    addresses: Count
    attempts: int
    successes: int
    first_seen: float
    last_seen: float
    level: Level


class BanFilter(Struct, frozen=True, kw_only=True):
    """Which bans; an empty field keeps all.

    text: a part of the target; network: targets within it; rule: made by this rule; author: the whole author
    ("user:NAME", "rule:NAME"); account: the target tried an account whose name holds this; show: running ones or not.
    """

    text: str = ""
    network: str = ""
    service: str = ""
    state: BanState | None = None
    rule: str = ""
    author: str = ""
    account: str = ""
    show: Running = "running"


class ListedBan(Ban, frozen=True, kw_only=True):
    """A row of the list of bans; `accounts` are the last ones that its evidence tried."""

    accounts: tuple[str, ...] = ()


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events; an empty field keeps all. account: a part of its name, upper or lower case."""

    service: str = ""
    failed: bool | None = None
    account: str = ""
    since: float = -math.inf


class ListedEvent(Struct, frozen=True):
    """An event with its number."""

    id: int
    event: Event


class Slot(Struct, frozen=True, gc=False):
    """What happened to one service from `time` on, for one step of a chart."""

    time: float
    service: str
    count: int


class Tried(Struct, frozen=True):
    """An account and how often it was tried in vain."""

    account: str
    attempts: int


class TopAccounts(Struct, frozen=True):
    """The accounts tried most; counted from `since` on: later than asked for where there were too many events."""

    rows: list[Tried]
    since: float


class BanTotal(Struct, frozen=True):
    """Bans ever made by one author ("rule:NAME", "user:NAME") for one service."""

    service: str
    author: str
    bans: int


class Totals(Struct, frozen=True, kw_only=True):
    """Counters for a monitoring system. attempts, successes: by service, since their statistics were reset.

    messages: likewise, how many were sent, how many given up, and of how many warnings nobody wanted to be told.
    """

    attempts: dict[str, int]
    successes: dict[str, int]
    bans: list[BanTotal]
    messages: dict[str, tuple[int, int, int]] = {}


class Versions(Struct, frozen=True, kw_only=True):
    """How far everything is that a page may show; a number that differs tells that it changed."""

    events: int = 0
    bans: int = 0
    audit: int = 0
    policy: int = 0
    whitelist: int = 0
    trials: int = 0
    requests: int = 0
    warnings: int = 0
    outbox: int = 0


ALL_ATTACKERS: Final = AttackFilter()
ALL_BANS: Final = BanFilter()
ALL_EVENTS: Final = EventFilter()
