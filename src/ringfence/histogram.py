"""How long something took, counted in classes: a few numbers however often it happened."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper ends of the classes in seconds; what took longer is in a last class of its own."""


class Histogram:
    """Counts durations by class. `total` is their sum in seconds."""

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def note(self, seconds: float) -> None:
        """It took `seconds` once more."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How often it was noted."""
        return sum(self._counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """For each bound, how often it took no longer than that (as Prometheus counts)."""
        seen = 0
        for bound, count in zip(self.bounds, self._counts, strict=False):
            seen += count
            yield bound, seen
