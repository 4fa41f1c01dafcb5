"""What a warning says, with every fact and with none; what others wrote steers, hides and links nothing."""

from __future__ import annotations

import unicodedata
from gettext import NullTranslations
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_examples import HOSTILE, NOW, TOLD, alert, fired
from ringfence.alert.details import lines
from ringfence.alert.harmless import columns, harmless, short_line, wrapped
from ringfence.alert.kinds import KINDS
from ringfence.alert.wording import LONGEST_TITLE, accounts_text, headline, kind_title, title
from ringfence.model import Alert, Phase
from ringfence.render import HIDDEN
from ringfence.translating import Words


@pytest.mark.parametrize(("told", "words"), TOLD, ids=[words[:60] for _, words in TOLD])
def test_a_warning_is_told_in_one_line(told: Alert, words: str) -> None:
    assert title(told) == words
    assert words.startswith(headline(told))


def test_every_kind_has_its_own_title() -> None:
    assert {name: kind_title(name) for name in KINDS} == {name: kind.title for name, kind in KINDS.items()}
    assert {told.kind for told, _ in TOLD} == set(KINDS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5,
)  # fmt: skip


@given(
    st.sampled_from([*KINDS, "unheard of"]), st.sampled_from(["", "began", "ended"]),
    st.sampled_from(HOSTILE) | st.text(), st.data(),
)  # fmt: skip
def test_whatever_the_facts_are_a_warning_is_told(kind: str, phase: str, subject: str, data: st.DataObject) -> None:
    """Old rows, missing facts and nonsense raise nothing, and nothing that steers or hides gets through."""
    keys = list(KINDS[kind].facts) if kind in KINDS else ["x"]
    facts = data.draw(st.dictionaries(st.sampled_from(keys or ["x"]), JSON))
    told = Alert(time=NOW, kind=kind, subject=subject, phase=cast(Phase, phase), facts=facts, service="sip")
    texts = [title(told), headline(told), *(text for _, text in lines(told, HOSTILE))]
    assert 0 < len(title(told)) <= LONGEST_TITLE
    for text in texts:
        assert not [one for one in text.replace("\n", "") if unicodedata.category(one) in HIDDEN]
    assert "\n" not in title(told) + headline(told)


def test_a_warning_without_facts_or_subject_says_what_it_can() -> None:
    assert title(alert("rule")) == "? noticed on ?"
    assert title(alert("source")) == "Log ? is in trouble"
    assert title(alert("new kind", "about")) == "new kind: about"
    assert [label for label, _ in lines(alert("rule"))] == ["Time"]


def test_details_name_times_in_the_readers_zone_and_in_utc() -> None:
    found = dict(lines(fired(), ("100", "101"), Words(zone=ZoneInfo("Asia/Kolkata"))))
    assert found["Time"] == "2026-02-03 09:34:05 IST, 2026-02-03T04:04:05Z"
    assert found["Until"] == "2027-02-03 09:34:05 IST, 2027-02-03T04:04:05Z (365d)"
    assert found["Accounts tried"] == "100, 101"
    assert (found["Service"], found["Rule"], found["Cause"]) == ("sip", "flood", "wrong password")
    assert found["What was done"] == "banned from sip"
    assert dict(lines(fired()))["Time"] == "2026-02-03 04:04:05 UTC"


def test_details_of_a_ban_that_was_not_made_promise_no_end() -> None:
    for done in ("mail", "past", "full"):
        found = dict(lines(fired(done=done)))
        assert "Until" not in found and found["What was done"].startswith("nothing: ")


def test_details_of_a_policy_show_its_changes_line_by_line() -> None:
    told = alert("policy", revision=3, changes=["-  failures = 5", "+  failures = 3\x1b[2J"], more=7)
    assert dict(lines(told))["Changes"] == "-  failures = 5\n+  failures = 3\\x1b[2J\nand 7 more lines"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("http://evil.example/x?y", "http[:]//evil[.]example/x?y"),
        ("boss@evil.example", "boss[@]evil[.]example"),
        ("sip:100@192.0.2.7:5060", "sip[:]100[@]192.0.2.7:5060"),
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::a:1", "2001:db8::a:1"),
        ("fe80::abcd:1/64", "fe80::abcd:1/64"),
        ("dead:beef", "dead[:]beef"),
        ("\\\\evil\\share", "[\\][\\]evil[\\]share"),
        ("tel:+44123", "tel[:][+]44123"),
        ("end. Of sentence: fine", "end. Of sentence: fine"),
        ("evil\uff0eexample", "evil[.]example"),
        ("\x1b[1m", "\\x1b[1m"),
    ],
)
def test_what_would_become_a_link_is_broken_visibly(written: str, shown: str) -> None:
    assert harmless(written) == shown


def test_accents_do_not_paint_over_other_lines() -> None:
    assert harmless("a" + "\u0301" * 50).count("\u0301") == 2
    assert harmless("e\u0301a\u0301") == "e\u0301a\u0301"


def test_a_name_that_looks_like_several_is_quoted() -> None:
    assert accounts_text(["100", "a, b", 'c"d', "e f"]) == '100, "a, b", "c\\"d", "e f"'
    assert accounts_text([str(n) for n in range(40)], most=3) == "0, 1, 2 and 37 more"


@given(st.text(), st.integers(20, 80))
def test_lines_are_never_wider_than_they_may_be_and_lose_nothing(text: str, width: int) -> None:
    found = wrapped(harmless(text, 500), first="  label  ", rest="    ", width=width)
    assert all(columns(line) <= width for line in found)
    whole = "".join(found).replace(" ", "").removeprefix("label")
    assert whole == "".join(harmless(text, 500).split())


def test_a_short_message_has_the_letters_that_telephones_have() -> None:
    assert short_line("Überfall × 3 – “née” Ł…") == 'Überfall x 3 - "née" L...'  # noqa: RUF001
    assert short_line("漢字 ok") == "?? ok"
    assert short_line("a" * 161) == "a" * 157 + "..."
    assert len(short_line("[" * 200)) <= 80 + 3


def test_a_translation_is_used_and_its_slips_do_no_harm() -> None:
    class German(NullTranslations):
        def gettext(self, message: str) -> str:
            return {
                "%(address)s banned from %(service)s": "%(address)s von %(service)s ausgesperrt",
                "rule %(rule)s": "Regel %(regel)s",
            }.get(message, message)

        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return "%(count)s Versuche" if msgid2 == "%(count)s attempts" else msgid2

    words = Words(German(), language="de")
    assert title(fired(), words) == "203.0.113.1 von sip ausgesperrt for 365d: rule flood, 100 Versuche in 2m 10s"
