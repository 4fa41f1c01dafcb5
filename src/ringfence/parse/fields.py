"""What stands in a field in another form than its value: backslash escapes, percent-encoding, a report in JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from ringfence.parse.addresses import canonical

_ESCAPED = re.compile(r"\\(.)")

DECODERS: Final[dict[str, Callable[[str], str]]] = {
    "quoted": lambda text: _ESCAPED.sub(r"\1", text) if "\\" in text else text,
    "jsontext": lambda text: _json_text(text) if "\\" in text else text,
    "percent": lambda text: unquote(text, errors="backslashreplace") if "%" in text else text,
}
"""By the type of the field, see `template.py`."""


def _json_text(text: str) -> str:
    """RFC 8259 section 7; what is no JSON stays as it is."""
    try:
        return _STRING.decode(f'"{text}"')
    except msgspec.DecodeError:
        return text


_STRING = msgspec.json.Decoder(str)


class Report(msgspec.Struct, kw_only=True):
    """An event as an application reports it in JSON; `time` (ISO 8601 or seconds UTC) where no envelope has one."""

    service: str
    address: str
    outcome: Literal["failed", "succeeded"]
    account: str = ""
    cause: str = ""
    detail: str = ""
    session: str = ""
    proven: bool = True
    time: str | float = ""


_REPORT = msgspec.json.Decoder(Report)


def read_report(rest: str) -> Report | None:
    """The report behind `{"ringfence"`, one-byte text; None when it is none."""
    try:
        return _REPORT.decode(('{"ringfence"' + rest).encode("latin-1").rstrip())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def forwarded_for(value: str, trusted: Container[str]) -> str | None:
    """The client that a proxy speaks for, out of an X-Forwarded-For value: the last address that is no trusted proxy.

    What stands before it was written by the client or by strangers. None when there is none, or no address.
    """
    for written in reversed(value.split(",")):
        address = canonical(_PORT.sub("", written.strip()))
        if address is None or address not in trusted:
            return address
    return None


_PORT = re.compile(r"(?<=[\].]):\d+\Z|(?<=\.\d):\d+\Z|(?<=\.\d\d):\d+\Z|(?<=\.\d\d\d):\d+\Z")
