"""A small bar chart as a PNG (W3C PNG, third edition): 8 bits a pixel with a palette, made of nothing but zlib.

Its ground is transparent and its colours lie in the middle, at least 3 to 1 against white and against a dark card, so
that it looks as if made for a light mail and for a dark one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 1196
HEIGHT: Final = 280
"""Pixels; shown at half the size, so that it is crisp on fine screens."""
_MARGIN: Final = 8
_GROUND, _GRID, _BASE, _BAR, _PEAK = range(5)
_PALETTE: Final = ((128, 140, 134), (128, 140, 134), (128, 140, 134), (63, 157, 117), (190, 120, 20))
_ALPHA: Final = (0, 56, 255)
"""How far the first colours cover what is below; the others do wholly."""
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LEAST: Final = 4
"""How high a bar is at least that is not of nothing."""


def bars(values: Sequence[float], width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A PNG of `values` as bars from left to right, the highest in another colour; of none or zeros, a base line."""
    room = width - 2 * _MARGIN
    values = _fitting([max(0.0, value) for value in values], room // 2)
    top = max(values, default=0.0)
    heights = [_height(value, top, height - 2 * _MARGIN) for value in values]
    rows = [_row(y, heights, values, top, width, height) for y in range(height)]
    return _png(width, height, [bytes(row) for row in rows])


def _fitting(values: list[float], most: int) -> list[float]:
    """At most `most` values: neighbours become one, which is the highest of them."""
    step = -(-len(values) // most) if most else 1
    return values if step <= 1 else [max(values[start : start + step]) for start in range(0, len(values), step)]


def _height(value: float, top: float, room: int) -> int:
    return max(_LEAST, round(value / top * room)) if value > 0 else 0


def _row(
    y: int, heights: Sequence[int], values: Sequence[float], top: float, width: int, height: int
) -> bytearray:  # fmt: skip
    base = height - _MARGIN
    row = bytearray([_GROUND]) * width
    inner = slice(_MARGIN, width - _MARGIN)
    if base <= y < base + 2:
        row[inner] = bytes([_BASE]) * (width - 2 * _MARGIN)
    elif y < base and (base - y) % ((base - _MARGIN) // 4) == 0:
        row[inner] = bytes([_GRID]) * (width - 2 * _MARGIN)
    if y >= base or not heights:
        return row
    pitch = (width - 2 * _MARGIN) / len(heights)
    for place, high in enumerate(heights):
        if base - y <= high:
            left, right = _MARGIN + round(place * pitch), _MARGIN + round((place + 1) * pitch)
            gap = max(1, round(pitch / 5)) if pitch >= 3 else 0
            row[left + gap // 2 : right - (gap - gap // 2)] = bytes([_PEAK if values[place] == top else _BAR]) * (
                right - left - gap
            )
    return row


def _png(width: int, height: int, rows: Sequence[bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = b"".join(map(bytes, _PALETTE))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", bytes(_ALPHA)), (b"IDAT", data), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
