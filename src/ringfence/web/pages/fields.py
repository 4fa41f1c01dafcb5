"""What pages read out of addresses and forms: filters, places in a list, lengths of time.

An address may be typed by anybody: what does not fit is passed over, never an error.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from collections.abc import Collection
from typing import Final
from urllib.parse import urlencode

import msgspec

from ringfence.durations import parse_duration
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.ledger.listed import Count, Cursor
from ringfence.phrases import in_words
from ringfence.translating import Words
from ringfence.web.pages.showing import Asked
from ringfence.web.web import Form

LONGEST: Final = 200
"""Characters of a filter; nothing that is looked for is longer."""
MOST: Final = 1 << 63
"""Numbers in the ledger are smaller."""


class Query:
    """The query of an address: its filters, and the addresses of other views of the same page."""

    def __init__(self, request: Asked) -> None:
        self._path: str = request.url.path
        self._given: dict[str, str] = {name: value.strip()[:LONGEST] for name, value in request.query_params.items()}

    def text(self, name: str) -> str:
        """The filter `name`, empty when it is not given."""
        return self._given.get(name, "")

    def choice(self, name: str, permitted: Collection[str], otherwise: str = "") -> str:
        """The filter `name` if it is one of `permitted`."""
        value = self.text(name)
        return value if value in permitted else otherwise

    def cursor(self, length: int) -> Cursor | None:
        """Where the list goes on: `length` texts and numbers; None: at its beginning."""
        try:
            text = base64.urlsafe_b64decode(self.text("cursor"))
            marks: list[str | int | float] = msgspec.json.decode(text, type=list[str | int | float])
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return None
        good = len(marks) == length and all(isinstance(mark, str) or abs(mark) < MOST for mark in marks)
        return tuple(marks) if good else None

    def link(self, **changes: str) -> str:
        """The address of this view with some filters changed, from its beginning."""
        wanted = {**self._given, "cursor": "", **changes}
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{self._path}?{query}" if query else self._path

    def more(self, cursor: Cursor | None) -> str:
        """The address of the next part of the list, empty at its end."""
        if cursor is None:
            return ""
        return self.link(cursor=base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode())

    def first(self) -> str:
        """The address of the list's beginning, empty where this is it."""
        return self.link() if self.text("cursor") else ""


def length_of(form: Form, _: Words, *, otherwise: str = "") -> float | None:
    """The seconds that a form asks for: as typed in `custom`, else as chosen in `length`; None: for good."""
    text = form["custom"] or form["length"] or otherwise
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise RingfenceError(_("the length of time %(why)s", why=in_words(str(error), _))) from error
    return None if seconds == math.inf else seconds


def number_of(text: str, _: Words) -> int:
    """The number that is part of a path. Raises NotFoundError where it can't be one of ours."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFoundError(_("there is no number %(number)s", number=repr(text[:40])))
    return int(text)


def counted(count: Count, _: Words) -> str:
    """A count as it is told: "1,204", or "10,000+" where counting stopped."""
    return _.figures(count.rows) if count.exact else f"{_.figures(count.rows - 1)}+"


def network_in(text: str) -> str:
    """`text` as a network where it is one with its length ("203.0.113.0/24"), else nothing."""
    if "/" not in text:
        return ""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def holds(target: str, address: str) -> bool:
    """Whether `address` is `target` or lies within it; False where either is no address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(target)
    except ValueError:
        return False


def forced(form: Form) -> bool:
    """Whether the word was typed that does what the guard refuses for our own sake."""
    return form["word"] == "lockout"


def whole(request: Asked) -> str:
    """The path of this view with its query: where a form brings its sender back to."""
    path, query = str(request.url.path), str(request.url.query)
    return f"{path}?{query}" if query else path
