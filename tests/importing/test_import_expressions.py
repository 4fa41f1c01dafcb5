"""A regular expression means after the translation what it meant before, or is refused with the reason."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.errors import CatalogueError
from ringfence.importing.expressions import CannotTake, fragments, translate
from ringfence.importing.samples import samples
from ringfence.parse.linear import Linear, Searched, compile_expression


def found(text: str, line: str) -> tuple[int, int] | None:
    """Where RE2 finds the translation of `text` in `line`."""
    match = compile_expression(translate(text).text).search(line.encode())
    return match.span() if match else None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"(?P<quote>[\"']).*(?P=quote) from <HOST>", "back reference"),
        (r"(?<!not )failed from <HOST>", "look-around"),
        (r"(?!x)\S+ from <HOST>", "look-around"),
        (r"(?=\S+ from)<HOST>", "look-around"),
        (r"(a)?b(?(1)c|d) <HOST>", "condition"),
        (r"(?>a+)b <HOST>", "atomic group"),
        (r"a++b <HOST>", "possessive"),
        (r"a{2000} <HOST>", "more than 1000 times"),
        (r"[\W_] <HOST>", r"\\W within"),
        (r"a<SKIPLINES>b <HOST>", "several lines"),
        (r"<HOST> and <ADDR>", "more than one address"),
        (r"<F-ID>\S+</F-ID> <HOST>", "bans by an id"),
        (r"(unclosed <HOST>", "no valid regular expression"),
        (r"*<HOST>", "no valid regular expression"),
        (r"x(?!.*y)", "no fixed text"),
    ],
)
def test_what_cannot_be_linear_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(CannotTake, match=reason):
        translate(text)


def test_an_expression_that_would_take_years_takes_no_time() -> None:
    """The classic: nested repeats, which Python's engine tries in every combination."""
    linear = Linear(Searched((translate(r"^\s*(x+x+)+y from <HOST>$").text,)))
    begun = time.perf_counter()
    assert linear.takes("Nov 21 20:34:50 " + "x" * 50_000 + " from 203.0.113.7") is None
    assert linear.takes("Nov 21 20:34:50 " + "x" * 50_000 + "y from 203.0.113.7") == "203.0.113.7"
    assert time.perf_counter() - begun < 5


PIECES = st.sampled_from(
    ["a", "b", "ab", r"\d", r"\w+", r"\s*", r"\S+", "[^a]", "[ab]{1,2}", "[]x]", r"[\s,]", "(?:a|ab)", "(?:b|)",
     "a*?", "a+?", ".*", ".?", r"\.", "a{,2}", "(?i:B)", "x|y", r"\b", "$", "^", r"\Z", "é", r"[\d-]", r"[^\S ]",
     "(?s:.)", "-", r"\W"]
)  # fmt: skip
LINES = st.text(st.sampled_from("aabbxy  .-,19éÉ\u00a0\u0661_]"), max_size=14)


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5), line=LINES)
def test_the_translation_finds_what_python_finds(pieces: list[str], line: str) -> None:
    """The same place, in text of any script; lines end in a line break, as fail2ban has them."""
    text, line = "".join(pieces), line + "\n"
    wanted = re.search(text, line)
    if r"\b" in text and not line.isascii():
        return  # word boundaries are those of ASCII, see docs/decisions/0009
    got = found(text, line)
    place = (len(line[: wanted.start()].encode()), len(line[: wanted.end()].encode())) if wanted else None
    assert got == place, translate(text).text


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3), line=st.text("abcd", max_size=10)
)
def test_a_look_ahead_at_the_end_is_taken_exactly(texts: list[str], line: str) -> None:
    line += "\n"
    for mark in ("=", "!"):
        text = f"^[a-d]{{0,3}}x?(?{mark}{'|'.join(texts)})"
        assert (found(text, line) is None) == (re.search(text, line) is None), text


def test_addresses_and_names_are_what_fail2bans_tags_say() -> None:
    expression = translate(r"^<F-USER>\S+</F-USER> <HOST> <F-PORT/>$")
    assert expression.text == r"^(?P<account>\S+) <HOST> (?P<port>\w+)$" and expression.has_address
    assert translate("^<HOST>$", usedns=False).text == "^<ADDR>$"
    assert not translate("^<F-USER>x</F-USER>").has_address
    assert translate("(?i)foo <HOST>").text == "(?i)foo <HOST>"
    assert translate("^(?:(?i)foo|bar) <HOST>").text == "^(?i:(?:foo|bar)) <HOST>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^Failed login for .* from <HOST>", ("Failed login for ",)),
        ("(?:wrong|bad) password: <HOST>", (" password: ",)),
        ("^(?:no such|unknown) user|x <HOST>", ()),
        (r"x\[\] authentication <HOST>", ("] authentication ",)),
        ("(?:denied!|refused) <HOST>", ("denied!", "refused")),
        ("(?i)login FAILED <HOST>", (" ",)),
        ("a(?:bcdef)? <HOST>", ("a",)),
    ],
)  # fmt: skip
def test_every_line_holds_one_of_the_fragments(text: str, expected: tuple[str, ...]) -> None:
    expression = translate(text)
    assert expected == () or fragments(expression) == expected
    for line in samples(expression):
        if re.search(text.replace("<HOST>", r"\S+"), line):
            assert any(piece in line for piece in fragments(expression)) or not fragments(expression)


def test_re2_says_what_it_can_not_do() -> None:
    for text in (r"(?=a)<HOST>", r"(a)\1 <HOST>", "a++ <HOST>", "(", "[a", r"[\W]"):
        with pytest.raises(CatalogueError):
            Linear(Searched((text,)))
