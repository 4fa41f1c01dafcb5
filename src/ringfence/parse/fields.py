"""What stands in a field in another form than its value: backslash escapes, percent-encoding, a report in JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

_ESCAPED = re.compile(r"\\(.)")

DECODERS: Final[dict[str, Callable[[str], str]]] = {
    "quoted": lambda text: _ESCAPED.sub(r"\1", text) if "\\" in text else text,
    "percent": lambda text: unquote(text, errors="backslashreplace") if "%" in text else text,
}
"""By the type of the field, see `template.py`."""


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
