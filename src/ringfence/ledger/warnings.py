"""Warnings as they are noticed: written once, in the transaction of what they are about."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ringfence.ledger.connection import Row
from ringfence.ledger.evidence import EvidenceStore
from ringfence.ledger.facts import Condition, Mute
from ringfence.ledger.sql import QUERIES
from ringfence.model import EVERY, Alert, Event, Verdict

LONGEST: Final = 500
"""Characters that are kept of a text among the facts."""
LATE: Final = 600.0
"""Seconds after which a login that was only now read is learned without a word: it was caught up."""


class WarningStore(EvidenceStore):
    """Writes warnings, and keeps in mind what they are about: what lasts, and who is known."""

    watched_accounts: frozenset[str] = frozenset()
    """Accounts whose logins from new addresses are warned of, on any service, besides the page's administrators."""

    def _administrators(self) -> frozenset[str]:
        """The accounts whose logins are watched."""
        if self._known_administrators is None:
            named = (name for name, _ in self._rows("administrators"))
            self._known_administrators = self.watched_accounts.union(named)
        return self._known_administrators

    def _warn(self, alerts: Sequence[Alert], now: float) -> None:
        """Write warnings down, within a transaction; who does not want to be told of some is not."""
        if not alerts:
            return
        mutes = [mute_from(row) for row in self._rows("mutes", {"now": now})]
        rows, untold = [], dict[str, int]()
        for alert in alerts:
            muted = any(mute.covers(alert.kind, alert.subject, alert.service) for mute in mutes)
            rows.append(_warning_row(alert, muted))
            if muted:
                untold[alert.service or EVERY] = untold.get(alert.service or EVERY, 0) + 1
        self._connection.executemany(QUERIES["insert_warning"], rows)
        for service, count in untold.items():
            self._add_statistic(service, now, untold=count)

    def _warn_of_logins(self, events: Iterable[Event], now: float) -> None:
        """Administrators' logins from addresses that they never came from."""
        found = []
        for event in events:
            known = bool(self._rows("is_familiar", (event.account, event.address)))
            self._run("familiar", (event.account, event.address, event.time))
            if not known and event.time > now - LATE:
                facts = {"address": event.address}
                found.append(
                    Alert(time=event.time, kind="login", subject=event.account, service=event.service, facts=facts)
                )
        self._warn(found, now)

    # ---- what lasts

    def conditions(self) -> list[Condition]:
        """What was warned of and is not over."""
        return [
            Condition(kind=kind, subject=subject, service=service, since=since, facts=json.loads(facts))
            for kind, subject, service, since, facts in self._rows("conditions")
        ]

    def note_conditions(self, begun: Sequence[Condition], ended: Sequence[Condition], now: float) -> None:
        """Something began or ended that is to be told; `facts` of what ended are those of its end."""
        with self._writing():
            for one in begun:
                self._run("set_condition", (*one.key, one.since, json.dumps(_finite(one.facts))))
            for one in ended:
                self._run("delete_condition", one.key)
            self._warn([_of(one, "began", now) for one in begun] + [_of(one, "ended", now) for one in ended], now)

    def forget_condition(self, condition: Condition) -> None:
        """It is over, and nobody need be told."""
        with self._writing():
            self._run("delete_condition", condition.key)


def warning_of(verdict: Verdict, done: str, event: Event | None) -> Alert:
    """What a rule warns of: `done` is what came of it, see `alert.kinds`; `event` the deciding one."""
    facts: dict[str, Any] = {
        "rule": verdict.rule, "address": verdict.address, "count": verdict.count, "counted": verdict.counted,
        "since": verdict.since,
        "until": verdict.until, "scope": verdict.scope, "done": done,
    }  # fmt: skip
    if event is not None:
        facts |= {"cause": event.cause, "detail": event.detail[:LONGEST]}
    return Alert(time=verdict.time, kind="rule", subject=verdict.target, service=verdict.service, facts=facts)


def alert_from(row: Row) -> Alert:
    """An Alert of a row."""
    number, time, kind, subject, service, phase, grave, facts, muted, acknowledged, acknowledger = row
    return Alert(
        id=number, time=time, kind=kind, subject=subject, service=service, phase=phase, grave=bool(grave),
        facts=json.loads(facts), muted=bool(muted), acknowledged=acknowledged, acknowledger=acknowledger,
    )  # fmt: skip


def _of(condition: Condition, phase: Any, now: float) -> Alert:
    return Alert(
        time=now, kind=condition.kind, subject=condition.subject, service=condition.service, phase=phase,
        grave=condition.grave, facts=condition.facts,
    )  # fmt: skip


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: an end that never comes is null."""
    return {key: None if value == math.inf else value for key, value in facts.items()}


def _warning_row(alert: Alert, muted: bool) -> dict[str, object]:
    return {
        "time": alert.time, "kind": alert.kind, "subject": alert.subject, "service": alert.service,
        "phase": alert.phase, "grave": alert.grave, "facts": json.dumps(_finite(alert.facts)), "muted": muted,
    }  # fmt: skip


def mute_from(row: Row) -> Mute:
    """A Mute of a row."""
    number, kind, subject, service, until, created, author = row
    return Mute(
        id=number, kind=kind, subject=subject, service=service, until=until, created=created, author=author
    )  # fmt: skip
