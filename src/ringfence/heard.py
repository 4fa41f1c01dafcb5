"""What was heard of one log: how much, when last, how long it was ever silent, and which lines nobody understood."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.model import Event
from ringfence.parse.drift import Drift, Shape
from ringfence.parse.envelope import journal_lines
from ringfence.render import duration, plural
from ringfence.sense.chunk import Chunk

SILENCE = 3600.0
"""Seconds below which no silence is worth a word."""
LONGER = 3
"""A silence is told when it lasts this many times as long as any before."""
FEW = 3
"""Fewer lines of one shape than this may be anything."""
SHAPES_TOLD = 3


class Heard:
    """Grows with each chunk of one log. Times are seconds UTC."""

    def __init__(self, source: str, *, journal: bool = False) -> None:
        self.source = source
        self.events = 0
        self.lines = 0
        self.named = 0
        self.last_line = 0.0
        self.rate = 0.0
        self.drift = Drift()
        self._journal = journal
        self._sampled = (0.0, 0)
        self._first_live = 0.0
        self._last_live = 0.0
        self._longest = 0.0

    def take(self, chunk: Chunk, sightings: Sequence[Event], lines: int) -> None:
        """A chunk was read: what was understood of it, and how many lines the log has had by now."""
        self.last_line = chunk.arrival
        self.events += len(sightings)
        self.lines = lines
        if chunk.live and chunk.data:
            self._first_live = self._first_live or chunk.arrival
            if self._last_live:
                self._longest = max(self._longest, chunk.arrival - self._last_live)
            self._last_live = chunk.arrival
        if self.drift.has_room(chunk.arrival):
            data = journal_lines(chunk.data) if self._journal else chunk.data
            self.drift.look(data, chunk.first_line, {event.line for event in sightings}, chunk.arrival)
        else:
            self.drift.skipped += len(chunk.data)

    def sample(self, now: float) -> None:
        """Take the count of lines for `rate`, lines per second since the last sample."""
        at, lines = self._sampled
        if at and now > at:
            self.rate = (self.lines - lines) / (now - at)
        self._sampled = (now, self.lines)

    def silence(self, now: float) -> float:
        """For how long the log has been silent, if that is longer than it ever was; else 0.

        Only what was written under our eyes counts, and only a log that spoke for as long as that can be missed.
        """
        silent = now - self._last_live
        spoke = self._last_live - self._first_live
        unusual = silent >= SILENCE and silent > LONGER * self._longest and spoke >= SILENCE
        return silent if self._last_live and unusual else 0.0

    def notices(self, now: float) -> list[str]:
        """What is worth knowing about the log, and no fault of ours."""
        found = self._about_shapes(self.drift.known(now, FEW))
        if self.silence(now):
            found.append(f"{self.source}: {self._about_silence(now)}")
        if self.named:
            found.append(
                f"{self.source}: {plural(self.named, 'line')} named a host instead of an address and could not count; "
                "have the server log addresses, or see [logs] names in the settings"
            )
        return found

    def faults(self, now: float) -> list[tuple[str, str]]:
        """Whether the log is silent or changed, in words."""
        shapes = self.drift.known(now, FEW)
        found = [("silent", self._about_silence(now))] if self.silence(now) else []
        return found + [("changed", told.removeprefix(f"{self.source}: ")) for told in self._about_shapes(shapes)[:1]]

    def _about_silence(self, now: float) -> str:
        return (
            f"silent for {duration(self.silence(now))}, never before for longer than {duration(self._longest)}; "
            "is the server still writing there?"
        )

    def _about_shapes(self, shapes: list[Shape]) -> list[str]:
        told = [
            f"{self.source}: {plural(shape.count, 'line')} like a failed login, but of no known form: {shape.text}"
            for shape in shapes[:SHAPES_TOLD]
        ]
        if len(shapes) > SHAPES_TOLD:
            told.append(f"{self.source}: and {len(shapes) - SHAPES_TOLD} more such forms; see 'ringfence diag'")
        return told
