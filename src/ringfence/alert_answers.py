"""What the guard answers about warnings."""

from __future__ import annotations

from msgspec import Struct

from ringfence.model import Alert


class WarningList(Struct, frozen=True, kw_only=True):
    """Warnings, newest first; how many nobody has acknowledged, and how many of these are grave."""

    warnings: list[Alert]
    unacknowledged: int
    grave: int
