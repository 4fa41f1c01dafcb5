"""Text for people: nothing an attacker wrote can steer a terminal."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.render import duration, plural, safe, size


@given(st.text())
def test_no_control_format_or_bidi_character_ever_gets_through(text: str) -> None:
    shown = safe(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(), st.text())
def test_two_different_texts_never_look_the_same(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain user", "plain user"),
        ("müller", "müller"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("line\nfeed\r", "line\\x0afeed\\x0d"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("\x9b31m", "\\x9b31m"),
        ("back\\slash", "back\\\\slash"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_hidden_becomes_visible(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_long_text_is_cut_and_shows_it() -> None:
    assert safe("x" * 100, 10) == "x" * 9 + "…"
    assert len(safe("\x1b" * 10**6, 10)) == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (59.6, "1m"), (90, "1m 30s"), (7200, "2h"), (86400 * 365, "365d"), (100_000, "1d 3h"),
     (3601, "1h"), (math.inf, "forever"), (-90, "-1m 30s")],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_have_their_unit() -> None:
    assert (size(0), size(1500), size(250_000_000)) == ("0 B", "1.5 kB", "250 MB")
    assert (plural(1, "ban"), plural(1204, "ban"), plural(2, "entry", "entries")) == (
        "1 ban",
        "1,204 bans",
        "2 entries",
    )
