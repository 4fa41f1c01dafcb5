"""Bans: one running ban for each (target, service), every change of it kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from ringfence.ledger.connection import Row
from ringfence.ledger.cover import single_address, text_range, within
from ringfence.ledger.facts import BanChange, RecordedVerdict
from ringfence.ledger.making import MakingStore, ban_from
from ringfence.ledger.sql import QUERIES
from ringfence.model import Ban, Verdict

ORDERS: Final = {"id": "id", "since": "since", "until": "until", "target": "target", "service": "service"}

STATES: Final = {True: "ended IS NULL", False: "ended IS NOT NULL", None: "true"}
TARGETS: Final = {True: "target = :target", False: "true"}
"""Written into a statement, because a condition that may not apply would keep the database from using its index."""


class BanStore(MakingStore):
    """Confirms, ends and lists bans."""

    def mark_enforced(self, bans: Sequence[int | Ban], now: float) -> None:
        """The kernel confirmed these bans (numbers, or the bans that were handed to it).

        Given as Ban, one that was changed meanwhile stays wanted: what the kernel confirmed is not what it says now.
        """
        numbers = [(ban.id, ban.until) if isinstance(ban, Ban) else (ban, None) for ban in bans]
        with self._writing():
            notes = [(number, now, until) for number, until in numbers]
            self._connection.executemany(QUERIES["note_enforced"], notes)
            self._connection.executemany(QUERIES["mark_enforced"], numbers)

    def expire(self, now: float) -> list[Ban]:
        """End the bans whose time has come; returns them."""
        due = [ban_from(row) for row in self._rows("due_bans", {"now": now})]
        if not due:
            return []
        with self._writing():
            return self._end_all(due, "expired", now, "")

    def bans(
        self, *, active: bool | None = True, service: str | None = None, target: str | None = None,
        text: str | None = None, order: str = "id", descending: bool = False, limit: int = -1, offset: int = 0,
    ) -> list[Ban]:  # fmt: skip
        """Running bans, ended ones (`active=False`) or both (`None`), filtered, in one of the ORDERS; -1: no limit.

        `text` is a part of the target.
        """
        if active and not (service or target or text or descending or offset) and order == "id" and limit < 0:
            return sorted((ban_from(row) for row in self._rows("all_running")), key=lambda ban: ban.id)
        rows = self._rows(
            "bans", {"service": service, "target": target, "text": text, "limit": limit, "offset": offset},
            state=STATES[active], target=TARGETS[target is not None],
            order=ORDERS[order], direction="DESC" if descending else "ASC",
        )  # fmt: skip
        return [ban_from(row) for row in rows]

    def running_of(self, targets: Iterable[str]) -> list[Ban]:
        """The running bans of exactly these targets, in their order."""
        rows = self._rows("running_bans_of", (json.dumps(list(dict.fromkeys(targets))),))
        return [ban_from(row) for row in rows]

    def running_within(self, networks: Iterable[str]) -> list[Ban]:
        """The running bans of addresses and networks that lie wholly within one of these; looks at few others."""
        found: dict[int, Ban] = {}
        single: list[str] = []
        for network in networks:
            address = single_address(network)
            if address:
                single += address
                continue
            low, high, _ = text_range(network)
            rows = self._rows("running_between", {"low": low, "high": high})
            found.update((row[0], ban_from(row)) for row in rows if within(row[1], network))
        return [*found.values(), *(ban for ban in self.running_of(single) if ban.id not in found)]

    def count_bans(
        self, *, active: bool | None = True, service: str | None = None, target: str | None = None,
        text: str | None = None,
    ) -> int:  # fmt: skip
        """How many bans `bans` would return without a limit."""
        values = {"service": service, "target": target, "text": text}
        words = {"state": STATES[active], "target": TARGETS[target is not None]}
        return int(self._rows("count_bans", values, **words)[0][0])

    @property
    def running_bans(self) -> int:
        """How many bans run, from memory (writer only): for what is asked every second."""
        if self._stale:
            self._load()
        return self._running

    def bans_by_service(self) -> dict[str, int]:
        """How many bans run, service by service."""
        return dict(self._rows("running_by_service"))

    def bans_since(self, time: float) -> list[Ban]:
        """All bans that began at `time` or later, running or not, oldest first (for rules that count bans)."""
        return [ban_from(row) for row in self._rows("bans_since", {"time": time})]

    def ban_by_id(self, number: int) -> Ban | None:
        """One ban by its number."""
        row = self._row("ban", (number,))
        return ban_from(row) if row else None

    def history(self, target: str) -> list[Ban]:
        """All bans that `target` ever had, oldest first."""
        return self.bans(active=None, target=target)

    def changes(self, number: int) -> list[BanChange]:
        """Everything that happened to one ban, in order."""
        names = ("time", "change", "state", "until", "author")
        return [BanChange(**dict(zip(names, row, strict=True))) for row in self._rows("ban_changes", (number,))]

    def verdicts(self, *, after: int = 0, limit: int = 1000) -> list[RecordedVerdict]:
        """Verdicts in the order they were recorded, from the one after number `after`."""
        return [_verdict_from(row) for row in self._rows("verdicts", {"after": after, "limit": limit})]

    def verdicts_of(self, target: str, *, limit: int = 100) -> list[RecordedVerdict]:
        """The newest verdicts about `target`, newest first."""
        return [_verdict_from(row) for row in self._rows("verdicts_of", {"target": target, "limit": limit})]


def _verdict_from(row: Row) -> RecordedVerdict:
    number, ban, time, rule, service, target, address, until, actions, scope, count, since = row
    verdict = Verdict(time, rule, service, target, address, until, tuple(actions.split()), scope, count, since)
    return RecordedVerdict(id=number, ban=ban, verdict=verdict)
