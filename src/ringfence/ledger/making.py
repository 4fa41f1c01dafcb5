"""How bans come about, grow and end: gathered in memory for a whole batch, written set by set.

Catching up, nearly every verdict makes a running ban longer. One by one that would be a look-up, a change and three
new rows each; in a `Draft` it is one look-up for the batch and one statement for each table.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from ringfence.ledger.connection import Row
from ringfence.ledger.sql import QUERIES
from ringfence.ledger.warnings import WarningStore, warning_of
from ringfence.model import EVERY, Alert, Ban, BanState, Event, Verdict

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


class Draft:
    """Changes of bans within one transaction, not yet written.

    running: the running bans of the targets in question, by (target, service), as they will be.
    last: the highest number of any ban. wanted, evicted, expired: what came of it all, by number.
    """

    def __init__(self, running: Sequence[Ban], last: int) -> None:
        self.running = {(ban.target, ban.service): ban for ban in running}
        self.last = last
        self.made: dict[int, Ban] = {}
        self.changed: dict[int, Ban] = {}
        self.ended: dict[int, Ban] = {}
        self.history: list[Row] = []
        self.wanted: dict[int, Ban] = {}
        self.evicted: dict[int, Ban] = {}
        self.expired: dict[int, Ban] = {}

    def make(self, ban: Ban, change: str, now: float) -> Ban:
        """A new ban, which gets the next number; `change` is made or past."""
        self.last += 1
        made = msgspec.structs.replace(
            ban, id=self.last, state=NEXT["", change], ended=ban.until if change == "past" else None
        )
        self.made[made.id] = made
        self.history.append((made.id, now, change, made.state, made.until, made.author))
        if made.ended is None:
            self.running[made.target, made.service] = made
        return made

    def alter(self, ban: Ban, change: str, now: float, author: str) -> None:
        """`ban` is a running one as it is from now on."""
        (self.made if ban.id in self.made else self.changed)[ban.id] = ban
        self.running[ban.target, ban.service] = ban
        self.history.append((ban.id, now, change, ban.state, ban.until, author))

    def end(self, ban: Ban, change: str, now: float, author: str) -> Ban:
        """End a running ban; returns it, ended."""
        over = msgspec.structs.replace(ban, state=NEXT[ban.state, change], ended=now)
        (self.made if ban.id in self.made else self.ended)[ban.id] = over
        self.running.pop((ban.target, ban.service), None)
        self.wanted.pop(ban.id, None)
        self.history.append((ban.id, now, change, over.state, over.until, author))
        return over


class MakingStore(WarningStore):
    """Makes, extends and ends bans, within transactions."""

    def _draft(self, targets: Collection[str]) -> Draft:
        rows = self._rows("running_bans_of", (json.dumps(list(targets)),)) if targets else []
        return Draft([ban_from(row) for row in rows], self._last_ban)

    def _write(self, draft: Draft) -> None:
        """Write what was drafted so far. Ends go before what is made: of one target only one ban may run."""
        many = self._connection.executemany
        if draft.changed:
            many(QUERIES["change_ban"], map(_changed_row, draft.changed.values()))
        if draft.ended:
            many(QUERIES["end_ban"], [(ban.id, ban.state, ban.ended) for ban in draft.ended.values()])
        if draft.made:
            many(QUERIES["insert_ban"], map(_made_row, draft.made.values()))
            self._last_ban = draft.last
        many(QUERIES["insert_change"], draft.history)
        for written in (draft.changed, draft.ended, draft.made, draft.history):
            written.clear()

    def _want(self, draft: Draft, ban: Ban, now: float, *, by_hand: bool) -> Ban | None:
        """Make `ban` (its id is ignored) or let it extend the running one.

        Returns the ban as it is now; None when nothing was to be done: it holds as long already, or there is no room.
        A rule never shortens; a ban by hand sets any end.
        """
        running = draft.running.get((ban.target, ban.service))
        if running is not None and running.until <= ban.since:
            draft.expired[running.id] = draft.end(running, "expired", running.until, "")
            self._running -= 1
            running = None
        if running is None:
            return self._make(draft, ban, now)
        if by_hand:
            longer = msgspec.structs.replace(ban, id=running.id, since=running.since, state=NEXT[running.state, "set"])
            draft.alter(longer, "set", now, ban.author)
        elif ban.until <= running.until:
            return None
        else:
            longer = msgspec.structs.replace(running, until=ban.until, state=NEXT[running.state, "extended"])
            if running.author.startswith("rule:"):
                longer = msgspec.structs.replace(longer, author=ban.author, reason=ban.reason, detail=ban.detail)
            draft.alter(longer, "extended", now, ban.author)
        return longer

    def _make(self, draft: Draft, ban: Ban, now: float) -> Ban | None:
        self._now = now
        past = ban.until <= now
        if not past and self._running >= self.bans_capacity:
            self._count("overflow", self._counters.get("overflow", 0) + 1)
            self._write(draft)
            row = self._row("ends_soonest")
            if row is None:
                return None
            old = ban_from(row)
            draft.evicted[old.id] = draft.end(old, "evicted", now, "capacity")
            self._running -= 1
        made = draft.make(ban, "past" if past else "made", now)
        self._made[ban.service] += 1
        if not past:
            self._running += 1
            if self._running > self._counters.get("peak", 0):
                self._count("peak", self._running)
        return made

    def _end_all(self, bans: Sequence[Ban], change: str, now: float, author: str) -> list[Ban]:
        """End running bans and write it down; returns them, ended."""
        draft = Draft(bans, 0)
        ended = [draft.end(ban, change, now, author) for ban in bans]
        self._write(draft)
        self._running -= len(ended)
        return ended

    def _judge(self, verdicts: Sequence[Verdict], events: Sequence[Event], now: float) -> Draft:
        """Record `verdicts` and the bans they make; the draft tells what came of them."""
        blocking = [verdict for verdict in verdicts if "block" in verdict.actions]
        draft = self._draft({verdict.target for verdict in blocking})
        judged = {verdict.address for verdict in verdicts}
        deciding = {(event.address, event.time): event for event in events if event.address in judged} if judged else {}
        rows: list[Row] = []
        firings: list[Row] = []
        alerts: list[Alert] = []
        for verdict in verdicts:
            number = None
            event, done = deciding.get((verdict.address, verdict.time)), "mail"
            if "block" in verdict.actions:
                ban = _ban_of(verdict, event)
                before = draft.running.get((ban.target, ban.service))
                made = self._want(draft, ban, now, by_hand=False)
                done = _done(before, made, full=(ban.target, ban.service) not in draft.running)
                if made is None:
                    running = draft.running.get((ban.target, ban.service))
                    number = running.id if running else None
                else:
                    number = made.id
                    firings += self._firing(number, verdict)
                    if made.ended is None and made.until > now:
                        draft.wanted[number] = made
            rows.append(_verdict_row(verdict, number))
            if "mail" in verdict.actions and done != "running":
                alerts.append(warning_of(verdict, done, event))
        self._write(draft)
        self._warn(alerts, now)
        self._connection.executemany(QUERIES["insert_firing"], firings)
        self._connection.executemany(QUERIES["insert_verdict"], rows)
        return draft


def ban_from(row: Row) -> Ban:
    """A Ban of a row."""
    number, target, service, since, until, state, author, reason, detail, note, ended = row
    return Ban(
        id=number, target=target, service=service, since=since, until=until, state=state, author=author,
        reason=reason, detail=detail, note=note, ended=ended,
    )  # fmt: skip


def _done(before: Ban | None, made: Ban | None, *, full: bool) -> str:
    """What came of a verdict that blocks, in the word of `alert.kinds`."""
    if made is None:
        return "full" if full else "running"
    if made.ended is not None:
        return "past"
    return "longer" if before is not None and before.id == made.id else "banned"


def _ban_of(verdict: Verdict, event: Event | None) -> Ban:
    service = verdict.service if verdict.scope == "service" else EVERY
    return Ban(
        id=0, target=verdict.target, service=service, since=verdict.time, until=verdict.until, state="wanted",
        author=f"rule:{verdict.rule}", reason=event.cause if event else "", detail=event.detail if event else "",
    )  # fmt: skip


def _changed_row(ban: Ban) -> Row:
    automatic = ban.author.startswith("rule:")
    return (ban.id, ban.until, ban.state, ban.author, ban.reason, ban.detail, ban.note, automatic)


def _made_row(ban: Ban) -> Row:
    automatic = ban.author.startswith("rule:")
    return (
        ban.id, ban.target, ban.service, ban.since, ban.until, ban.state, ban.author, ban.reason, ban.detail, ban.note,
        ban.ended, automatic,
    )  # fmt: skip


def _verdict_row(verdict: Verdict, ban: int | None) -> Row:
    return (
        verdict.time, verdict.rule, verdict.service, verdict.target, verdict.address, verdict.until,
        " ".join(verdict.actions), verdict.scope, verdict.count, verdict.since, ban,
    )  # fmt: skip
