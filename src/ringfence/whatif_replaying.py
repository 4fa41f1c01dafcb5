"""What if: the recorded events judged once more, by the guard's own detector, from an empty memory.

What can't change the answer is left out: services whose bans can't differ, addresses whose attempts are too few or too
far apart for any rule, and what somebody does who is banned already. A test compares the answer with two detectors that
judge everything.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from ringfence.detect.address import network_of
from ringfence.detect.detector import Detector
from ringfence.ledger import Ledger
from ringfence.ledger.connection import Row
from ringfence.ledger.replay import Context, Replay, Span
from ringfence.model import Event, Rule
from ringfence.whatif_judging import Judged, Pair, Plan, Task

Progress = Callable[[float], None]

_READING = 0.4
"""The share of the work that is reading, where addresses are judged one after the other."""
_WAVE = 500
"""Units that are judged at the same time."""
_PIECE = 32
_NAMES = 100_000
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
        rules = plan.rules(self._services)
        self._by_network = any(rule.per == "network" for rule in rules)
        self._closing = plan.closing(self._services)
        self._least = min((rule.failures for rule in rules if rule.failures), default=1)
        self._judged = Judged(bans={side: {} for side in task.sides}, successes={}, events=0)

    def run(self) -> Judged:
        """All of it."""
        if self._task.half is None:
            self._in_order_of_time()
        else:
            self._address_by_address(self._gathered())
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

    def _gathered(self) -> dict[str, list[Row]]:
        """The attempts of each address, or of each network where that counts together, in their order."""
        groups: dict[str, list[Row]] = {}
        keys: dict[str, str] = {}
        policies = (self._plan.before, self._plan.after)
        ipv6 = min(min(policy.limits.ipv6_prefix, policy.limits.ipv6_network) for policy in policies)
        by_network = self._by_network
        ipv4 = min(policy.limits.ipv4_network for policy in policies) if by_network else 32
        done, good, kept = 0, self._good, 0
        names: dict[str, str] = {}
        # A million rows pass this loop while somebody waits; texts that many of them share are kept once.
        for rows in self._rows():
            for time, address, number, account in rows:
                if number in good:
                    self._succeeded(time, address, good[number])
                    continue
                kept += 1
                key = address
                if by_network or ":" in address:
                    known = keys.get(address)
                    key = known or keys.setdefault(address, _network(address, ipv4, ipv6))
                account = names.setdefault(account, account)
                group = groups.get(key)
                if group is None:
                    groups[key] = [(time, address, number, account)]
                elif key == address:
                    group.append((time, group[0][1], number, account))
                else:
                    group.append((time, address, number, account))
            if len(names) > _NAMES:
                names.clear()
            done += len(rows)
            self._progress(min(1.0, 2 * done / self._size) * _READING)
        self._judged.events += kept
        return groups

    def _address_by_address(self, groups: dict[str, list[Row]]) -> None:
        """One side after the other, some groups at a time, each only as far as it can tell something new."""
        units = [unit for key, rows in groups.items() for unit in self._units(key, rows)]
        groups.clear()
        total = max(1, len(units) * len(self._task.sides))
        done = 0
        for side in self._task.sides:
            bounds = {service: _bounds(self._plan.policy(side).rules_for(service)) for service in self._services}
            detector, fed = self._detector(side), 0
            for begin in range(0, len(units), _WAVE):
                wave = [unit for unit in units[begin : begin + _WAVE] if unit.may_fire(bounds)]
                fed += self._wave(side, detector, wave)
                if fed >= _FRESH:
                    detector, fed = self._detector(side), 0
                done += len(units[begin : begin + _WAVE])
                self._progress(_READING + (1 - _READING) * done / total)

    def _wave(self, side: str, detector: Detector, units: list[_Unit]) -> int:
        """Feed units until they are at their end or banned: in growing pieces, as most are banned early. How many."""
        failing, bans = self._failing, self._judged.bans[side]
        fed, at, piece = 0, 0, _PIECE
        while units:
            events: list[Event] = []
            for unit in units:
                for time, address, number, account in unit.rows[at : at + piece]:
                    service, _, cause, proven = failing[number]
                    events.append(Event(time, address, service, account, True, cause, "", proven, "", "", 0, ""))
            self._judged.ban(side, detector.feed(events))
            fed += len(events)
            at, piece = at + piece, piece * 2
            units = [unit for unit in units if len(unit.rows) > at and unit.pair not in bans]
        return fed

    def _units(self, key: str, rows: list[Row]) -> list[_Unit]:
        """What can be judged by itself.

        An IPv4 address at one service is only ever banned from that, unless networks count or a rule of a service that
        it tried closes everything; so what comes after its first ban tells nothing new.
        """
        if len(rows) < self._least:
            return []
        services = {self._failing[number].service for number in {row[2] for row in rows}}
        if self._by_network or ":" in key or services & self._closing:
            return [_Unit(rows, services, None)]
        if len(services) == 1:
            return [_Unit(rows, services, (key, services.copy().pop()))]
        parts: dict[str, list[Row]] = {service: [] for service in services}
        for row in rows:
            parts[self._failing[row[2]].service].append(row)
        return [_Unit(part, {service}, (key, service)) for service, part in parts.items()]


class _Unit:
    """Attempts that are judged together, in their order; `pair` is the only ban there can be, where that is known."""

    __slots__ = ("pair", "rows", "services")

    def __init__(self, rows: list[Row], services: set[str], pair: Pair | None) -> None:
        self.rows = rows
        self.services = services
        self.pair = pair

    def may_fire(self, bounds: Mapping[str, list[tuple[int, float]]]) -> bool:
        """Whether enough attempts lie close enough together for any rule, whatever else that asks for."""
        rows = self.rows
        needed = {bound for service in self.services for bound in bounds[service] if bound[0] <= len(rows)}
        if not needed:
            return False
        times = sorted([row[0] for row in rows])
        return any(
            later - earlier <= within
            for count, within in needed
            for earlier, later in zip(times, times[count - 1 :], strict=False)
        )


def _bounds(rules: Iterable[Rule]) -> list[tuple[int, float]]:
    """(attempts, seconds) without which none of `rules` bans; what another one implies is left out."""
    every = sorted({(rule.failures, rule.within) for rule in rules if rule.failures and "block" in rule.actions})
    kept: list[tuple[int, float]] = []
    for failures, within in every:
        if all(within > known for _, known in kept):
            kept.append((failures, within))
    return kept


def _event(time: float, address: str, account: str, context: Context) -> Event:
    service, failed, cause, proven = context
    return Event(time, address, service, account, failed, cause, "", proven, "", "", 0, "")


def _network(address: str, ipv4: int, ipv6: int) -> str:
    try:
        return network_of(address, ipv4, ipv6)
    except ValueError:
        return address
