"""Exactness: the detector says what a brute-force model says, however events are ordered, cut or restored."""

from __future__ import annotations

from itertools import pairwise

from brute_force import BruteForce, TinyLedger, event, policy, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.detect import AllowList, Detector
from ringfence.model import FOREVER, Event, Policy, Rule, Verdict

SCOPES = st.sampled_from(["service", "all"])
ACTIONS = st.sampled_from([("block",), ("block", "mail"), ("mail",), ()])


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    return rule(
        name,
        draw(st.integers(1, 6)),
        within=draw(st.sampled_from([1.0, 5.0, 20.0, 100.0])),
        ban=draw(st.sampled_from([1.0, 5.0, 30.0, 200.0, FOREVER])),
        count=draw(st.sampled_from(["attempts", "accounts"])),
        causes=draw(st.sampled_from([(), (), ("password",), ("!password",)])),
        proven=draw(st.sampled_from([False, False, True])),
        actions=draw(ACTIONS),
        scope=draw(SCOPES),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    names = ["standard", "flood", "enumeration", "strict"][: draw(st.integers(1, 4))]
    chosen = [draw(rules(name)) for name in names]
    repeat = [
        rule(
            name, bans=draw(st.integers(1, 4)), within=draw(st.sampled_from([20.0, 500.0])), ban=ban, scope=draw(SCOPES)
        )
        for name, ban in (("repeat", FOREVER), ("often", 50.0))[: draw(st.integers(0, 2))]
    ]
    overrides = {"sip": (draw(rules("standard")), *repeat)} if draw(st.booleans()) else {}
    return policy(*chosen, *repeat, overrides=overrides)


PLAIN = policy(
    rule("standard", 4, within=20, ban=10),
    rule("flood", 12, within=10, ban=100),
    rule("enumeration", 3, within=20, ban=50, count="accounts"),
    rule("repeat", bans=3, within=300, ban=FOREVER),
)

MANY_ACCOUNTS = ["", "root", "admin", "100", "101", "102", "x" * 100, "x" * 101]


@st.composite
def histories(draw: st.DrawFn, size: int = 80, late: float = 0.0, accounts: int = 8) -> list[Event]:
    """Events of a few addresses, in the order of time but for steps back of at most `late` seconds."""
    time = 1_000.0
    events = []
    for _ in range(draw(st.integers(0, size))):
        time += draw(st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.0, 3.0, 7.0, 25.0]))
        step = draw(st.floats(0, late).map(lambda x: round(x, 1))) if late else 0.0
        events.append(
            event(
                time - step,
                draw(st.sampled_from(["192.0.2.1", "192.0.2.1", "192.0.2.2"])),
                draw(st.sampled_from(MANY_ACCOUNTS[:accounts])),
                service=draw(st.sampled_from(["ssh", "ssh", "sip"])),
                failed=draw(st.sampled_from([True, True, True, True, False])),
                cause=draw(st.sampled_from(["password", "unknown user"])),
                proven=draw(st.booleans()),
            )
        )
    return events


def detector(policy: Policy) -> Detector:
    return Detector(policy, AllowList([]))


@settings(max_examples=60, deadline=None)
@given(policies(), histories())
def test_the_verdicts_are_those_of_the_brute_force_model(policy: Policy, events: list[Event]) -> None:
    assert detector(policy).feed(events) == BruteForce(policy).feed(events)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([PLAIN]), histories(size=250, accounts=4))
def test_a_long_attack_is_judged_exactly_though_old_attempts_are_dropped(policy: Policy, events: list[Event]) -> None:
    assert detector(policy).feed(events) == BruteForce(policy).feed(events)


def test_one_account_tried_a_thousand_times_does_not_hide_the_others() -> None:
    only_accounts = policy(rule("enumeration", 6, within=600, count="accounts"))
    events = [event(i, account=name) for i, name in enumerate("abcde")]
    events += [event(10 + i / 4, account="a") for i in range(1_000)]
    judge = detector(only_accounts)
    assert judge.feed(events) == []
    assert judge.statistics().bytes < 10_000
    assert [(v.count, v.since) for v in judge.feed([event(300, account="f")])] == [(6, 1.0)]


@settings(max_examples=60, deadline=None)
@given(policies(), histories(size=30, late=40.0))
def test_attempts_out_of_order_are_counted_where_they_belong(policy: Policy, events: list[Event]) -> None:
    assert detector(policy).feed(events) == BruteForce(policy).feed(events)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from(MANY_ACCOUNTS)), max_size=30))
def test_attempts_in_any_order_at_all_are_counted_where_they_belong(moments: list[tuple[int, str]]) -> None:
    events = [event(1_000_000.0 * (time // 30) + time, account=account) for time, account in moments]
    assert detector(PLAIN).feed(events) == BruteForce(PLAIN).feed(events)


@settings(max_examples=60, deadline=None)
@given(policies(), histories(late=3.0), st.lists(st.integers(0, 80), max_size=6))
def test_it_does_not_matter_how_the_events_are_cut(policy: Policy, events: list[Event], cuts: list[int]) -> None:
    judge = detector(policy)
    bounds = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    pieces = [events[a:b] for a, b in pairwise(bounds)]
    assert [v for piece in pieces for v in judge.feed(piece)] == detector(policy).feed(events)


@settings(max_examples=60, deadline=None)
@given(histories(late=3.0), st.integers(0, 80))
def test_a_restart_changes_nothing(events: list[Event], cut: int) -> None:
    """Stopped anywhere and restored from the ledger, the guard goes on as if it had never stopped."""
    restarted_at(PLAIN, events, cut)


@settings(max_examples=60, deadline=None)
@given(policies(), histories(), st.integers(0, 80))
def test_a_restart_changes_nothing_under_any_policy(policy: Policy, events: list[Event], cut: int) -> None:
    restarted_at(policy, events, cut)


def restarted_at(policy: Policy, events: list[Event], cut: int) -> None:
    before = detector(policy)
    ledger = TinyLedger()
    for each in events[:cut]:
        ledger.record(before.feed([each]))
    after = detector(policy)
    after.restore_bans(ledger.bans)
    after.restore_events(events[:cut])
    expected: list[Verdict] = before.feed(events[cut:])
    assert after.feed(events[cut:]) == expected
