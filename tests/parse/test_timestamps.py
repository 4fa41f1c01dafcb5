"""The time of a line is the time at which it was written, in whatever form a log writes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.parse.timestamps import REMEMBERED, Stamps

ROME = ZoneInfo("Europe/Rome")
MOMENT = datetime(2026, 11, 21, 20, 34, 50, tzinfo=UTC).timestamp()
NOW = MOMENT + 3600


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


def read(stamp: str, zone: object = UTC, reference: float = NOW, year: int | None = None) -> float | None:
    return Stamps(zone, reference, year).read(stamp)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("Nov 21 20:34:50", MOMENT),
        ("Nov 21 20:34:50.125", MOMENT + 0.125),
        ("Nov  1 20:34:50", at(2026, 11, 1, 20, 34, 50)),
        ("Sat Nov 21 20:34:50 2026", MOMENT),
        ("Sat Nov 21 20:34:50.125000 2026", MOMENT + 0.125),
        ("2026-11-21T20:34:50Z", MOMENT),
        ("2026-11-21 20:34:50", MOMENT),
        ("2026-11-21 20:34:50,125", MOMENT + 0.125),
        ("2026-11-21  8:34:50", at(2026, 11, 21, 8, 34, 50)),
        ("2026-11-21T20:34:50.125000+00:00", MOMENT + 0.125),
        ("2026-11-21T21:34:50+01:00", MOMENT),
        ("2026-11-21T21:34:50+0100", MOMENT),
        ("2026-11-21 21:34:50 +0100", MOMENT),
        ("21-Nov-2026 21:34:50 +0100", MOMENT),
        ("21-Nov-2026 20:34:50 UTC", MOMENT),
        ("21-Nov-2026 20:34:50.125", MOMENT + 0.125),
        ("2026-Nov-21 20:34:50", MOMENT),
        ("261121 20:34:50", MOMENT),
        ("261121  8:34:50", at(2026, 11, 21, 8, 34, 50)),
        ("2026-11-21T15:04:50.500-05:30", MOMENT + 0.5),
        ("2026/11/21 20:34:50", MOMENT),
        ("21/Nov/2026:20:34:50 +0000", MOMENT),
        ("21/Nov/2026:22:34:50 +0200", MOMENT),
        (str(int(MOMENT)), MOMENT),
        (f"{int(MOMENT)}.5", MOMENT + 0.5),
    ],
)
def test_every_form_is_read(stamp: str, time: float) -> None:
    assert read(stamp) == pytest.approx(time, abs=1e-6)


@pytest.mark.parametrize(
    "stamp",
    [
        "", "yesterday", "Feb 31 10:00:00", "Nov 21 25:00:00", "Nov 21 20:60:00", "Nov 21 20:34:61", "Foo 21 20:34:50",
        "2026-13-01 00:00:00", "2026-02-29 00:00:00", "0000-01-01 00:00:00", "2026-11-21T20:34:50+99:00",
        "31/Feb/2026:00:00:00 +0000", "Nov 21 20:34:50 and more", "12345", "2026-11-2120:34:50", "Nov 00 00:00:00",
        "31-Feb-2026 20:34:50", "2026-Foo-21 20:34:50",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(stamp: str) -> None:
    assert read(stamp) is None


class TestWithoutYear:
    def test_a_line_of_december_read_in_january_is_of_last_year(self) -> None:
        assert read("Dec 31 23:59:59", reference=at(2027, 1, 1, 0, 0, 5)) == at(2026, 12, 31, 23, 59, 59)

    def test_a_clock_slightly_ahead_at_new_year_is_of_the_year_that_begins(self) -> None:
        assert read("Jan  1 00:00:03", reference=at(2026, 12, 31, 23, 59, 58)) == at(2027, 1, 1, 0, 0, 3)

    def test_a_line_of_the_day_after_tomorrow_is_of_last_year(self) -> None:
        assert read("Nov 23 20:34:51", reference=MOMENT) == at(2025, 11, 23, 20, 34, 51)

    @pytest.mark.parametrize(("now", "leap"), [((2026, 11, 21), 2024), ((2028, 3, 1), 2028), ((2028, 2, 1), 2024)])
    def test_29_february_is_of_the_last_leap_year(self, now: tuple[int, int, int], leap: int) -> None:
        assert read("Feb 29 12:00:00", reference=at(*now)) == at(leap, 2, 29, 12)

    def test_29_february_is_found_across_a_century_without_leap_day(self) -> None:
        assert read("Feb 29 12:00:00", reference=at(2103, 6, 1)) == at(2096, 2, 29, 12)

    def test_a_year_that_is_given_overrules(self) -> None:
        assert read("Nov 21 20:34:50", year=2019) == at(2019, 11, 21, 20, 34, 50)
        assert read("Feb 29 12:00:00", year=2019) is None

    def test_as_live_lines_arrive_the_year_moves_on(self) -> None:
        stamps = Stamps(UTC, at(2026, 12, 31, 12))
        assert stamps.read("Jan  2 10:00:00") == at(2026, 1, 2, 10)
        stamps.refer_to(at(2027, 1, 2, 10))
        assert stamps.read("Jan  2 10:00:00") == at(2027, 1, 2, 10)


class TestZones:
    def test_summer_and_winter_time_hold_where_they_did(self) -> None:
        assert read("Jul  1 12:00:00", ROME) == at(2026, 7, 1, 10)
        assert read("Nov 21 12:00:00", ROME) == at(2026, 11, 21, 11)

    def test_a_zone_in_the_stamp_overrules_the_logs_own(self) -> None:
        assert read("2026-11-21T20:34:50Z", ROME) == MOMENT

    def test_the_year_is_decided_in_the_logs_zone(self) -> None:
        """In Rome it is 2027 already, in UTC not yet."""
        assert read("Jan  1 00:10:00", ROME, reference=at(2026, 12, 31, 23, 10, 1)) == at(2026, 12, 31, 23, 10)


def test_a_leap_second_counts_as_the_one_before() -> None:
    assert read("2016-12-31T23:59:60Z") == at(2016, 12, 31, 23, 59, 59)


def test_memory_is_bounded_however_many_stamps_come() -> None:
    stamps = Stamps(UTC, NOW)
    for second in range(3 * REMEMBERED):
        stamps.read(str(1_700_000_000 + second))
    assert len(stamps.known) <= REMEMBERED


seconds = st.integers(0, 86_400 * 363)
minutes = st.integers(-14 * 60, 14 * 60)


@given(seconds, st.integers(0, 999_999), minutes)
def test_iso_stamps_of_any_zone_come_back_as_they_were(back: int, micro: int, offset: int) -> None:
    moment = datetime.fromtimestamp(NOW - back, UTC) + timedelta(microseconds=micro)
    written = moment.astimezone(timezone(timedelta(minutes=offset))).isoformat(timespec="microseconds")
    assert read(written) == pytest.approx(moment.timestamp(), abs=1e-5)


@given(seconds, st.sampled_from(["UTC", "Europe/Rome", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"]))
def test_syslog_stamps_of_the_last_year_come_back_as_they_were(back: int, name: str) -> None:
    zone = ZoneInfo(name)
    local = datetime.fromtimestamp(int(NOW) - back, zone)
    if local.fold:
        return  # the hour that comes twice can't be told apart
    assert read(f"{local:%b} {local.day:2d} {local:%H:%M:%S}", zone) == local.timestamp()


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert read(text) is None or isinstance(read(text), float)
