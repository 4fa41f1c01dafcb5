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
BARS = {(63, 157, 117), (190, 120, 20)}


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
    columns = [sum(row[x] in BARS for row in rows) for x in range(WIDTH)]
    found, inside = [], False
    for high in columns:
        if high and not inside:
            found.append(high)
        inside = high > 0
    return found


def test_bars_are_as_high_as_the_numbers() -> None:
    assert heights([1, 2, 4]) == [26, 52, 104]


def test_the_smallest_number_is_seen_and_none_is_not() -> None:
    assert heights([100_000, 0, 1]) == [104, 4]


@pytest.mark.parametrize("values", [[], [0], [0] * 24])
def test_without_attempts_there_is_only_the_base_line(values: list[float]) -> None:
    rows = pixels(bars(values, WIDTH, HEIGHT))
    assert not any(pixel in BARS for row in rows for pixel in row)
    assert len(solid(bars(values, WIDTH, HEIGHT))) == 2


def solid(data: bytes) -> list[int]:
    """The rows in which the middle is covered wholly."""
    found = dict(chunks(data))
    raw = zlib.decompress(found[b"IDAT"])
    alpha = found[b"tRNS"].ljust(256, b"\xff")
    return [y for y in range(HEIGHT) if alpha[raw[y * (WIDTH + 1) + 1 + WIDTH // 2]] == 255]


def test_it_lies_on_whatever_ground_the_mail_has() -> None:
    data = bars([1, 2], WIDTH, HEIGHT)
    raw = zlib.decompress(dict(chunks(data))[b"IDAT"])
    assert dict(chunks(data))[b"tRNS"][raw[1]] == 0


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [part / 255 for part in colour]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", [(255, 255, 255), (27, 34, 32)])
def test_bars_are_seen_on_light_and_on_dark(ground: tuple[int, ...]) -> None:
    """3:1, as WCAG 2.2 (1.4.11) asks of pictures."""
    for colour in BARS:
        low, high = sorted([luminance(ground), luminance(colour)])
        assert (high + 0.05) / (low + 0.05) >= 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1e12) | st.integers(0, 10**9), max_size=1000))
def test_any_numbers_make_a_picture(values: list[float]) -> None:
    rows = pixels(bars(values, 200, 60))
    assert len(rows) == 60 and all(len(row) == 200 for row in rows)
    assert any(pixel in BARS for row in rows for pixel in row) == any(value > 0 for value in values)


def test_a_picture_is_small() -> None:
    assert len(bars([number % 37 for number in range(168)])) < 6000
