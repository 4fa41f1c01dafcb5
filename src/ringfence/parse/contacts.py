"""Connections that come to nothing: a server that tells of each when it begins says in advance what may be a probe.

Such a line is held, and withdrawn as soon as anything else tells of its session. What waits outlives a restart. Pure:
time comes with the sightings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ringfence.model import Event

CONTACTS_KEPT = 10_000


class Contacts:
    """Contacts by session. `patience`: for how many seconds (value) one of a pattern (key) waits for what follows."""

    def __init__(self, patience: Mapping[str, float]) -> None:
        self._patience = patience
        self._waiting: dict[str, Event] = {}
        self._over: dict[str, float] = {}
        self._due = math.inf
        self._added: dict[str, Event] = {}
        self._dropped: dict[str, Event] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def count(self) -> int:
        """How many contacts wait."""
        return len(self._waiting)

    def made(self, event: Event) -> None:
        """A connection began; that another log tells of it too, or that it was counted already, changes nothing."""
        known = self._waiting.get(event.session)
        if known is not None and known.address == event.address:
            return
        if event.time - self._over.get(event.session, -math.inf) <= self._patience[event.pattern]:
            return
        self._drop(event.session)
        self._waiting[event.session] = self._added[event.session] = event
        self._due = min(self._due, event.time + self._patience[event.pattern])
        if len(self._waiting) > CONTACTS_KEPT:
            self._drop(next(iter(self._waiting)))

    def restored(self, event: Event) -> None:
        """After a restart: one that waited when the guard ended."""
        self._waiting[event.session] = event
        self._due = -math.inf

    def counted_before(self, event: Event) -> None:
        """After a restart: one that turned out to be nothing else, and was counted."""
        self._over[event.session] = event.time

    def followed(self, event: Event) -> None:
        """Something else tells of this session: it was no mere contact."""
        known = self._waiting.get(event.session)
        if known is not None and known.address == event.address:
            self._drop(event.session)

    def alone(self, now: float) -> list[Event]:
        """Those that nothing followed in time."""
        if now < self._due:
            return []
        late = [one for one in self._waiting.values() if one.time + self._patience.get(one.pattern, 0.0) <= now]
        for event in late:
            self._drop(event.session)
            self._over[event.session] = event.time
        while len(self._over) > CONTACTS_KEPT:
            del self._over[next(iter(self._over))]
        left = (one.time + self._patience.get(one.pattern, 0.0) for one in self._waiting.values())
        self._due = min(left, default=math.inf)
        return late

    def changes(self) -> tuple[list[Event], list[Event]]:
        """Those that wait since the last call, and those that wait no longer; commit them with the events."""
        added, dropped = list(self._added.values()), list(self._dropped.values())
        self._added, self._dropped = {}, {}
        return added, dropped

    def _drop(self, session: str) -> None:
        event = self._waiting.pop(session, None)
        if event is not None and self._added.pop(session, None) is None:
            self._dropped[session] = event
