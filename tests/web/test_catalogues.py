"""The translations that there are: whole, with every value in its place, and compiled as they stand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from ringfence.translating import LOCALE, Words, languages, own_name

POT = LOCALE / "ringfence.pot"
SOURCES = LOCALE.parents[1]
TRANSLATED = [language for language in languages() if language != "en"]
VALUE = re.compile(r"%\((\w+)\)s")


def catalogue(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / "ringfence.po").open("rb") as file:
        return read_po(file, locale=language)


def messages(found: Catalog) -> Iterator[Message]:
    return (message for message in found if message.id)


def forms(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """A text; or the one for one thing, and those for several."""
    return (text,) if isinstance(text, str) else tuple(text or ())


def test_there_is_english_and_german() -> None:
    assert languages() == ("en", "de")
    assert [own_name(language) for language in languages()] == ["English", "Deutsch"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_no_other(language: str) -> None:
    with POT.open("rb") as file:
        wanted = {message.id for message in messages(read_po(file))}
    found = catalogue(language)
    assert {message.id for message in messages(found)} == wanted, "run `make messages` and translate what is new"
    empty = [message.id for message in messages(found) if not all(form.strip() for form in forms(message.string))]
    guessed = [message.id for message in messages(found) if message.fuzzy]
    assert (empty, guessed, list(found.obsolete)) == ([], [], [])


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_value_of_a_text_is_in_its_translation(language: str) -> None:
    """Of a text for one and for several, each form has the values of one of the two."""
    found = catalogue(language)
    for message in messages(found):
        originals = [sorted(VALUE.findall(form)) for form in forms(message.id)]
        translated = forms(message.string)
        assert len(translated) == (found.num_plurals if len(originals) == 2 else 1), message.id
        for form in translated:
            assert sorted(VALUE.findall(form)) in originals, message.id
            assert "%" not in VALUE.sub("", form) or "%" in VALUE.sub("", forms(message.id)[0]), message.id
            assert form == form.strip(), message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_is_compiled_is_what_stands_in_the_source(language: str) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(language))
    stored = (LOCALE / language / "LC_MESSAGES" / "ringfence.mo").read_bytes()
    assert compiled.getvalue() == stored, "run `make messages`"


def test_german_has_german_quotation_marks_and_one_word_for_each_thing() -> None:
    for message in messages(catalogue("de")):
        for form in forms(message.string):
            assert "”" not in form and form.count("„") == form.count("“"), form
            assert not re.search(r"\b(Whitelist|Log|Account|Ban|bannen|Policy|Lockdown)\b", form), form


def test_a_text_is_never_looked_up_by_another_name_than_underscore() -> None:
    """`visitor.words("…")` would work in English, and would never be found by who collects the texts."""
    for path in SOURCES.rglob("*.py"):
        assert not re.search(r"""\.words\(\s*f?["']""", path.read_text()), path


def test_numbers_and_lengths_of_time_are_written_as_is_usual() -> None:
    english, german = Words(), Words.of("de")
    assert [english.number(value) for value in (0, 0.34, 3, 1234, 9_600_000)] == ["0", "0.3", "3", "1,234", "9,600,000"]
    assert [german.number(value) for value in (0, 0.34, 3, 1234, 9_600_000)] == ["0", "0,3", "3", "1.234", "9.600.000"]
    assert (english.size(1_234_567), german.size(1_234_567)) == ("1.2 MB", "1,2 MB")
    told = [(90_061, "1d 1h", "1 d 1 h"), (130, "2m 10s", "2 min 10 s"), (0, "0s", "0 s"), (0.25, "250ms", "250 ms"),
            (float("inf"), "forever", "dauerhaft"), (-60, "-1m", "-1 min")]  # fmt: skip
    for seconds, short, long in told:
        assert english.duration(seconds) == short
        assert german.duration(seconds).replace("\u00a0", " ") == long


def test_a_sample_that_a_translator_spoilt_is_passed_over(tmp_path: Path) -> None:
    """Numbers are then written as in English, rather than with the translator's slip in them."""
    folder = tmp_path / "xx" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    found = Catalog(locale="eo")
    found.add("1,234.5", "viele")
    with (folder / "ringfence.mo").open("wb") as file:
        write_mo(file, found)
    assert Words.of("xx", locale=tmp_path).number(1234) == "1,234"
