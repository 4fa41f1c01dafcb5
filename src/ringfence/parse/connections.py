"""Who is at the other end of a connection, where a server says so only when it opens.

Some servers write the address once (`conn=7 ACCEPT from IP=203.0.113.7:5`) and afterwards only the connection's number.
What was told at the opening is kept for as long as the pattern says, bounded in number, and outlives a restart: it is
held like a challenge that waits for its answer. A busy server may write the opening after the first line that needs
it: such a line waits for a moment. Pure: time comes with the sightings.
"""

from __future__ import annotations

from collections.abc import Mapping

from ringfence.model import Event

CONNECTIONS_KEPT = 20_000
LATE = 2.0
"""Seconds for which a line waits for the opening of its connection."""
_LATE_KEPT = 1_000


class Connections:
    """The open connections by session. `lives`: for how many seconds (value) an opening pattern (key) is good for."""

    def __init__(self, lives: Mapping[str, float]) -> None:
        self._lives = lives
        self._open: dict[str, Event] = {}
        self._early: dict[str, Event] = {}
        self._added: dict[str, Event] = {}
        self._dropped: dict[str, Event] = {}

    def opened(self, event: Event) -> Event | None:
        """`event` tells whose connection its session is; a number that is used again is a new connection.

        Returns the line of that session that waited for it.
        """
        early = self._early.get(event.session)
        self._forget_early(event.session)
        self._close(event.session)
        self._open[event.session] = self._added[event.session] = event
        before = self._dropped.get(event.session)
        if before is not None and before.address == event.address:
            del self._dropped[event.session]  # it is kept under the same key, which now holds this one
        self._forget(event.time)
        return early if early is not None and abs(event.time - early.time) <= LATE else None

    def count(self) -> int:
        """How many lines wait for their opening."""
        return len(self._early)

    def waits(self, event: Event) -> None:
        """The connection of `event` is not known: its opening may be written in a moment."""
        self._forget_early(event.session)
        self._early[event.session] = self._added[f"early {event.session}"] = event
        while len(self._early) > _LATE_KEPT:
            self._forget_early(next(iter(self._early)))

    def _forget_early(self, session: str) -> None:
        early = self._early.pop(session, None)
        if early is not None and self._added.pop(f"early {session}", None) is None:
            self._dropped[f"early {session}"] = early

    def _forget(self, now: float) -> None:
        """The oldest beyond the limit, and what stands at the front and is over: each pattern has a life of its own."""
        while self._open:
            session, oldest = next(iter(self._open.items()))
            over = now - oldest.time > self._lives.get(oldest.pattern, 0.0)
            if not over and len(self._open) <= CONNECTIONS_KEPT:
                break
            self._close(session)

    def restored(self, event: Event) -> None:
        """After a restart: a connection that was open when the guard ended, or a line that waited for its opening."""
        (self._open if event.address else self._early)[event.session] = event

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
