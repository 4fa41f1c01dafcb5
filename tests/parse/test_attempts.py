"""One failed authentication counts once, however many lines and logs tell of it; and each one counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model import Event
from ringfence.parse.attempts import SESSIONS_KEPT
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.parser import Parser

Count = Callable[..., list[Event]]
CLIENT, OTHER = "203.0.113.7", "198.51.100.9"
CATALOGUE = load_catalogue()


def ssh(second: float, message: str, pid: int = 1234) -> str:
    minute, rest = divmod(second, 60)
    return f"2026-11-21T20:{int(minute):02d}:{rest:06.3f}Z pbx sshd[{pid}]: {message}"


def wrong(second: float, account: str = "root", pid: int = 1234, address: str = CLIENT, port: int = 50122) -> str:
    return ssh(second, f"Failed password for {account} from {address} port {port} ssh2", pid)


INVALID = f"Invalid user admin from {CLIENT} port 50122"
WRONG_INVALID = f"Failed password for invalid user admin from {CLIENT} port 50122 ssh2"
CLOSED = f"Connection closed by invalid user admin {CLIENT} port 50122 [preauth]"


class Logs:
    """Several logs read by one parser, as the guard does."""

    def __init__(self, catalogue: Catalogue = CATALOGUE) -> None:
        self.parser = Parser(catalogue, zone=UTC)

    def see(self, source: str, *lines: str) -> list[Event]:
        data = "".join(line + "\n" for line in lines).encode()
        return self.parser.attempts.feed(self.parser.reader(source, reference=1.8e9).read(data, 1))


def failed(events: list[Event]) -> dict[str, int]:
    return dict(Counter(event.address for event in events if event.failed))


class TestOneConnection:
    def test_invalid_user_failed_password_and_connection_closed_are_one_attempt(self, count: Count) -> None:
        events = count(ssh(1, INVALID), ssh(3, WRONG_INVALID), ssh(3, CLOSED))
        assert [(event.address, event.account, event.failed) for event in events] == [(CLIENT, "admin", True)]

    @pytest.mark.parametrize(
        "lines",
        [[INVALID], [WRONG_INVALID], [CLOSED], [INVALID, CLOSED], [WRONG_INVALID, CLOSED], [INVALID, WRONG_INVALID]],
    )
    def test_however_few_of_the_three_lines_there_are(self, count: Count, lines: list[str]) -> None:
        assert failed(count(*[ssh(1, line) for line in lines])) == {CLIENT: 1}

    def test_three_passwords_in_one_connection_are_three_attempts(self, count: Count) -> None:
        closed = ssh(9, f"Connection closed by authenticating user root {CLIENT} port 50122 [preauth]")
        assert failed(count(wrong(1), wrong(4), wrong(7), closed)) == {CLIENT: 3}

    def test_three_passwords_in_the_same_second_are_three_attempts(self, count: Count) -> None:
        assert failed(count(wrong(1), wrong(1), wrong(1))) == {CLIENT: 3}

    def test_three_passwords_for_an_account_that_does_not_exist_are_three_attempts(self, count: Count) -> None:
        assert failed(count(ssh(1, INVALID), *[ssh(s, WRONG_INVALID) for s in (2, 4, 6)], ssh(7, CLOSED))) == {
            CLIENT: 3
        }

    def test_being_thrown_out_after_too_many_is_not_one_more(self, count: Count) -> None:
        over = f"error: maximum authentication attempts exceeded for root from {CLIENT} port 50122 ssh2 [preauth]"
        left = f"Disconnecting authenticating user root {CLIENT} port 50122: Too many authentication failures [preauth]"
        assert failed(count(wrong(1), wrong(2), ssh(2, over), ssh(2, left))) == {CLIENT: 2}

    def test_a_connection_given_up_without_a_password_is_one_attempt(self, count: Count) -> None:
        left = ssh(1, f"Connection closed by authenticating user root {CLIENT} port 50122 [preauth]")
        assert [event.cause for event in count(left)] == ["no credentials"]

    def test_a_wrong_password_and_then_the_right_one_is_a_failure_and_a_success(self, count: Count) -> None:
        good = ssh(5, f"Accepted password for root from {CLIENT} port 50122 ssh2")
        assert [event.failed for event in count(wrong(1), good)] == [True, False]

    def test_every_success_is_told(self, count: Count) -> None:
        lines = [ssh(s, f"Accepted password for bob from {CLIENT} port {s} ssh2", pid=s) for s in range(5)]
        assert [event.failed for event in count(*lines)] == [False] * 5

    def test_two_connections_are_two_attempts(self, count: Count) -> None:
        assert failed(count(wrong(1, pid=1), wrong(1, pid=2))) == {CLIENT: 2}

    def test_a_process_number_that_comes_again_later_is_another_connection(self, count: Count) -> None:
        assert failed(count(ssh(1, CLOSED), ssh(1800, CLOSED))) == {CLIENT: 2}

    def test_a_process_number_that_comes_again_for_another_address_is_another_connection(self, count: Count) -> None:
        assert failed(count(ssh(1, INVALID), ssh(2, CLOSED.replace(CLIENT, OTHER)))) == {CLIENT: 1, OTHER: 1}

    def test_the_first_telling_decides_time_and_line(self, count: Count) -> None:
        (event,) = count("noise", ssh(1, INVALID), ssh(3, WRONG_INVALID), ssh(3, CLOSED))
        assert (event.line, event.cause) == (2, "unknown account")


class TestTwoLogs:
    def test_a_line_written_to_two_logs_is_one_attempt(self) -> None:
        logs = Logs()
        first = logs.see("/var/log/auth.log", wrong(1), wrong(2), wrong(3))
        assert failed(first) == {CLIENT: 3}
        assert logs.see("/var/log/syslog", wrong(1), wrong(2), wrong(3)) == []

    def test_a_login_written_to_two_logs_is_one_success(self) -> None:
        logs, accepted = Logs(), ssh(9, f"Accepted password for root from {CLIENT} port 50122 ssh2")
        counted = [*logs.see("auth.log", wrong(1), accepted), *logs.see("syslog", wrong(1), accepted)]
        assert [event.failed for event in counted] == [True, False]

    def test_a_login_counted_before_a_restart_is_not_counted_again_from_the_other_log(self) -> None:
        before, after = Logs(), Logs()
        accepted = ssh(9, f"Accepted password for root from {CLIENT} port 50122 ssh2")
        after.parser.attempts.restore(before.see("auth.log", accepted))
        assert after.see("syslog", accepted) == []

    def test_in_whatever_order_the_two_logs_are_read(self) -> None:
        logs = Logs()
        events = (
            logs.see("syslog", wrong(1))
            + logs.see("auth.log", wrong(1), wrong(2))
            + logs.see("syslog", wrong(2), wrong(3))
        )
        assert failed(events + logs.see("auth.log", wrong(3))) == {CLIENT: 3}

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from([0, 1]), max_size=12), st.integers(1, 5))
    def test_two_logs_give_as_much_as_one_however_they_interleave(self, turns: list[int], tries: int) -> None:
        logs, lines, seen = Logs(), [wrong(s) for s in range(tries)], [0, 0]
        events: list[Event] = []
        for turn in [*turns, *[0] * tries, *[1] * tries]:
            if seen[turn] < tries:
                events += logs.see(("auth.log", "syslog")[turn], lines[seen[turn]])
                seen[turn] += 1
        assert failed(events) == {CLIENT: tries}

    def test_a_rotated_log_goes_on_being_the_same_log(self) -> None:
        """Three tries of one connection: two before the rotation, one after it."""
        for old in ("auth.log.1", "auth.log.1.gz", "auth.log-20261121", "auth.log.2.xz"):
            logs = Logs()
            assert failed(
                logs.see(f"/var/log/{old}", wrong(1), wrong(2)) + logs.see("/var/log/auth.log", wrong(3))
            ) == {CLIENT: 3}

    def test_two_services_attacked_by_one_address_at_once_are_counted_apart(self, tmp_path: Path) -> None:
        logs = Logs()
        ami = f"[2026-11-21 20:00:01] NOTICE[31008] manager.c: {CLIENT} failed to authenticate as 'admin'"
        iax = f"[2026-11-21 20:00:01] NOTICE[25547] chan_iax2.c: Host {CLIENT} denied access to register peer '8001'"
        events = logs.see("/var/log/asterisk/messages", ami, iax)
        assert sorted(event.service for event in events) == ["ami", "iax"]

    def test_two_applications_that_report_the_same_address_at_once_are_counted_apart(self) -> None:
        line = '{{"ringfence": "event", "time": "2026-11-21T20:00:01Z", "service": "{}", "outcome": "failed", "address": "203.0.113.7"}}'  # noqa: E501
        assert len(Logs().see("a", line.format("one")) + Logs().see("b", line.format("two"))) == 2
        logs = Logs()
        assert len(logs.see("a", line.format("one")) + logs.see("b", line.format("two"))) == 2

    def test_a_pattern_yields_once_a_better_one_was_seen(self) -> None:
        """chan_sip's own message names the true address, its security event one that the client may choose."""
        security = (
            '[2026-11-21 20:00:01] SECURITY[25564] res_security_log.c: SecurityEvent="InvalidAccountID",'
            'EventTV="2026-11-21T20:00:01.000+0000",Severity="Error",Service="SIP",EventVersion="1",AccountID="6001",'
            f'SessionID="0x7f",LocalAddress="IPV4/UDP/198.51.100.1/5060",RemoteAddress="IPV4/UDP/{OTHER}/5071"'
        )
        told = (
            "[2026-11-21 20:00:01] NOTICE[25559] chan_sip.c: Registration from '<sip:6001@h>' failed for "
            f"'{CLIENT}:5071' - No matching peer found"
        )
        assert failed(Logs().see("security", security)) == {OTHER: 1}
        logs = Logs()
        assert failed(logs.see("messages", told) + logs.see("security", security)) == {CLIENT: 1}


class TestRestart:
    def test_what_was_counted_before_is_not_counted_again(self) -> None:
        events = Logs().see("auth.log", ssh(1, INVALID), ssh(2, WRONG_INVALID))
        after = Logs()
        after.parser.attempts.restore(events)
        assert after.see("auth.log", ssh(3, CLOSED)) == []
        assert after.see("syslog", ssh(1, INVALID), ssh(2, WRONG_INVALID), ssh(3, CLOSED)) == []

    def test_a_further_try_in_the_same_connection_counts(self) -> None:
        after = Logs()
        after.parser.attempts.restore(Logs().see("auth.log", wrong(1), wrong(2)))
        assert failed(after.see("auth.log", wrong(5))) == {CLIENT: 1}

    def test_events_of_patterns_that_are_gone_do_no_harm(self) -> None:
        after = Logs()
        event = Event(1.0, CLIENT, "x", "", True, "", "", True, "gone/gone", "log", 1, "s")
        after.parser.attempts.restore([event])
        assert failed(after.see("auth.log", wrong(5))) == {CLIENT: 1}


def test_memory_is_bounded_however_many_connections_come() -> None:
    logs = Logs()
    attempts = logs.parser.attempts
    for block in range(3):
        lines = [
            wrong(1 + block, pid=pid, address=f"10.{block}.{pid >> 8}.{pid & 255}") for pid in range(1, SESSIONS_KEPT)
        ]
        renamed = [line.replace("pbx", f"pbx{block}") for line in lines]
        assert len(logs.see("auth.log", *renamed)) == SESSIONS_KEPT - 1
    assert len(attempts._sessions) <= SESSIONS_KEPT


def test_many_tries_of_one_connection_do_not_pile_up() -> None:
    """A minute's tries are remembered, not a day's."""
    logs = Logs()
    events: list[Event] = []
    for minute in range(59):
        events += logs.see("auth.log", *[wrong(60 * minute + s) for s in range(60)])
    assert failed(events) == {CLIENT: 59 * 60}
    (session,) = logs.parser.attempts._sessions.values()
    assert len(session.tries) <= 700  # type: ignore[union-attr]


class TestSemantics:
    """What a catalogue file may say about attempts."""

    FILE = """
kind = "door"
title = "Door"
service = "door"
envelope = "text"
[[pattern]]
name = "refused"
template = 'refused {{account}} at {{address}}[ call {{callid:hex}}][ key {{token:hex}}]'
examples = [{{ line = "2026-11-21 20:00:00 refused bob at 203.0.113.7" }}]
{0}
[[pattern]]
name = "knocks"
template = 'knocked {{tries}} times: {{address}}'
attempt = "summary"
within = 60
examples = [{{ line = "2026-11-21 20:00:00 knocked 5 times: 203.0.113.7" }}]
[[pattern]]
name = "left"
template = '{{address}} went away'
attempt = "{1}"
within = 60
examples = [{{ line = "2026-11-21 20:00:00 203.0.113.7 went away" }}]
"""

    def logs(self, folder: Path, more: str = "", left: str = "weak") -> Logs:
        (folder / "door.toml").write_text(self.FILE.format(more, left))
        catalogue = load_catalogue([folder])
        assert catalogue.problems == ()
        return Logs(catalogue)

    def at(self, second: int, message: str) -> str:
        return f"2026-11-21 20:00:{second:02d} {message}"

    def refused(self, second: int, account: str = "bob", more: str = "") -> str:
        return self.at(second, f"refused {account} at {CLIENT}{more}")

    def test_by_itself_each_line_is_an_attempt(self, tmp_path: Path) -> None:
        assert len(self.logs(tmp_path).see("log", *[self.refused(s) for s in (1, 1, 2)])) == 3

    @pytest.mark.parametrize(("seconds", "attempts"), [((1, 1, 2), 1), ((1, 3, 5), 1), ((1, 20, 40), 3)])
    def test_repeats_same_takes_quick_repetitions_as_one(
        self, tmp_path: Path, seconds: tuple[int, ...], attempts: int
    ) -> None:
        logs = self.logs(tmp_path, 'repeats = "same"')
        assert len(logs.see("log", *[self.refused(s) for s in seconds])) == attempts

    def test_a_token_tells_a_further_try_from_a_repetition(self, tmp_path: Path) -> None:
        logs = self.logs(tmp_path, 'repeats = "same"')
        keys = [self.refused(s, more=f" key {key}") for s, key in ((1, "a1"), (1, "a1"), (1, "b2"), (2, "b2"))]
        assert len(logs.see("log", *keys)) == 2

    @pytest.mark.parametrize(("lines", "attempts"), [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3)])
    def test_lines_says_how_many_lines_one_attempt_writes(self, tmp_path: Path, lines: int, attempts: int) -> None:
        assert len(self.logs(tmp_path, "lines = 2").see("log", *[self.refused(1)] * lines)) == attempts

    def test_join_says_what_belongs_together(self, tmp_path: Path) -> None:
        logs = self.logs(tmp_path, 'repeats = "same"\njoin = ["address", "account"]')
        assert len(logs.see("log", self.refused(1, "a"), self.refused(1, "b"), self.refused(1, "a"))) == 2

    def test_weak_counts_only_when_nothing_else_told_of_it(self, tmp_path: Path) -> None:
        assert len(self.logs(tmp_path).see("log", self.refused(1), self.at(2, f"{CLIENT} went away"))) == 1
        assert len(self.logs(tmp_path).see("log", self.at(2, f"{CLIENT} went away"))) == 1

    def test_weak_does_not_count_after_a_login_that_succeeded(self, tmp_path: Path) -> None:
        """Who got in and then left without a word did not come to nothing."""
        more = '[[pattern]]\nname = "in"\noutcome = "succeeded"\ntemplate = \'welcome {{account}} at {{address}}\'\n'
        more += 'examples = [{{ line = "2026-11-21 20:00:00 welcome bob at 203.0.113.7" }}]'
        file = self.FILE.replace("[[pattern]]", more + "\n[[pattern]]", 1)
        (tmp_path / "door.toml").write_text(file.format("", "weak"))
        logs = Logs(load_catalogue([tmp_path]))
        seen = logs.see("log", self.at(1, f"welcome bob at {CLIENT}"), self.at(2, f"{CLIENT} went away"))
        assert [event.failed for event in seen] == [False]

    def test_none_never_counts(self, tmp_path: Path) -> None:
        assert self.logs(tmp_path, left="none").see("log", self.at(2, f"{CLIENT} went away")) == []

    def test_a_summary_counts_what_was_not_told_before(self, tmp_path: Path) -> None:
        summary = self.at(9, f"knocked 5 times: {CLIENT}")
        assert len(self.logs(tmp_path).see("log", summary)) == 5
        assert len(self.logs(tmp_path).see("log", self.refused(8), self.refused(8), summary)) == 5

    def test_a_summary_of_an_absurd_number_takes_no_memory(self, tmp_path: Path) -> None:
        assert len(self.logs(tmp_path).see("log", self.at(9, f"knocked 999999999 times: {CLIENT}"))) <= 1000
