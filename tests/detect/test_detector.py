"""What an administrator gets from the rules, example by example."""

from __future__ import annotations

import pytest
from brute_force import event, policy, rule

from ringfence.detect import AllowList, Detector
from ringfence.model import EVERY, FOREVER, AllowEntry, Ban, Event, Limits, Policy, Verdict

THREE = policy(rule("standard", 3, within=60, ban=600))


def detector(
    policy: Policy = THREE, *allowed: AllowEntry, own: tuple[str, ...] = (), capacity: int = 1_000_000
) -> Detector:
    return Detector(policy, AllowList(allowed, own), capacity=capacity)


def attempts(number: int, address: str = "192.0.2.1", start: float = 0.0, **more: str) -> list[Event]:
    return [event(start + i, address, **more) for i in range(number)]  # type: ignore[arg-type]


def targets(verdicts: list[Verdict]) -> list[str]:
    return [verdict.target for verdict in verdicts]


def test_the_nth_attempt_bans_and_the_verdict_says_why() -> None:
    (verdict,) = detector().feed(attempts(3))
    assert verdict == Verdict(2.0, "standard", "ssh", "192.0.2.1", "192.0.2.1", 602.0, ("block",), "service", 3, 0.0)


@pytest.mark.parametrize(("gap", "bans"), [(58.0, 1), (58.5, 0)])
def test_the_window_reaches_exactly_as_far_back_as_the_rule_says(gap: float, bans: int) -> None:
    assert len(detector().feed([event(0), event(2), event(2 + gap)])) == bans


def test_an_attempt_fires_a_rule_once() -> None:
    judge = detector(policy(rule("standard", 3, within=60, ban=1)))
    times = [verdict.time for verdict in judge.feed(attempts(10))]
    assert times == [2.0, 5.0, 8.0]


def test_all_rules_count_the_same_attempts_and_the_longest_ban_comes_last() -> None:
    judge = detector(policy(rule("long", 3, ban=900), rule("forever", 3, ban=FOREVER), rule("short", 3, ban=60)))
    assert [verdict.rule for verdict in judge.feed(attempts(3))] == ["short", "long", "forever"]


def test_a_rule_never_shortens_a_ban_and_says_nothing_when_it_would_not_lengthen_it() -> None:
    judge = detector(policy(rule("short", 1, ban=10), rule("long", 2, ban=1000)))
    assert [verdict.rule for verdict in judge.feed(attempts(4))] == ["short", "short", "long", "long"]


def test_a_rule_without_block_is_told_each_time_and_bans_nobody() -> None:
    judge = detector(policy(rule("note", 2, actions=()), rule("repeat", bans=1, within=600, ban=FOREVER)))
    assert [(v.rule, v.actions) for v in judge.feed(attempts(4))] == [("note", ()), ("note", ())]


def test_services_are_counted_apart() -> None:
    assert detector().feed([event(0), event(1), event(2, service="sip")]) == []


def test_a_service_that_is_switched_off_is_not_judged() -> None:
    off = policy(rule("standard", 1), disabled=frozenset({"ftp"}))
    assert targets(detector(off).feed([event(0, service="ftp"), event(0, "192.0.2.2")])) == ["192.0.2.2"]


REPEAT = policy(rule("standard", 2, within=5, ban=10), rule("repeat", bans=3, within=1000, ban=FOREVER))


def test_the_third_ban_becomes_the_last_one() -> None:
    judge = detector(REPEAT)
    said = [judge.feed(attempts(2, start=start)) for start in (0, 100, 200)]
    assert [[v.rule for v in each] for each in said] == [["standard"], ["standard"], ["standard", "repeat"]]
    last = said[2][1]
    assert (last.until, last.count, last.since) == (FOREVER, 3, 1.0)


def test_lengthening_a_ban_is_not_another_ban() -> None:
    assert {v.rule for v in detector(REPEAT).feed(attempts(8))} == {"standard"}


def test_bans_too_long_ago_and_bans_by_hand_do_not_make_a_repeater() -> None:
    judge = detector(REPEAT)
    by_hand = [
        Ban(
            id=i,
            target="192.0.2.1",
            service="ssh",
            since=i * 20.0,
            until=i * 20.0 + 5,
            state="expired",
            author="user:eve",
        )
        for i in range(3)
    ]
    judge.restore_bans(by_hand)
    said = [v.rule for start in (100, 200, 1300) for v in judge.feed(attempts(2, start=start))]
    assert said == ["standard"] * 3


def test_bans_restored_from_the_ledger_make_a_repeater_and_run_on() -> None:
    judge = detector(REPEAT)
    old = [
        Ban(
            id=i,
            target="192.0.2.1",
            service="ssh",
            since=i * 100.0,
            until=i * 100.0 + 10,
            state="expired",
            author="rule:standard",
        )
        for i in (1, 2)
    ]
    running = Ban(id=9, target="192.0.2.9", service=EVERY, since=0, until=FOREVER, state="enforced", author="user:eve")
    judge.restore_bans([running, *old])
    assert [v.rule for v in judge.feed(attempts(2, start=300))] == ["standard", "repeat"]
    assert judge.feed(attempts(4, "192.0.2.9", start=300)) == []


def test_an_ipv6_attacker_is_counted_and_banned_with_its_prefix() -> None:
    said = detector().feed([event(i, f"2001:db8:0:1::{i + 1}") for i in range(3)])
    assert [(v.target, v.address) for v in said] == [("2001:db8:0:1::/64", "2001:db8:0:1::3")]
    wide = policy(rule("standard", 2), limits=Limits(ipv6_prefix=48))
    assert targets(detector(wide).feed([event(0, "2001:db8::1"), event(1, "2001:db8:0:1::1")])) == ["2001:db8::/48"]


def test_an_ipv6_prefix_with_a_whitelisted_address_is_not_banned_as_a_whole() -> None:
    judge = detector(THREE, AllowEntry(target="2001:db8::5"))
    events = [event(i, f"2001:db8::{i + 1}") for i in range(3)]
    assert targets(judge.feed(events)) == ["2001:db8::3"]


NETWORK = policy(rule("network", 4, per="network", ban=600))


def test_a_rule_by_network_counts_neighbours_together() -> None:
    assert targets(detector(NETWORK).feed([event(i, f"192.0.2.{i}") for i in range(4)])) == ["192.0.2.0/24"]
    events = [event(i, f"2001:db8::{i}") for i in range(4)]
    assert targets(detector(NETWORK).feed(events)) == ["2001:db8::/64"]


def test_a_network_with_a_whitelisted_address_in_it_is_not_banned_as_a_whole() -> None:
    judge = detector(NETWORK, AllowEntry(target="192.0.2.77", service="ssh"))
    events = [event(i, f"192.0.2.{i}") for i in range(3)]
    assert judge.feed([*events, event(3, "192.0.2.77"), event(3, "192.0.2.77")]) == []
    assert targets(judge.feed([event(4, "192.0.2.9")])) == ["192.0.2.9"]


def test_an_account_attacked_from_everywhere_bans_those_that_never_succeeded() -> None:
    judge = detector(policy(rule("account", 4, per="account", ban=600)))
    home = event(0, "198.51.100.1", "alice", failed=False)
    tries = [
        event(i, address, "alice")
        for i, address in enumerate(["198.51.100.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"], 1)
    ]
    nameless = [event(1, f"203.0.113.{i}", "") for i in range(9)]
    assert targets(judge.feed([home, *nameless, *tries])) == ["192.0.2.1", "192.0.2.2"]


def test_a_rule_may_leave_causes_out_and_another_count_just_those() -> None:
    """Three probes between the passwords neither help nor hinder the rule for passwords."""
    judge = detector(policy(rule("passwords", 3, causes=("!probe",)), rule("probing", 5, causes=("probe",))))
    tried = [event(float(at), cause="password" if at % 2 else "probe") for at in range(10)]
    assert [(verdict.rule, verdict.time) for verdict in judge.feed(tried)] == [("passwords", 5.0), ("probing", 8.0)]


def test_causes_and_proof_decide_what_a_rule_counts() -> None:
    picky = policy(rule("picky", 2, causes=("password",), proven=True))
    events = [event(0), event(1, cause="unknown user"), event(2, proven=False), event(3)]
    assert [v.time for v in detector(picky).feed(events)] == [3.0]


def test_nobody_whitelisted_is_banned_or_even_tracked() -> None:
    judge = detector(
        THREE,
        AllowEntry(target="192.0.2.0/28"),
        AllowEntry(target="sip.example.org", service="sip", addresses=("192.0.2.99",)),
        own=("203.0.113.7",),
    )
    for address in ("192.0.2.1", "203.0.113.7", "127.0.0.5", "::1"):
        assert judge.feed(attempts(5, address)) == []
    assert judge.feed(attempts(5, "192.0.2.99", service="sip")) == []
    assert judge.statistics().tracked == 0
    assert targets(judge.feed(attempts(3, "192.0.2.99"))) == ["192.0.2.99"]


def test_when_a_whitelist_entry_has_run_out_the_address_is_judged() -> None:
    judge = detector(THREE, AllowEntry(target="192.0.2.1", expires=100))
    said = judge.feed([event(time) for time in (98, 99, 99.5, 100, 101, 99.9, 102)])
    assert [(v.target, v.time, v.count) for v in said] == [("192.0.2.1", 102, 3)]


def test_a_new_whitelist_entry_wipes_what_was_counted() -> None:
    judge = detector()
    judge.feed([*attempts(2), *attempts(2, "198.51.100.1"), *attempts(2, "203.0.113.1")])
    judge.allow = AllowList([AllowEntry(target="192.0.2.1"), AllowEntry(target="198.51.100.0/24", expires=5)])
    assert judge.statistics().tracked == 1
    assert judge.feed([event(3), event(4), event(4.5)]) == []
    assert judge.feed(attempts(2, "198.51.100.1", start=6)) == []
    judge.allow = AllowList([])
    assert targets(judge.feed([event(10, "198.51.100.1"), event(10, "203.0.113.1")])) == ["198.51.100.1", "203.0.113.1"]


def test_an_entry_for_another_service_leaves_the_count_alone() -> None:
    judge = detector()
    judge.feed(attempts(2))
    judge.allow = AllowList([AllowEntry(target="192.0.2.1", service="sip")])
    assert targets(judge.feed([event(3)])) == ["192.0.2.1"]


def test_after_an_unban_counting_begins_anew() -> None:
    judge = detector(REPEAT)
    judge.feed(attempts(2) + attempts(3, start=100))
    judge.forget("192.0.2.1", "ssh")
    assert judge.feed([event(103)]) == []
    assert [v.rule for v in judge.feed([event(104)])] == ["standard"]


def test_an_unban_is_remembered_over_a_restart() -> None:
    judge = detector(REPEAT)
    judge.restore_bans(
        [
            Ban(
                id=1,
                target="192.0.2.1",
                service="ssh",
                since=1,
                until=FOREVER,
                state="lifted",
                author="rule:repeat",
                ended=50,
            )
        ]
    )
    judge.restore_events([event(49)])
    assert judge.feed([event(51)]) == []
    assert [v.time for v in judge.feed([event(52)])] == [52]


def test_unbanning_a_network_begins_anew_for_everyone_in_it() -> None:
    judge = detector(policy(rule("network", 4, per="network"), rule("standard", 3)))
    judge.feed([*attempts(2, "192.0.2.1"), *attempts(2, "192.0.2.2")])
    judge.forget("192.0.2.0/24", None)
    assert judge.feed([event(5, "192.0.2.1"), event(5, "192.0.2.2")]) == []


def test_a_changed_policy_keeps_what_was_counted_and_what_was_used() -> None:
    judge = detector(policy(rule("a", 3, within=60, ban=1), rule("b", 5, within=60, ban=700)))
    judge.feed(attempts(4))
    judge.change(
        policy(rule("new", 6, within=60, ban=90), rule("b", 6, within=60, ban=70), rule("a", 2, within=60, ban=1))
    )
    said = [[v.rule for v in judge.feed([event(4.5 + i / 2)])] for i in range(3)]
    assert said == [["a"], ["b", "new"], []]


def test_a_changed_policy_can_switch_a_service_off_and_on() -> None:
    judge = detector()
    judge.feed(attempts(2))
    judge.change(policy(*THREE.rules, disabled=frozenset({"ssh"})))
    assert judge.feed([event(2)]) == [] and judge.statistics().tracked == 0
    judge.change(THREE)
    assert len(judge.feed(attempts(3, start=3))) == 1


def test_what_is_no_address_is_never_banned() -> None:
    judge = detector(policy(rule("one", 1), rule("net", 1, per="network"), rule("account", 1, per="account")))
    assert judge.feed([event(0, text) for text in ("", "x", "1.2.3", "::g", "192.0.2.1 x", "192.0.2.300")]) == []


def test_memory_is_bounded_and_what_is_forgotten_is_counted() -> None:
    judge = detector(policy(rule("standard", 3, within=1e6)), capacity=100)
    for i in range(1000):
        judge.feed([event(i * 100.0, f"10.0.{i // 256}.{i % 256}")])
    found = judge.statistics()
    assert (found.tracked, found.peak, found.capacity, found.forgotten) == (100, 100, 100, 900)
    assert found.services == {"ssh": 100}
    assert judge.windows("10.0.3.231", 1e5)[0].counted == 1  # the newest are still there
    assert judge.windows("10.0.0.1", 1e5)[0].counted == 0


def test_what_no_longer_matters_goes_first_and_is_not_counted_as_lost() -> None:
    judge = detector(capacity=100)
    for i in range(1000):
        judge.feed([event(i * 10.0, f"10.0.{i // 256}.{i % 256}")])
    assert judge.statistics().forgotten == 0
    assert judge.statistics().tracked <= 100


def test_an_active_address_is_not_forgotten_for_those_that_came_after_it() -> None:
    judge = detector(policy(rule("standard", 300, within=1e6)), capacity=50)
    said = []
    for i in range(300):
        said += judge.feed([event(i * 100.0, "192.0.2.1"), event(i * 100.0, f"10.0.{i // 256}.{i % 256}")])
    assert targets(said) == ["192.0.2.1"]


def test_one_address_can_not_fill_the_memory() -> None:
    judge = detector(policy(rule("flood", 100, within=180), rule("enumeration", 1000, within=1e6, count="accounts")))
    judge.feed([event(i / 10, account=str(i % 7)) for i in range(50_000)])
    assert judge.statistics().bytes < 40_000


def test_explain_says_what_is_counted_and_what_is_lacking() -> None:
    judge = detector(
        policy(
            rule("standard", 3, within=60),
            rule("picky", 2, causes=("password",), within=60),
            rule("repeat", bans=2, within=600),
            disabled=frozenset({"ftp"}),
        )
    )
    judge.feed([event(0, cause="unknown user"), event(50, cause="unknown user")])
    views = {(view.service, view.rule): view for view in judge.windows("192.0.2.1", 55)}
    standard = views["ssh", "standard"]
    assert (standard.counted, standard.needed, standard.oldest, standard.newest, standard.fires) == (2, 3, 0, 50, True)
    picky = views["ssh", "picky"]
    assert (picky.counted, picky.uncounted, picky.fires) == (0, 2, False) and "password" in picky.why
    assert views["ssh", "repeat"].why == "0 of 2 bans in 600 s"
    assert views["ftp", "standard"].why == "ftp is switched off"
    assert [view.counted for view in judge.windows("192.0.2.1", 61) if view.service == "ssh"] == [1, 0, 0]
    judge.allow = AllowList([AllowEntry(target="192.0.2.0/24")])
    assert {v.why for v in judge.windows("192.0.2.1", 55)} >= {"192.0.2.1 is whitelisted by 192.0.2.0/24"}
    assert judge.windows("nonsense", 0) == []
