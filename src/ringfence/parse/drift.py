"""Lines that sound like a failed login beside an address, and that no pattern takes: a log that changed its form.

Each such line is reduced to its shape (digits, addresses, names and quoted text blanked), so that a thousand of them
are one thing to tell. How much is looked at in a second is bounded, since an attack on a server that is understood well
must not be made slower by what is not. Pure: the time is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Container

import hyperscan
from msgspec import Struct

from ringfence.parse.addresses import canonical

WORDS = ("fail", "invalid", "denied", "authentic", "unauthorized", "refused", "reject", "incorrect", "bad password",
         "illegal user", "not allowed", "login error", "unknown user", "wrong password", "brute force")  # fmt: skip
BYTES_A_SECOND = 65_536
"""How much of one log is looked at in a second of its arrival; a chunk that begins within that is looked at whole."""
SHAPES_KEPT = 50
LIFE = 86_400.0
"""Seconds after which a shape that did not come again is forgotten."""
SHAPE_LENGTH = 160
_ADDRESS = re.compile(r"(?<![\w.:])(?:::ffff:)?(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)|(?<![\w.:])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{3,39}(?![\w])")  # fmt: skip  # noqa: E501
_PREFIX = re.compile(
    r"(?:<\d{1,3}>(?:1 )?)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?) \S+ (?=\S+?(?:\[\d+\])?: )"  # noqa: E501
)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|<[^<>]*>|\([^()]*@[^()]*\)")
_NAMED = re.compile(
    r"\b(?:(user|account|for|from|username)([ =:]+)(?!<addr|\[<addr|user |account )"
    r"|(\w+)(=))[^\s,;\]]+",
    re.IGNORECASE,
)
_BLANK = "<address>"
_WORD = re.compile("|".join(map(re.escape, WORDS)), re.IGNORECASE)
_REQUEST = re.compile(r"\"(?:[^\"\\]|\\.)*\"")
_OWN_TROUBLE = re.compile(
    r"connection refused|\bstatus=(?:deferred|bounced|undeliverable|sent)\b.*|\bsaid: .*", re.IGNORECASE
)
"""What servers say when somebody else does not let them in."""
_DIGITS = re.compile(r"\b(?=\w*\d)[\w.:+-]*\w")


class Shape(Struct):
    """Lines of one form. `count` of those looked at; `last`: when the newest arrived (seconds UTC)."""

    text: str
    count: int
    last: float


class Drift:
    """What nobody understands in one log."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.skipped = 0
        """Bytes that were not looked at, because too much came at once."""
        self._second = 0
        self._looked_at = 0

    def has_room(self, now: float) -> bool:
        """Whether more may be looked at in this second."""
        if int(now) != self._second:
            self._second, self._looked_at = int(now), 0
        return self._looked_at < BYTES_A_SECOND

    def look(self, data: bytes, first_line: int, taken: Container[int], now: float) -> None:
        """Note the lines of `data` that sound like failed logins and whose number is not among those `taken`."""
        self._looked_at += len(data)
        for line in suspicious(data, first_line, taken):
            self._note(shape_of(line), now)

    def known(self, now: float, least: int = 1) -> list[Shape]:
        """The shapes seen `least` times or more within `LIFE`, most often first."""
        self.shapes = [shape for shape in self.shapes if now - shape.last <= LIFE]
        return sorted((each for each in self.shapes if each.count >= least), key=lambda each: (-each.count, each.text))

    def _note(self, text: str, now: float) -> None:
        words = text.split(" ")
        for shape in self.shapes:
            merged = _merged(shape.text.split(" "), words)
            if merged is not None:
                shape.text, shape.count, shape.last = merged, shape.count + 1, now
                return
        if len(self.shapes) >= SHAPES_KEPT:
            self.shapes.remove(min(self.shapes, key=lambda shape: (shape.count, shape.last)))
        self.shapes.append(Shape(text, 1, now))


def suspicious(data: bytes, first_line: int, taken: Container[int]) -> list[str]:
    """The lines that hold one of `WORDS` and an address, and whose number is not among those `taken`."""
    hits: list[int] = []

    def found(index: int, start: int, end: int, flags: int, context: object) -> None:
        hits.append(end)

    _database().scan(data, match_event_handler=found)
    lines: list[str] = []
    number, counted_to, line_end = first_line, 0, -1
    for end in hits:
        if end <= line_end:
            continue
        start = data.rfind(b"\n", 0, end) + 1
        line_end = data.find(b"\n", end)
        number += data.count(b"\n", counted_to, start)
        counted_to = start
        if number in taken:
            continue
        line = data[start : line_end if line_end >= 0 else len(data)].decode("utf-8", "replace")
        if _sounds(line) and any(canonical(address[0]) for address in _ADDRESS.finditer(line)):
            lines.append(line)
    return lines


def _sounds(line: str) -> bool:
    """Whether the server itself says such a word: not a client in a request, and not about a connection of its own."""
    said = line if line.startswith("{") else _REQUEST.sub("", line)
    return _WORD.search(_OWN_TROUBLE.sub("", said)) is not None


def shape_of(line: str) -> str:
    """The line without its beginning, with addresses, quoted text, names and whatever holds digits blanked."""
    text = _PREFIX.sub("", line, count=1)
    text = _ADDRESS.sub(lambda found: _BLANK if canonical(found[0]) else found[0], text)
    text = _QUOTED.sub(lambda found: found[0] if found[0] == _BLANK else f"{found[0][0]}…{found[0][-1]}", text)
    text = _NAMED.sub(
        lambda found: found[0] if _BLANK in found[0] else f"{found[1] or found[3]}{found[2] or '='}…", text
    )
    text = _DIGITS.sub("#", text)
    return " ".join(text.split())[:SHAPE_LENGTH]


def _merged(known: list[str], words: list[str]) -> str | None:
    """The shape that holds both, when they differ in a quarter of their words at most; None when they don't."""
    if len(known) != len(words) or known[0] != words[0]:
        return None
    different = sum(1 for one, other in zip(known, words, strict=True) if one not in (other, "…"))
    if different > len(words) // 4:
        return None
    return " ".join(one if one == other else "…" for one, other in zip(known, words, strict=True))


_COMPILED: list[hyperscan.Database] = []


def _database() -> hyperscan.Database:
    """Compiled when first needed: these few words take a millisecond."""
    if not _COMPILED:
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[re.escape(word).encode() for word in WORDS],
            ids=list(range(len(WORDS))),
            flags=hyperscan.HS_FLAG_CASELESS,
        )
        _COMPILED.append(database)
    return _COMPILED[0]
