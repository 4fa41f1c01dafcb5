"""Where a long list goes on, as text in an address: opaque to readers, checked before it is believed."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Final

import msgspec

from ringfence.ledger.listed import Cursor

LONGEST: Final = 800
LARGEST: Final = 2**63 - 1


def cursor_text(cursor: Cursor | None) -> str:
    """`cursor` as text for a query; empty for none."""
    if cursor is None:
        return ""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(cursor))).rstrip(b"=").decode()


def cursor_of(text: str, length: int) -> Cursor | None:
    """The cursor of `length` values that `text` is; None for anything else."""
    if not text or len(text) > LONGEST or not text.isascii():
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):  # msgspec's errors are ValueErrors too
        return None
    fits = isinstance(found, list) and len(found) == length and all(map(_plain, found))
    return tuple(found) if fits else None


def _plain(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -LARGEST <= value <= LARGEST
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))
