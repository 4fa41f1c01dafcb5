"""What takes a line and with which fields, or how far the nearest patterns came: for whoever writes a new pattern."""

from __future__ import annotations

import re

from msgspec import Struct

from ringfence.model import Event
from ringfence.parse import canary, envelope
from ringfence.parse.catalogue import Catalogue, Pattern
from ringfence.parse.parser import Parser
from ringfence.parse.template import pieces

NEAREST = 3
WORTH_TELLING = 0.2
ANYBODY = ()
"""In place of the programs that a kind names."""


class Near(Struct, frozen=True, kw_only=True):
    """A pattern that did not take the line. `envelope` is what the line is not wrapped in, or "" if it is.

    `begun`: how much of the message the beginning of the template takes; `missing`: the piece of the template that the
    rest (`found`) is not. `share` of what the template asks for that was met, 0 to 1.
    """

    pattern: str
    envelope: str
    share: float
    begun: str
    missing: str
    found: str


class Reading(Struct, frozen=True, kw_only=True):
    """One line as it was read. `fields`: what stood in the fields of the pattern that took it, as written.

    `envelopes`: those that the line's beginning fits, with the program that wrote it where one is named.
    """

    line: str
    envelopes: tuple[str, ...]
    event: Event | None = None
    pattern: Pattern | None = None
    fields: dict[str, str] = {}
    others: tuple[str, ...] = ()
    nearest: tuple[Near, ...] = ()


def read_line(line: bytes, parser: Parser, catalogue: Catalogue, *, now: float) -> Reading:
    """Read one line (without its end) as the guard would; `now` (seconds UTC) tells the year of its stamp."""
    journal = line.startswith(b"{") and b'"MESSAGE"' in line
    data = envelope.journal_lines(line + b"\n") if journal else line + b"\n"
    events = parser.reader("line", reference=now).read(data, 1)
    text = data.decode("latin-1").removesuffix("\n")
    patterns = [*catalogue.patterns(), canary.PATTERN]
    shown = data.removesuffix(b"\n").decode("utf-8", "backslashreplace")
    if not events:
        every = (_near(pattern, text) for pattern in patterns if pattern.template)
        nearest = sorted((near for near in every if near.share >= WORTH_TELLING), key=_distance)
        return Reading(line=shown, envelopes=_envelopes(text), nearest=tuple(nearest[:NEAREST]))
    taken = next(pattern for pattern in patterns if pattern.id == events[0].pattern)
    others = [pattern.id for pattern in patterns if pattern is not taken and _match(pattern, text)]
    match = _match(taken, text)
    fields = {name: _decoded(value) for name, value in match.groupdict().items() if value} if match else {}
    return Reading(
        line=shown,
        envelopes=_envelopes(text),
        event=events[0],
        pattern=taken,
        fields=fields,
        others=tuple(others),
    )


def _match(pattern: Pattern, text: str) -> re.Match[str] | None:
    return re.compile(pattern.expression, re.MULTILINE | re.ASCII).match(text) if pattern.template else None


def _envelopes(text: str) -> tuple[str, ...]:
    return tuple(
        name
        for name in envelope.ENVELOPES
        if name != "none" and re.match(envelope.beginning(name, ANYBODY), text, re.ASCII)
    )


def _near(pattern: Pattern, text: str) -> Near:
    beginning = envelope.beginning(pattern.envelope, pattern.programs)
    wrapped = re.match(beginning, text, re.ASCII)
    parts = pieces(pattern.template, pattern.types)
    holds = any(fragment in text for fragment in pattern.fragments)
    if wrapped is None:
        return Near(pattern=pattern.id, envelope=_wanted(pattern, text), share=0.5 if holds else 0.0,
                    begun="", missing="", found="")  # fmt: skip
    met, end, letters = 0, wrapped.end(), 0
    expression = beginning
    for count, (written, part) in enumerate(parts, 1):
        expression += part
        match = _try(expression, text)
        if match is None:
            break
        met, end = count, match.end()
        letters += _letters(written)
    share = (letters / max(1, sum(_letters(written) for written, _ in parts)) + holds) / 2
    return Near(
        pattern=pattern.id,
        envelope="",
        share=share,
        begun=_decoded(text[wrapped.end() : end]),
        missing=parts[met][0] if met < len(parts) else "the end of the line",
        found=_decoded(text[end:]),
    )


def _letters(written: str) -> int:
    """How much fixed text a piece asks for: what may be missing or anything says nothing."""
    return 0 if written[:1] in "[({" else len(written.strip())


def _try(expression: str, text: str) -> re.Match[str] | None:
    """A piece may refer to a field of a later one; then it can't be tried by itself."""
    try:
        return re.match(expression, text, re.ASCII)
    except re.error:
        return None


def _wanted(pattern: Pattern, text: str) -> str:
    """What the line would have to be wrapped in: the envelope, or only another program."""
    anybody = re.match(envelope.beginning(pattern.envelope, ANYBODY), text, re.ASCII)
    programs = " or ".join(pattern.programs)
    return f"a line of {programs}" if anybody and programs else f"in the envelope {pattern.envelope!r}"


def _distance(near: Near) -> tuple[float, int, str]:
    return -near.share, -len(near.begun), near.pattern


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "backslashreplace")


def told(pattern: Pattern) -> str:
    """What a line of `pattern` means for the count, in words."""
    if pattern.attempt == "opens":
        return "no attempt: it names the address of its connection"
    if pattern.attempt == "none":
        return "known, and no attempt"
    if not pattern.failed:
        return "a successful login"
    more = {
        "weak": "an attempt, unless another line of its session tells of one",
        "summary": "as many attempts as it says, less those that other lines of its session told",
        "challenge": "a challenge: no attempt unless nobody answers and many accounts are tried",
        "answer": "an attempt, unless the challenge it answers went to another address",
        "unchallenged": "an attempt, unless the same peer was challenged before",
    }
    return more.get(pattern.attempt, "an attempt; further lines of its session may tell of the same one")
