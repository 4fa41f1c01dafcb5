"""Events, charts, what was tried most, the audit, and how far everything is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Final

from ringfence.ledger.attackers import LEVELS
from ringfence.ledger.connection import Row
from ringfence.ledger.cover import text_range
from ringfence.ledger.events import event_from
from ringfence.ledger.facts import AuditEntry
from ringfence.ledger.listed import (
    ALL_EVENTS,
    AttackFilter,
    BanTotal,
    Count,
    Cursor,
    EventFilter,
    ListedAttacker,
    ListedEvent,
    NetworkSums,
    Page,
    Slot,
    TopAccounts,
    Totals,
    Tried,
    Versions,
)
from ringfence.ledger.lists import ListStore
from ringfence.model import Level

MOST_STEPS: Final = 5_000
"""Events of one address that a page looks through for those that are wanted; then it goes on with the next page."""
MOST_LOOKED_AT: Final = 20_000
"""The same for the events of all addresses, which lie side by side."""
MOST_TRIED: Final = 30_000
"""The newest events, from which the accounts tried most are told."""
MOST_SUMMED: Final = 2_000
"""Addresses of a network that are summed up."""
MOST_NEIGHBOURS: Final = 500
"""Addresses of a network whose events are shown: those seen last."""


class TimelineStore(ListStore):
    """Reads what happened in order of time."""

    _starts_of: tuple[tuple[str, int], str] = (("", 0), "")

    def event_page(
        self, address: str | None = None, wanted: EventFilter = ALL_EVENTS, *, limit: int = 100,
        cursor: Cursor | None = None,
    ) -> Page[ListedEvent]:  # fmt: skip
        """The newest events, of one address or of all, newest first.

        A page looks through a bounded number of events; it may be short and go on nevertheless.
        """
        where = self._events_like(wanted)
        values: dict[str, object] = {
            "service": wanted.service, "failed": wanted.failed, "since": wanted.since, "limit": limit + 1,
            "account": wanted.account.encode(errors="replace").lower().decode(),
        }  # fmt: skip
        if address is None:
            return self._of_all(where, values, limit, cursor)
        start = cursor[0] if cursor else self._newest_event(address)
        walk = {**values, "start": start, "steps": limit + 1 if where == "true" else MOST_STEPS}
        found: list[ListedEvent] = []
        for row in self._rows("timeline", walk, where=where) if start else ():
            if len(found) == limit:
                return Page(found, (row[0],))
            if row[-1]:
                found.append(ListedEvent(row[0], event_from(row[:-2])))
            start = row[-2]
        return Page(found, (start,) if start and self._row("event", (start,)) else None)

    def _of_all(self, where: str, values: dict[str, object], limit: int, cursor: Cursor | None) -> Page[ListedEvent]:
        start = cursor[0] if cursor else self._value("last_event")
        stop = max(0, start - MOST_LOOKED_AT)
        rows = self._rows("newest_events", {**values, "start": start, "stop": stop}, where=where)
        found = [ListedEvent(row[0], event_from(row)) for row in rows[:limit]]
        if len(rows) > limit:
            return Page(found, (rows[limit][0],))
        return Page(found, (stop,) if self._value("oldest_event") <= stop else None)

    def _events_like(self, wanted: EventFilter) -> str:
        where = []
        if wanted.service:
            where.append("c.service = :service")
        if wanted.failed is not None:
            where.append("c.failed = :failed")
        if wanted.account:
            where.append("instr(lower(e.account), :account)")
        if wanted.since > float("-inf"):
            where.append("e.time >= :since")
        return " AND ".join(where) or "true"

    # ---- networks, and how events lie in time

    def network_events(
        self, network: str, wanted: EventFilter = ALL_EVENTS, *, limit: int = 100, cursor: Cursor | None = None,
    ) -> Page[ListedEvent]:  # fmt: skip
        """The newest events of the addresses in `network`, newest first.

        Of the MOST_NEIGHBOURS addresses seen last, and of the MOST_STEPS newest events of these.
        """
        values: dict[str, object] = {
            "starts": self._starts(network), "steps": MOST_STEPS, "before": cursor[0] if cursor else 1 << 62,
            "service": wanted.service, "failed": wanted.failed, "since": wanted.since, "limit": limit + 1,
            "account": wanted.account.encode(errors="replace").lower().decode(),
        }  # fmt: skip
        rows = self._rows("network_events", values, where=self._events_like(wanted))
        found = [ListedEvent(row[0], event_from(row)) for row in rows[:limit]]
        return Page(found, (found[-1].id,) if len(rows) > limit else None)

    def network_sums(self, network: str, *, harmless: int = 5) -> NetworkSums | None:
        """What the addresses of a network did together, MOST_SUMMED of them at most; None when there are none."""
        low, high, _ = text_range(network)
        values = {"low": low, "high": high, "network": network, "harmless": harmless, "most": MOST_SUMMED}
        row = self._rows("network_sums", values, level=LEVELS["threatening"])[0]
        if not row[0]:
            return None
        level: Level = "threatening" if row[-1] else "harmless"
        count, attempts, successes, first, last, _ = row
        return NetworkSums(Count(count, count < MOST_SUMMED), attempts, successes, first, last, level)

    def events_in_time(self, target: str, since: float, step: int, *, most: int = 5_000) -> list[Slot]:
        """The `most` newest events of an address or network from `since` on, by slot of `step` seconds and service.

        Failed ones only; slots without any are left out.
        """
        values = {"starts": self._starts(target), "since": since, "step": step, "steps": most}
        return [Slot(*row) for row in self._rows("slots_of_events", values)]

    def _starts(self, target: str) -> str:
        """The newest event of each address that `target` is or holds, as JSON."""
        if "/" not in target:
            return json.dumps([self._newest_event(target)])
        known = (target, self._value("last_event"))
        if self._starts_of[0] == known:
            return self._starts_of[1]
        page = self.attack_page(AttackFilter(network=target), "last_seen", limit=MOST_NEIGHBOURS, accounts=False)
        self._starts_of = (known, json.dumps([row.newest for row in page.rows]))
        return self._starts_of[1]

    # ---- charts

    def attempts_by_minute(self, since: float, until: float, step: int) -> list[Slot]:
        """Attempts by slot of `step` seconds (whole minutes) and service; slots without any are left out.

        Steps of whole hours are quick over any time; slots begin at multiples of `step`.
        """
        self._catch_up()
        unit = 3600 if step % 3600 == 0 else 60
        span = {"first": int(since // unit), "last": -int(-until // unit)}
        return _slots(self._rows("attempts_by_hour" if unit == 3600 else "attempts_by_minute", span), unit, step)

    def bans_by_slot(self, since: float, until: float, step: int) -> list[Slot]:
        """Bans that began, by slot of `step` seconds and service; slots without any are left out."""
        first, hours = self._bans_by_hour()
        if step % 3600 == 0 and since // 3600 >= first:
            low, high = int(since // 3600), -int(-until // 3600)
            return _slots([(*key, count) for key, count in hours.items() if low <= key[0] < high], 3600, step)
        return [Slot(*row) for row in self._rows("slots_of_bans", {"since": since, "until": until, "step": step})]

    # ---- what stands out

    def top_attackers(self, since: float, limit: int = 10, *, harmless: int = 5) -> list[ListedAttacker]:
        """Who of those seen since then has most attempts (all of them counted, also the earlier ones)."""
        return self.attack_page(AttackFilter(since=since, harmless=harmless), "attempts", limit=limit).rows

    def top_accounts(self, since: float, limit: int = 10) -> TopAccounts:
        """The accounts tried most since then, among the newest MOST_TRIED events."""
        after = max(0, self._value("last_event") - MOST_TRIED)
        rows = self._rows("top_accounts", {"after": after, "since": since, "limit": limit})
        first = self._row("event_time", {"id": after + 1})
        return TopAccounts([Tried(*row) for row in rows], max(since, first[0]) if after and first else since)

    def totals(self) -> Totals:
        """Counters that only grow: of bans since ever, of attempts since their statistics were reset."""
        rows = self._rows("statistics")
        return Totals(
            attempts={row[0]: row[2] for row in rows}, successes={row[0]: row[3] for row in rows},
            bans=[BanTotal(service, author, count) for (service, author), count in sorted(self._made_ever().items())],
            messages={row[0]: (row[7], row[8], row[9]) for row in rows},
        )  # fmt: skip

    # ---- audit and versions

    def audit_page(self, text: str = "", *, limit: int = 100, cursor: Cursor | None = None) -> Page[AuditEntry]:
        """The newest commands, newest first; `text` is a part of who, what, where from or the arguments."""
        before = cursor[0] if cursor else 1 << 62
        rows = self._rows("audit_page", {"text": text.lower(), "before": before, "limit": limit + 1})
        found = [
            AuditEntry(id=number, time=time, author=author, command=command, arguments=json.loads(words), origin=origin)
            for number, time, author, command, words, origin in rows[:limit]
        ]
        return Page(found, (found[-1].id,) if len(rows) > limit else None)

    def versions(self) -> Versions:
        """How far everything is; cheap enough to ask several times a second."""
        return Versions(**dict(zip(Versions.__struct_fields__, self._rows("versions")[0], strict=True)))


def _slots(rows: Iterable[Row], unit: int, step: int) -> list[Slot]:
    """Rows by `unit` seconds summed up by `step` seconds, which is a multiple of it."""
    if unit == step:
        return [Slot(place * unit, service, count) for place, service, count in rows]
    sums: Counter[tuple[int, str]] = Counter()
    for place, service, count in rows:
        sums[place * unit // step * step, service] += count
    return [Slot(time, service, count) for (time, service), count in sums.items()]
