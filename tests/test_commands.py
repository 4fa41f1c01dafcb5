"""The use-cases behind CLI, web and API, on a real ledger and detector in monitor mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, failures
from ringfence.assemble import assemble, restore
from ringfence.commands import Commands
from ringfence.control import Caller
from ringfence.errors import EnforceError, LedgerError, NotFoundError, RefusedError, RingfenceError, SettingsError
from ringfence.guard import Guard
from ringfence.settings import load_settings

ROOT = Caller(user="root", pid=1)
START = 1_790_000_000.0


class Desk:
    """A guard without a loop, whose time is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.process = GuardProcess(folder)
        self.process.log.touch()
        self.now = START
        self.said: list[str] = []
        self.guard = self.assemble({})
        self.commands = Commands(self.guard)

    def assemble(self, environ: dict[str, str]) -> Guard:
        settings = load_settings(self.process.config, {}, is_root=True)
        guard = assemble(settings, environ, lambda: self.now, self.said.append)
        for _ in restore(guard):
            pass
        return guard

    def attack(self, address: str, count: int) -> None:
        """Let `address` fail `count` times now, and the guard see it."""
        self.process.write(failures(address, count, self.now))
        self.guard.watch.rescan()
        self.guard.watch.files.notice()
        while self.guard.pipeline.take(100):
            pass

    def targets(self) -> set[str]:
        return {row.target for row in self.commands.bans(ROOT).rows}

    def restart(self) -> None:
        self.close()
        self.guard = self.assemble({})
        self.commands = Commands(self.guard)

    def close(self) -> None:
        self.guard.watch.close()
        self.guard.ledger.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    # Whatever addresses the machine that runs the tests may have.
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    desk = Desk(tmp_path)
    yield desk
    desk.close()


class TestBans:
    def test_a_ban_by_hand_holds_until_lifted_and_says_by_whom(self, desk: Desk) -> None:
        answer = desk.commands.ban(ROOT, target="192.0.2.7", note="rang all night")
        row = answer.ban
        assert (row.service, row.until, row.author, row.note) == ("*", "forever", "user:root", "rang all night")
        assert not answer.enforced and "monitor mode" in answer.why
        assert [row.target for row in desk.commands.unban(ROOT, target="192.0.2.7").rows] == ["192.0.2.7"]
        assert desk.targets() == set()

    def test_a_ban_by_hand_ends_on_time(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="192.0.2.7", service="sip", seconds=60)
        desk.now += 61
        desk.guard.tidy()
        assert desk.targets() == set()
        assert desk.commands.bans(ROOT, history=True).rows[0].state == "expired"

    @pytest.mark.parametrize("target", ["127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "::1"])
    def test_loopback_is_refused(self, desk: Desk, target: str) -> None:
        with pytest.raises(RefusedError, match="--force"):
            desk.commands.ban(ROOT, target=target)

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("192.0.2.250", "it is our own address. Use --force to ban it all the same"),
            ("192.0.2.0/24", "it holds 192.0.2.250, our own address. Use --force to ban it all the same"),
            ("127.0.0.1", "it is within 127.0.0.0/8, reserved for loopback. Use --force to ban it all the same"),
        ],
    )
    def test_the_refusal_of_our_own_addresses_is_a_sentence(self, desk: Desk, target: str, why: str) -> None:
        with pytest.raises(RefusedError) as refused:
            desk.commands.ban(ROOT, target=target)
        assert str(refused.value) == f"{target} is not banned: {why}"

    def test_a_ban_for_good_and_one_that_ends_are_said_in_words(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="192.0.2.7")
        desk.commands.ban(ROOT, target="192.0.2.8", service="sip", seconds=3600)
        assert "banned 192.0.2.7 from all services for good: by root" in desk.said
        assert "banned 192.0.2.8 from sip for 1h: by root" in desk.said

    @pytest.mark.parametrize("target", ["198.51.100.5", "198.51.100.0/24", "::/0", "2001:db8::5"])
    def test_the_callers_own_connection_is_refused(self, desk: Desk, target: str) -> None:
        client = "198.51.100.5" if ":" not in target else "2001:db8::5"
        caller = Caller(user="root", ssh_client=client)
        with pytest.raises(RefusedError, match="your own SSH session"):
            desk.commands.ban(caller, target=target)
        if target == client:  # nothing but the refusal protects it
            assert "reachable" not in desk.commands.ban(caller, target=target, force=True).why

    @pytest.mark.parametrize("target", ["203.0.113.9", "203.0.113.0/24"])
    def test_the_whitelisted_are_refused_unless_forced_and_then_the_whitelist_still_wins(
        self, desk: Desk, target: str
    ) -> None:
        desk.commands.allow(ROOT, target="203.0.113.9")
        with pytest.raises(RefusedError, match="whitelist"):
            desk.commands.ban(ROOT, target=target)
        assert "stays reachable" in desk.commands.ban(ROOT, target=target, force=True).why
        assert not desk.commands.explain(ROOT, address="203.0.113.9").banned

    @pytest.mark.parametrize("target", ["nonsense", "192.0.2.7/24", "fe80::1%eth0", "", "192.0.2.7; drop"])
    def test_what_is_no_address_is_refused_in_words(self, desk: Desk, target: str) -> None:
        with pytest.raises(RingfenceError):
            desk.commands.ban(ROOT, target=target)

    def test_an_unknown_service_is_named_with_those_that_exist(self, desk: Desk) -> None:
        with pytest.raises(NotFoundError, match=r"no service 'sipp'; known: .*sip"):
            desk.commands.ban(ROOT, target="192.0.2.7", service="sipp")

    def test_lifting_what_is_not_banned_says_so_and_names_the_network_around_it(self, desk: Desk) -> None:
        with pytest.raises(NotFoundError, match="is not banned"):
            desk.commands.unban(ROOT, target="192.0.2.7")
        desk.commands.ban(ROOT, target="192.0.2.0/25")
        with pytest.raises(NotFoundError, match=r"within 192\.0\.2\.0/25"):
            desk.commands.unban(ROOT, target="192.0.2.7")

    def test_lifting_an_ipv6_address_lifts_the_prefix_it_was_banned_with(self, desk: Desk) -> None:
        desk.attack("[2001:db8:1:2::7]", 5)
        assert desk.targets() == {"2001:db8:1:2::/64"}
        desk.commands.unban(ROOT, target="2001:db8:1:2::7")
        assert desk.targets() == set()

    def test_after_an_unban_counting_begins_anew(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        desk.commands.unban(ROOT, target="192.0.2.7")
        desk.now += 1
        desk.attack("192.0.2.7", 4)
        assert desk.targets() == set()
        desk.restart()
        assert desk.targets() == set()
        desk.attack("192.0.2.7", 1)
        assert desk.targets() == {"192.0.2.7"}

    def test_all_bans_of_one_service_are_lifted_and_no_others(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="192.0.2.1", service="sip")
        desk.commands.ban(ROOT, target="192.0.2.2", service="ssh")
        desk.commands.unban(ROOT, service="sip")
        assert desk.targets() == {"192.0.2.2"}


class TestWhitelist:
    def test_an_entry_lifts_what_it_covers_at_once_and_nothing_else(self, desk: Desk) -> None:
        for address in ("192.0.2.7", "192.0.2.8", "198.51.100.1"):
            desk.attack(address, 5)
        answer = desk.commands.allow(ROOT, target="192.0.2.0/24", note="office")
        assert {row.target for row in answer.lifted} == {"192.0.2.7", "192.0.2.8"}
        assert desk.targets() == {"198.51.100.1"}
        desk.attack("192.0.2.7", 20)
        assert desk.targets() == {"198.51.100.1"}

    def test_an_entry_for_one_service_leaves_the_bans_of_others(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="192.0.2.7", service="ssh")
        desk.attack("192.0.2.7", 5)
        desk.commands.allow(ROOT, target="192.0.2.7", service="sip")
        assert [(row.target, row.service) for row in desk.commands.bans(ROOT).rows] == [("192.0.2.7", "ssh")]

    def test_an_entry_expires_by_itself(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="192.0.2.7", seconds=60)
        desk.now += 61
        desk.guard.tidy()
        assert desk.commands.whitelist(ROOT) == []
        desk.attack("192.0.2.7", 5)
        assert desk.targets() == {"192.0.2.7"}

    def test_an_entry_can_be_taken_off_and_one_that_is_not_there_is_not_found(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="192.0.2.7")
        desk.commands.disallow(ROOT, target="192.0.2.7")
        desk.attack("192.0.2.7", 5)
        assert desk.targets() == {"192.0.2.7"}
        with pytest.raises(NotFoundError):
            desk.commands.disallow(ROOT, target="192.0.2.7")

    def test_a_host_name_lifts_bans_when_it_resolves_and_keeps_its_last_good_answer(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        assert "looked up" in desk.commands.allow(ROOT, target="office.example.org").why
        assert desk.targets() == {"192.0.2.7"}
        desk.guard.resolved({"office.example.org": ("192.0.2.7",)})
        assert desk.targets() == set()
        desk.guard.resolved({"office.example.org": ()})
        desk.attack("192.0.2.7", 9)
        assert desk.targets() == set()
        desk.restart()
        assert desk.commands.whitelist(ROOT)[0].addresses == ("192.0.2.7",)

    def test_entries_of_the_policy_are_shown_and_can_only_be_changed_there(self, desk: Desk) -> None:
        text = 'whitelist = ["192.0.2.7"]\n' + desk.process.policy.read_text()
        desk.commands.apply_policy(ROOT, text=text)
        assert [(row.target, row.fixed) for row in desk.commands.whitelist(ROOT)] == [("192.0.2.7", True)]
        with pytest.raises(NotFoundError, match="policy apply"):
            desk.commands.disallow(ROOT, target="192.0.2.7")


class TestMonitorMode:
    """What an earlier, enforcing run left in the kernel is not passed over in silence."""

    LEFT = "what an earlier run left in the kernel holds until 'ringfence unfence'"

    def test_where_we_may_not_look_an_earlier_run_may_still_block_and_that_is_said(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbidden() -> object:
            raise EnforceError("operation not permitted")

        monkeypatch.setattr("ringfence.barrier.Link", forbidden)
        assert f"nothing new is blocked; {self.LEFT}" in desk.commands.status(ROOT).headline
        desk.commands.ban(ROOT, target="192.0.2.7")
        lifted = desk.commands.unban(ROOT, target="192.0.2.7")
        assert lifted.monitor and self.LEFT in lifted.why
        allowed = desk.commands.allow(ROOT, target="192.0.2.7")
        assert allowed.monitor and not allowed.enforced and self.LEFT in allowed.why
        locked = desk.commands.lock_down(ROOT, services=[])
        assert locked.monitor and not locked.enforced and self.LEFT in locked.why
        assert self.LEFT in desk.commands.end_lockdown(ROOT).why


class TestPolicy:
    def test_a_new_policy_judges_from_now_on_and_can_be_rolled_back(self, desk: Desk) -> None:
        text = desk.process.policy.read_text().replace("failures = 5", "failures = 3")
        applied = desk.commands.apply_policy(ROOT, text=text, note="stricter")
        assert applied.revision == 2 and any("failures" in line and "3" in line for line in applied.changed)
        desk.attack("192.0.2.7", 3)
        assert desk.targets() == {"192.0.2.7"}
        assert desk.commands.rollback(ROOT, revision=1).revision == 3
        desk.attack("192.0.2.8", 4)
        assert desk.targets() == {"192.0.2.7"}
        history = desk.commands.policy_history(ROOT)
        assert [row.revision for row in history] == [3, 2, 1]
        assert history[0].text == history[2].text

    def test_a_wrong_policy_changes_nothing(self, desk: Desk) -> None:
        with pytest.raises(SettingsError, match="failuers"):
            desk.commands.apply_policy(ROOT, text="[rules.standard]\nfailuers = 3\n")
        assert desk.commands.policy(ROOT).revision == 1

    def test_a_revision_that_does_not_exist_is_not_found(self, desk: Desk) -> None:
        with pytest.raises(NotFoundError, match="revision 9"):
            desk.commands.rollback(ROOT, revision=9)

    def test_an_applied_policy_survives_a_restart_though_the_file_says_otherwise(self, desk: Desk) -> None:
        text = desk.process.policy.read_text().replace("failures = 5", "failures = 3")
        desk.commands.apply_policy(ROOT, text=text)
        desk.restart()
        assert desk.guard.policy_revision == 2 and desk.guard.policy.rules[0].failures == 3

    def test_a_policy_file_that_changed_is_taken_up_at_the_next_start(self, desk: Desk) -> None:
        desk.process.policy.write_text(desk.process.policy.read_text().replace("failures = 5", "failures = 4"))
        desk.restart()
        assert desk.guard.policy_revision == 2 and desk.guard.policy.rules[0].failures == 4

    def test_a_service_is_switched_off_and_on_as_a_whole(self, desk: Desk) -> None:
        desk.commands.switch_service(ROOT, name="sip", on=False)
        desk.attack("192.0.2.7", 9)
        assert desk.targets() == set()
        assert any("switched off" in reason for reason in desk.commands.explain(ROOT, address="192.0.2.7").reasons)
        assert "already" in desk.commands.switch_service(ROOT, name="sip", on=False).message
        desk.commands.switch_service(ROOT, name="sip", on=True)
        desk.attack("192.0.2.8", 5)
        assert "192.0.2.8" in desk.targets()

    def test_the_environment_sets_the_sip_rule_at_first_start_only(self, tmp_path: Path) -> None:
        desk = Desk(tmp_path)
        desk.close()
        process = desk.process
        process.ledger.unlink()
        process.config.write_text(process.config.read_text().replace(f'file = "{process.policy}"', ""))
        guard = desk.assemble({"SIP_MAXRETRY": "3"})
        standard = {rule.name: rule for rule in guard.policy.rules_for("sip")}["standard"]
        assert standard.failures == 3
        guard.ledger.close()
        guard = desk.assemble({"SIP_MAXRETRY": "7"})
        assert {rule.name: rule for rule in guard.policy.rules_for("sip")}["standard"].failures == 3
        desk.guard = guard


class TestQuestions:
    def test_explain_tells_why_somebody_is_banned_with_the_evidence(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        answer = desk.commands.explain(ROOT, address="192.0.2.7")
        assert answer.banned and "192.0.2.7 is banned from sip" in answer.verdict
        assert "rule standard" in answer.reasons[0] and "wrong password" in answer.reasons[0]
        assert len(answer.evidence) == 5 and {event.cause for event in answer.evidence} == {"wrong password"}

    def test_explain_tells_how_near_somebody_is_to_a_ban(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 3)
        answer = desk.commands.explain(ROOT, address="192.0.2.7")
        assert not answer.banned
        assert [(row.rule, row.count, row.needed) for row in answer.windows] == [("standard", 3, 5)]

    def test_explain_tells_what_has_fired_a_rule_and_what_came_since(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        reasons = desk.commands.explain(ROOT, address="192.0.2.7").reasons
        assert "rule standard for sip: 5 attempts fired it; 0 of 5 since" in reasons

    def test_explain_tells_progress_in_the_units_people_use(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 3)
        reasons = desk.commands.explain(ROOT, address="192.0.2.7").reasons
        assert "rule standard for sip: 3 of 5 attempts in 1h" in reasons

    def test_whom_a_rule_banned_is_threatening_however_few_attempts_that_took(self, desk: Desk) -> None:
        """Five attempts are within the boundary of harmless, but they were enough for the rule."""
        desk.attack("192.0.2.7", 5)
        desk.attack("192.0.2.8", 4)
        levels = {row.address: row.level for row in desk.commands.attacks(ROOT).rows}
        assert levels == {"192.0.2.7": "threatening", "192.0.2.8": "harmless"}
        assert [row.address for row in desk.commands.attacks(ROOT, level="threatening").rows] == ["192.0.2.7"]
        assert [row.address for row in desk.commands.attacks(ROOT, level="harmless").rows] == ["192.0.2.8"]
        attacker = desk.commands.explain(ROOT, address="192.0.2.7").attacker
        assert attacker is not None and attacker.level == "threatening"
        desk.commands.unban(ROOT, target="192.0.2.7")
        assert desk.commands.attacks(ROOT, level="harmless").total == 1

    def test_a_ban_by_hand_makes_nobody_threatening(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 1)
        desk.commands.ban(ROOT, target="192.0.2.7")
        assert [row.level for row in desk.commands.attacks(ROOT).rows] == ["harmless"]

    def test_status_has_the_rules_of_each_service_in_short(self, desk: Desk) -> None:
        rules = {row.name: row.rules for row in desk.commands.status(ROOT).services}
        assert rules["sip"] == ("standard 5/1h→2h",)

    def test_explain_of_a_stranger_says_that_nothing_is_known(self, desk: Desk) -> None:
        assert "never failed" in desk.commands.explain(ROOT, address="192.0.2.99").verdict

    def test_explain_finds_the_network_an_address_is_banned_with(self, desk: Desk) -> None:
        desk.commands.ban(ROOT, target="198.51.96.0/20")
        answer = desk.commands.explain(ROOT, address="198.51.100.7")
        assert answer.banned and answer.bans[0].target == "198.51.96.0/20"

    def test_the_attack_list_is_sorted_filtered_and_paged(self, desk: Desk) -> None:
        for number in range(1, 8):
            desk.attack(f"192.0.2.{number}", number)
        page = desk.commands.attacks(ROOT, limit=2, offset=1)
        assert page.total == 7 and [row.attempts for row in page.rows] == [6, 5]
        assert {row.address for row in desk.commands.attacks(ROOT, level="threatening").rows} == {
            "192.0.2.5",
            "192.0.2.6",
            "192.0.2.7",
        }
        assert desk.commands.attacks(ROOT, match=".2.3").total == 1
        assert [row.address for row in desk.commands.attacks(ROOT, sort="address", limit=1).rows] == ["192.0.2.1"]

    def test_statistics_count_since_their_reset(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        row = {row.service: row for row in asyncio.run(desk.commands.reset_statistics(ROOT)).rows}["sip"]
        assert (row.attempts, row.addresses, row.bans) == (5, 1, 1)
        desk.now += 10
        desk.attack("192.0.2.8", 2)
        row = {row.service: row for row in asyncio.run(desk.commands.statistics(ROOT)).rows}["sip"]
        assert (row.attempts, row.addresses, row.bans) == (2, 1, 0)

    def test_statistics_of_one_service_are_reset_without_those_of_others(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        with pytest.raises(NotFoundError, match="nothing was counted for 'ssh'"):
            asyncio.run(desk.commands.reset_statistics(ROOT, service="ssh"))
        assert [row.service for row in asyncio.run(desk.commands.reset_statistics(ROOT, service="sip")).rows] == ["sip"]
        assert {row.service: row.attempts for row in asyncio.run(desk.commands.statistics(ROOT)).rows}["sip"] == 0
        resets = [entry for entry in desk.guard.ledger.audit_log() if entry.command == "stats reset"]
        assert [entry.arguments for entry in resets] == [{"service": "sip"}]

    def test_diag_tells_how_full_each_list_is(self, desk: Desk) -> None:
        desk.attack("192.0.2.7", 5)
        stores = {row.name: row for row in desk.commands.diag(ROOT).stores}
        bans = stores["bans"]
        assert (bans.capacity, bans.used, bans.free, bans.peak) == (1_000_000, 1, 999_999, 1)
        assert stores["tracked addresses"].used == 1 and desk.commands.diag(ROOT).entries == {"sip": 1}

    def test_every_command_that_changes_something_is_audited_with_its_author(self, desk: Desk) -> None:
        caller = Caller(user="anna", pid=77, ssh_client="198.51.100.9")
        desk.commands.ban(caller, target="192.0.2.7")
        desk.commands.unban(caller, target="192.0.2.7")
        desk.commands.allow(caller, target="192.0.2.7")
        desk.commands.disallow(caller, target="192.0.2.7")
        desk.commands.lock_down(caller, services=[], seconds=60)
        desk.commands.end_lockdown(caller)
        desk.commands.switch_service(caller, name="ssh", on=False)
        asyncio.run(desk.commands.reset_statistics(caller))
        log = [entry for entry in desk.guard.ledger.audit_log() if entry.author.endswith("anna")]
        assert len(log) == 8 and {entry.origin for entry in log} == {"pid 77, ssh from 198.51.100.9"}


class TestLockdown:
    def test_without_names_it_is_of_telephony_and_ends_by_itself(self, desk: Desk) -> None:
        row = desk.commands.lock_down(ROOT, services=[], seconds=60)
        assert row.on and row.services == ("sip", "iax") and not row.enforced
        desk.now += 61
        assert not desk.commands.lockdown(ROOT).on
        with pytest.raises(NotFoundError):
            desk.commands.end_lockdown(ROOT)

    def test_it_comes_into_force_even_when_it_can_not_be_warned_of(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that fills up at that moment keeps the warning back, not the emergency."""
        done: list[bool] = []

        def full(*_: object) -> None:
            raise LedgerError("disk full")

        def put_in_force(lockdown: object, now: float) -> str:
            done.append(lockdown is not None)
            return ""

        monkeypatch.setattr(desk.guard.barrier, "lockdown", put_in_force)
        monkeypatch.setattr(desk.guard.ledger, "note_conditions", full)
        desk.commands.lock_down(ROOT, services=[], seconds=60)
        desk.commands.end_lockdown(ROOT)
        assert done == [True, False]


class TestFaults:
    def test_lines_that_break_a_reader_are_told_and_the_guard_reads_on(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> object:
            raise ValueError("spring")

        with monkeypatch.context() as patch:
            patch.setattr(desk.guard.parser, "reader", broken)
            desk.attack("192.0.2.7", 5)
        said = desk.guard.watch.troubles()
        assert len(said) == 1 and str(desk.process.log) in said[0] and "5 lines from line 1" in said[0]
        desk.attack("192.0.2.8", 5)
        assert desk.targets() == {"192.0.2.8"}

    def test_what_the_ledger_did_not_take_is_committed_later_and_once(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> object:
            raise LedgerError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(desk.guard.ledger, "record", full)
            for _ in range(3):
                with pytest.raises(LedgerError):
                    desk.attack("192.0.2.7", 2)
        desk.attack("192.0.2.7", 1)
        assert desk.commands.attacks(ROOT).rows[0].attempts == 7
        assert desk.targets() == {"192.0.2.7"}
