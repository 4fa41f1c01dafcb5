"""Risky changes undo themselves: on time, to what was confirmed last, and never what happened since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, failures, running
from ringfence.answers import Applied, Done, PolicyAnswer, TrialRow
from ringfence.ban_commands import BanCommands
from ringfence.control import Caller
from ringfence.errors import LedgerError, NotFoundError, RingfenceError
from ringfence.live import LiveCommands
from ringfence.model import FOREVER
from ringfence.trial_commands import TrialCommands
from test_commands import ROOT, Desk

ANNA = Caller(user="anna@web", via="web", address="198.51.100.5")
STRICT = '[rules.standard]\nfailures = 3\nwithin = "1h"\nban = "2h"\n'


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    monkeypatch.setattr("ringfence.whitelist.administrators", lambda: frozenset())
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def wait(desk: Desk, seconds: float) -> None:
    """Let time pass, and the guard do what is due."""
    desk.now += seconds
    desk.guard.trials.undo_due()


def trials(desk: Desk) -> list[TrialRow]:
    return TrialCommands(desk.guard).trials(ROOT)


def keep(desk: Desk, number: int) -> Done:
    return TrialCommands(desk.guard).keep_trial(ANNA, id=number)


class TestPolicy:
    def test_a_policy_that_nobody_confirms_goes_back_and_that_is_said_and_written_down(self, desk: Desk) -> None:
        before = desk.commands.policy(ROOT).text
        applied = desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        assert applied.trial is not None and (applied.trial.what, applied.trial.left) == ("policy revision 2", 60)
        wait(desk, 59)
        assert desk.guard.policy.rules[0].failures == 3
        wait(desk, 1)
        assert desk.guard.policy.rules[0].failures == 5
        now = desk.commands.policy(ROOT)
        assert (now.revision, now.text, now.note) == (3, before, "undone: nobody confirmed policy revision 2")
        assert "undone: nobody confirmed policy revision 2" in desk.said
        entry = next(one for one in desk.guard.ledger.audit_log() if one.command == "trial")
        assert (entry.author, entry.arguments["outcome"]) == ("guard", "undone")
        assert trials(desk) == []

    def test_a_policy_that_is_confirmed_stays(self, desk: Desk) -> None:
        applied = desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        assert applied.trial is not None
        assert keep(desk, applied.trial.id).message == "policy revision 2 stays"
        wait(desk, 600)
        assert desk.commands.policy(ROOT).revision == 2
        with pytest.raises(NotFoundError, match="it was kept"):
            keep(desk, applied.trial.id)

    def test_it_can_be_taken_back_at_once(self, desk: Desk) -> None:
        applied = desk.commands.switch_service(ANNA, name="sip", on=False, trial=60)
        assert applied.trial is not None
        TrialCommands(desk.guard).undo_trial(ANNA, id=applied.trial.id)
        assert desk.guard.policy.disabled == frozenset() and trials(desk) == []
        assert desk.commands.policy(ROOT).author == "anna@web"

    def test_after_several_unconfirmed_changes_the_last_confirmed_one_comes_back(self, desk: Desk) -> None:
        for failures_ in (9, 8, 7):
            desk.commands.apply_policy(ANNA, text=STRICT.replace("= 3", f"= {failures_}"), trial=60)
        assert [row.what for row in trials(desk)] == ["policy revision 4"]
        wait(desk, 61)
        assert desk.guard.policy.rules[0].failures == 5

    def test_what_was_applied_since_for_good_is_not_undone(self, desk: Desk) -> None:
        desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        desk.commands.apply_policy(ROOT, text=STRICT.replace("= 3", "= 4"))
        assert trials(desk) == []
        wait(desk, 61)
        assert desk.guard.policy.rules[0].failures == 4 and desk.commands.policy(ROOT).revision == 3

    def test_a_full_disk_delays_the_undoing_and_does_not_lose_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> int:
            raise LedgerError("disk full")

        desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        with monkeypatch.context() as patch:
            patch.setattr(desk.guard.ledger, "apply_policy", full)
            with pytest.raises(LedgerError):
                wait(desk, 61)
        wait(desk, 1)
        assert desk.guard.policy.rules[0].failures == 5

    @pytest.mark.parametrize("seconds", [-1, 3601, float("inf")])
    def test_a_trial_lasts_an_hour_at_most(self, desk: Desk, seconds: float) -> None:
        with pytest.raises(RingfenceError, match="on trial for 0 to 3600 seconds"):
            desk.commands.apply_policy(ANNA, text=STRICT, trial=seconds)
        assert desk.commands.policy(ROOT).revision == 1


class TestLockdown:
    def test_a_lockdown_that_nobody_confirms_ends(self, desk: Desk) -> None:
        row = desk.commands.lock_down(ANNA, services=[], trial=60)
        assert row.on and row.trial is not None and row.trial.what == "lockdown on"
        wait(desk, 60)
        assert not desk.commands.lockdown(ROOT).on

    def test_the_end_of_a_lockdown_is_taken_back_with_the_end_it_had(self, desk: Desk) -> None:
        before = desk.commands.lock_down(ROOT, services=["sip"], seconds=3600)
        desk.now += 10
        desk.commands.end_lockdown(ANNA, trial=60)
        wait(desk, 60)
        after = desk.commands.lockdown(ROOT)
        assert (after.services, after.since, after.until, after.author) == (
            before.services, before.since, before.until, before.author,
        )  # fmt: skip

    def test_a_lockdown_that_would_have_ended_meanwhile_does_not_come_back(self, desk: Desk) -> None:
        desk.commands.lock_down(ROOT, services=["sip"], seconds=30)
        desk.commands.end_lockdown(ANNA, trial=60)
        wait(desk, 60)
        assert not desk.commands.lockdown(ROOT).on

    def test_after_several_changes_the_state_before_the_first_comes_back(self, desk: Desk) -> None:
        desk.commands.lock_down(ANNA, services=["sip"], trial=60)
        desk.commands.lock_down(ANNA, services=["sip", "iax"], trial=60)
        assert len(trials(desk)) == 1
        wait(desk, 60)
        assert not desk.commands.lockdown(ROOT).on

    def test_ending_a_lockdown_on_trial_for_good_leaves_nothing_to_undo(self, desk: Desk) -> None:
        desk.commands.lock_down(ANNA, services=["sip"], trial=60)
        desk.commands.end_lockdown(ROOT)
        assert trials(desk) == []


class TestWhitelist:
    def test_an_entry_comes_back_as_it_was_and_lifts_what_it_covers(self, desk: Desk) -> None:
        before = desk.commands.allow(ROOT, target="203.0.113.0/24", note="office").entry
        done = desk.commands.disallow(ANNA, target="203.0.113.0/24", trial=60)
        assert done.trial is not None and done.trial.what == "203.0.113.0/24 off the whitelist"
        desk.attack("203.0.113.7", 5)
        assert desk.targets() == {"203.0.113.7"}
        wait(desk, 60)
        assert desk.commands.whitelist(ROOT) == [before] and desk.targets() == set()

    def test_an_entry_that_was_added_again_is_left_as_it_is(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="203.0.113.7", note="before")
        desk.commands.disallow(ANNA, target="203.0.113.7", trial=60)
        desk.commands.allow(ROOT, target="203.0.113.7", note="again")
        assert trials(desk) == []
        wait(desk, 60)
        assert [row.note for row in desk.commands.whitelist(ROOT)] == ["again"]


class TestBans:
    @pytest.mark.parametrize(("target", "risky"), [
        ("203.0.112.0/23", True), ("203.0.113.0/24", False), ("203.0.113.7", False),
        ("2001:db8::/47", True), ("2001:db8::/48", False),
    ])  # fmt: skip
    def test_only_large_networks_are_banned_on_trial(self, desk: Desk, target: str, risky: bool) -> None:
        banned = desk.commands.ban(ANNA, target=target, trial=60)
        assert (banned.trial is not None) is risky
        wait(desk, 60)
        assert desk.targets() == (set() if risky else {target})

    def test_the_end_of_a_ban_that_was_changed_comes_back_with_its_author(self, desk: Desk) -> None:
        first = desk.commands.ban(ROOT, target="203.0.112.0/22", seconds=3600, note="short").ban
        changed = BanCommands(desk.guard).change_ban(ANNA, id=first.id, seconds=None, note="for good", trial=60)
        assert changed.ban.until == "forever" and changed.ban.since == first.since and changed.trial is not None
        wait(desk, 60)
        row = desk.commands.bans(ROOT).rows[0]
        assert (row.id, row.until, row.author, row.note) == (first.id, first.until, "user:root", "short")

    def test_a_ban_that_was_changed_since_is_left_as_it_is(self, desk: Desk) -> None:
        banned = desk.commands.ban(ANNA, target="203.0.112.0/22", trial=60)
        BanCommands(desk.guard).change_ban(ROOT, id=banned.ban.id, seconds=7200)
        wait(desk, 60)
        assert desk.targets() == {"203.0.112.0/22"} and trials(desk) == []

    def test_a_ban_that_was_lifted_since_is_no_matter(self, desk: Desk) -> None:
        desk.commands.ban(ANNA, target="203.0.112.0/22", trial=60)
        desk.commands.unban(ROOT, target="203.0.112.0/22")
        wait(desk, 60)
        assert trials(desk) == [] and any("something else has happened" in said for said in desk.said)


class TestMemory:
    def test_several_trials_at_once_are_told_with_the_seconds_left(self, desk: Desk) -> None:
        desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        desk.now += 10
        desk.commands.ban(ANNA, target="203.0.112.0/22", trial=30)
        pulse = LiveCommands(desk.guard).pulse(ROOT)
        assert [(row.what, row.left) for row in pulse.trials] == [
            ("ban of 203.0.112.0/22", 30.0), ("policy revision 2", 50.0),
        ]  # fmt: skip
        assert desk.guard.trials.left() == 30.0

    def test_a_restart_forgets_no_trial(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="203.0.113.7")
        desk.commands.disallow(ANNA, target="203.0.113.7", trial=60)
        desk.commands.lock_down(ANNA, services=["sip"], trial=60)
        desk.commands.apply_policy(ANNA, text=STRICT, trial=60)
        ban = desk.commands.ban(ANNA, target="203.0.112.0/22", trial=60).ban
        desk.now += 120
        desk.restart()
        assert len(trials(desk)) == 4 and desk.guard.ledger.ban_by_id(ban.id).until == FOREVER  # type: ignore[union-attr]
        wait(desk, 0)
        assert trials(desk) == [] and desk.targets() == set()
        assert desk.guard.policy.rules[0].failures == 5 and not desk.commands.lockdown(ROOT).on
        assert [row.target for row in desk.commands.whitelist(ROOT)] == ["203.0.113.7"]


def test_a_change_on_trial_is_undone_by_the_running_guard_on_time(tmp_path: Path) -> None:
    with running(GuardProcess(tmp_path)) as guard:
        guard.ask(Applied, "apply_policy", text=STRICT, trial=1.0)
        assert guard.ask(PolicyAnswer, "policy").revision == 2
        guard.wait_for(lambda: guard.ask(PolicyAnswer, "policy").revision == 3, "not undone", 5)
        assert "undone: nobody confirmed policy revision 2" in guard.output


def test_kill_9_right_after_a_change_does_not_keep_it(tmp_path: Path) -> None:
    """Who was shut out by the change can't confirm it, and is let in again when the guard is back."""
    with running(GuardProcess(tmp_path)) as guard:
        guard.ask(Applied, "apply_policy", text=STRICT, trial=2.0)
        guard.kill()
        guard.start()
        guard.wait_for(lambda: guard.ask(PolicyAnswer, "policy").revision == 3, "not undone", 10)
        guard.write(failures("192.0.2.7", 4))
        assert guard.ask(list[TrialRow], "trials") == []
