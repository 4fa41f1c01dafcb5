"""What is sent, and what came of it: the values that composing, sending and the outbox share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct


class Picture(Struct, frozen=True, kw_only=True):
    """A PNG that the HTML shows as `cid:NAME`; `text` says the same to who does not see it."""

    name: str
    data: bytes
    text: str


class Message(Struct, frozen=True, kw_only=True):
    """A warning, or several gathered, in words.

    `text` is plain, at most 72 columns; `html` a whole document, empty where the recipient wants one short line, which
    `text` then is (at most 160 characters). `facts` are the same for programs (JSON). `grave`: not to be overlooked.
    """

    subject: str
    text: str
    html: str = ""
    pictures: tuple[Picture, ...] = ()
    facts: dict[str, Any] = {}
    grave: bool = False
    language: str = "en"


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of sending, and what the other side answered, in one line.

    sent: it was taken over. later: it certainly was not, and may be tried again. failed: it certainly was not, and
    trying again would not help. unclear: it may have been taken over; it is not sent again.
    """

    state: Literal["sent", "later", "failed", "unclear"]
    answer: str


Mark = Callable[[], Awaitable[bool]]
"""Awaited right before the first byte of the message itself leaves: writes down that from now on it may have been
taken over. False: somebody else has it already (or it can't be written down), and it must not be sent."""
