"""What a mail looks like: complete, readable everywhere, and closed to whatever an attacker wrote."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from alert_sending import HOST, MESSAGE, NOW, RECIPIENT, SENDER
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from ringfence.alert.declared import mailbox
from ringfence.alert.host import chosen_host
from ringfence.alert.kinds import KINDS
from ringfence.alert.message import Message, Picture
from ringfence.alert.mime import addressed, build, sender_of, subject_line, to_bytes

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Ringfence",
    "Content-Language", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
]  # fmt: skip


def read(message: Message, sender: str = SENDER, recipient: str = RECIPIENT) -> EmailMessage:
    """What a recipient's program makes of it."""
    data = to_bytes(build(message, sender, recipient, message_id="<1@gate>", now=NOW, host=HOST))
    assert data.isascii() and max(map(len, data.split(b"\r\n"))) <= 998
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    found = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(found, EmailMessage) and not found.defects
    return found


def content(part: object) -> str:
    assert isinstance(part, EmailMessage)
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def test_a_mail_says_who_sends_it_to_whom_when_and_that_a_program_did() -> None:
    mail = read(MESSAGE)
    assert mail["From"] == f'"Ringfence {HOST}" <ringfence@{HOST}>'
    assert (mail["To"], mail["Subject"], mail["Message-ID"]) == (RECIPIENT, MESSAGE.subject, "<1@gate>")
    assert parsedate_to_datetime(mail["Date"]).timestamp() == int(NOW)
    assert (mail["Auto-Submitted"], mail["X-Ringfence"]) == ("auto-generated", "rule")
    assert sorted(mail.keys()) == sorted(HEADERS)


def test_the_grave_is_marked_as_important_and_only_the_grave() -> None:
    grave = read(structs.replace(MESSAGE, grave=True))
    assert (grave["Importance"], grave["X-Priority"]) == ("high", "1")
    assert read(MESSAGE)["Importance"] is None


def test_short_mail_is_plain_text_alone() -> None:
    picture = Picture(name="chart", data=PNG, text="a chart")
    mail = read(Message(subject="s", text="one line", pictures=(picture,)))
    assert mail.get_content_type() == "text/plain" and content(mail) == "one line\n"


def test_html_is_the_alternative_and_shows_its_pictures_from_within() -> None:
    picture = Picture(name="chart", data=PNG, text="a chart")
    html = '<!doctype html><html><body><p>Grüße</p><img src="cid:chart" alt="a chart"></body></html>'
    mail = read(structs.replace(MESSAGE, html=html, pictures=(picture,)))
    assert mail.get_content_type() == "multipart/alternative"
    plain, related = mail.iter_parts()
    assert content(plain) == MESSAGE.text and related.get_content_type() == "multipart/related"
    shown, image = related.iter_parts()
    assert content(shown).strip() == html
    assert (image.get_content_type(), image["Content-ID"]) == ("image/png", "<chart>")
    assert isinstance(image, EmailMessage) and image.get_content() == PNG
    assert image.get_content_disposition() == "inline"


def test_html_without_pictures_needs_no_envelope_of_its_own() -> None:
    mail = read(structs.replace(MESSAGE, html="<p>x</p>"))
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


def test_our_own_warnings_can_be_recognised_whatever_they_tell() -> None:
    for kind in KINDS:
        assert read(structs.replace(MESSAGE, facts={"kind": kind}))["X-Ringfence"] == kind
    for odd in ({}, {"kind": "x\r\nBcc: all@example.org"}, {"kind": ["rule"]}):
        assert read(structs.replace(MESSAGE, facts=odd))["X-Ringfence"] == "warning"


LINE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=72)


@settings(deadline=None)
@given(st.lists(LINE, min_size=1, max_size=8))
def test_lines_of_72_characters_arrive_as_they_are(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = content(read(structs.replace(MESSAGE, text=text)))
    assert found.removesuffix("\n").split("\n") == text.removesuffix("\n").split("\n")


ANYTHING = st.text(st.characters() | st.sampled_from("\r\n\0\x0b\x0c\x1b\x85\u2028\u2029\u202e\u2066:,;<>@\"'=?"))
EVIL = st.builds(
    lambda before, end, header, after: f"{before}{end}{header}{after}",
    ANYTHING, st.sampled_from(["\r\n", "\n", "\r", "\r\n ", "\n\n", "\x85", "\u2028", "\0", "=?utf-8?q?=0ABcc:_a?="]),
    st.sampled_from(["Bcc: all@example.org", "Content-Type: text/html", "\r\n<h1>", "Subject: other"]), ANYTHING,
)  # fmt: skip


@settings(deadline=None)
@given(ANYTHING | EVIL)
@example("=?utf-8?q?=0ABcc:_all=40example.org?=")
@example("x =?us-ascii?b?CkJjYzogYQ==?= y")
@example("==??utf-8?q?=0ABcc:_a?=")
def test_no_subject_begins_a_header_hides_text_or_turns_it(subject: str) -> None:
    mail = read(structs.replace(MESSAGE, subject=subject))
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert content(mail) == MESSAGE.text
    shown = str(mail["Subject"])
    assert len(subject_line(subject)) <= 160 and subject_line(subject).isprintable()
    assert not set(shown) & set("\r\n\0\x1b\x85\u2028\u2029\u202e\u2066")


@settings(deadline=None)
@given(ANYTHING | EVIL)
def test_no_text_begins_a_header_or_carries_controls(text: str) -> None:
    mail = read(structs.replace(MESSAGE, text=text, html=f"<pre>{text}</pre>"))
    assert sorted(mail.keys()) == sorted(set(HEADERS) - {"Content-Transfer-Encoding"})
    for part in mail.iter_parts():
        assert not set(content(part)) & set("\r\0\x1b\x85\u2028\u2029")


def permitted(address: str) -> bool:
    try:
        mailbox().parse(address)
    except ValueError:
        return False
    return True


@settings(deadline=None)
@given(st.from_regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(@([A-Za-z0-9-]+\.){0,2}[A-Za-z0-9-]+)?", fullmatch=True))
def test_every_address_that_the_settings_permit_arrives_as_one_address(address: str) -> None:
    assume(permitted(address))
    mail = read(MESSAGE, sender=sender_of(address, HOST), recipient=address)
    for header in ("From", "To"):
        (found,) = mail[header].addresses
        assert (found.username, found.domain) == (address.split("@")[0], [*address.split("@"), HOST][1])
    assert sorted(mail.keys()) == sorted(HEADERS)


@settings(deadline=None)
@given(ANYTHING | EVIL)
def test_what_is_no_address_is_none_in_the_settings_either(text: str) -> None:
    """Neither commas nor line breaks nor angle brackets come as far as a header."""
    assert not permitted(f"=?utf-8?q?=0a{text}?=@example.org")
    assert not permitted(text) or set(text).isdisjoint('\r\n\0,;:<>()"\\ \u2028\u202e')


@pytest.mark.parametrize(
    ("setting", "means"),
    [("system", f"root@{HOST}"), ("auto", f"ringfence@{HOST}"), ("a@b.example", "a@b.example"), ("a", f"a@{HOST}")],
)
def test_the_sender_is_the_machines_own_ours_or_the_one_that_is_set(setting: str, means: str) -> None:
    assert sender_of(setting, HOST) == means


def test_an_odd_mailbox_is_quoted_on_its_way() -> None:
    assert addressed("a..b@c.example", HOST) == '"a..b"@c.example'
    assert addressed(".a", HOST) == f'".a"@{HOST}'


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("Gate.Example.ORG.", "gate"), "gate.example.org"),
        (("localhost.localdomain", "gate"), "gate"),
        (("localhost", "localhost"), "localhost"),
        (("a b.example", "x\nBcc: y", "gate"), "gate"),
        (("", "-gate", "gate-", "a..b", "ä.example", "x" * 64), "localhost"),
        (("2001:db8::1", "gate"), "gate"),
    ],
)
def test_the_machines_name_can_stand_in_an_address(names: tuple[str, ...], chosen: str) -> None:
    assert chosen_host(*names) == chosen
