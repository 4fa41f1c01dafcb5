"""What goes out whole or as it happens: every running ban for other firewalls, and events in the order they came in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ringfence.ledger.events import event_from
from ringfence.ledger.holders import AccountStore
from ringfence.ledger.listed import ListedEvent
from ringfence.ledger.sql import QUERIES


class Barred(NamedTuple):
    """A running ban, as little of it as another firewall needs."""

    target: str
    service: str
    until: float


class FeedStore(AccountStore):
    """Reads what is fetched by programs."""

    def barred(self, now: float, service: str = "") -> Iterator[Barred]:
        """The bans that run at `now`, by target; of one `service` (with those of all services) or, empty, of any.

        Told one by one, for there may be very many; only covering indexes are read.
        """
        with self._told():
            for row in self._connection.execute(QUERIES["barred"], {"now": now, "service": service}):
                yield Barred(*row)

    def events_after(self, number: int, *, limit: int = 1000) -> list[ListedEvent]:
        """The events recorded after event `number`, oldest first."""
        rows = self._rows("events_after", {"after": number, "limit": limit})
        return [ListedEvent(row[0], event_from(row)) for row in rows]
