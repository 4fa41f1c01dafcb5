"""Whether a service is under attack: its attempts a minute against what it is used to, looked at once a minute.

What our own addresses do wrong is no attack: a mail server here that refuses our own mail, or a wrong password for it,
can't raise a warning whose mail would be refused again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ringfence.alert.level import BEGIN_MINUTES, END_MINUTES, USUAL_HOURS, Level, LevelState, mean, usual_rate
from ringfence.ledger import Condition, Ledger

if TYPE_CHECKING:
    from ringfence.guard import Guard

MINUTE: Final = 60.0
LOOKED_BACK: Final = END_MINUTES + 5
OWN_EVENTS: Final = 2_000
"""Attempts of one of our own addresses that are left out at most."""
WARNINGS: Final = 1_000
HOUR: Final = 3600.0


class Attacks:
    """A `Level` for each service; what they know outlives a restart as a condition."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._states: dict[str, LevelState] = {}
        self._usual: dict[str, float] = {}
        self._usual_of = -1
        for one in guard.conditions.of_kind("attack"):
            minute = int(guard.clock() // MINUTE) - 1
            self._states[one.subject] = LevelState(
                on=True, since=one.since, told=int(one.since // MINUTE), minute=minute
            )

    def look(self) -> None:
        """Tell of attacks that began or are over by the last whole minute. Raises LedgerError."""
        guard, watch = self._guard, self._guard.alerting.watch
        now = guard.clock()
        minutes = self._minutes(now)
        learn = self.lesson(now)
        if learn is not None:
            self.learned(learn(guard.ledger), now)
        for service in sorted(minutes.keys() | {name for name, state in self._states.items() if state.on}):
            counts = minutes.get(service, [0] * LOOKED_BACK)
            usual = self._usual.get(service, 0.0)
            level = Level(self._states.get(service), factor=watch.attack_factor, floor=watch.attack_floor)
            change = level.feed(now, counts, usual)
            self._states[service] = level.state
            since = level.state.since
            if change == "began":
                facts = {"rate": mean(counts, BEGIN_MINUTES), "usual": usual, "since": since}
                guard.conditions.begin(
                    Condition(kind="attack", subject=service, service=service, since=since, facts=facts)
                )
            elif change == "ended":
                facts = {"usual": usual, "since": since, "attempts": self._attempts(service, since, now)}
                guard.conditions.end(
                    Condition(kind="attack", subject=service, service=service, since=since, facts=facts)
                )

    def _minutes(self, now: float) -> dict[str, list[int]]:
        """Attempts of others in each of the last whole minutes, by service."""
        last = int(now // MINUTE)
        first = last - LOOKED_BACK
        found: dict[str, list[int]] = {}
        for slot in self._guard.ledger.attempts_by_minute(first * MINUTE, last * MINUTE, 60):
            found.setdefault(slot.service, [0] * LOOKED_BACK)[int(slot.time // MINUTE) - first] += slot.count
        for (service, minute), count in self._own(first * MINUTE).items():
            if service in found and 0 <= minute - first < LOOKED_BACK:
                found[service][minute - first] = max(0, found[service][minute - first] - count)
        return found

    def _own(self, since: float) -> Counter[tuple[str, int]]:
        """Attempts of our own addresses, by service and minute."""
        found = Counter[tuple[str, int]]()
        ledger = self._guard.ledger
        for address in self._guard.whitelist.own:
            for _, event in ledger.events_of(address, limit=OWN_EVENTS):
                if event.time < since:
                    break
                if event.failed:
                    found[event.service, int(event.time // MINUTE)] += 1
        return found

    def lesson(self, now: float) -> Callable[[Ledger], dict[str, float]] | None:
        """Once an hour: what finds out in a ledger what each service is used to; takes long where there are many."""
        hour = int(now // HOUR)
        if hour == self._usual_of:
            return None
        begin = (hour - USUAL_HOURS) * HOUR
        attacks = self._earlier(begin)

        def learn(ledger: Ledger) -> dict[str, float]:
            hours: dict[str, dict[int, int]] = {}
            for slot in ledger.attempts_by_minute(begin, hour * HOUR, 3600):
                hours.setdefault(slot.service, {})[int(slot.time // HOUR)] = slot.count
            return {name: usual_rate(known, now, attacks.get(name, [])) for name, known in hours.items()}

        return learn

    def learned(self, usual: dict[str, float], now: float) -> None:
        """What the lesson of `now` found out."""
        self._usual, self._usual_of = usual, int(now // HOUR)

    def _earlier(self, since: float) -> dict[str, list[tuple[float, float]]]:
        """When each service was under attack, as far as that was told."""
        found: dict[str, list[tuple[float, float]]] = {}
        for alert in self._guard.ledger.warnings(kind="attack", since=since, limit=WARNINGS):
            begun = alert.facts.get("since")
            if alert.phase == "ended" and isinstance(begun, int | float):
                found.setdefault(alert.subject, []).append((float(begun), alert.time))
        for one in self._guard.conditions.of_kind("attack"):
            found.setdefault(one.subject, []).append((one.since, math.inf))
        return found

    def _attempts(self, service: str, since: float, now: float) -> int:
        slots = self._guard.ledger.attempts_by_minute(since, now, 60)
        return sum(slot.count for slot in slots if slot.service == service)
