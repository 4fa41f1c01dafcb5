"""A warning in German: no English is left in it, and it fits where an English one does."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest

from alert_examples import TOLD, attack, digest, fired, many, one
from ringfence.alert.harmless import _GSM, _GSM_DOUBLE, columns, short_line
from ringfence.alert.kinds import KINDS
from ringfence.alert.message import Message
from ringfence.alert.wording import kind_title
from ringfence.model import Alert
from ringfence.translating import Words

ENGLISH = re.compile(
    r"\b(?:account|accounts|address|again|and|answer|attack|attempt|attempts|ban|banned|bans|before|by|cause|"
    r"change|day|ended|for|forever|from|full|good|hour|is|line|list|log|logged|more|newest|not|noticed|of|on|others|"
    r"over|password|policy|rule|service|services|silent|since|the|time|to|tried|until|usual|warning|warnings|week|"
    r"with|without|wrong)\b",
    re.IGNORECASE,
)
"""Words that English warnings are made of, and German ones are not."""


def english_in(text: str, facts: tuple[str, ...] = ()) -> list[str]:
    """The English words of `text` but for what others wrote."""
    for fact in facts:
        text = text.replace(fact, "")
    found: list[str] = ENGLISH.findall(text)
    return found


def shown(message: Message) -> str:
    """What one sees of the HTML."""
    body = re.sub(r"<(style|head)\b.*?</\1>", "", message.html, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def facts_of(alert: Alert) -> tuple[str, ...]:
    """What stands in a warning as others wrote it."""
    texts = [value for key, value in alert.facts.items() if isinstance(value, str) and key not in ("cause", "problem")]
    if alert.kind in ("enforcement", "canary", "delivery", "expiry"):
        texts.append(str(alert.facts.get("problem", "")))  # the words of the system, which stay
    return tuple(filter(None, (*texts, alert.subject)))


WARNINGS = [alert for alert, _ in TOLD]


@pytest.mark.parametrize("alert", WARNINGS, ids=[words[:50] for _, words in TOLD])
def test_a_mail_in_german_has_no_english_left(alert: Alert) -> None:
    mail, facts = one(alert, ("100", "101"), language="de"), facts_of(alert)
    assert mail.language == "de" and '<html lang="de"' in mail.html
    for text in (mail.subject, mail.text, shown(mail)):
        assert english_in(text, facts) == [], text
    assert max(map(columns, mail.text.splitlines())) <= 72


@pytest.mark.parametrize("alert", WARNINGS, ids=[words[:50] for _, words in TOLD])
def test_a_short_message_in_german_is_one_sms(alert: Alert) -> None:
    """160 characters of the alphabet of telephones: umlauts are in it, typographic quotation marks are not."""
    line = one(alert, ("100", "101"), "short", language="de").text
    assert sum(2 if letter in _GSM_DOUBLE else 1 for letter in line) <= 160
    assert set(line) <= _GSM | _GSM_DOUBLE and "?" not in line
    assert english_in(line, facts_of(alert)) == []


@pytest.mark.parametrize("make", [many, digest], ids=["many", "digest"])
def test_what_is_gathered_is_german_too(make: Callable[..., Message]) -> None:
    mail, short = make(language="de"), make(body="short", language="de").text
    for text in (mail.subject, mail.text, shown(mail), short):
        assert english_in(text) == [], text
    assert max(map(columns, mail.text.splitlines())) <= 72
    assert len(short) <= 160 and set(short) <= _GSM | _GSM_DOUBLE and "?" not in short


def test_a_summary_is_called_by_its_period() -> None:
    mail = digest(language="de")
    assert "Wochenbericht: 48.210 Versuche, 1.204 Angreifer, 312 Sperren" in mail.subject and "davor" in mail.text


def test_numbers_and_times_are_german() -> None:
    text = one(attack("ended"), language="de").text.replace("\u00a0", " ")
    assert "9.600 Versuche" in text and "nach 40 min" in text and "2026-02-03 05:04:06 CET" in text
    assert "10.000 × Regel ausgelöst" in many(language="de").subject  # noqa: RUF001
    assert re.search(r"Ursache +falsches Passwort", one(fired(), language="de").text)
    assert "für 365 d" in one(fired(), body="short", language="de").text  # plain spaces: telephones know no others


def test_what_the_guard_says_of_a_log_is_german() -> None:
    problem = "silent for 3h, never before for longer than 10m; is the server still writing there?"
    told = Alert(time=1.0, kind="source", subject="/l (silent)", phase="began", grave=True,
                 facts={"trouble": "silent", "problem": problem, "log": "/l"})  # fmt: skip
    mail = one(told, language="de")
    assert "Protokoll /l ist verstummt: stumm seit 3 h, nie zuvor länger als 10 min" in mail.subject.replace(
        "\u00a0", " "
    )
    assert "schreibt der Server noch dorthin?" in " ".join(mail.text.split())


def test_every_kind_has_a_german_name() -> None:
    german = Words.of("de")
    for kind in KINDS:
        assert kind_title(kind, german) and kind_title(kind, german) != kind_title(kind)


def test_typographic_quotation_marks_become_plain_ones_in_short_messages() -> None:
    assert short_line("„Müßig“ – 3 d") == '"Müßig" - 3 d'  # noqa: RUF001
