"""What a sensor hands on: chunks of whole lines, and how each source is doing."""

from __future__ import annotations

from msgspec import Struct

from ringfence.model import Position


class Chunk(Struct, frozen=True):
    """Whole lines of one source, as they were written.

    `data`: lines that each end in b"\\n"; empty when there is only a position to commit (a log begun at its end).
    `first_line`: 1-based number of the first of them in its file (for the journal: since the sensor started).
    `position`: where reading goes on after this chunk; commit it together with the events.
    `live`: False for what was already there when the source was attached, True for what was written since.
    `arrival`: when it was read (seconds UTC).
    """

    source: str
    data: bytes
    first_line: int
    position: Position
    live: bool
    arrival: float


class SourceStatus(Struct, frozen=True):
    """How one source is doing.

    `size`, `offset` and `lag` in bytes; `lag` is what is known to be unread, rotated-away files included. `lines` and
    `cut` (lines over the limit, of which only the beginning was taken) since the sensor started; `last_read`: when the
    last line was read (seconds UTC, 0.0 = none yet). `trouble` is what keeps it from being read, "" if nothing does.
    """

    path: str
    size: int
    offset: int
    lag: int
    lines: int
    last_read: float
    trouble: str
    cut: int
