"""The chart of summaries is a PNG that other programs read, and shows the numbers that it was given."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.alert.chart import bars

WIDTH, HEIGHT = 400, 120
DARK = {(63, 157, 117), (27, 107, 76)}


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place = 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(kind + body),)
        yield kind, body
        place += 12 + length


def pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    """The colours by row: written from the standard, apart from what made them."""
    found = dict(chunks(data))
    assert [kind for kind, _ in chunks(data)] == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height, depth, colour, packing, filters, laced = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert (depth, colour, packing, filters, laced) == (8, 3, 0, 0, 0)
    raw = zlib.decompress(found[b"IDAT"])
    assert len(raw) == height * (width + 1)
    palette = [tuple(found[b"PLTE"][at : at + 3]) for at in range(0, len(found[b"PLTE"]), 3)]
    rows = [raw[at : at + width + 1] for at in range(0, len(raw), width + 1)]
    assert {row[0] for row in rows} == {0}
    return [[palette[index] for index in row[1:]] for row in rows]


def heights(values: list[float]) -> list[int]:
    """How high each bar is, from left to right."""
    rows = pixels(bars(values, WIDTH, HEIGHT))
    columns = [sum(row[x] in DARK for row in rows) for x in range(WIDTH)]
    found, inside = [], False
    for high in columns:
        if high and not inside:
            found.append(high)
        inside = high > 0
    return found


def test_bars_are_as_high_as_the_numbers() -> None:
    assert heights([1, 2, 4]) == [18, 36, 72]


def test_the_smallest_number_is_seen_and_none_is_not() -> None:
    assert heights([100_000, 0, 1]) == [72, 4]


@pytest.mark.parametrize("values", [[], [0], [0] * 24])
def test_without_attempts_there_is_only_the_base_line(values: list[float]) -> None:
    rows = pixels(bars(values, WIDTH, HEIGHT))
    assert not any(pixel in DARK for row in rows for pixel in row)
    assert sum(row[WIDTH // 2] == (133, 146, 140) for row in rows) == 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e12) | st.integers(0, 10**9), max_size=1000))
def test_any_numbers_make_a_picture(values: list[float]) -> None:
    rows = pixels(bars(values, 200, 60))
    assert len(rows) == 60 and all(len(row) == 200 for row in rows)
    assert any(pixel in DARK for row in rows for pixel in row) == any(value > 0 for value in values)


def test_a_picture_is_small() -> None:
    assert len(bars([number % 37 for number in range(168)])) < 6000
