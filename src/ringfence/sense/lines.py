"""Whole lines and their greatest length: the one rule that every sensor keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ringfence.errors import SensorError

LINE_BYTES: Final = 64 * 1024
"""The longest line that is passed on, in bytes without its newline; of a longer one the rest is discarded."""


def shorten(data: bytes, limit: int = LINE_BYTES) -> tuple[bytes, int]:
    """`data` (whole lines) with every line cut to `limit` bytes, and how many were cut.

    Looks only for a newline in every stretch of `limit` bytes, so that data without long lines costs next to nothing.
    """
    pieces: list[bytes] = []
    cut = start = kept = 0
    while start + limit < len(data):
        newline = data.rfind(b"\n", start, start + limit + 1)
        if newline >= 0:
            start = newline + 1
            continue
        pieces += (data[kept : start + limit], b"\n")
        cut += 1
        start = kept = data.index(b"\n", start) + 1
    if not cut:
        return data, 0
    pieces.append(data[kept:])
    return b"".join(pieces), cut


def whole_lines(
    pieces: Iterable[bytes],
    *,
    block_bytes: int,
    limit: int = LINE_BYTES,
    on_cut: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """Join and divide `pieces` into blocks of whole lines of about `block_bytes`; a last line without newline gets one.

    When `pieces` ends with a SensorError, what came before it is yielded first. `on_cut` is told how many were cut.
    """
    waiting: list[bytes] = []
    size = 0
    failure: SensorError | None = None
    source = iter(pieces)
    while True:
        try:
            piece = next(source, b"")
        except SensorError as error:
            piece, failure = b"", error
        if piece:
            waiting.append(piece)
            size += len(piece)
            if size < block_bytes:
                continue
        data = b"".join(waiting)
        end = data.rfind(b"\n") + 1 if piece else len(data)
        rest = data[end:]
        if end:
            block, cut = shorten(data[:end] if piece or data.endswith(b"\n") else data + b"\n", limit)
            if cut and on_cut is not None:
                on_cut(cut)
            yield block
        elif len(rest) > limit:
            rest = rest[: limit + 1]  # one byte too many marks it as a line to be cut
        if not piece:
            break
        waiting, size = [rest], len(rest)
    if failure is not None:
        raise failure
