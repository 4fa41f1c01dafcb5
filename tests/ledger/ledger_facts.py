"""Events, verdicts and ledgers for the tests of the ledger."""

from __future__ import annotations

import math
from pathlib import Path

from ringfence.ledger import Ledger
from ringfence.model import Action, Event, Position, Scope, Verdict

NOW = 1_800_000_000.0
LOG = "/var/log/auth.log"


def event(
    address: str = "192.0.2.1",
    time: float = NOW,
    *,
    service: str = "ssh",
    account: str = "root",
    failed: bool = True,
    line: int = 0,
    detail: str = "",
) -> Event:
    cause = "wrong password" if failed else ""
    return Event(time, address, service, account, failed, cause, detail, True, "openssh/password", LOG, line, "1")


def verdict(
    target: str = "192.0.2.1",
    time: float = NOW,
    until: float = NOW + 600,
    *,
    rule: str = "standard",
    service: str = "ssh",
    actions: tuple[Action, ...] = ("block",),
    scope: Scope = "service",
    count: int = 10,
    since: float = -math.inf,
    address: str = "",
) -> Verdict:
    address = address or target.split("/")[0]
    return Verdict(time, rule, service, target, address, until, actions, scope, count, since)


def position(line: int) -> Position:
    return Position(source=LOG, inode=2**64 - 1, fingerprint="ab", fingerprinted=64, offset=line * 100, line=line)


def opened(
    folder: Path, *, now: float = NOW, capacity: int = 1000, keep: float = 30 * 86400.0, most: int = 1 << 30
) -> Ledger:
    return Ledger.open(folder / "ledger.db", bans_capacity=capacity, keep_events=keep, max_bytes=most, now=now)
