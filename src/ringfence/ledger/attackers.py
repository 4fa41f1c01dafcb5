"""The attack list: one row an address, sorted, filtered and paged by the database."""

from __future__ import annotations

import math
from typing import Final

from ringfence.ledger.connection import Row
from ringfence.ledger.events import EventStore
from ringfence.model import Attacker, Level

ORDERS: Final = {
    "last_seen": "last_seen", "attempts": "attempts", "address": "address", "first_seen": "first_seen",
}  # fmt: skip
LEVELS: Final[dict[Level | None, str]] = {
    "threatening": "(attempts > :harmless OR convicted)",
    "harmless": "attempts <= :harmless AND NOT convicted",
    None: "true",
}
"""Threatening is who made many attempts, or whom a rule has ever banned."""
ACCOUNTS: Final = 20
"""Accounts shown of an attacker: the ones tried last."""
ACCOUNT_STEPS: Final = 200
"""How many of an attacker's newest events are looked through for them."""


class AttackerStore(EventStore):
    """Reads attackers. On the guard's own ledger nothing is ever behind; another reader may lag while it catches up."""

    def attackers(
        self, *, harmless: int = 5, level: Level | None = None, service: str | None = None, text: str | None = None,
        since: float = -math.inf, order: str = "last_seen", descending: bool = True, limit: int = 100, offset: int = 0,
        accounts: bool = True,
    ) -> list[Attacker]:  # fmt: skip
        """A page of the attack list.

        harmless: attempts up to which an attacker that no rule ever banned is harmless; `level` keeps one kind.
        text: a part of the address; since: last seen then or later; order: one of ORDERS. A limit of -1 is none.
        accounts: also look up the accounts tried, which takes a fraction of a millisecond for each row.
        """
        self._catch_up()
        values = self._filter(harmless, service, text, since)
        rows = self._rows(
            "attackers", {**values, "limit": limit, "offset": offset}, level=LEVELS[level],
            order=ORDERS[order], direction="DESC" if descending else "ASC",
        )  # fmt: skip
        names = self._service_names()
        return [self._attacker(row, harmless, names, accounts=accounts) for row in rows]

    def count_attackers(
        self, *, harmless: int = 5, level: Level | None = None, service: str | None = None, text: str | None = None,
        since: float = -math.inf,
    ) -> int:  # fmt: skip
        """How many attackers there are with this filter."""
        self._catch_up()
        values = self._filter(harmless, service, text, since)
        return int(self._rows("count_attackers", values, level=LEVELS[level])[0][0])

    def attacker(self, address: str, *, harmless: int = 5) -> Attacker | None:
        """One attacker; None when this address never failed (or was forgotten)."""
        self._catch_up()
        row = self._row("attacker", {"address": address})
        return self._attacker(row, harmless, self._service_names()) if row and row[1] else None

    def _catch_up(self) -> None:
        if self.writable and (self._stale or self._unfolded()):
            with self._writing():
                self._fold(self._now)

    def _filter(self, harmless: int, service: str | None, text: str | None, since: float) -> dict[str, object]:
        mask = None
        if service is not None:
            bits = {name: bit for bit, name in self._rows("services")}
            mask = 1 << bits[service] if service in bits else 0
        return {"harmless": harmless, "mask": mask, "text": text, "since": since}

    def service_names(self) -> list[str]:
        """The services that anything was ever seen of."""
        return [name for _, name in self._rows("services")]

    def _service_names(self) -> dict[int, str]:
        return dict(self._rows("services"))

    def _attacker(self, row: Row, harmless: int, names: dict[int, str], *, accounts: bool = True) -> Attacker:
        address, attempts, services, first_seen, last_seen, successes, newest, convicted = row
        steps = {"newest": newest, "steps": ACCOUNT_STEPS, "limit": ACCOUNTS}
        tried = self._rows("accounts", steps) if accounts else []
        return Attacker(
            address=address, attempts=attempts,
            level="threatening" if attempts > harmless or convicted else "harmless",
            services=tuple(name for bit, name in names.items() if services >> bit & 1),
            accounts=tuple(account for (account,) in tried),
            first_seen=first_seen, last_seen=last_seen, successes=successes,
        )  # fmt: skip
