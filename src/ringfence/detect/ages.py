"""Which windows were quiet for longest, found in small steps.

Keys lie in buckets by the minute of their newest attempt *when last looked at*. A key that is found in the oldest
bucket but was active since then moves to where it belongs; so an attempt costs nothing here, and finding the oldest
costs a step per key created.
"""

from __future__ import annotations

from heapq import heappop, heappush

from ringfence.detect.window import ATTEMPT, Counter

_SHIFT = 6  # 64 seconds a bucket


class Ages:
    """The keys of one counter, roughly by age (to 64 s)."""

    __slots__ = ("_buckets", "_counter", "_order", "clock")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._buckets: dict[int, list[str]] = {}
        self._order: list[int] = []
        self.clock = float("-inf")
        """The time of the key added last."""
        for key in counter.windows:
            self._put(key, counter.windows[key][-ATTEMPT])
            self.clock = max(self.clock, counter.windows[key][-ATTEMPT])

    def add(self, key: str, time: float) -> None:
        """A key whose newest attempt was at `time`."""
        self.clock = time
        self._put(key, time)

    def _put(self, key: str, time: float) -> None:
        place = int(time) >> _SHIFT
        bucket = self._buckets.get(place)
        if bucket is None:
            self._buckets[place] = [key]
            heappush(self._order, place)
        else:
            bucket.append(key)

    def oldest(self) -> float | None:
        """When the oldest bucket ends: no key in it was looked at as active later. None when there are no keys."""
        while self._order:
            place = self._order[0]
            if self._buckets[place]:
                return float((place + 1) << _SHIFT)
            heappop(self._order)
            del self._buckets[place]
        return None

    def step(self, at_once: bool = False) -> str | None:
        """Look at one key of the oldest bucket: take it out and return it if it is as old, else move it on.

        `at_once` takes it as it comes.
        """
        if self.oldest() is None:
            return None
        place = self._order[0]
        key = self._buckets[place].pop()
        window = self._counter.windows.get(key)
        if window is None:
            return None
        if int(window[-ATTEMPT]) >> _SHIFT > place and not at_once:
            self._put(key, window[-ATTEMPT])
            return None
        return key
