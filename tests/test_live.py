"""What the page asks every second: right, from memory, and quick with many bans."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, failures, running
from ringfence.ban_commands import BanCommands
from ringfence.control import Caller
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.histogram import Histogram
from ringfence.live import Figures, LiveCommands, Pulse
from test_commands import ROOT, START, Desk

HERE = "198.51.100.5"
ANNA = Caller(user="anna@web", via="web", address=HERE)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    monkeypatch.setattr("ringfence.whitelist.administrators", lambda: frozenset())
    desk = Desk(tmp_path)
    yield desk
    desk.close()


class TestPulse:
    def test_it_says_what_status_says(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        desk.commands.allow(ROOT, target="203.0.113.9")
        desk.commands.lock_down(ROOT, services=[], seconds=60)
        pulse, status = LiveCommands(desk.guard).pulse(ROOT), desk.commands.status(ROOT)
        for name in ("guarded", "headline", "problems", "notices", "mode", "version", "started", "policy_revision",
                     "lockdown", "whitelisted", "sources"):  # fmt: skip
            assert getattr(pulse, name) == getattr(status, name), name
        assert (pulse.bans_running, pulse.bans_missing, pulse.blocks) == (1, 1, False)

    def test_the_number_of_running_bans_is_kept_right_by_everything_that_changes_it(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        desk.commands.ban(ROOT, target="192.0.2.8", seconds=60)
        desk.commands.ban(ROOT, target="192.0.2.9")
        desk.commands.unban(ROOT, target="192.0.2.9")
        desk.commands.allow(ROOT, target="192.0.2.7")
        assert desk.guard.ledger.running_bans == 1 == desk.guard.ledger.count_bans()
        desk.now += 61
        desk.guard.tidy()
        assert desk.guard.ledger.running_bans == 0 == desk.guard.ledger.count_bans()
        desk.restart()
        assert desk.guard.ledger.running_bans == 0

    def test_with_many_bans_it_is_answered_in_about_a_millisecond(self, desk: Desk) -> None:
        ledger = desk.guard.ledger
        for number in range(2000):
            ledger.ban(f"10.0.{number >> 8}.{number & 255}", "sip", START, START + 9999, author="user:x", now=START)
        live = LiveCommands(desk.guard)
        live.pulse(ROOT)
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            assert live.pulse(ROOT).bans_running == 2000
            times.append(time.perf_counter() - begun)
        assert sorted(times)[10] < 0.005  # a busy machine; alone it takes a quarter of a millisecond

    def test_status_tells_the_bans_of_each_service(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="192.0.2.7", service="sip")
        desk.commands.ban(ROOT, target="192.0.2.8", service="sip")
        desk.commands.ban(ROOT, target="192.0.2.9", service="ssh")
        bans = {row.name: row.bans for row in desk.commands.status(ROOT).services if row.bans}
        assert bans == {"sip": 2, "ssh": 1}


class TestSelected:
    def test_several_bans_are_lifted_at_once_and_what_has_ended_is_passed_over(self, desk: Desk) -> None:
        ids = [desk.commands.ban(ROOT, target=f"192.0.2.{number}").ban.id for number in range(1, 5)]
        desk.commands.unban(ROOT, target="192.0.2.1")
        lifted = BanCommands(desk.guard).unban_many(ANNA, ids=[*ids[:3], 999])
        assert [row.target for row in lifted.rows] == ["192.0.2.2", "192.0.2.3"]
        assert desk.targets() == {"192.0.2.4"}
        entry = desk.guard.ledger.audit_log(limit=1)[0]
        assert (entry.author, entry.origin) == ("anna@web", f"web, from {HERE}")

    def test_more_than_a_thousand_are_refused(self, desk: Desk) -> None:
        with pytest.raises(RingfenceError, match="at most 1,000"):
            BanCommands(desk.guard).unban_many(ANNA, ids=list(range(1001)))

    def test_a_note_is_written_beside_a_ban_and_nothing_else_changes(self, desk: Desk) -> None:
        before = desk.commands.ban(ROOT, target="192.0.2.7", seconds=600).ban
        after = BanCommands(desk.guard).note_ban(ANNA, id=before.id, note="rang all night")
        assert after.note == "rang all night" and (after.until, after.author) == (before.until, before.author)
        with pytest.raises(NotFoundError):
            BanCommands(desk.guard).note_ban(ANNA, id=999, note="x")
        with pytest.raises(RingfenceError, match="at most 1,000 characters"):
            BanCommands(desk.guard).note_ban(ANNA, id=before.id, note="x" * 1001)

    def test_another_end_keeps_since_and_cause_and_names_who_set_it(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        before = desk.commands.bans(ROOT).rows[0]
        desk.now += 60
        after = BanCommands(desk.guard).change_ban(ANNA, id=before.id, seconds=600).ban
        assert (after.since, after.reason, after.author) == (before.since, before.reason, "user:anna@web")
        assert after.until < before.until
        desk.now += 601
        desk.guard.tidy()
        assert desk.targets() == set()
        with pytest.raises(NotFoundError, match=r"192\.0\.2\.7 has ended"):
            BanCommands(desk.guard).change_ban(ANNA, id=before.id, seconds=600)

    def test_a_ban_of_the_reader_may_be_made_shorter_but_not_longer_by_accident(self, desk: Desk) -> None:
        ban = desk.commands.ban(ROOT, target=HERE, seconds=600).ban
        commands = BanCommands(desk.guard)
        commands.change_ban(ANNA, id=ban.id, seconds=300)
        with pytest.raises(RefusedError, match="where you are looking from"):
            commands.change_ban(ANNA, id=ban.id, seconds=None)
        assert commands.change_ban(ANNA, id=ban.id, seconds=None, force=True).ban.until == "forever"


def test_a_histogram_counts_each_duration_once_and_in_every_class_above_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.note(seconds)
    assert list(histogram.cumulative()) == [(0.1, 2), (1.0, 3)]
    assert (histogram.count, round(histogram.total, 2)) == (4, 7.65)


def test_a_running_guard_answers_both(tmp_path: Path) -> None:
    with running(GuardProcess(tmp_path)) as guard:
        guard.write(failures("192.0.2.7", 5))
        guard.wait_for(lambda: guard.ask(Pulse, "pulse").bans_running == 1, "no ban")
        figures = guard.ask(Figures, "figures")
        assert figures.bans_running == 1 and not figures.blocks and figures.latency.count == 0
        assert figures.sources[0].lines == 5
        assert guard.ask(dict[int, int], "packets", ids=[1]) == {}
