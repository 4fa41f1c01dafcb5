"""Every pattern proves itself: its examples must give what they say, its counter-examples must not match it."""

from __future__ import annotations

from datetime import UTC

from ringfence.model import Event
from ringfence.parse.catalogue import BUILT_IN, Catalogue, Pattern
from ringfence.parse.entries import Example
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader

_REFERENCE = 1_800_000_000.0  # any time after the examples' stamps


def failures(catalogue: Catalogue) -> list[str]:
    """What does not come out as told, one sentence each; every example is read with all kinds active.

    That a kind of one's own takes a line before ours is as it should be.
    """
    patterns = catalogue.patterns()
    matcher = Matcher(patterns)
    ours = {one.id for kind in catalogue.kinds.values() if kind.origin.startswith(BUILT_IN) for one in kind.patterns}
    wrong: list[str] = []
    for pattern in patterns:
        for number, example in enumerate(pattern.examples, start=1):
            events = _read(matcher, example.line)
            difference = _difference(pattern, example, events)
            if difference and not (pattern.id in ours and events and events[0].pattern not in ours):
                wrong.append(f"{pattern.id}: example {number}: {difference}")
        for number, line in enumerate(pattern.counter_examples, start=1):
            if any(event.pattern == pattern.id for event in _read(matcher, line)):
                wrong.append(f"{pattern.id}: counter-example {number} matches")
    return wrong


def _read(matcher: Matcher, line: str) -> list[Event]:
    reader = Reader("example", matcher, zone=UTC, reference=_REFERENCE)
    return reader.read(line.encode() + b"\n", 1)


def _difference(pattern: Pattern, example: Example, events: list[Event]) -> str:
    if not events:
        return "no pattern takes the line"
    event = events[0]
    if event.pattern != pattern.id:
        return f"the line is taken by {event.pattern}"
    for name in ("address", "account", "detail", "cause", "service"):
        wanted, got = getattr(example, name), getattr(event, name)
        if wanted is not None and wanted != got:
            return f"{name} is {got!r}, not {wanted!r}"
    if example.outcome is not None and event.failed != (example.outcome == "failed"):
        return f"outcome is not {example.outcome!r}"
    return ""
