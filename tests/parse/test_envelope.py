"""The same message is read in whatever surroundings it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.envelope import beginning, journal_lines
from ringfence.parse.parser import Parser

Count = Callable[..., list[Event]]
CLIENT = "203.0.113.7"
MOMENT = datetime(2026, 11, 21, 20, 34, 50, tzinfo=UTC).timestamp()
FAILED = f"Failed password for root from {CLIENT} port 50122 ssh2"
PJSIP = f"Request 'REGISTER' from '<sip:6001@h>' failed for '{CLIENT}:5060' (callid: abc@x) - Failed to authenticate"


class TestSyslog:
    @pytest.mark.parametrize(
        "beginning",
        [
            "Nov 21 20:34:50 pbx sshd[1234]: ",
            "<38>Nov 21 20:34:50 pbx sshd[1234]: ",
            "Nov 21 20:34:50 pbx sshd: ",
            "Nov 21 20:34:50.000 192.0.2.1 sshd[1234]: ",
            "2026-11-21T20:34:50.000000+00:00 pbx sshd[1234]: ",
            "2026-11-21T21:34:50+01:00 pbx.example.org sshd-session[1234]: ",
            "2026-11-21 20:34:50 pbx sshd[1234]: ",
            "<38>1 2026-11-21T20:34:50Z pbx sshd 1234 - - ",
            "<38>1 2026-11-21T20:34:50.000+00:00 pbx sshd 1234 - -  ",  # as rsyslog writes what came from syslog(3)
            "<38>1 2026-11-21T20:34:50.000Z pbx sshd - ID47 - ",
            '<38>1 2026-11-21T20:34:50.000Z pbx sshd 1234 ID47 [a@1 x="y z"][b@2 u="v"] ',
        ],
    )
    def test_every_form_is_read(self, count: Count, beginning: str) -> None:
        assert [(event.address, event.time, event.account) for event in count(beginning + FAILED)] == [
            (CLIENT, MOMENT, "root")
        ]

    @pytest.mark.parametrize(
        "beginning",
        [
            "Nov 21 20:34:50 pbx myapp[1234]: ",
            "Nov 21 20:34:50 pbx my sshd[1]: ",
            "pbx sshd[1234]: ",
            "",
            "Nov 21 pbx sshd[1]: ",
        ],
    )
    def test_another_program_or_no_stamp_is_not_believed(self, count: Count, beginning: str) -> None:
        assert count(beginning + FAILED) == []

    def test_a_line_that_says_it_was_repeated_counts_as_often(self, count: Count) -> None:
        events = count(f"Nov 21 20:34:50 pbx sshd[1234]: message repeated 4 times: [ {FAILED}]")
        assert [event.address for event in events] == [CLIENT] * 4

    def test_the_first_and_its_repetitions_count_together(self, count: Count) -> None:
        head = "Nov 21 20:34:50 pbx sshd[1234]: "
        assert len(count(head + FAILED, f"{head}message repeated 2 times: [ {FAILED}]")) == 3

    def test_a_repetition_without_its_bracket_is_not_believed(self, count: Count) -> None:
        assert count(f"Nov 21 20:34:50 pbx sshd[1234]: message repeated 4 times: [ {FAILED}") == []

    def test_an_absurd_number_of_repetitions_takes_no_memory(self, count: Count) -> None:
        assert len(count(f"Nov 21 20:34:50 pbx sshd[1234]: message repeated 999999 times: [ {FAILED}]")) <= 1000


class TestAsterisk:
    @pytest.mark.parametrize(
        "beginning",
        [
            "[2026-11-21 20:34:50] NOTICE[25528] res_pjsip/pjsip_distributor.c: ",
            "[2026-11-21 20:34:50.000] NOTICE[25528] res_pjsip/pjsip_distributor.c: ",
            "[Nov 21 20:34:50] NOTICE[25528] res_pjsip/pjsip_distributor.c: ",
            "[Nov 21 20:34:50.000] NOTICE[25528][C-0000001f] res_pjsip/pjsip_distributor.c: ",
            "[2026-11-21 20:34:50] NOTICE[25528]: res_pjsip/pjsip_distributor.c:688 log_failed_request: ",
            "[2026-11-21 20:34:50] NOTICE[25528]: res_pjsip/pjsip_distributor.c:688 in log_failed_request: ",
            "[2026-11-21 20:34:50] \x1b[1;33mNOTICE\x1b[0m[25528]: \x1b[1;37mres_pjsip/pjsip_distributor.c\x1b[0m:"
            "\x1b[1;37m688\x1b[0m \x1b[1;37mlog_failed_request\x1b[0m: ",
            "\x1b[0m[2026-11-21 20:34:50] \x1b[1;33mNOTICE\x1b[0m[25528][C-00000001]: res_pjsip/pjsip_distributor.c: ",
            "Nov 21 20:34:50 pbx asterisk[812]: NOTICE[25528]: res_pjsip/pjsip_distributor.c:688 in log_failed_request: ",  # noqa: E501
            "<133>Nov 21 20:34:50 pbx asterisk[812]: NOTICE[25528] res_pjsip/pjsip_distributor.c: ",
            "2026-11-21T20:34:50.000+00:00 pbx asterisk[812]: NOTICE[25528][C-00000001]: res_pjsip/pjsip_distributor.c: ",  # noqa: E501
        ],
    )
    def test_every_form_is_read(self, count: Count, beginning: str) -> None:
        assert [(event.address, event.time, event.account) for event in count(beginning + PJSIP)] == [
            (CLIENT, MOMENT, "6001")
        ]

    def test_colour_at_the_end_is_no_part_of_a_name(self, count: Count) -> None:
        line = (
            f"[2026-11-21 20:34:50] WARNING[25556] chan_iax2.c: Host {CLIENT}:6035 failed to authenticate as 910\x1b[0m"
        )
        assert [event.account for event in count(line)] == ["910"]


class TestJournal:
    def read(self, catalogue: Catalogue, *entries: object) -> list[Event]:
        parser = Parser(catalogue, zone=UTC)
        reader = parser.reader("journal", reference=MOMENT, journal=True)
        lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
        return reader.read(b"".join(line + b"\n" for line in lines), 0)

    def entry(self, message: object = FAILED, **more: object) -> dict[str, object]:
        return {
            "__REALTIME_TIMESTAMP": str(int(MOMENT * 1e6) + 250_000),
            "_HOSTNAME": "pbx",
            "SYSLOG_IDENTIFIER": "sshd",
            "_PID": "1234",
            "MESSAGE": message,
            "__CURSOR": "s=1",
        } | more

    def test_an_entry_is_read(self, catalogue: Catalogue) -> None:
        (event,) = self.read(catalogue, self.entry())
        assert (event.address, event.time, event.account) == (CLIENT, MOMENT + 0.25, "root")

    def test_a_message_with_bytes_that_are_no_text_comes_as_numbers(self, catalogue: Catalogue) -> None:
        message = f"Failed password for invalid user r\xff from {CLIENT} port 50122 ssh2".encode("latin-1")
        (event,) = self.read(catalogue, self.entry(list(message)))
        assert (event.address, event.account) == (CLIENT, "r\\xff")

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_line_breaks_in_a_message_forge_no_line(self, catalogue: Catalogue, end: str) -> None:
        forged = f"Nov 21 20:34:50 pbx sshd[1]: {FAILED.replace(CLIENT, '192.0.2.99')}"
        message = f"Failed password for invalid user x{end}{forged}{end} from {CLIENT} port 50122 ssh2"
        assert {event.address for event in self.read(catalogue, self.entry(message))} == {CLIENT}
        assert {event.address for event in self.read(catalogue, self.entry(list(message.encode())))} == {CLIENT}

    def test_another_program_can_not_call_itself_two(self, catalogue: Catalogue) -> None:
        for name in ("my app sshd", "app: sshd", "app pbx\nsshd"):
            assert self.read(catalogue, self.entry(SYSLOG_IDENTIFIER=name)) == [], name

    @pytest.mark.parametrize(
        "broken",
        [
            b"{", b"", b"null", b"[]", b"\xff\xfe", b'{"MESSAGE": 7}', b'{"MESSAGE": "\\ud800"}',
            b'{"__REALTIME_TIMESTAMP": "soon", "MESSAGE": "x"}', b'{"__REALTIME_TIMESTAMP": "99999999999999999999999"}',
            b'{"MESSAGE": [1, 2, 999999]}', b'{"MESSAGE": null}', b'{"MESSAGE": ["a"]}',
        ],
    )  # fmt: skip
    def test_broken_entries_are_passed_over_and_the_line_numbers_stay(
        self, catalogue: Catalogue, broken: bytes
    ) -> None:
        events = self.read(catalogue, self.entry(), broken, self.entry())
        assert [(event.address, event.line) for event in events] == [(CLIENT, 0), (CLIENT, 2)]

    @settings(max_examples=200)
    @given(st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")), max_size=5))
    def test_one_line_comes_out_for_each_that_goes_in(self, lines: list[bytes]) -> None:
        data = b"".join(line + b"\n" for line in lines)
        assert journal_lines(data).count(b"\n") == len(lines)


OTHERS = """
kind = "others"
title = "Servers of all sorts"
service = "others"
envelope = "text"

[services]
others = ["8000/tcp"]

[[pattern]]
name = "text"
template = 'login of {account} from {address} refused'
examples = [{ line = "2026-11-21T20:34:50Z login of bob from 203.0.113.7 refused", account = "bob" }]

[[pattern]]
name = "nginx-error"
envelope = "nginx-error"
template = 'user "{account:quoted}": password mismatch, client: {address}, server: {_}'
examples = [{ line = '2026/11/21 20:34:50 [error] 7#7: *12 user "bob": password mismatch, client: 203.0.113.7, server: x, request: "GET / HTTP/1.1"', account = "bob" }]

[[pattern]]
name = "apache-error"
envelope = "apache-error"
template = '\\[client {address}:{port}\\] AH01617: user {account}: authentication failure for "{detail:quoted}": Password Mismatch'
examples = [{ line = '[Sat Nov 21 20:34:50.000000 2026] [auth_basic:error] [pid 7:tid 9] [client 203.0.113.7:5] AH01617: user bob: authentication failure for "/x": Password Mismatch', account = "bob", detail = "/x" }]

[[pattern]]
name = "access"
envelope = "none"
template = '{address} {_:word} {account} \\[{stamp}\\] "{detail:quoted}" 401 {_:number} "{_:quoted}" "{_:quoted}"'
hints = ['" 401 ']
examples = [{ line = '203.0.113.7 - bob [21/Nov/2026:20:34:50 +0000] "GET / HTTP/1.1" 401 12 "-" "curl"', account = "bob" }]
"""  # noqa: E501


class TestOthers:
    @pytest.fixture
    def others(self, tmp_path: Path) -> Catalogue:
        (tmp_path / "others.toml").write_text(OTHERS)
        catalogue = load_catalogue([tmp_path])
        assert catalogue.problems == ()
        return catalogue

    @pytest.mark.parametrize(
        ("line", "pattern"),
        [
            (f"2026-11-21 20:34:50 login of bob from {CLIENT} refused", "text"),
            (f"2026-11-21T20:34:50.000+00:00 login of bob from {CLIENT} refused", "text"),
            (f"[2026-11-21 20:34:50,000] login of bob from {CLIENT} refused", "text"),
            (f"Nov 21 20:34:50 login of bob from {CLIENT} refused", "text"),
            (f"Sat Nov 21 20:34:50 2026 login of bob from {CLIENT} refused", "text"),
            (f"2026/11/21 20:34:50 login of bob from {CLIENT} refused", "text"),
            (f"[21/Nov/2026:20:34:50 +0000] login of bob from {CLIENT} refused", "text"),
            (f"{int(MOMENT)}.0: login of bob from {CLIENT} refused", "text"),
            (f'2026/11/21 20:34:50 [error] 7#7: *1 user "bob": password mismatch, client: {CLIENT}, server: _, request: "GET /"',  # noqa: E501
             "nginx-error"),
            (f'[Sat Nov 21 20:34:50.000000 2026] [auth_basic:error] [pid 7:tid 140] [client {CLIENT}:5] AH01617: user bob: '  # noqa: E501
             'authentication failure for "/x": Password Mismatch', "apache-error"),
            (f'[Sat Nov 21 20:34:50 2026] [error] [pid 7] [client {CLIENT}:5] AH01617: user bob: '
             'authentication failure for "/x": Password Mismatch', "apache-error"),
            (f'{CLIENT} - bob [21/Nov/2026:21:34:50 +0100] "GET / HTTP/1.1" 401 179 "-" "curl/8 \\"x\\""', "access"),
        ],
    )  # fmt: skip
    def test_the_stamp_and_the_message_are_read(self, others: Catalogue, line: str, pattern: str) -> None:
        parser = Parser(others, zone=UTC)
        (event,) = parser.reader("log", reference=MOMENT, kinds={"others"}).read(line.encode() + b"\n", 1)
        assert (event.pattern, event.address, event.account, event.time) == (f"others/{pattern}", CLIENT, "bob", MOMENT)

    def test_a_page_that_was_delivered_is_no_failure(self, others: Catalogue) -> None:
        line = f'{CLIENT} - bob [21/Nov/2026:21:34:50 +0100] "GET /" 200 179 "-" "x\\" 401 12 \\"-\\" \\"curl"\n'
        assert Parser(others, zone=UTC).reader("log", reference=MOMENT).read(line.encode(), 1) == []


def test_programs_may_be_named_that_are_not_believed() -> None:
    """Every other one is; a name that only begins like one of them as well."""
    expression = re.compile(beginning("syslog", ("!imapd", "!pop*")), re.ASCII)
    for program, believed in (("imapd", False), ("imapd-ssl", True), ("pop3d", False), ("xrdp", True)):
        assert bool(expression.match(f"Nov 21 20:34:50 pbx {program}[12]: x")) == believed
        assert bool(expression.match(f"Nov 21 20:34:50 pbx {program}: x")) == believed
