"""A message as electronic mail (RFC 5322, MIME): pure, 7 bits throughout, and nothing in it can begin a header.

Sources: RFC 2045 to 2047 (MIME), RFC 2387 and 2392 (pictures within), RFC 3834 (what programs send by themselves).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from ringfence.alert.kinds import KINDS
from ringfence.alert.message import Message
from ringfence.render import HIDDEN, safe

POLICY: Final = SMTP.clone(cte_type="7bit")
"""Lines end as SMTP wants them; no server is asked whether it takes 8 bits or addresses in UTF-8."""
LONGEST_SUBJECT: Final = 160
RECOGNISED_BY: Final = "X-Ringfence"
"""The header by which our own warnings are recognised; its value is the kind of warning."""
_LONGEST_LINE: Final = 990
"""Below the 998 of RFC 5322 section 2.1.1; longer lines are encoded."""
_NOT_IN_TEXT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


def sender_of(setting: str, host: str) -> str:
    """The sender's address that `setting` means on the machine named `host`."""
    return addressed({"system": "root", "auto": "ringfence"}.get(setting, setting), host)


def addressed(mailbox: str, host: str) -> str:
    """`mailbox` as a whole address: a bare name is a mailbox of `host`. Quoted where RFC 5321 wants it ("a..b"@c)."""
    name, _, domain = mailbox.rpartition("@") if "@" in mailbox else (mailbox, "", host)
    return f"{name}@{domain}" if _ATOMS.fullmatch(name) else f'"{name}"@{domain}'


def build(message: Message, sender: str, recipient: str, *, message_id: str, now: float, host: str) -> EmailMessage:
    """`message` for one `recipient`. `message_id` is "x@y", with or without < >; `now` in seconds UTC.

    Without HTML it is plain text alone; pictures go with the HTML. Raises ValueError for an address that `mailbox()` of
    the settings does not permit.
    """
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _address(sender, host, f"Ringfence {host}")
    mail["To"] = _address(recipient, host)
    mail["Subject"] = subject_line(message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    mail["Message-ID"] = _message_id(message_id, host)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    mail[RECOGNISED_BY] = _kind(message)
    if message.grave:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    _set_text(mail, message.text, "plain")
    if message.html:
        _add_html(mail, message)
    mail["Content-Language"] = _ODD.sub("", message.language.replace("_", "-")) or "en"  # last: bodies take it along
    return mail


def to_bytes(mail: EmailMessage) -> bytes:
    """`mail` as it travels: ASCII, lines ended by CR LF."""
    return mail.as_bytes(policy=POLICY)


def subject_line(subject: str) -> str:
    """`subject` as one line of at most 160 characters; controls, line breaks and what turns writing are escaped.

    "=?" is taken apart: it begins an encoded word (RFC 2047), and Python's own library puts what is encoded in one,
    line breaks too, into the header as it is.
    """
    shown = "".join(map(_shown, subject[: LONGEST_SUBJECT * 4])).replace("=?", "= ?").strip()
    return shown if len(shown) <= LONGEST_SUBJECT else shown[: LONGEST_SUBJECT - 1] + "…"


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    return safe(character) if category in HIDDEN else " " if category == "Zs" else character


def _address(mailbox: str, host: str, display: str = "") -> Address:
    if "=?" in mailbox:  # see subject_line; the settings permit none
        raise ValueError("a mail address can't hold =?")
    name, _, domain = mailbox.rpartition("@") if "@" in mailbox else (mailbox, "", host)
    return Address(display_name=display, username=name.strip('"'), domain=domain)


def _message_id(given: str, host: str) -> str:
    left, _, right = given.strip("<> ").partition("@")
    return f"<{_ODD.sub('-', left)}@{_ODD.sub('-', right) or host}>"


def _kind(message: Message) -> str:
    kind = message.facts.get("kind")
    return kind if isinstance(kind, str) and kind in KINDS else "warning"


def _add_html(mail: EmailMessage, message: Message) -> None:
    html = EmailMessage(policy=POLICY)
    _set_text(html, message.html, "html")
    for picture in message.pictures:
        name = _ODD.sub("-", picture.name)
        html.add_related(
            picture.data, "image", "png", cid=f"<{name}>", disposition="inline", filename=f"{name}.png"
        )  # fmt: skip
    mail.make_alternative()
    mail.attach(html)


def _set_text(part: EmailMessage, text: str, subtype: str) -> None:
    """The lines stay as they are; other controls than tab, which nobody could read, are made visible."""
    lines = re.sub(r"\r\n?", "\n", text)
    shown = _NOT_IN_TEXT.sub(lambda found: safe(found[0]), lines)
    simple = shown.isascii() and all(len(line) <= _LONGEST_LINE for line in shown.split("\n"))
    part.set_content(shown, subtype=subtype, charset="utf-8", cte="7bit" if simple else "quoted-printable")
