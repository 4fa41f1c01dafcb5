"""How many windows there are: room for new ones, by forgetting what no longer matters and then what is oldest."""

from __future__ import annotations

from collections.abc import Iterable

from ringfence.detect.address import Span, span, within
from ringfence.detect.ages import Ages
from ringfence.detect.allow import AllowList, spans
from ringfence.detect.window import ATTEMPT, Counter
from ringfence.model import EVERY, AllowEntry, Policy

_ROOMY = 20_000
_STEPS = 2
_STEPS_WHEN_FULL = 64
_DAY = 86_400.0


class Tracked:
    """All counters' windows together: at most `capacity`.

    Below `_ROOMY` keys nothing is forgotten, for it costs nothing to keep; above, a new key makes a few steps through
    the oldest ones. Logs are read one after the other, so a key is too old by the clock of its own service, which
    follows the events being read; only a service silent for a day is measured by the others' clock.
    """

    def __init__(self, capacity: int, policy: Policy) -> None:
        self.capacity = max(1, capacity)
        self.tracked = 0
        self.peak = 0
        self.forgotten = 0
        self.horizon = 0.0
        self._roomy = min(self.capacity, _ROOMY)
        self._ages: dict[Counter, Ages] = {}
        self._turn: list[Counter] = []
        self._next = 0
        self.policy(policy)

    def policy(self, policy: Policy) -> None:
        """Take the longest time that any rule looks back from `policy`."""
        rules = [rule for rules in (policy.rules, *policy.overrides.values()) for rule in rules]
        self.horizon = max((rule.within for rule in rules if rule.enabled and rule.failures is not None), default=0.0)

    def join(self, counter: Counter) -> None:
        """Look after the windows of `counter` too."""
        self._ages[counter] = Ages(counter)
        self._turn.append(counter)

    def replace(self, counters: Iterable[Counter]) -> None:
        """Look after these counters and no others."""
        self._ages = {}
        self._turn = []
        for counter in counters:
            self.join(counter)
        self.tracked = sum(len(counter.windows) for counter in self._turn)

    def added(self, counter: Counter, key: str, time: float) -> None:
        """`counter` has a new window."""
        self._ages[counter].add(key, time)
        self.tracked += 1
        if self.tracked > self.peak:
            self.peak = self.tracked

    def drop(self, counter: Counter, key: str) -> None:
        """Forget a window, if there is one."""
        if counter.windows.pop(key, None) is not None:
            self.tracked -= 1

    def make_room(self, time: float) -> None:
        """Before a new window, begun by an attempt at `time`."""
        if self.tracked < self._roomy:
            return
        for _ in range(_STEPS):
            counter = self._turn[self._next % len(self._turn)]
            ages = self._ages[counter]
            oldest = ages.oldest()
            if oldest is None or oldest >= max(min(ages.clock, time), time - _DAY) - self.horizon:
                self._next += 1
                continue
            key = ages.step()
            if key is not None:
                self.drop(counter, key)
        if self.tracked >= self.capacity:
            self._overflow(time)

    def _overflow(self, time: float) -> None:
        """Forget the oldest window of all; the oldest found within a bounded number of steps, to keep the pace."""
        for step in range(_STEPS_WHEN_FULL * 2):
            counter = min(self._turn, key=self._age)
            key = self._ages[counter].step(at_once=step >= _STEPS_WHEN_FULL)
            if key is None:
                continue
            if counter.windows[key][-ATTEMPT] >= time - self.horizon:
                self.forgotten += 1
            self.drop(counter, key)
            if self.tracked < self.capacity:
                return

    def _age(self, counter: Counter) -> float:
        oldest = self._ages[counter].oldest()
        return float("inf") if oldest is None else oldest

    def inside(self, counter: Counter, outer: list[Span]) -> list[str]:
        """The keys of `counter` (by address) that lie in one of `outer`.

        Single addresses are looked up; only for networks all keys are gone through, which a command may do.
        """
        networks = [each for each in outer if each[2] < each[0]]
        if networks:
            return [key for key in counter.windows if any(within(span(key), each) for each in outer)]
        texts = set(map(_text, outer))
        return [key for text in texts for key in (text, f"{text}/32") if key in counter.windows]

    def allow(self, counter: Counter, added: list[AllowEntry], allow: AllowList) -> None:
        """The whitelist has new entries: forget the windows that they cover, spell anew those they might."""
        outer = [each for entry in added for each in spans(entry)]
        ours = [each for entry in added if entry.service in (EVERY, counter.service) for each in spans(entry)]
        for key in self.inside(counter, outer) if outer else []:
            if any(within(span(key), each) for each in ours):
                self.drop(counter, key)
        guarded = [key for key in counter.windows if key.endswith("/32") and ":" not in key]
        plain = [key for key in self.inside(counter, outer) if ":" not in key and "/" not in key] if outer else []
        for key in guarded:
            if not allow.candidates(key[:-3]):
                self._rename(counter, key, key[:-3])
        for key in plain:
            self._rename(counter, key, f"{key}/32")

    def _rename(self, counter: Counter, key: str, other: str) -> None:
        window = counter.windows.pop(key)
        if other in counter.windows:
            self.tracked -= 1
            return
        counter.windows[other] = window
        self._ages[counter].add(other, window[-ATTEMPT])


def _text(single: Span) -> str:
    bits, value, _ = single
    if bits == 32:
        return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
    return ""
