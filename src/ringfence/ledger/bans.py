"""Bans: one running ban for each (target, service), every change of it kept, room made when the list is full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ringfence.ledger.connection import Row
from ringfence.ledger.evidence import EvidenceStore
from ringfence.ledger.facts import BanChange, RecordedVerdict
from ringfence.ledger.sql import QUERIES
from ringfence.model import EVERY, Ban, BanState, Event, Verdict

NEXT: Final[Mapping[tuple[str, str], BanState]] = {
    ("", "made"): "wanted",
    ("", "past"): "expired",
    ("wanted", "extended"): "wanted",
    ("wanted", "set"): "wanted",
    ("wanted", "enforced"): "enforced",
    ("wanted", "expired"): "expired",
    ("wanted", "lifted"): "lifted",
    ("wanted", "evicted"): "lifted",
    ("enforced", "extended"): "wanted",
    ("enforced", "set"): "wanted",
    ("enforced", "expired"): "expired",
    ("enforced", "lifted"): "lifted",
    ("enforced", "evicted"): "lifted",
}
"""The state that a change leads to. What is not here can't happen: an ended ban never comes back, a new one is made."""

ORDERS: Final = {"id": "id", "since": "since", "until": "until", "target": "target", "service": "service"}

STATES: Final = {True: "ended IS NULL", False: "ended IS NOT NULL", None: "true"}
TARGETS: Final = {True: "target = :target", False: "true"}
"""Written into a statement, because a condition that may not apply would keep the database from using its index."""


class BanStore(EvidenceStore):
    """Makes, extends, ends and lists bans."""

    def _want(self, ban: Ban, now: float, *, by_hand: bool) -> tuple[Ban | None, list[Ban], list[Ban]]:
        """Make `ban` (its id is ignored) or let it extend the running one.

        Returns the ban that is now wanted (None: nothing to do), the evicted and the expired ones.
        A rule never shortens; a ban by hand sets any end.
        """
        running = self._running_ban(ban.target, ban.service)
        expired: list[Ban] = []
        if running is not None and running.until <= ban.since:
            expired.append(self._end(running, "expired", running.until, ""))
            running = None
        if running is None:
            made, evicted = self._make(ban, now, automatic=not by_hand)
            return made, evicted, expired
        if by_hand:
            author, reason, detail, note = ban.author, ban.reason, ban.detail, ban.note
        elif ban.until <= running.until:
            return None, [], expired
        elif running.author.startswith("rule:"):
            author, reason, detail, note = ban.author, ban.reason, ban.detail, running.note
        else:
            author, reason, detail, note = running.author, running.reason, running.detail, running.note
        change = "set" if by_hand else "extended"
        longer = msgspec.structs.replace(
            running, until=ban.until, state=NEXT[running.state, change],
            author=author, reason=reason, detail=detail, note=note,
        )  # fmt: skip
        values = msgspec.structs.asdict(longer)
        self._run("change_ban", {**values, "automatic": author.startswith("rule:")})
        self._run("insert_change", (longer.id, now, change, longer.state, longer.until, ban.author))
        return longer, [], expired

    def _make(self, ban: Ban, now: float, *, automatic: bool) -> tuple[Ban | None, list[Ban]]:
        self._now = now
        past = ban.until <= now
        evicted: list[Ban] = []
        if not past and self._running >= self.bans_capacity:
            self._count("overflow", self._counters.get("overflow", 0) + 1)
            row = self._row("ends_soonest")
            if row is None:
                return None, []
            evicted.append(self._end(ban_from(row), "evicted", now, "capacity"))
        change = "past" if past else "made"
        state = NEXT["", change]
        ended = ban.until if past else None
        values = (
            ban.target, ban.service, ban.since, ban.until, state, ban.author, ban.reason, ban.detail, ban.note,
            ended, automatic,
        )  # fmt: skip
        number = int(self._run("insert_ban", values).lastrowid or 0)
        self._run("insert_change", (number, now, change, state, ban.until, ban.author))
        self._made[ban.service] += 1
        if not past:
            self._running += 1
            if self._running > self._counters.get("peak", 0):
                self._count("peak", self._running)
        return msgspec.structs.replace(ban, id=number, state=state, ended=ended), evicted

    def _end(self, ban: Ban, change: str, now: float, author: str) -> Ban:
        return self._end_all([ban], change, now, author)[0]

    def _end_all(self, bans: Sequence[Ban], change: str, now: float, author: str) -> list[Ban]:
        ended = [msgspec.structs.replace(ban, state=NEXT[ban.state, change], ended=now) for ban in bans]
        many = self._connection.executemany
        many(QUERIES["end_ban"], [(ban.id, ban.state, now) for ban in ended])
        many(QUERIES["insert_change"], [(ban.id, now, change, ban.state, ban.until, author) for ban in ended])
        self._running -= len(ended)
        return ended

    def _running_ban(self, target: str, service: str) -> Ban | None:
        rows = self._run("running_ban", (target, service)).fetchall()
        return ban_from(rows[0]) if rows else None

    def _judge(self, verdicts: Sequence[Verdict], events: Sequence[Event], now: float) -> tuple[dict[int, Ban], ...]:
        """Record `verdicts` and the bans they make; returns wanted, evicted and expired bans by number."""
        wanted: dict[int, Ban] = {}
        evicted: dict[int, Ban] = {}
        expired: dict[int, Ban] = {}
        blocked = {verdict.address for verdict in verdicts if "block" in verdict.actions}
        deciding = (
            {(event.address, event.time): event for event in events if event.address in blocked} if blocked else {}
        )
        rows: list[Row] = []
        for verdict in verdicts:
            number = None
            if "block" in verdict.actions:
                event = deciding.get((verdict.address, verdict.time))
                number, ban, out, over = self._block(verdict, event, now)
                if ban is not None and ban.ended is None and ban.until > now:
                    wanted[ban.id] = ban
                evicted.update((old.id, old) for old in out)
                expired.update((old.id, old) for old in over)
            rows.append(_verdict_row(verdict, number))
        self._connection.executemany(QUERIES["insert_verdict"], rows)
        for old in evicted:
            wanted.pop(old, None)
        return wanted, evicted, expired

    def _block(
        self, verdict: Verdict, event: Event | None, now: float
    ) -> tuple[int | None, Ban | None, list[Ban], list[Ban]]:
        service = verdict.service if verdict.scope == "service" else EVERY
        ban = Ban(
            id=0, target=verdict.target, service=service, since=verdict.time, until=verdict.until, state="wanted",
            author=f"rule:{verdict.rule}", reason=event.cause if event else "", detail=event.detail if event else "",
        )  # fmt: skip
        made, evicted, expired = self._want(ban, now, by_hand=False)
        if made is None:
            running = self._running_ban(verdict.target, service)
            return running.id if running else None, None, evicted, expired
        self._note_firing(made.id, verdict)
        return made.id, made, evicted, expired

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

    def count_bans(
        self, *, active: bool | None = True, service: str | None = None, target: str | None = None,
        text: str | None = None,
    ) -> int:  # fmt: skip
        """How many bans `bans` would return without a limit."""
        values = {"service": service, "target": target, "text": text}
        words = {"state": STATES[active], "target": TARGETS[target is not None]}
        return int(self._rows("count_bans", values, **words)[0][0])

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


def ban_from(row: Row) -> Ban:
    """A Ban of a row."""
    number, target, service, since, until, state, author, reason, detail, note, ended = row
    return Ban(
        id=number, target=target, service=service, since=since, until=until, state=state, author=author,
        reason=reason, detail=detail, note=note, ended=ended,
    )  # fmt: skip


def _verdict_row(verdict: Verdict, ban: int | None) -> Row:
    return (
        verdict.time, verdict.rule, verdict.service, verdict.target, verdict.address, verdict.until,
        " ".join(verdict.actions), verdict.scope, verdict.count, verdict.since, ban,
    )  # fmt: skip


def _verdict_from(row: Row) -> RecordedVerdict:
    number, ban, time, rule, service, target, address, until, actions, scope, count, since = row
    verdict = Verdict(time, rule, service, target, address, until, tuple(actions.split()), scope, count, since)
    return RecordedVerdict(id=number, ban=ban, verdict=verdict)
