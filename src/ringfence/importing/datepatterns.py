"""Where fail2ban's `datepattern` finds the time in a line, as a `stamp` of a pattern of ours.

Source: jail.conf(5), `datepattern`: strptime's fields in a regular expression, or `{^LN-BEG}`, `{DATE}`, `EPOCH`,
`TAI64N`, `{NONE}`. What is found is cut out of the line: the expression's first group, else all that it matched. A form
of time that our readers can't read can't be carried over.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from msgspec import Struct

from ringfence.importing.expressions import PLACES, CannotTake, translate
from ringfence.importing.samples import samples
from ringfence.parse.linear import STAMP
from ringfence.parse.timestamps import Stamps

MOMENT = datetime(2026, 11, 21, 20, 34, 50, tzinfo=UTC)
USUAL = ("Nov 21 20:34:50", "2026-11-21 20:34:50", "21/Nov/2026:20:34:50 +0000", "1795293290")
"""MOMENT in the forms that logs use most."""

_ANY_STAMP = next(place for place, tag in PLACES.items() if tag == "<STAMP>")
_EPOCH = r"\d{10,11}(?:\.\d{3,6})?"
_FIELDS = {
    "Y": (r"\d{4}", "2026"), "ExY": (r"\d{4}", "2026"), "y": (r"\d{2}", "26"), "Exy": (r"\d{2}", "26"),
    "m": (r"(?:0?[1-9]|1[0-2])", "11"), "Exm": (r"(?:0[1-9]|1[0-2])", "11"),
    "d": (r"(?:[1-2]\d|[0 ]?[1-9]|3[0-1])", "21"), "Exd": (r"(?:[1-2]\d|0[1-9]|3[0-1])", "21"),
    "b": ("[A-Za-z]{3}", "Nov"), "B": ("[A-Za-z]{3,9}", "November"),
    "a": ("[A-Za-z]{3}", "Sat"), "A": ("[A-Za-z]{6,9}", "Saturday"),
    "H": (r"(?:[0-1]?\d|2[0-3])", "20"), "ExH": (r"(?:[0-1]\d|2[0-3])", "20"), "k": (r" ?[0-2]?\d", "20"),
    "Exk": (r" ?(?:[0-1]?\d|2[0-3])", "20"), "I": (r"(?:1[0-2]|0?[1-9])", "08"), "l": (r" ?1?\d", "8"),
    "M": (r"[0-5]?\d", "34"), "ExM": (r"[0-5]\d", "34"), "S": (r"(?:[0-5]?\d|6[0-1])", "50"),
    "ExS": (r"(?:[0-5]\d|6[0-1])", "50"), "f": (r"\d{1,6}", "0"), "p": ("[AaPp][Mm]", "PM"),
    "z": (r"(?:Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)", "Z"), "Z": ("(?:Z|[A-Z]{3,5})", "Z"),
    "Exz": (r"(?:Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)", "Z"),
}  # fmt: skip
_TOKEN = re.compile(r"%(%|Ex[A-Za-z]|[A-Za-z])|\{DATE\}|\{EPOCH\}")
_GROUP = re.compile(r"(?<!\\)\((?!\?)")
_SAME_AGAIN = re.compile(r"\(\?P<(\w+)>(\[[^\]]*\])\)")


class Stamp(Struct, frozen=True):
    """`expression` as one of `Searched.stamp` (empty: the usual places), and texts in which it finds MOMENT."""

    expression: str = ""
    samples: tuple[str, ...] = USUAL


def translate_dates(datepattern: str) -> tuple[tuple[Stamp, ...], tuple[str, ...]]:
    """The stamps of the pattern's lines, in order, and why others can't be carried over."""
    lines = [line.strip() for line in datepattern.split("\n") if line.strip()]
    found: list[Stamp] = []
    reasons = []
    for line in lines:
        try:
            found.append(_translated(line))
        except CannotTake as error:
            reasons.append(str(error))
    return (tuple(dict.fromkeys(found)) if lines else (Stamp(),)), tuple(reasons)


def _translated(line: str) -> Stamp:
    pattern = line.removeprefix("{UNB}").replace("**", "")
    at_beginning = pattern.startswith("{^LN-BEG}")
    pattern = pattern.removeprefix("{^LN-BEG}")
    if pattern.upper() in ("", "{DEFAULT}", "{DATE}", "^{DATE}", "EPOCH", "^EPOCH"):
        return Stamp()
    if "%" not in pattern and pattern.upper() in ("TAI64N", "{NONE}", "LEPOCH"):
        raise CannotTake(f"datepattern {line}: times of this form are not read here")
    for name, characters in _SAME_AGAIN.findall(pattern):
        pattern = pattern.replace(f"(?P<{name}>{characters})", characters).replace(f"(?P={name})", characters)
    first, last = _timed(pattern, line)
    grouped = _GROUP.search(pattern)
    body = pattern[:first] + "(?P<stamp>" + pattern[first:last] + ")" + pattern[last:]
    if grouped and grouped.start() <= first:
        place = grouped.start()
        body = body[:place] + "(?P<cut>" + body[place + 1 :]
    elif grouped is None:
        anchor = "^" if body.startswith("^") else ""
        body = f"{anchor}(?P<cut>{body.removeprefix('^')})"
    if at_beginning:
        body = r"^\W{0,2}" + body
    elif _TOKEN.match(pattern):
        body = r"\b" + body
    if not pattern[last:].strip(")"):
        body += r"\b"
    return _proved(body, line)


def _timed(pattern: str, line: str) -> tuple[int, int]:
    """From where to where the fields of time stand, brackets around some of them included."""
    tokens = [token for token in _TOKEN.finditer(pattern) if token[1] != "%"]
    if not tokens:
        raise CannotTake(f"datepattern {line}: names no field of time")
    first, last = tokens[0].start(), tokens[-1].end()
    while (depth := _depth(pattern[first:last])) != (0, 0):
        if depth[0]:  # closes more than it opens
            first = pattern.rfind("(", 0, first)
        else:
            closing = pattern.find(")", last)
            last = closing + 1 if closing >= 0 else -1
        if first < 0 or last < 0:
            raise CannotTake(f"datepattern {line}: can't be understood")
    while last < len(pattern) and pattern[last] in "?*+":
        last += 1
    return first, last


def _depth(text: str) -> tuple[int, int]:
    """How many brackets are closed that were not opened in `text`, and opened that are not closed."""
    closed = opened = 0
    for found in re.finditer(r"\\.|\[[^\]]*\]|[()]", text):
        if found[0] == "(":
            opened += 1
        elif found[0] == ")" and opened:
            opened -= 1
        elif found[0] == ")":
            closed += 1
    return closed, opened


def _filled(body: str, which: int) -> str:
    """`body` with its fields as expressions (0) or as the text of MOMENT (1)."""

    def replaced(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[0] == "{EPOCH}":
            return (_EPOCH, USUAL[3])[which]
        if found[0] == "{DATE}":
            return _ANY_STAMP
        if found[1] not in _FIELDS:
            raise CannotTake(f"datepattern has the field %{found[1]}, which is not read here")
        return _FIELDS[found[1]][which]

    return _TOKEN.sub(replaced, body)


def _proved(body: str, line: str) -> Stamp:
    """The stamp, if a sample of it is read as the time that it tells."""
    source = _filled(body, 0)
    expression = translate(_with_names(source))
    stamps = Stamps(UTC, MOMENT.timestamp())
    try:
        compiled = re.compile(source.replace(_ANY_STAMP, f"(?:{STAMP})"))
    except re.error as error:
        raise CannotTake(f"datepattern {line}: {error}") from error
    good = []
    for text in samples(translate(_with_names(_filled(body, 1)))):
        found = compiled.search(text)
        time = stamps.read(found["stamp"]) if found else None
        if time is not None and abs(time - MOMENT.timestamp()) < 1:
            good.append(text)
    if not good:
        raise CannotTake(f"datepattern {line}: times of this form are not read here")
    return Stamp(_our_names(expression.text), tuple(good))


def _with_names(source: str) -> str:
    """Groups under names that the translation keeps."""
    return source.replace("(?P<cut>", "(?P<mlfid>").replace("(?P<stamp>", "(?P<fport>")


def _our_names(text: str) -> str:
    return text.replace("(?P<origin>", "(?P<cut>").replace("(?P<port>", "(?P<stamp>")
