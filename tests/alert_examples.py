"""Warnings and messages for the tests of their words: usual ones, and what an attacker would like to put into them."""

from __future__ import annotations

import math
from typing import Any, Final
from zoneinfo import ZoneInfo

from ringfence.alert.compose import compose
from ringfence.alert.digest import DigestNumbers, ServiceNumbers, compose_digest
from ringfence.alert.message import Message
from ringfence.model import Alert

NOW: Final = 1_770_091_446.0
"""2026-02-03 04:04:06 UTC."""
LINK: Final = "https://pbx1.example.org:8443/"
HOSTILE: Final = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><a href="https://evil.example/">here</a>',
    "http://evil.example/login",
    "www.evil.example",
    "evil.example",
    "boss@evil.example",
    "mailto:boss@evil.example",
    "tel:+4420123456",
    "+44 20 7946 0000",
    "\\\\evil\\share",
    "evil\u3002example",
    "javascript:alert(1)",
    "x\r\nBcc: everybody@evil.example\r\n\r\n<html>",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u2066hidden\u2069\u200b\ufeff",
    "a\u0301\u0302\u0303\u0304\u0305\u0306\u0307",
    "x" * 5000,
    "漢" * 300,
    "\ud800half",
    "{{ 7 * 7 }} %(host)s %s {0}",
    "a\u2028b\u2029c\x85d\x00e",
    "@everyone",
)
WHERE: Final[dict[str, Any]] = {
    "host": "pbx1", "link": LINK, "zone": ZoneInfo("Europe/Berlin"), "language": "en",
}  # fmt: skip


def fired(number: int = 1, *, service: str = "sip", rule: str = "flood", **facts: object) -> Alert:
    """A rule fired, `number` seconds before NOW."""
    address, time = f"203.0.113.{number % 254}", NOW - number
    usual = {
        "rule": rule, "address": address, "count": 100, "counted": "attempts", "since": time - 130,
        "until": time + 365 * 86400, "scope": "service", "done": "banned", "cause": "wrong password",
        "detail": "sip:100@192.0.2.7",
    }  # fmt: skip
    return Alert(id=number, time=time, kind="rule", subject=address, service=service, facts=usual | facts)


def attack(phase: str = "began", **facts: object) -> Alert:
    """An attack on sip."""
    usual = {"rate": 240, "usual": 3, "since": NOW - 2400, "attempts": 9600}
    return Alert(
        id=7, time=NOW, kind="attack", subject="sip", service="sip", phase="ended" if phase == "ended" else "began",
        grave=True, facts=usual | facts,
    )  # fmt: skip


def one(alert: Alert, accounts: tuple[str, ...] = (), body: str = "standard", **more: Any) -> Message:
    """The message of one warning."""
    return compose([alert], total=1, counts={}, accounts={alert.id: accounts}, body=body, **{**WHERE, **more})


def many(body: str = "standard", **more: Any) -> Message:
    """10,000 warnings gathered."""
    alerts = [fired(number) for number in range(1, 201)]
    counts = {("flood", "sip"): 9200, ("standard", "ssh"): 800}
    accounts = {alert.id: ("100", "101") for alert in alerts}
    return compose(alerts, total=10_000, counts=counts, accounts=accounts, body=body, **{**WHERE, **more})


def week(**more: Any) -> DigestNumbers:
    """The numbers of a week."""
    since = NOW // 3600 * 3600 - 7 * 86400
    usual: dict[str, Any] = {
        "since": since, "until": since + 7 * 86400, "attempts": 48_210, "attempts_before": 39_117, "attackers": 1204,
        "attackers_before": 1310, "bans": 312, "bans_before": 20, "step": 21_600,
        "services": (
            ServiceNumbers(service="sip", attempts=40_100, attempts_before=31_000, bans=280, bans_before=12),
            ServiceNumbers(service="ssh", attempts=8002, attempts_before=8117, bans=30, bans_before=8),
            ServiceNumbers(service="iax", attempts=108, attempts_before=0, bans=2, bans_before=0),
        ),
        "accounts": (("100", 9120), ("root", 4011), ("admin", 902), ("1001", 88)), "accounts_since": since,
        "series": tuple(int(900 + 700 * math.sin(n / 2)) + (5000 if n == 17 else 0) for n in range(28)),
        "warnings": {"rule": 310, "attack": 2}, "newest": (attack("ended"), fired(3)),
    }  # fmt: skip
    return DigestNumbers(**{**usual, **more})


def digest(told: DigestNumbers | None = None, body: str = "standard", **more: Any) -> Message:
    """The summary of a week."""
    return compose_digest(told or week(), body=body, **{**WHERE, **more})
