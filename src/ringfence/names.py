"""Lines that name a host instead of an address: its name is resolved forward, and what comes of it is never proven.

Only where the settings allow it: whoever owns an address block writes what name it has, so a name may be a lie that
resolves to somebody else. What waits for an answer is held in the ledger, so that a restart loses none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from ringfence.model import Event
from ringfence.parse.reader import NAMED

ANSWER_LIFE = 300.0
"""Seconds for which an answer is good; a name without one is asked for again after as long."""
MOST_NAMES = 10_000
MOST_WAITING = 10_000
AT_A_TIME = 16


class Names:
    """Sightings that wait for their host's address, and the answers so far."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, str]] = {}
        self._waiting: dict[str, list[Event]] = {}
        self._count = 0
        self.unresolved = 0
        """Sightings that were given up: the name has no address, or more than one."""

    def __len__(self) -> int:
        """How many sightings wait."""
        return self._count

    def sort_out(self, sightings: Sequence[Event], now: float) -> tuple[list[Event], list[Event]]:
        """(what can be counted now, in order; what has to wait and must outlive us)."""
        ready: list[Event] = []
        waiting: list[Event] = []
        for event in sightings:
            if not event.address.startswith(NAMED):
                ready.append(event)
                continue
            name = event.address.removeprefix(NAMED)
            until, address = self._answers.get(name, (0.0, ""))
            if until > now:
                ready += self._found([event], address)
            elif self._count < MOST_WAITING:
                self._wait(event)
                waiting.append(event)
            else:
                self.unresolved += 1
        return ready, waiting

    def restored(self, events: Iterable[Event]) -> list[Event]:
        """After a restart: take up what waited when the guard ended; returns the rest of `events`."""
        others = []
        for event in events:
            if event.address.startswith(NAMED):
                self._wait(event)
            else:
                others.append(event)
        return others

    def wanted(self) -> list[str]:
        """Some names that somebody waits for, oldest first."""
        return list(self._waiting)[:AT_A_TIME]

    def answered(self, answers: Mapping[str, Sequence[str]], now: float) -> tuple[list[Event], list[Event]]:
        """Take up what names resolve to: (what can be counted now, what waits no longer)."""
        ready: list[Event] = []
        released: list[Event] = []
        for name, addresses in answers.items():
            if len(self._answers) >= MOST_NAMES:
                del self._answers[next(iter(self._answers))]
            address = the_one(addresses)
            self._answers[name] = (now + ANSWER_LIFE, address)
            events = self._waiting.pop(name, [])
            self._count -= len(events)
            released += events
            ready += self._found(events, address)
        ready.sort(key=lambda event: event.time)
        return ready, released

    def _wait(self, event: Event) -> None:
        self._waiting.setdefault(event.address.removeprefix(NAMED), []).append(event)
        self._count += 1

    def _found(self, events: Sequence[Event], address: str) -> list[Event]:
        if not address:
            self.unresolved += len(events)
            return []
        return [structs.replace(event, address=address, proven=False) for event in events]


def the_one(addresses: Sequence[str]) -> str:
    """The address that a name stands for: its only IPv4 address, else its only IPv6 address, else none.

    Of several it can't be said which one tried, and the others may be somebody else's.
    """
    for family in ([one for one in addresses if ":" not in one], [one for one in addresses if ":" in one]):
        if family:
            return family[0] if len(family) == 1 else ""
    return ""
