"""What applications report is judged like lines of a log, counts once, and can't break anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, elements, namespace, running
from ringfence.answers import BanRow, Bans
from ringfence.control import Caller
from ringfence.errors import LedgerError, RingfenceError
from ringfence.live import Figures
from ringfence.report_commands import Report, ReportCommands, Reported
from test_commands import ROOT, Desk

API = Caller(user="shop@api", via="api", address="198.51.100.9")
WEB = Caller(user="web@web", via="web")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def failed(address: str = "203.0.113.7", service: str = "web", **more: object) -> Report:
    return Report(service=service, outcome="failed", address=address, **more)  # type: ignore[arg-type]


def report(desk: Desk, *events: Report, key: str = "", token: int = 0, caller: Caller = API) -> Reported:
    return ReportCommands(desk.guard).report_events(caller, events=list(events), token=token, key=key)


def attempts(desk: Desk) -> int:
    return sum(row.attempts for row in desk.commands.attacks(ROOT).rows)


def test_reported_failures_ban_at_once_and_are_kept_as_evidence(desk: Desk) -> None:
    answer = report(desk, *[failed(account="anna", cause="wrong password", detail="/login")] * 5)
    assert (answer.accepted, answer.repeated, answer.refused) == (5, False, [])
    assert [(row.target, row.service) for row in desk.commands.bans(ROOT).rows] == [("203.0.113.7", "web")]
    event = desk.commands.explain(ROOT, address="203.0.113.7").evidence[0]
    assert (event.account, event.cause, event.detail, event.pattern, event.source) == (
        "anna", "wrong password", "/login", "own/api", "api",
    )  # fmt: skip
    assert any(said.startswith("banned 203.0.113.7 from web") for said in desk.said)


def test_they_count_together_with_what_the_logs_say(desk: Desk) -> None:
    desk.attack("203.0.113.7", 3)
    report(desk, *[failed(service="sip")] * 2)
    assert desk.targets() == {"203.0.113.7"}


def test_our_own_page_is_its_own_source(desk: Desk) -> None:
    report(desk, failed(), caller=WEB)
    assert [event.source for event in desk.commands.explain(ROOT, address="203.0.113.7").events] == ["web"]


def test_a_success_is_no_attempt(desk: Desk) -> None:
    report(desk, *[Report(service="web", outcome="succeeded", address="203.0.113.7")] * 9)
    assert attempts(desk) == 0 and desk.targets() == set()


def test_the_whitelisted_are_not_banned_by_reports(desk: Desk) -> None:
    desk.commands.allow(ROOT, target="203.0.113.7")
    report(desk, *[failed()] * 50)
    assert desk.targets() == set()


class TestKeys:
    def test_the_same_key_counts_once_for_a_day_also_after_a_restart(self, desk: Desk) -> None:
        assert report(desk, failed(), failed(), key="a", token=1).accepted == 2
        again = report(desk, failed(), failed(), key="a", token=1)
        assert (again.accepted, again.repeated) == (2, True)
        desk.restart()
        assert report(desk, failed(), failed(), key="a", token=1).repeated
        assert attempts(desk) == 2
        desk.now += 86_401
        assert not report(desk, failed(), key="a", token=1).repeated

    def test_keys_of_different_tokens_are_different(self, desk: Desk) -> None:
        report(desk, failed(), key="a", token=1)
        assert not report(desk, failed(), key="a", token=2).repeated
        assert attempts(desk) == 2

    def test_old_keys_are_forgotten_in_the_ledger(self, desk: Desk) -> None:
        for number in range(10):
            report(desk, failed(), key=f"k{number}")
        desk.now += 86_401
        desk.guard.ledger.prune(desk.now)
        assert desk.guard.ledger.reported(0, "k1", 0.0) is None

    def test_a_report_that_could_not_be_written_is_counted_once_when_it_is_sent_again(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> object:
            raise LedgerError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(desk.guard.ledger, "record", full)
            for _ in range(3):
                with pytest.raises(LedgerError):
                    report(desk, failed(), failed(), key="a")
        assert report(desk, failed(), failed(), key="a").repeated
        assert attempts(desk) == 2


class TestHostile:
    @pytest.mark.parametrize("address", [
        "", "nobody", "203.0.113.0/24", "203.0.113.7:5060", "999.1.1.1", "203.0.113.7; drop", "\0", "\ud800",
        "x" * 5000,
    ])  # fmt: skip
    def test_what_is_no_address_is_refused_by_its_number_and_the_rest_is_taken(self, desk: Desk, address: str) -> None:
        answer = report(desk, failed(), failed(address), failed())
        assert answer.accepted == 2 and len(answer.refused) == 1 and answer.refused[0].startswith("event 1: ")
        assert len(answer.refused[0]) < 600

    @pytest.mark.parametrize("address", ["::ffff:203.0.113.7", "203.0.113.7"])
    def test_one_address_is_one_however_it_is_spelled(self, desk: Desk, address: str) -> None:
        report(desk, failed(address))
        assert [row.address for row in desk.commands.attacks(ROOT).rows] == ["203.0.113.7"]

    def test_unknown_services_and_times_far_off_are_refused(self, desk: Desk) -> None:
        answer = report(
            desk, failed(service="nonsense"), failed(time=desk.now - 301), failed(time=desk.now + 301),
            failed(time=float("nan")), failed(time=desk.now - 299),
        )  # fmt: skip
        assert answer.accepted == 1 and [line.split(":")[0] for line in answer.refused] == [
            "event 0", "event 1", "event 2", "event 3",
        ]  # fmt: skip

    @pytest.mark.parametrize("text", [
        "<script>alert(1)</script>", "\x1b[2J\x1b]0;x\x07", "\u202egnp.exe", "=cmd|' /C calc'!A0", "a\0b", "\ud800",
        "x" * 100_000, 'bob" from 192.0.2.1', "203.0.113.99",
    ])  # fmt: skip
    def test_whatever_stands_in_the_texts_is_counted_for_the_right_address(self, desk: Desk, text: str) -> None:
        report(desk, *[failed(account=text, cause=text, detail=text, session=text)] * 5)
        assert desk.targets() == {"203.0.113.7"}
        event = desk.commands.explain(ROOT, address="203.0.113.7").events[0]
        assert len(event.account) <= 256 and len(event.detail) <= 1024
        assert all("\x1b" not in said for said in desk.said)

    def test_too_many_at_once_are_refused_and_nothing_is_counted(self, desk: Desk) -> None:
        with pytest.raises(RingfenceError, match="at most 1,000"):
            report(desk, *[failed()] * 1001)
        with pytest.raises(RingfenceError, match="key"):
            report(desk, failed(), key="x" * 129)
        assert attempts(desk) == 0


def test_nothing_reported_and_answered_is_lost_by_kill_9_and_nothing_counts_twice(tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    events = [{"service": "web", "outcome": "failed", "address": "203.0.113.7"}] * 3
    with running(guard):
        assert guard.ask(Reported, "report_events", events=events, key="one").accepted == 3
        guard.kill()
        guard.start()
        assert guard.ask(Reported, "report_events", events=events, key="one").repeated
        assert guard.ask(Bans, "bans").rows == []
        guard.ask(Reported, "report_events", events=events, key="two")
        assert [row.target for row in guard.ask(Bans, "bans").rows] == ["203.0.113.7"]


@pytest.mark.root
@needs_root
def test_a_reported_attack_is_in_the_kernel_when_the_answer_comes_and_its_latency_is_counted(tmp_path: Path) -> None:
    name = f"rfrep{os.getpid()}"
    with namespace(name), running(GuardProcess(tmp_path, mode="nftables", namespace=name)) as guard:
        events = [{"service": "web", "outcome": "failed", "address": "203.0.113.7"}] * 5
        guard.ask(Reported, "report_events", events=events)
        assert elements(name) == {"203.0.113.7"}
        rows: list[BanRow] = guard.ask(Bans, "bans").rows
        assert [row.state for row in rows] == ["enforced"]
        assert guard.ask(dict[int, int], "packets", ids=[rows[0].id, 999]) == {rows[0].id: 0}
        figures = guard.ask(Figures, "figures")
        assert figures.latency.count == 1 and 0 < figures.latency.sum < 5 and figures.blocks
        assert figures.latency.buckets[-1].count == 1 and figures.missing_bans == figures.waiting_bans == 0
