"""Lists as files for a spreadsheet: CSV (RFC 4180) in which nothing that an attacker wrote is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from ringfence.render import safe

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "|", "%")
"""What makes spreadsheets take a text for something to be carried out."""


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """`rows` as lines of CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    """A number as it is; a text without control characters, and with an apostrophe where it would be a formula."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = safe("" if value is None else str(value))
    return "'" + text if text.lstrip().startswith(FORMULA) else text
