"""Evidence: the events that made a rule fire.

While the events are there, a firing only says where they are found, which costs the log path one small row. Before
the first of them is pruned they are copied, if the ban still runs or ended lately, and the copies outlive them.
"""

from __future__ import annotations

from typing import Final

from ringfence.ledger.connection import Row
from ringfence.ledger.cover import Membership
from ringfence.ledger.events import EventStore, event_from
from ringfence.ledger.sql import QUERIES
from ringfence.model import Event, Verdict

EVIDENCE: Final = 20
"""Events shown as evidence of each firing: the newest ones."""
EVIDENCE_OF_A_BAN: Final = 100
"""Events shown as evidence of one ban that was extended many times: the newest ones."""
STEPS: Final = 200
"""How far back along an address's events evidence is looked for."""
RECENT: Final = 2_048
"""How many events before the deciding one are looked through for other addresses of a banned network."""
EVIDENCE_AFTER: Final = 86_400.0
"""Seconds after the end of its ban for which evidence is kept at least."""


class EvidenceStore(EventStore):
    """Notes, finds and copies evidence."""

    def _firing(self, ban: int, verdict: Verdict) -> list[Row]:
        """The row that says where the evidence for `ban` is; none when there are no events of its address."""
        newest = self._newest.get(verdict.address) or self._newest_event(verdict.address)
        if not newest:
            return []
        return [
            (ban, newest, verdict.target, verdict.address, verdict.service, verdict.since, verdict.time, verdict.count)
        ]

    def evidence(self, number: int) -> list[Event]:
        """The events that fired the rule of a ban, oldest first; also after the events themselves were pruned.

        At most EVIDENCE events of each firing and EVIDENCE_OF_A_BAN of one ban, the newest ones. Those of a ban
        that ended stay as long as its events do, and at least EVIDENCE_AFTER seconds.
        """
        found = {row[0]: event_from(row) for row in self._rows("evidence", (number,))}
        for firing in self._rows("firings_of", (number, EVIDENCE_OF_A_BAN)):
            for event in self._fired(firing):
                found |= {row[0]: event_from(row) for row in self._rows("event", (event,))}
        return [found[event] for event in sorted(found)[-EVIDENCE_OF_A_BAN:]]

    def _fired(self, firing: Row) -> list[int]:
        """The numbers of the events of a firing: its address's first, then its neighbours' in a banned network."""
        _, _, newest, target, address, service, since, until, count = firing
        window = {"since": since, "until": until, "service": service}
        walk = {"newest": newest, "steps": STEPS, "limit": EVIDENCE, **window}
        events = [row[0] for row in self._rows("fired_events", walk)]
        most = min(count, EVIDENCE)
        if "/" in target and len(events) < most:
            inside = Membership(target)
            recent = self._rows("neighbours", {"first": newest - RECENT, "last": newest, **window})
            others = [event for event, other in recent if other != address and other in inside]
            events += others[: most - len(events)]
        return events

    def _copy_firings(self, until: float, now: float, most: int) -> int:
        """Copy up to `most` firings whose oldest event is of `until` or before; returns how many there were."""
        firings = self._rows("firings_since", {"time": until, "rows": most})
        for firing in firings:
            number, ban = firing[:2]
            row = self._row("ban", (ban,))
            if row and (row[-1] is None or row[-1] > now - EVIDENCE_AFTER):
                self._connection.executemany(QUERIES["copy_event"], [(ban, event) for event in self._fired(firing)])
                self._run("has_evidence", (ban,))
                self._run("trim_evidence", {"ban": ban, "keep": EVIDENCE_OF_A_BAN})
            self._run("delete_firing", (number,))
        return len(firings)
