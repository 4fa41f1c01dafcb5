"""A log that changes its form is noticed: by lines that sound like failed logins and that no pattern takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.parse.drift import BYTES_A_SECOND, LIFE, SHAPES_KEPT, Drift, shape_of, suspicious


def looked(*lines: str, taken: set[int] | None = None, now: float = 1.0) -> Drift:
    drift = Drift()
    drift.look("".join(f"{line}\n" for line in lines).encode(), 1, taken or set(), now)
    return drift


def test_lines_of_one_form_are_one_shape_without_digits_names_and_addresses() -> None:
    drift = looked(
        "Nov 21 20:34:50 pbx food[12]: login failed for bob from 203.0.113.7 port 5222",
        "2026-11-21T20:34:50.123+01:00 pbx food[99]: login failed for alice7 from 2001:db8::8 port 1",
        'Nov 21 20:34:50 pbx food[13]: login failed for "al ice" from ::ffff:203.0.113.9 port 3',
    )
    (shape,) = drift.known(1.0)
    assert shape.count == 3
    assert shape.text == "food[#]: login failed for … from <address> port #"


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("[2026-11-21 20:34:50] NOTICE[123] x.c: Failed for '<sip:bob@192.0.2.1>' at 10.0.0.1:5060",
         "[# #] NOTICE[#] x.c: Failed for … at <address>:#"),
        ("denied user=bob rhost=203.0.113.7", "denied user=… rhost=<address>"),
        ("denied from [2001:db8::1]:55 id 3af8c", "denied from [<address>]:# id #"),
    ],
)  # fmt: skip
def test_what_varies_is_blanked(line: str, shape: str) -> None:
    assert shape_of(line) == shape


@pytest.mark.parametrize(
    "line",
    [
        "Nov 21 20:34:50 pbx food[12]: login failed for bob",
        "Nov 21 20:34:50 pbx food[12]: session opened from 203.0.113.7",
        "Nov 21 20:34:50 pbx food[12]: version 1.2.3.4.5 failed",
        "Nov 21 20:34:50 pbx food[12]: failed at 20:34:50",
        "Nov 21 20:34:50 pbx food[12]: failed 999.1.1.1",
        '203.0.113.7 - - [21/Nov/2026:20:34:50 +0000] "GET /failed/authentication HTTP/1.1" 200 5 "-" "invalid"',
        "Nov 21 20:34:50 mx postfix/smtp[12]: connect to mx.example.org[203.0.113.7]:25: Connection refused",
        "Nov 21 20:34:50 mx postfix/smtp[12]: 4X: to=<a@example.org>, relay=mx[203.0.113.7]:25, status=bounced (host "
        "mx[203.0.113.7] said: 550 rejected)",
    ],
)
def test_a_line_without_a_telling_word_or_without_an_address_is_nothing(line: str) -> None:
    assert looked(line).known(1.0) == []


def test_lines_that_a_pattern_took_are_understood() -> None:
    line = "Nov 21 20:34:50 pbx food[12]: login failed for bob from 203.0.113.7"
    assert [shape.count for shape in looked(line, line, line, taken={1, 3}).known(1.0)] == [1]


def test_a_shape_is_forgotten_a_day_after_it_came_last() -> None:
    drift = looked("denied 203.0.113.7", now=100.0)
    assert drift.known(100.0 + LIFE) and not drift.known(100.0 + LIFE + 1)


def test_a_flood_is_looked_at_within_bounds() -> None:
    """However much comes in a second, and however many forms there are."""
    drift = Drift()
    assert drift.has_room(1.2)
    drift.look(b"x" * BYTES_A_SECOND, 1, set(), 1.2)
    assert not drift.has_room(1.9) and drift.has_room(2.0)
    words = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(SHAPES_KEPT * 2)]
    drift.look("".join(f"{word}: denied 203.0.113.7\n" for word in words).encode(), 1, set(), 2.0)
    assert len(drift.known(2.0)) == SHAPES_KEPT


@given(st.lists(st.binary(max_size=60), max_size=8), st.sets(st.integers(1, 8)))
def test_whatever_a_log_holds_each_telling_line_is_found_once(junk: list[bytes], taken: set[int]) -> None:
    lines = [bytes(part).replace(b"\n", b"") + b" DENIED failed 203.0.113.7 refused" for part in junk]
    found = suspicious(b"".join(line + b"\n" for line in lines), 1, taken)
    left = [line.decode("utf-8", "replace") for number, line in enumerate(lines, 1) if number not in taken]
    assert found == left
    for line in found:
        assert shape_of(line)
