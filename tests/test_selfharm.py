"""Nobody shuts themselves out by accident: a ban or a change of whitelist or policy that would is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.control import Caller
from ringfence.errors import RefusedError
from test_commands import ROOT, Desk

HERE = "198.51.100.5"
ANNA = Caller(user="anna@web", via="web", address=HERE)
STRICT = '[rules.standard]\nfailures = 3\nwithin = "1h"\nban = "2h"\n'
BY_NETWORK = STRICT + '[rules.crowd]\nfailures = 6\nwithin = "1h"\nban = "2h"\nper = "network"\n'


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    monkeypatch.setattr("ringfence.whitelist.administrators", lambda: frozenset())
    desk = Desk(tmp_path)
    yield desk
    desk.close()


class TestBans:
    @pytest.mark.parametrize("target", [HERE, "198.51.100.0/24", "0.0.0.0/0"])
    def test_the_address_the_page_is_looked_at_from_is_not_banned_unless_confirmed(
        self, desk: Desk, target: str
    ) -> None:
        with pytest.raises(RefusedError, match=r"where you are looking from\. Confirm it to ban it all the same"):
            desk.commands.ban(ANNA, target=target)
        assert desk.targets() == set()
        desk.commands.ban(ANNA, target=target, force=True)
        assert desk.targets() == {target}


class TestWhitelist:
    def test_the_entry_that_protects_the_reader_stays_unless_confirmed(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="198.51.100.0/24")
        with pytest.raises(RefusedError, match=r"198\.51\.100\.5 is on the whitelist .* would no longer be"):
            desk.commands.disallow(ANNA, target="198.51.100.0/24")
        assert len(desk.commands.whitelist(ROOT)) == 1
        desk.commands.disallow(ANNA, target="198.51.100.0/24", force=True)
        assert desk.commands.whitelist(ROOT) == []

    def test_an_entry_may_go_if_another_one_protects_as_well(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="198.51.100.0/24")
        desk.commands.allow(ROOT, target=HERE)
        desk.commands.disallow(ANNA, target=HERE)
        assert [row.target for row in desk.commands.whitelist(ROOT)] == ["198.51.100.0/24"]

    def test_entries_of_others_go_without_a_question(self, desk: Desk) -> None:
        desk.commands.allow(ROOT, target="203.0.113.9")
        desk.commands.disallow(ANNA, target="203.0.113.9")
        assert desk.commands.whitelist(ROOT) == []


class TestPolicy:
    def test_a_policy_that_would_ban_the_reader_for_what_is_recorded_is_refused_with_the_rule(self, desk: Desk) -> None:
        desk.attack(HERE, 4)
        with pytest.raises(RefusedError, match=r"rule standard \(3 attempts within 1h .*would be banned from sip"):
            desk.commands.apply_policy(ANNA, text=STRICT)
        assert desk.commands.policy(ROOT).revision == 1
        assert desk.commands.apply_policy(ANNA, text=STRICT, force=True).revision == 2

    def test_attempts_that_are_too_old_to_count_speak_against_nothing(self, desk: Desk) -> None:
        desk.attack(HERE, 4)
        desk.now += 4 * 3600
        assert desk.commands.apply_policy(ANNA, text=STRICT).revision == 2

    def test_neighbours_count_where_rules_count_by_network(self, desk: Desk) -> None:
        for address in ("198.51.100.7", "198.51.100.8", "198.51.100.9"):
            desk.attack(address, 2)
        with pytest.raises(RefusedError, match="rule crowd"):
            desk.commands.apply_policy(ANNA, text=BY_NETWORK)
        assert desk.commands.apply_policy(ANNA, text=STRICT).revision == 2

    def test_the_other_addresses_of_an_ipv6_prefix_count_as_the_readers_own(self, desk: Desk) -> None:
        desk.attack("[2001:db8:0:1::7]", 2)
        desk.attack("[2001:db8:0:1:8::9]", 2)
        caller = Caller(user="anna@web", via="web", address="2001:db8:0:1::1")
        with pytest.raises(RefusedError, match="rule standard"):
            desk.commands.apply_policy(caller, text=STRICT)

    def test_who_is_banned_already_or_would_be_by_the_old_policy_too_loses_nothing(self, desk: Desk) -> None:
        desk.attack(HERE, 5)
        assert desk.commands.apply_policy(ANNA, text=STRICT).revision == 2
        desk.commands.unban(ROOT, target=HERE)
        assert desk.commands.apply_policy(ANNA, text=STRICT + "# once more\n").revision == 3

    def test_a_policy_whose_whitelist_forgets_the_reader_is_refused(self, desk: Desk) -> None:
        listed = f'whitelist = ["{HERE}"]\n' + desk.process.policy.read_text()
        desk.commands.apply_policy(ANNA, text=listed)
        with pytest.raises(RefusedError, match="would no longer be"):
            desk.commands.apply_policy(ANNA, text=desk.process.policy.read_text())
        with pytest.raises(RefusedError, match="would no longer be"):
            desk.commands.rollback(ANNA, revision=1)
        assert desk.commands.rollback(ANNA, revision=1, force=True).revision == 3

    def test_a_service_is_not_switched_on_for_whom_that_bans(self, desk: Desk) -> None:
        off = STRICT + "[services.sip]\nenabled = false\n"
        desk.commands.apply_policy(ROOT, text=off)
        desk.attack(HERE, 6)
        with pytest.raises(RefusedError, match="rule standard"):
            desk.commands.switch_service(ANNA, name="sip", on=True)
        desk.commands.switch_service(ANNA, name="sip", on=True, force=True)
        assert desk.guard.policy.disabled == frozenset()

    def test_it_is_the_ssh_session_that_counts_on_the_command_line(self, desk: Desk) -> None:
        desk.attack(HERE, 4)
        with pytest.raises(RefusedError, match=r"where your own SSH session comes from\. Use --force"):
            desk.commands.apply_policy(Caller(user="root", ssh_client=HERE), text=STRICT)

    def test_a_flood_of_events_is_judged_only_as_far_as_it_is_quick(self, desk: Desk) -> None:
        """The newest two thousand events are looked at, and the answer is the same."""
        desk.commands.apply_policy(ROOT, text=STRICT.replace("failures = 3", "failures = 90000"))
        desk.attack(HERE, 3000)
        with pytest.raises(RefusedError, match="rule standard"):
            desk.commands.apply_policy(ANNA, text=STRICT)
