"""Counting tells the same first ban as the detector, or says that it can't tell."""

from __future__ import annotations

import pytest
from brute_force import event, policy, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.detect import AllowList, Detector
from ringfence.detect.first import Attempts, First, Unclear
from ringfence.model import FOREVER, Event, Policy, Rule

KINDS = {1: ("password", True), 2: ("password", False), 3: ("probe", True), 4: ("probe", False)}
NUMBERS = {kind: number for number, kind in KINDS.items()}


def counted(policy: Policy, events: list[Event]) -> tuple[int, str] | None:
    """The place of the deciding attempt and the rule, by counting."""
    kinds = [NUMBERS[each.cause, each.proven] for each in events]
    attempts = Attempts([each.time for each in events], kinds, [each.account for each in events])
    found = First(policy.rules_for("ssh"), KINDS).ban(attempts)
    return found and (found[0], found[1].name)


def judged(policy: Policy, events: list[Event]) -> tuple[int, str] | None:
    """The same, by the detector."""
    detector = Detector(policy, AllowList(()))
    for place, each in enumerate(events):
        for verdict in detector.feed([each]):
            if "block" in verdict.actions:
                return place, verdict.rule
    return None


def several(least: int, most: int, **more: object) -> st.SearchStrategy[list[Rule]]:
    """Rules whose names are their places."""
    fields: dict[str, st.SearchStrategy[object]] = {
        "within": st.sampled_from([5.0, 10.0, 30.0, 60.0]),
        "ban": st.sampled_from([10.0, 20.0, 1000.0, FOREVER]),
        "actions": st.sampled_from([("block",), ("block",), ("block", "mail"), ("mail",), ()]),
        "scope": st.sampled_from(["service", "service", "service", "service", "all"]),
        **{name: value for name, value in more.items() if isinstance(value, st.SearchStrategy)},
    }
    made = st.builds(lambda **values: rule("", **values), **fields)
    return st.lists(made, min_size=least, max_size=most)


counting = several(
    1,
    4,
    failures=st.sampled_from([2, 3, 3, 3, 4, 5, 35]),
    count=st.sampled_from(["attempts", "accounts"]),
    causes=st.sampled_from([(), (), (), (), ("!probe",), ("probe",)]),
    proven=st.sampled_from([False, False, False, True]),
    enabled=st.sampled_from([True, True, True, False]),
)
repeating = several(0, 2, bans=st.integers(1, 2))


def tries(*gaps: float) -> st.SearchStrategy[list[tuple[float, str, str, bool]]]:
    """Attempts so many seconds after each other, to several accounts."""
    one = st.tuples(
        st.sampled_from(gaps),
        st.sampled_from(["root", "root", "anna", "anna", "bob", "eve", "ina", ""]),
        st.sampled_from(["password", "password", "password", "probe"]),
        st.sampled_from([True, True, True, False]),
    )
    return st.lists(one, min_size=3, max_size=80)


@settings(max_examples=500, deadline=None)
@given(
    counting,
    repeating,
    tries(0.0, 0.1, 0.5, 1.0) | tries(1.0, 2.0, 2.5, 5.0) | tries(3.0, 5.0, 10.0, 30.0),
    st.sampled_from([0.0, 1_800_000_000.123]),
)
def test_the_first_ban_is_the_detectors(
    some: list[Rule], others: list[Rule], attack: list[tuple[float, str, str, bool]], begin: float
) -> None:
    rules = [rule_named(each, f"rule{place}") for place, each in enumerate([*some, *others])]
    events, time = [], begin
    for gap, account, cause, proven in attack:
        time += gap
        events.append(event(time, account=account, cause=cause, proven=proven))
    expected = judged(policy(*rules), events)
    try:
        assert counted(policy(*rules), events) == expected
    except Unclear:
        assert len({each.scope for each in rules if each.enabled and "block" in each.actions}) == 2
        assert expected is not None


def rule_named(rule: Rule, name: str) -> Rule:
    return Rule(**{field: getattr(rule, field) for field in Rule.__struct_fields__ if field != "name"}, name=name)


@pytest.mark.parametrize(
    ("rules", "attack", "first"),
    [
        ([rule("a", 2, within=10)], [(0, "x"), (10, "x")], (1, "a")),
        ([rule("a", 2, within=10)], [(0, "x"), (10.5, "x")], None),
        ([rule("a", 2, within=10, count="accounts")], [(0, "x"), (10, "y")], (1, "a")),
        ([rule("a", 2, within=10, count="accounts")], [(0, "x"), (10.5, "y")], None),
        ([rule("a", 2, within=10, count="accounts")], [(0, "x"), (8, "x"), (15, "y")], (2, "a")),
        ([rule("a", 3, within=10, count="accounts")], [(0, "x"), (1, "y"), (2, "x"), (11.5, "z")], None),
        ([rule("a", 3, within=10, count="accounts")], [(0, "x"), (1, "y"), (2, "z")], (2, "a")),
        ([rule("a", 3, within=10, count="accounts")], [(0, "x"), (1, "y"), (2, ""), (3, "z")], (3, "a")),
        ([rule("long", 2, ban=60), rule("short", 2, ban=20)], [(0, "x"), (1, "x")], (1, "short")),
    ],
)
def test_each_boundary_is_where_the_detector_has_it(
    rules: list[Rule], attack: list[tuple[float, str]], first: tuple[int, str] | None
) -> None:
    events = [event(time, account=account) for time, account in attack]
    assert counted(policy(*rules), events) == judged(policy(*rules), events) == first


def test_attempts_that_came_late_are_left_to_the_detector() -> None:
    with pytest.raises(Unclear):
        counted(policy(rule("standard", 3)), [event(2.0), event(1.0)])


def test_a_ban_of_everything_beside_one_of_the_service_is_left_to_the_detector() -> None:
    """Only where both may be had: a rule that does not fire leaves it clear."""
    tries = [event(0.0), event(1.0)]
    assert counted(policy(rule("one", 2), rule("all", 3, scope="all")), tries) == (1, "one")
    with pytest.raises(Unclear):
        counted(policy(rule("one", 2), rule("all", 2, scope="all")), tries)
    with pytest.raises(Unclear):
        counted(policy(rule("one", 2), rule("again", bans=2, scope="all")), tries)


def test_both_policies_ask_and_each_gets_its_answer() -> None:
    tries = Attempts([0.0, 1.0, 2.0, 3.0], [1, 3, 1, 1], ["a", "a", "a", "b"])
    rules = [rule("few", 3), rule("few", 2, causes=("!probe",)), rule("names", 2, count="accounts"), rule("few", 3)]
    found = [First([each], KINDS).ban(tries) for each in rules]
    assert [each and each[0] for each in found] == [2, 2, 3, 2]
