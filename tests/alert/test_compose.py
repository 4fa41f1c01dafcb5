"""Messages of warnings: complete in number, nothing to click but the page, and fit for 72 columns or one SMS."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_examples import HOSTILE, LINK, NOW, WHERE, attack, digest, fired, many, one, week
from ringfence.alert.compose import compose
from ringfence.alert.harmless import columns
from ringfence.alert.message import Message
from ringfence.model import Alert
from ringfence.render import HIDDEN

LIKE_LINKS = re.compile(
    r"[a-z][a-z0-9+.-]*://\S|\bwww\.\S|[\w-]\.[a-z]{2,}|[^\s\[]@[^\s\]]|\\\\\w|\b(?:mailto|tel|sips?|javascript|data|xmpp):\S"
    r"|[\w-][\u3002\uff0e\uff61]\w|\+\d+\b(?!%)",
    re.IGNORECASE,
)
"""What mail clients and chats make links or calls of, written down apart from the code that breaks it."""


class Seen(HTMLParser):
    """What a mail client would make of the HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += "" if tag in ("a", "b", "span", "strong") else "\n"
        self.attributes |= {name for name, _ in attrs}
        for name, value in attrs:
            (self.sources if name == "src" else self.links if name == "href" else set()).add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(name: str) -> list[Message]:
    """Every message with `name` wherever an attacker has a say."""
    ours: dict[str, Any] = {"cause": name, "detail": name}
    alert = fired(**ours)
    pair = [fired(number, **ours) for number in (1, 2)]
    numbers = week(accounts=((name, 5),), newest=(alert,))
    return [
        one(alert, (name, name)), one(alert, (name,), body="short"),
        one(Alert(id=3, time=NOW, kind="login", subject=name, facts={"address": name})),
        one(Alert(id=4, time=NOW, kind="canary", subject="", facts={"step": name, "problem": name})),
        compose(pair, total=2, counts={}, accounts={1: (name,), 2: (name, name)}, body="standard", **WHERE),
        digest(numbers), digest(numbers, body="short"),
    ]  # fmt: skip


def assert_harmless(message: Message) -> None:
    """Nothing hidden, nothing to click but the page, no element and no header that is not ours."""
    for text in (message.subject, message.text.replace("\n", "")):
        assert not [character for character in text if unicodedata.category(character) in HIDDEN]
    text = message.text.replace(LINK, "")
    assert not LIKE_LINKS.findall(message.subject) and not LIKE_LINKS.findall(text)
    if message.html:
        seen = Seen(message.html)
        assert seen.links == {LINK} and seen.sources <= {"cid:chart"}
        assert set(seen.tags) <= {
            "html", "head", "meta", "title", "body", "main", "p", "div", "h1", "h2", "table", "thead", "tbody", "tr",
            "th", "td", "span", "strong", "b", "br", "a", "img",
        }  # fmt: skip
        assert seen.attributes <= {
            "lang", "style", "charset", "name", "content", "href", "scope", "src", "alt", "width",
        }  # fmt: skip
        assert not LIKE_LINKS.findall(seen.text)
        assert not [each for each in seen.text.replace("\n", "") if unicodedata.category(each) in HIDDEN]
        assert "url(" not in message.html and "<style" not in message.html and "@import" not in message.html


@pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name[:20]) for name in HOSTILE])
def test_what_an_attacker_writes_stays_text(name: str) -> None:
    for message in hostile(name):
        assert_harmless(message)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab.:/@\\+1w <>&\"'\n\u202e\u3002漢-_()[]") | st.characters(), max_size=60))
def test_whatever_an_attacker_writes_stays_text(name: str) -> None:
    for message in hostile(name):
        assert_harmless(message)


@pytest.mark.parametrize("name", ["100", *HOSTILE], ids=lambda name: ascii(name[:20]))
def test_a_plain_mail_is_72_columns_wide_at_most(name: str) -> None:
    for message in hostile(name):
        if message.html:
            wide = [line for line in message.text.splitlines() if columns(line) > 72 and line != LINK]
            assert wide == []
            assert message.text.endswith("\n") and not [x for x in message.text.splitlines() if x != x.rstrip()]


def test_one_warning_is_told_with_all_that_is_known() -> None:
    message = one(fired(), ("100", "101"))
    assert message.subject == "[ringfence pbx1] 203.0.113.1 banned from sip"
    assert message.text == (
        "203.0.113.1 banned from sip for 365d: rule flood, 100 attempts in 2m 10s\n"
        "\n"
        "  Service         sip\n"
        "  Address         203.0.113.1\n"
        "  Accounts tried  100, 101\n"
        "  Rule            flood\n"
        "  Counted         100 attempts in 2m 10s\n"
        "  Cause           wrong password\n"
        "  Detail          sip[:]100[@]192.0.2.7\n"
        "  What was done   banned from sip\n"
        "  Time            2026-02-03 05:04:05 CET, 2026-02-03T04:04:05Z\n"
        "  Since           2026-02-03 05:01:55 CET, 2026-02-03T04:01:55Z\n"
        "  Until           2027-02-03 05:04:05 CET, 2027-02-03T04:04:05Z (365d)\n"
        "\n"
        "Ringfence on pbx1\n"
        "https://pbx1.example.org:8443/\n"
    )
    told = Seen(message.html).text
    for line in message.text.splitlines()[2:13]:
        assert line[18:] in told
    assert not message.grave and message.language == "en"


def test_ten_thousand_warnings_are_told_completely_in_number() -> None:
    message = many(suppressed=3)
    assert message.subject == "[ringfence pbx1] 10,000 × rule fired: sip, ssh"  # noqa: RUF001
    assert "  9,200  by flood on sip\n    800  by standard on ssh\n" in message.text
    assert "The newest 200 of 10,000:" in message.text and "3 more were not to be told." in message.text
    assert message.text.count("banned from sip") == 200
    told = Seen(message.html).text
    assert "9,200" in told and "by flood on sip" in told and told.count("banned from sip") == 200
    assert "3 more were not to be told." in told
    assert len(message.html.encode()) < 102_000, "Gmail cuts what is larger"


def test_what_the_counts_leave_out_is_told_as_others() -> None:
    alerts = [fired(number) for number in range(1, 4)]
    counts = {(f"rule{number}", "sip"): 100 - number for number in range(40)}
    message = compose(alerts, total=5000, counts=counts, accounts={}, body="standard", **WHERE)
    sums = [int(found.replace(",", "")) for found in re.findall(r"^  +([\d,]+)  \S", message.text, re.MULTILINE)]
    assert len(sums) == 26 and sum(sums) == 5000


def test_without_counts_those_that_are_there_are_counted() -> None:
    alerts = [fired(1), fired(2), fired(3, service="ssh", rule="standard")]
    message = compose(alerts, total=3, counts={}, accounts={}, body="short", **WHERE)
    assert message.text == "ringfence pbx1: 3 x rule fired: 2 by flood on sip, 1 by standard on ssh"


def test_a_short_message_is_one_line_with_the_number_first() -> None:
    message = many("short")
    assert message.text == "ringfence pbx1: 10,000 x rule fired: 9,200 by flood on sip, 800 by standard on ssh"
    assert message.html == "" and message.subject.startswith("[ringfence pbx1] 10,000")
    long = one(Alert(time=NOW, kind="enforcement", subject="", facts={"problem": "x y" * 500}), body="short").text
    assert len(long) <= 160 and long.startswith("ringfence pbx1: Bans are not in force: x yx")


def test_grave_is_what_one_of_them_is_and_it_is_said() -> None:
    assert one(attack()).grave and "Grave warning" in one(attack()).html
    ended = one(attack("ended"))
    assert "All well again" in ended.html and "Grave" not in ended.html
    assert not one(fired()).grave


def test_programs_get_the_facts_as_they_were_with_times_in_iso() -> None:
    alert = fired(detail="http://evil.example/\x1b", until=None, odd=float("nan"), half="\ud800")
    facts = one(alert, ("a\nb",)).facts
    again = msgspec.json.decode(msgspec.json.encode(facts))
    assert again == facts
    assert {key: facts[key] for key in ("version", "host", "kind", "total", "suppressed")} == {
        "version": 1, "host": "pbx1", "kind": "rule", "total": 1, "suppressed": 0,
    }  # fmt: skip
    told = facts["warnings"][0]
    assert told["time"] == "2026-02-03T04:04:05Z" and told["accounts"] == ["a\nb"]
    assert told["facts"]["since"] == "2026-02-03T04:01:55Z" and told["facts"]["until"] is None
    assert told["facts"]["detail"] == "http://evil.example/\x1b" and told["facts"]["odd"] is None
    assert many().facts["total"] == 10_000 and len(many().facts["warnings"]) == 200
    assert many().facts["counts"][0] == {"rule": "flood", "service": "sip", "count": 9200}


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", 'https://x/"onclick="', "ftp://x/", "https://a b/"])
def test_a_link_that_is_none_of_the_web_is_left_out(link: str) -> None:
    message = one(fired(), link=link)
    assert Seen(message.html).links == set() and "://" not in message.text


def test_the_document_says_its_language_and_that_it_knows_light_and_dark() -> None:
    html = one(fired(), language="pt_BR").html
    assert html.lstrip().startswith("<!doctype html>")
    assert '<html lang="pt-BR"' in html and 'name="color-scheme" content="light dark"' in html
    assert 'name="viewport"' in html and 'content="telephone=no' in html
    assert html.count("<h1") == 1 and '<th scope="row"' in html


def test_a_host_with_a_strange_name_begins_no_header() -> None:
    message = one(fired(), host="pbx\r\nBcc: x")
    assert message.subject == "[ringfence pbx\\x0d\\x0aBcc: x] 203.0.113.1 banned from sip"
