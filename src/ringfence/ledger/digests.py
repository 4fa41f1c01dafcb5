"""Numbers of a period that is over, for summaries."""

from __future__ import annotations

from typing import Final

from ringfence.ledger.attackers import AttackerStore

MOST_DISTINCT: Final = 2_000_000
"""Events that are looked through to tell their addresses apart: about two seconds."""


class DigestStore(AttackerStore):
    """Reads what summaries tell besides the charts' numbers."""

    def first_hour(self) -> float | None:
        """When the charts begin: the first hour with attempts that is still known, seconds UTC; None without any."""
        self._catch_up()
        row = self._row("first_hour")
        return None if row is None or row[0] is None else row[0] * 3600.0

    def attackers_in(self, since: float, until: float) -> int | None:
        """How many addresses failed from `since` until before `until`.

        None where nobody knows: events of then are gone already, or there are more than MOST_DISTINCT.
        """
        self._catch_up()
        hours = {"first": int(since // 3600), "last": -int(-until // 3600)}
        if not self._rows("attempts_by_hour", hours):
            return 0
        first, last, pruned = self._rows("events_in_span", {"since": since, "until": until})[0]
        if first is None or pruned or last - first >= MOST_DISTINCT:
            return None
        row = self._row("distinct_attackers", {"first": first, "last": last, "since": since, "until": until})
        return int(row[0]) if row else None
