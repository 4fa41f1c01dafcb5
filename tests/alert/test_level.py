"""An attack is told once when it begins and once when it is over; what is usual here is no attack."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.alert.level import END_MINUTES, Level, LevelState, usual_rate

START = 30_000_000
"""A minute."""


def run(minutes: Sequence[int], usual: float = 3, level: Level | None = None) -> list[tuple[int, str]]:
    """What is told after which minute, fed once a minute."""
    level = level or Level()
    told: list[tuple[int, str]] = []
    for number in range(1, len(minutes) + 1):
        change = level.feed((START + number) * 60 + 5, minutes[max(0, number - 30) : number], usual)
        if change:
            told.append((number, change))
    return told


def test_a_steady_rate_begins_it_after_three_minutes_and_quiet_ends_it() -> None:
    level = Level()
    assert run([2] * 20 + [30] * 40 + [2] * 20, level=level) == [(23, "began"), (69, "ended")]
    assert level.state.since == (START + 20) * 60


def test_a_burst_of_one_minute_far_above_begins_it_at_once() -> None:
    assert run([0] * 20 + [90] + [0] * 30) == [(21, "began"), (31, "ended")]


def test_what_is_just_below_is_no_attack() -> None:
    assert run([29] * 100) == []
    assert run([39] * 100, usual=5) == []
    assert run([40] * 5, usual=5) == [(3, "began")]


@given(st.integers(0, 10_000), st.floats(0, 500))
def test_a_constant_rate_never_flaps(rate: int, usual: float) -> None:
    assert len(run([rate] * 100, usual)) <= 1


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 15)), max_size=15), st.floats(0, 20))
def test_beginnings_and_ends_alternate_and_lie_apart(parts: list[tuple[int, int]], usual: float) -> None:
    told = run([rate for rate, length in parts for _ in range(length)], usual)
    assert [change for _, change in told] == ["began", "ended"] * (len(told) // 2) + ["began"] * (len(told) % 2)
    for (before, change), (after, _) in pairwise(told):
        assert after - before >= (END_MINUTES if change == "began" else 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=30, max_size=80), st.integers(1, 79))
def test_a_restart_changes_nothing(minutes: list[int], cut: int) -> None:
    """The state is a small value that survives JSON."""
    level, told = Level(), []
    for number in range(1, len(minutes) + 1):
        if number == cut:
            level = Level(msgspec.json.decode(msgspec.json.encode(level.state), type=LevelState))
        if change := level.feed((START + number) * 60, minutes[max(0, number - 30) : number], 3):
            told.append((number, change))
    assert told == run(minutes)


def test_feeding_more_often_or_after_a_pause_tells_nothing_twice() -> None:
    minutes = [50] * 60
    level = Level()
    told = [level.feed((START + number) * 60, minutes[: int(number)], 3) for number in (10, 10, 10.4, 20, 20.9, 45, 60)]
    assert told == ["began", *[None] * 6] and level.state.since == START * 60


def test_a_clock_set_back_ends_nothing() -> None:
    level = Level()
    run([100] * 20, level=level)
    since = level.state.since
    for minute in (5, 6):
        assert level.feed((START + minute) * 60, [0] * 10, 3) is None
        assert level.state.on and level.state.since == since


def hours(values: Iterable[int], end: int) -> dict[int, int]:
    counts = list(values)
    return {end - len(counts) + place: count for place, count in enumerate(counts) if count}


HOUR = START // 60
NOW = HOUR * 3600.0


def test_the_usual_is_not_moved_by_some_wild_hours() -> None:
    assert usual_rate(hours([60] * 148 + [90_000] * 20, HOUR), NOW) == 1.0


def test_hours_of_attacks_do_not_count() -> None:
    wild = hours([60] * 84 + [90_000] * 84, HOUR)
    assert usual_rate(wild, NOW) > 100
    assert usual_rate(wild, NOW, [(NOW - 84 * 3600, math.inf)]) == 1.0


def test_what_lasts_for_a_week_is_usual() -> None:
    assert usual_rate(hours([6000] * 168, HOUR), NOW, [(NOW - 160 * 3600, math.inf)]) == 100


def test_hours_without_attempts_count_but_not_the_time_before_the_first() -> None:
    assert usual_rate(hours([0] * 100 + [600] * 20, HOUR), NOW) == 10
    assert usual_rate({HOUR - 50: 600, HOUR - 1: 600}, NOW) == 0
    assert usual_rate({HOUR - 5000: 600}, NOW) == 0
    assert usual_rate({}, NOW) == 0
    assert usual_rate({HOUR: 5}, NOW) == 0


def test_a_slow_rise_over_weeks_is_no_attack() -> None:
    """Five times as many attempts every week, for four weeks, and never an attack."""
    counts: dict[int, int] = {}
    level, told = Level(), []
    for hour in range(28 * 24):
        rate = round(10 * 5 ** (hour / 168))
        usual = usual_rate(counts, (HOUR + hour) * 3600.0)
        for minute in range(0, 60, 7):
            change = level.feed((HOUR + hour) * 3600.0 + minute * 60, [rate] * 10, usual)
            told += [(hour, change)] if change else []
        counts[HOUR + hour] = rate * 60
    assert told == []


@pytest.mark.parametrize("per_minute", [[], [5], [1000]])
def test_a_ledger_that_is_minutes_old_is_no_trouble(per_minute: list[int]) -> None:
    assert Level().feed(NOW, per_minute, 0) == ("began" if per_minute == [1000] else None)
