"""Durations as people write them, and back: "90", "90s", "10m", "1h30m", "365d", "forever" ⇄ seconds.

Units: s, m (minutes), h, d, w (7 days), y (365 days); each at most once, the larger first. A number alone is seconds.
Any text in another form is a `ValueError` whose message says what is wrong with it.
"""

from __future__ import annotations

import math
import re
from typing import Final

UNITS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
TEN_YEARS: Final = 10 * UNITS["y"]
"""The longest duration that ends, in seconds."""

_PARTS = re.compile("".join(rf"(?:([0-9]{{1,12}}(?:\.[0-9]{{1,9}})?) ?{unit} ?)?" for unit in UNITS))
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_WRITTEN = ("d", "h", "m", "s")  # "7d" is read at a glance and stays what was typed; "1w" and "1y" rarely do


def parse_duration(text: str | float, *, least: float = 1, most: float = TEN_YEARS, forever: bool = True) -> float:
    """`text` in seconds, `math.inf` for "forever".

    Raises `ValueError` when it is no duration, outside `least` … `most`, or endless where `forever` is False.
    """
    seconds = _seconds(text)
    if seconds == math.inf and forever:
        return seconds
    if not least <= seconds <= most:
        raise ValueError(f"must be {describe(least, most, forever)}")
    return seconds


def describe(least: float, most: float, forever: bool) -> str:
    """The permitted range in words, as in error messages and in the reference."""
    span = f"a duration from {format_duration(least)} to {'10 years' if most == TEN_YEARS else format_duration(most)}"
    return f'{span}, or "forever"' if forever else span


def format_duration(seconds: float) -> str:
    """The shortest usual spelling, which `parse_duration` reads back as exactly `seconds`."""
    if seconds == math.inf:
        return "forever"
    if seconds != int(seconds):
        return f"{seconds!r}s"
    rest, parts = int(seconds), []
    for unit in _WRITTEN:
        count, rest = divmod(rest, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _seconds(text: str | float) -> float:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError('must be a duration such as "90s", "10m", "1h30m" or "2d"')
    if not isinstance(text, str):
        if math.isnan(text) or math.isinf(text):
            raise ValueError('must be a finite number of seconds, or "forever"')
        return float(text)
    text = text.strip()
    if text == "forever":
        return math.inf
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _PARTS.fullmatch(text)
    if not text or match is None:
        raise ValueError('must be a duration such as "90s", "10m", "1h30m", "2d" or "forever"')
    return float(sum(float(count) * size for count, size in zip(match.groups(), UNITS.values(), strict=True) if count))
