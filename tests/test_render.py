"""Text for people: nothing an attacker wrote can steer a terminal."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ringfence.model import FOREVER, Rule
from ringfence.render import ban_length, duration, plural, rule_in_brief, rule_numbers, safe, size


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


STANDARD = Rule(name="standard", failures=10, within=600, ban=5400)


@pytest.mark.parametrize(
    ("rule", "numbers", "brief", "briefer"),
    [
        (STANDARD, "10/10m→1h30m", "10 attempts in 10m → ban 1h30m", "10 in 10m → 1h30m"),
        (
            structs.replace(STANDARD, count="accounts", per="network", ban=FOREVER),
            "10 accounts/10m per network→forever",
            "10 accounts in 10m per network → ban forever",
            "10 in 10m per network → forever",
        ),
        (
            structs.replace(STANDARD, failures=None, bans=3, within=604800, scope="all"),
            "3 bans/7d→1h30m from all services",
            "3 bans in 7d → ban 1h30m from all services",
            "3 in 7d → 1h30m from all services",
        ),
        (structs.replace(STANDARD, actions=()), "10/10m→record only", "10 attempts in 10m → record only", None),
        (structs.replace(STANDARD, actions=("mail",)), "10/10m→mail", "10 attempts in 10m → mail", None),
        (
            structs.replace(STANDARD, proven=True, enabled=False),
            "10/10m→1h30m (off)",
            "10 attempts with a proven address in 10m → ban 1h30m (switched off)",
            None,
        ),
    ],
)
def test_a_rule_is_said_in_short(rule: Rule, numbers: str, brief: str, briefer: str | None) -> None:
    assert (rule_numbers(rule), rule_in_brief(rule)) == (numbers, brief)
    assert briefer is None or rule_in_brief(rule, what=False) == briefer


def test_a_ban_is_for_some_time_or_for_good() -> None:
    assert (ban_length(3600), ban_length(FOREVER)) == ("for 1h", "for good")
