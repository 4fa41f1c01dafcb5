"""Lists as files for a spreadsheet: CSV (RFC 4180) in which nothing that an attacker wrote is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from ringfence.render import safe

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes spreadsheets take a text for something to be carried out; the last ones are signs in full width."""


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """`rows` as lines of CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return file.getvalue()


def cell(value: Any) -> Any:
    """A number as it is; a text without control characters, and with an apostrophe where it would be a formula."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = "" if value is None else str(value)
    begins = text.startswith(FORMULA) or text.lstrip().startswith(FORMULA)
    return ("'" if begins else "") + safe(text)
