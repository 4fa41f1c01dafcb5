"""Who is at the other end of a connection, where a server says so only when it opens.

Some servers write the address once (`conn=7 ACCEPT from IP=203.0.113.7:5`) and afterwards only the connection's number.
What was told at the opening is kept for as long as the pattern says, bounded in number, and outlives a restart: it is
held like a challenge that waits for its answer. Pure: time comes with the sightings.
"""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.model import Event

CONNECTIONS_KEPT = 20_000


class Connections:
    """The open connections by session. `lives`: for how many seconds (value) an opening pattern (key) is good for."""

    def __init__(self, lives: Mapping[str, float]) -> None:
        self._lives = lives
        self._shortest = min(lives.values(), default=0.0)
        self._open: dict[str, Event] = {}
        self._added: dict[str, Event] = {}
        self._dropped: dict[str, Event] = {}

    def opened(self, event: Event) -> None:
        """`event` tells whose connection its session is; a number that is used again is a new connection."""
        self._close(event.session)
        self._open[event.session] = self._added[event.session] = event
        before = self._dropped.get(event.session)
        if before is not None and before.address == event.address:
            del self._dropped[event.session]  # it is kept under the same key, which now holds this one
        for session, oldest in list(self._open.items()):
            if len(self._open) <= CONNECTIONS_KEPT and event.time - oldest.time <= self._shortest:
                break
            self._close(session)

    def restored(self, event: Event) -> None:
        """After a restart: a connection that was open when the guard ended."""
        self._open[event.session] = event

    def of(self, event: Event) -> Event | None:
        """The opening of the connection that `event` belongs to, if it is known and not too long ago."""
        opening = self._open.get(event.session)
        if opening is None or event.time - opening.time > self._lives.get(opening.pattern, 0.0):
            return None
        return opening

    def changes(self) -> tuple[list[Event], list[Event]]:
        """The openings that are new and those that are over since the last call; commit them with the events."""
        added, dropped = list(self._added.values()), list(self._dropped.values())
        self._added, self._dropped = {}, {}
        return added, dropped

    def _close(self, session: str) -> None:
        opening = self._open.pop(session, None)
        if opening is not None and self._added.pop(session, None) is None:
            self._dropped[session] = opening
