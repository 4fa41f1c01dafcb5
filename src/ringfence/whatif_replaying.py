"""What if: the recorded events judged once more, as the guard would do it from an empty memory.

Of an address only its first ban counts, and mostly that is found by counting its attempts (`whatif_counting`); what
counting can't tell is left to the guard's own detector. What can't change the answer is left out: services whose bans
can't differ, and addresses with too few attempts for any rule. A test compares the answer with two detectors that judge
everything.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from ringfence.detect.address import network_of
from ringfence.detect.detector import Detector
from ringfence.ledger import Ledger
from ringfence.ledger.connection import Row
from ringfence.ledger.replay import Context, Replay, Span
from ringfence.model import Event
from ringfence.whatif_counting import ATTEMPT, Counting, Flat, attempts_in
from ringfence.whatif_judging import Judged, Plan, Task

Progress = Callable[[float], None]
_READING, _COUNTING = 0.7, 0.9
"""How much of the work is done after reading, and after counting, where addresses are judged one after the other."""
_STEP = 1_000
_PIECE = 10_000
_TEXTS = 100_000
_FRESH = 20_000
"""Events after which a new detector takes over, so that there is little to remember: addresses are done for good."""


def judge(plan: Plan, task: Task, progress: Progress = lambda share: None) -> Judged:
    """Do one part of the work; `progress` hears how much is done, 0 … 1, every few thousand events."""
    collecting = gc.isenabled()
    gc.disable()  # Millions of events and no cycles among them.
    try:
        with closing(Ledger.open_reader(Path(plan.job.ledger))) as ledger:
            return _Judging(plan, task, Replay(ledger), progress).run()
    finally:
        if collecting:
            gc.enable()


class _Judging:
    """One task under way."""

    def __init__(self, plan: Plan, task: Task, replay: Replay, progress: Progress) -> None:
        self._plan = plan
        self._task = task
        self._progress = progress
        self._replay = replay
        self._span: Span = replay.span(plan.since)
        self._size = max(1, self._span.last - self._span.first + 1)
        contexts = replay.contexts()
        self._services = plan.judged({context.service for context in contexts.values()})
        self._failing = {
            number: each for number, each in contexts.items() if each.failed and each.service in self._services
        }
        self._good = {number: each for number, each in contexts.items() if not each.failed}
        self._all = len(self._failing) + len(self._good) == len(contexts)
        self._allow = {side: plan.allow(plan.policy(side)) for side in task.sides}
        rules = plan.rules(self._services)
        self._by_network = any(rule.per == "network" for rule in rules)
        self._least = min((rule.failures for rule in rules if rule.failures), default=1)
        self._judged = Judged(bans={side: {} for side in task.sides}, successes={}, events=0)

    def run(self) -> Judged:
        """All of it."""
        if self._task.half is None:
            self._in_order_of_time()
        else:
            for side, parts in self._counted(self._gathered()).items():
                self._detected(side, parts)
        return self._judged

    def _detector(self, side: str) -> Detector:
        return Detector(self._plan.policy(side), self._allow[side], capacity=self._plan.job.capacity)

    def _rows(self) -> Iterable[list[Row]]:
        contexts = None if self._all else {*self._failing, *self._good}
        return self._replay.rows(self._span, contexts, self._task.half)

    def _succeeded(self, time: float, address: str, context: Context) -> None:
        successes = self._judged.successes
        if time > successes.get(address, 0.0):
            successes[address] = time
        if context.service in self._services:
            self._judged.events += 1

    def _in_order_of_time(self) -> None:
        """As the guard does it."""
        detectors = {side: self._detector(side) for side in self._task.sides}
        done, failing, good = 0, self._failing.get, self._good
        for rows in self._rows():
            events: list[Event] = []
            for time, address, number, account in rows:
                context = failing(number)
                if context is None:
                    context = good[number]
                    self._succeeded(time, address, context)
                else:
                    self._judged.events += 1
                if context.service in self._services:
                    events.append(_event(time, address, account, context))
            for side, detector in detectors.items():
                self._judged.ban(side, detector.feed(events))
            done += len(rows)
            self._progress(done / self._size)

    def _gathered(self) -> dict[str, Flat]:
        """The attempts of each address, or of each network where that counts together, in their order."""
        groups: dict[str, Flat] = {}
        keys: dict[str, str] = {}
        texts: dict[str, str] = {}
        limits = (self._plan.before.limits, self._plan.after.limits)
        by_network, good = self._by_network, self._good
        ipv6 = min(min(each.ipv6_prefix, each.ipv6_network) if by_network else each.ipv6_prefix for each in limits)
        ipv4 = min(each.ipv4_network for each in limits) if by_network else 32
        done, kept = 0, 0
        # A million rows pass this loop while somebody waits; texts that many of them share are kept once.
        for rows in self._rows():
            for time, address, number, account in rows:
                if number in good:
                    self._succeeded(time, address, good[number])
                    continue
                kept += 1
                key = address
                if by_network or ":" in address:
                    key = keys.get(address) or keys.setdefault(address, _network(address, ipv4, ipv6))
                    address = texts.setdefault(address, address)
                group = groups.get(key)
                if group is None:
                    groups[key] = [time, address, number, texts.setdefault(account, account)]
                elif key is address:
                    group += (time, group[1], number, texts.setdefault(account, account))
                else:
                    group += (time, address, number, texts.setdefault(account, account))
            if len(texts) > _TEXTS:
                texts.clear()
            done += len(rows)
            self._progress(min(1.0, 2 * done / self._size) * _READING)
        self._judged.events += kept
        return groups

    def _counted(self, groups: dict[str, Flat]) -> dict[str, list[Flat]]:
        """Count where that is enough; returns, for each side, what is left to the detector."""
        counting = Counting(self._plan, self._task.sides, self._failing)
        self._judged.bans = counting.bans
        left: dict[str, list[Flat]] = {side: [] for side in self._task.sides}
        total = len(groups)
        while groups:
            key, rows = groups.popitem()
            if len(rows) >= ATTEMPT * self._least:
                for side, part in counting.count(key, rows):
                    left[side].append(part)
            if len(groups) % _STEP == 0:
                self._progress(_COUNTING - (_COUNTING - _READING) * len(groups) / total)
        return left

    def _detected(self, side: str, parts: list[Flat]) -> None:
        """Let the detector judge what is left of one side."""
        detector, fed = self._detector(side), 0
        for number, part in enumerate(parts):
            if fed >= _FRESH:
                detector, fed = self._detector(side), 0
            for begin in range(0, len(part), _PIECE * ATTEMPT):
                piece = part[begin : begin + _PIECE * ATTEMPT]
                events = [
                    _event(time, address, account, self._failing[kind])
                    for time, address, kind, account in attempts_in(piece)
                ]
                self._judged.ban(side, detector.feed(events))
                fed += len(events)
            self._progress(_COUNTING + (1 - _COUNTING) * number / len(parts))


def _event(time: float, address: str, account: str, context: Context) -> Event:
    service, failed, cause, proven = context
    return Event(time, address, service, account, failed, cause, "", proven, "", "", 0, "")


def _network(address: str, ipv4: int, ipv6: int) -> str:
    try:
        return network_of(address, ipv4, ipv6)
    except ValueError:
        return address
