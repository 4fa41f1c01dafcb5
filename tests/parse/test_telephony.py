"""Telephone servers that the laboratory can't have: what their lines give, and that our pages and files agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.model import Event

Count = Callable[..., list[Event]]
DOCS = Path(__file__).parent.parent.parent / "docs"
CLIENT, VICTIM = "203.0.113.7", "192.0.2.99"


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    """(address, account, cause) of every attempt."""
    return [(event.address, event.account, event.cause) for event in events if event.failed]


class TestFreeSwitch:
    def line(self, second: int, text: str, *, file: str = "sofia_reg.c", level: str = "WARNING", idle: str = "") -> str:
        return f"2026-11-21 20:34:{second:02d}.123456 {idle}[{level}] {file}:1842 {text}"

    def refused(self, account: str = "1001", method: str = "REGISTER", address: str = CLIENT) -> str:
        return f"SIP auth failure ({method}) on sofia profile 'internal' for [{account}@h] from ip {address}"

    @pytest.mark.parametrize("idle", ["", "98.33% "])
    @pytest.mark.parametrize("address", [CLIENT, "2001:db8::7"])
    def test_each_wrong_password_is_an_attempt(self, count: Count, idle: str, address: str) -> None:
        lines = [self.line(s, self.refused(address=address), idle=idle) for s in (1, 2, 3)]
        assert told(count(*lines)) == [(address, "1001", "wrong password")] * 3

    def test_an_unknown_account_is_one_attempt_though_two_lines_tell_of_it(self, count: Count) -> None:
        """Even when the name in the credentials is another one than in To."""
        lines = []
        for account in ("100", "101", "102"):
            lines.append(self.line(1, f"Can't find user [auth{account}@h] from {CLIENT}"))
            lines.append(
                "You must define a domain called 'h' in your directory and add a user with the id=\"100\" attribute"
            )
            lines.append(self.line(1, self.refused(account)))
        assert [cause for _, _, cause in told(count(*lines))] == ["unknown account"] * 3

    def test_challenges_are_no_attempts(self, count: Count) -> None:
        """An office whose telephones register, one after the other: no line tells that they were let in."""
        challenge = self.refused().replace("failure", "challenge")
        assert count(*[self.line(s, challenge.replace("1001", f"10{s}")) for s in range(10, 50)]) == []

    def test_access_lists_of_sip_and_of_the_event_socket_are_told_apart(self, count: Count) -> None:
        lines = [
            self.line(1, f'IP {CLIENT} Rejected by acl "domains"', file="sofia.c"),
            self.line(2, f'IP {CLIENT} Rejected by register acl "domains"'),
            self.line(3, f'IP {CLIENT} Rejected by acl "loopback.auto"', file="mod_event_socket.c"),
            self.line(
                4, f'IP {CLIENT} Rejected by acl "x". Falling back to Digest auth.', file="sofia.c", level="DEBUG"
            ),
        ]
        events = count(*lines)
        assert [(event.service, event.cause) for event in events] == [
            ("sip", "refused by acl"),
            ("sip", "refused by acl"),
            ("esl", "refused by acl"),
        ]

    def test_a_user_name_names_nobody_else(self, count: Count) -> None:
        for name in (f"x@h] from ip {VICTIM}", f"x] from {VICTIM}", f"{VICTIM}", "a]b[c@d'e"):
            events = count(self.line(1, self.refused(name)), self.line(2, f"Can't find user [{name}@h] from {CLIENT}"))
            assert {event.address for event in events} == {CLIENT}


class TestPages:
    @pytest.mark.parametrize("page", ["kamailio.md", "opensips.md", "yate.md"])
    def test_every_log_line_on_the_page_is_understood(self, count: Count, page: str) -> None:
        lines = re.findall(
            r"^(?:Nov \d\d .*(?:ringfence: auth|PIKE - |pike blocking).*|\d{10}\.\d+ ringfence: .*)$",
            (DOCS / page).read_text(),
            re.MULTILINE,
        )
        assert lines
        for number, line in enumerate(lines):
            events = count(line, source=f"log{number}")
            assert len(events) == 1 or "pike blocking" in line, line

    def test_opensips_writes_the_same_fields_as_kamailio(self) -> None:
        fields = []
        for name in ("kamailio", "opensips"):
            (text,) = re.findall(r'xlog\("L_NOTICE", "(.*)"\);', (DOCS / name / "ringfence.cfg").read_text())
            fields.append(re.findall(r"(\w+)=\$", text))
            assert text.startswith("ringfence: auth $var(ringfence_outcome) address=$si port=$sp ")
        assert fields[0] == fields[1]

    def test_the_rules_for_yate_write_what_is_read(self, count: Count) -> None:
        """And do nothing else: a rule of user.auth that gave a result would let callers in."""
        rules = re.findall(r"^\$\{\w+\}.*?=(\w+ )?(.*)$", (DOCS / "yate" / "regexroute.conf").read_text(), re.MULTILINE)
        assert len(rules) == 3 and {verb for verb, _ in rules} == {"echo "}
        values = {"ip_host": CLIENT, "ip_port": "506{}", "ip_transport": "TCP", "username": "1001"}
        for number, (_, text) in enumerate(rules):
            line = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)
            (event,) = count(f"1795293290.123456 {line}".replace("{}", str(number)), source=f"log{number}")
            assert (event.address, event.service, event.proven, event.failed) == (CLIENT, "sip", True, True)
