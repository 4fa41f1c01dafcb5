"""The words of Ringfence as frozen values: what every part may pass to the next.

Times are seconds since 1970-01-01 UTC (`float`); an end that never comes is `FOREVER`.
Addresses are text in canonical spelling (`ipaddress` style: compressed, lower case, no zone, IPv4-mapped IPv6 as IPv4).
Imports nothing of ours.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

from msgspec import Struct

FOREVER: Final = math.inf
"""The `until` of a ban that does not end, and the `ban` of a rule that bans for good."""

EVERY: Final = "*"
"""In place of a service name: all services."""

Action = Literal["block", "mail"]
Counted = Literal["attempts", "accounts"]
Per = Literal["address", "network", "account"]
Scope = Literal["service", "all"]
BanState = Literal["wanted", "enforced", "expired", "lifted"]
Level = Literal["harmless", "threatening"]
Role = Literal["administrator", "operator", "viewer", "holder"]
TokenScope = Literal["read", "write", "report"]
Phase = Literal["", "began", "ended"]


class Event(Struct, frozen=True, gc=False):
    """One observed authentication.

    `session` ties together the lines that tell of one attempt (program and pid, call id, session id);
    `pattern` is "kind/name" of the template that took the line; `line` is 1-based within `source`
    (0 where lines have no number). `proven` says that the source address can't be forged: the peer
    answered something we sent (TCP, or a digest answer to our challenge). `token` is what tells a second try from a
    packet sent twice (a digest response, a challenge), or the number of tries that a line sums up.
    """

    time: float
    address: str
    service: str
    account: str
    failed: bool
    cause: str
    detail: str
    proven: bool
    pattern: str
    source: str
    line: int
    session: str
    token: str = ""


class Rule(Struct, frozen=True, kw_only=True):
    """`failures` within `within` seconds (or `bans` earlier bans) lead to `actions` for `ban` seconds.

    Exactly one of `failures` and `bans` is not None. `causes` empty means every cause counts, see `counts_cause`.
    """

    name: str
    failures: int | None = None
    bans: int | None = None
    within: float
    ban: float
    actions: tuple[Action, ...] = ("block",)
    count: Counted = "attempts"
    per: Per = "address"
    scope: Scope = "service"
    causes: tuple[str, ...] = ()
    proven: bool = False
    enabled: bool = True


def counts_cause(causes: tuple[str, ...], cause: str) -> bool:
    """Whether a rule with these `causes` counts an attempt: those it names; or, written as "!probe", all but those."""
    if not causes:
        return True
    return f"!{cause}" not in causes if causes[0].startswith("!") else cause in causes


def causes_in_words(causes: tuple[str, ...]) -> str:
    """What `counts_cause` does, for people; empty where every cause counts."""
    if not causes:
        return ""
    if causes[0].startswith("!"):
        return f"these causes do not count: {', '.join(cause[1:] for cause in causes)}"
    return f"only these causes count: {', '.join(causes)}"


def causes_in_brief(causes: tuple[str, ...]) -> str:
    """The causes that a rule names, short: " (probe)", " (not probe)", or nothing."""
    left_out = causes[:1] and causes[0].startswith("!")
    named = ", ".join(cause.removeprefix("!") for cause in causes)
    return f" ({'not ' if left_out else ''}{named})" if causes else ""


class Limits(Struct, frozen=True, kw_only=True):
    """Boundaries that belong to the policy.

    harmless: an attacker with at most this many attempts is harmless, above it threatening.
    ipv4_network, ipv6_network: prefix lengths that `per = "network"` counts together.
    ipv6_prefix: an IPv6 address is counted and banned with its whole prefix of this length.
    """

    harmless: int = 5
    ipv4_network: int = 24
    ipv6_network: int = 64
    ipv6_prefix: int = 64


class Policy(Struct, frozen=True, kw_only=True):
    """Everything that is judged by: one value, changed as a whole.

    `rules` hold for every service, in the order of the file; `overrides[service]` are the complete rules
    (inherited values filled in) of services that override something. Use `rules_for`.
    """

    rules: tuple[Rule, ...] = ()
    overrides: dict[str, tuple[Rule, ...]] = {}
    disabled: frozenset[str] = frozenset()
    whitelist: tuple[str, ...] = ()
    limits: Limits = Limits()

    def rules_for(self, service: str) -> tuple[Rule, ...]:
        """The enabled rules that hold for `service`; none when the service is switched off."""
        if service in self.disabled:
            return ()
        return tuple(rule for rule in self.overrides.get(service, self.rules) if rule.enabled)


class Verdict(Struct, frozen=True, gc=False):
    """A rule fired: `target` (address or network) earned a ban of `service` from `time` to `until`.

    `service` is where the events were seen; `scope` says whether the ban closes only that or all.
    `address` is the address of the deciding event, `count` how many attempts (accounts, bans) were counted
    and `since` the time of the oldest of them; `counted` says what was counted.
    """

    time: float
    rule: str
    service: str
    target: str
    address: str
    until: float
    actions: tuple[Action, ...]
    scope: Scope
    count: int
    since: float
    counted: Literal["attempts", "accounts", "bans"] = "attempts"


class Ban(Struct, frozen=True, kw_only=True):
    """An address or network kept out of one service, or of all (`service == EVERY`).

    `author` is the rule's name as "rule:NAME", or "user:NAME" for a ban by hand. `reason` is the cause in words.
    """

    id: int
    target: str
    service: str
    since: float
    until: float
    state: BanState
    author: str
    reason: str = ""
    detail: str = ""
    note: str = ""
    ended: float | None = None


class AllowEntry(Struct, frozen=True, kw_only=True):
    """One line of the whitelist: an address, a network or a host name, for one service or all (`EVERY`).

    `addresses` are what a host name last resolved to (networks in text form; for an address or network: itself).
    """

    target: str
    service: str = EVERY
    note: str = ""
    author: str = ""
    created: float = 0.0
    expires: float = FOREVER
    addresses: tuple[str, ...] = ()


class Attacker(Struct, frozen=True, kw_only=True):
    """One row of the attack list."""

    address: str
    attempts: int
    level: Level
    services: tuple[str, ...]
    accounts: tuple[str, ...]
    first_seen: float
    last_seen: float
    successes: int = 0


class Service(Struct, frozen=True, kw_only=True):
    """What is being logged in to: its name and the ports a ban closes, as ("udp", 5060, 5060) ranges."""

    name: str
    title: str = ""
    ports: tuple[tuple[str, int, int], ...] = ()


class Position(Struct, frozen=True, kw_only=True):
    """How far a source has been read and committed.

    For a file: `inode` and `fingerprint` (a hash of its first `fingerprinted` bytes) tell which file `offset`
    and `line` belong to. For the journal: `cursor`.
    """

    source: str
    inode: int = 0
    fingerprint: str = ""
    fingerprinted: int = 0
    offset: int = 0
    line: int = 0
    cursor: str = ""


class Lockdown(Struct, frozen=True, kw_only=True):
    """All traffic to `services` is dropped, except from the whitelist, until `until`."""

    services: tuple[str, ...]
    since: float
    until: float
    author: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """A security warning: what was noticed, once; how it is worded and who is told comes later.

    `kind` and its `facts` (values of JSON) are those of `alert.kinds`; `subject` is what it is about (an address, a
    log's path, a user …), `service` the service that it concerns, empty where it is about none in particular.
    `phase`: what lasts began or ended; empty for what just happened. `muted`: somebody did not want to be told of this
    for a while; it is listed, and sent to nobody.
    """

    id: int = 0
    time: float
    kind: str
    subject: str
    service: str = ""
    phase: Phase = ""
    grave: bool = False
    facts: dict[str, Any] = {}
    muted: bool = False
    acknowledged: float | None = None
    acknowledger: str = ""
