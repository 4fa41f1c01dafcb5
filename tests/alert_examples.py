"""Warnings and messages for the tests of their words: usual ones, and what an attacker would like to put into them."""

from __future__ import annotations

import math
from typing import Any, Final
from zoneinfo import ZoneInfo

from ringfence.alert.compose import compose
from ringfence.alert.digest import DigestNumbers, ServiceNumbers, compose_digest
from ringfence.alert.message import Message
from ringfence.model import Alert, Phase

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


def alert(kind: str, subject: str = "", service: str = "", phase: Phase = "", **facts: Any) -> Alert:
    """A warning of `kind` at NOW."""
    return Alert(time=NOW, kind=kind, subject=subject, service=service, phase=phase, facts=facts)


TOLD: Final = [
    (fired(), "203.0.113.1 banned from sip for 365d: rule flood, 100 attempts in 2m 10s"),
    (fired(until=None), "203.0.113.1 banned from sip for good: rule flood, 100 attempts in 2m 10s"),
    (fired(scope="all"), "203.0.113.1 banned from all services for 365d: rule flood, 100 attempts in 2m 10s"),
    (fired(done="longer", counted="bans", count=3),
     "203.0.113.1 banned from sip for longer: rule flood, 3 bans in 2m 10s"),
    (fired(done="running"), "203.0.113.1 banned from sip already: rule flood, 100 attempts in 2m 10s"),
    (fired(done="mail", counted="accounts", count=1),
     "203.0.113.1 noticed on sip: rule flood, 1 account in 2m 10s"),
    (fired(done="full"),
     "203.0.113.1 not banned from sip: the list of bans is full: rule flood, 100 attempts in 2m 10s"),
    (fired(done="past"),
     "203.0.113.1 not banned from sip: it would be over already: rule flood, 100 attempts in 2m 10s"),
    (attack(), "Attack on sip: 240 attempts a minute, usual are 3"),
    (attack("ended"), "Attack on sip is over after 40m: 9,600 attempts"),
    (alert("full", capacity=1_000_000, bans=1_000_000), "The list of bans is full: 1,000,000 of 1,000,000"),
    (alert("full", phase="ended"), "The list of bans has room again"),
    (alert("enforcement", phase="began", problem="nft: not permitted"), "Bans are not in force: nft: not permitted"),
    (alert("enforcement", phase="ended"), "Enforcement works again"),
    (alert("source", "/var/log/asterisk/full", trouble="silent"), "Log /var/log/asterisk/full fell silent"),
    (alert("source", "/var/log/mail.log", trouble="unreadable", problem="Permission denied"),
     "Log /var/log/mail.log can't be read: Permission denied"),
    (alert("source", "/var/log/mail.log", trouble="changed"), "Log /var/log/mail.log changed its shape"),
    (alert("source", "/var/log/mail.log", phase="ended", trouble="silent"), "Log /var/log/mail.log speaks again"),
    (alert("lockdown", phase="began", services=["sip", "iax"], until=None, author="user:boss@web"),
     "Lockdown began: sip, iax until it is switched off, by boss (page)"),
    (alert("lockdown", phase="began", services=["sip"], until=NOW + 7200), "Lockdown began: sip for 2h"),
    (alert("lockdown", phase="ended", services=["sip"], author="user:boss", ended_by="user:ann"),
     "Lockdown ended: sip, by ann"),
    (alert("login", "boss", address="198.51.100.7"), "boss logged in from 198.51.100.7 for the first time"),
    (alert("policy", revision=12, author="user:boss", note="less of ssh"), "Policy revision 12 by boss: less of ssh"),
    (alert("expiry", "/etc/ssl/page.pem", what="certificate", expires=NOW + 6 * 86_400),
     "The certificate /etc/ssl/page.pem ends in 6d"),
    (alert("expiry", "/etc/ssl/page.pem", what="certificate", expires=NOW - 86_400),
     "The certificate /etc/ssl/page.pem has ended 1d ago"),
    (alert("expiry", "/etc/ssl/page.pem", what="certificate", problem="not PEM"),
     "The certificate /etc/ssl/page.pem can't be read: not PEM"),
    (alert("expiry", "2001:db8::/32", what="whitelist", expires=NOW + 3600),
     "The whitelist entry 2001:db8::/32 ends in 1h"),
    (alert("canary", "/var/log/auth.log", phase="began", step="kernel", problem="not in the set"),
     "The canary was lost at banning in the kernel: /var/log/auth.log (not in the set)"),
    (alert("canary", phase="ended"), "The canary comes through again"),
    (alert("delivery", channel="mail", answer="550 no such user", of="attack"),
     "mail could not tell a warning (attack): 550 no such user"),
    (alert("digest", period="weekly"), "Summary of the week"),
]  # fmt: skip
"""A warning of each kind, in its phases, and how it is told in one line."""
