"""What if: the recorded events judged once more, by the guard's own detector, from an empty memory.

What can't change the answer is left out: services whose bans can't differ, and addresses that have fewer attempts than
any rule needs. A test compares the answer with two detectors that judge everything.
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
from ringfence.whatif_judging import Judged, Plan, Task

Progress = Callable[[float], None]

_READING = 0.4
"""The share of the work that is reading, where addresses are judged one after the other."""
_BATCH = 5_000
_FRESH = 100_000
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
        self._judged = Judged(bans={side: {} for side in task.sides}, successes={}, events=0)

    def run(self) -> Judged:
        """All of it."""
        if self._task.half is None:
            self._in_order_of_time()
        else:
            self._address_by_address(self._gathered())
        return self._judged

    def _detectors(self) -> dict[str, Detector]:
        capacity = self._plan.job.capacity
        return {
            side: Detector(self._plan.policy(side), self._allow[side], capacity=capacity) for side in self._task.sides
        }

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
        detectors = self._detectors()
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

    def _gathered(self) -> dict[str, list[Row]]:
        """The attempts of each address, or of each network where that counts together, in their order."""
        groups: dict[str, list[Row]] = {}
        keys: dict[str, str] = {}
        policies = (self._plan.before, self._plan.after)
        ipv6 = min(min(policy.limits.ipv6_prefix, policy.limits.ipv6_network) for policy in policies)
        by_network = any(rule.per == "network" for rule in self._plan.rules(self._services))
        ipv4 = min(policy.limits.ipv4_network for policy in policies) if by_network else 32
        done, good, kept = 0, self._good, 0
        # A million rows pass this loop while somebody waits.
        for rows in self._rows():
            for row in rows:
                key = row[1]
                if row[2] in good:
                    self._succeeded(row[0], key, good[row[2]])
                    continue
                kept += 1
                if by_network or ":" in key:
                    address = key
                    key = keys.get(address)
                    if key is None:
                        key = keys[address] = _network(address, ipv4, ipv6)
                group = groups.get(key)
                if group is None:
                    groups[key] = [row]
                else:
                    group.append(row)
            done += len(rows)
            self._progress(min(1.0, 2 * done / self._size) * _READING)
        self._judged.events += kept
        return groups

    def _address_by_address(self, groups: dict[str, list[Row]]) -> None:
        """Each group to its end before the next one, which keeps all that is looked at close at hand."""
        least = min((rule.failures for rule in self._plan.rules(self._services) if rule.failures), default=1)
        failing = self._failing
        detectors, fed = self._detectors(), 0
        events: list[Event] = []
        total, done = max(1, len(groups)), 0
        while groups:
            _, rows = groups.popitem()
            done += 1
            if len(rows) >= least:
                for time, address, number, account in rows:
                    service, _, cause, proven = failing[number]
                    events.append(Event(time, address, service, account, True, cause, "", proven, "", "", 0, ""))
            if len(events) >= _BATCH or not groups:
                for side, detector in detectors.items():
                    self._judged.ban(side, detector.feed(events))
                fed += len(events)
                if fed >= _FRESH:
                    detectors, fed = self._detectors(), 0
                events = []
                self._progress(_READING + (1 - _READING) * done / total)


def _event(time: float, address: str, account: str, context: Context) -> Event:
    service, failed, cause, proven = context
    return Event(time, address, service, account, failed, cause, "", proven, "", "", 0, "")


def _network(address: str, ipv4: int, ipv6: int) -> str:
    try:
        return network_of(address, ipv4, ipv6)
    except ValueError:
        return address
