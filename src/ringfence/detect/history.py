"""Bans as the detector remembers them: which run, until when, and how many there were lately.

A target's bans are one flat list of four values each: what was closed, since, until, and the names of the rules that
counted it already (None: it never counts, being a ban by hand or one that lengthened another).
"""

from __future__ import annotations

import math
from typing import Any

from ringfence.detect.recent import Recent
from ringfence.model import EVERY

_FIELDS = 4


class History:
    """Running and earlier bans of at most `capacity` targets; those not asked for longest are forgotten first."""

    __slots__ = ("_kept", "_targets")

    def __init__(self, capacity: int) -> None:
        self._targets: Recent[str, list[Any]] = Recent(capacity)
        self._kept = 1

    def keep(self, bans: int) -> None:
        """Remember at least `bans` bans of each target."""
        self._kept = max(self._kept, bans)

    def extend(self, target: str, closed: str, time: float, until: float, counts: bool = True) -> tuple[bool, bool]:
        """A ban of `target` at `time`: (whether it moves the end further, whether it is a new ban).

        A ban of everything holds for every service, so it is what a ban of one service must outlast.
        """
        bans = self._targets.get(target)
        if bans is None:
            self._targets.put(target, [closed, time, until, () if counts else None])
            return True, True
        end, place = -math.inf, -1
        for at in range(0, len(bans), _FIELDS):
            if bans[at + 2] > time and (bans[at] == closed or bans[at] == EVERY):
                if bans[at + 2] > end:
                    end = bans[at + 2]
                if bans[at] == closed:
                    place = at
        if until <= end:
            return False, False
        if place >= 0:
            bans[place + 2] = until
            return True, False
        new = end == -math.inf
        bans += (closed, time, until, () if counts and new else None)
        if len(bans) > _FIELDS * 2 * self._kept + 2 * _FIELDS:
            self._trim(bans, time)
        return True, new

    def count(self, target: str, service: str, rule: str, oldest: float, newest: float) -> list[float]:
        """The starts, between `oldest` and `newest`, of bans that closed `service` and that `rule` did not count yet.

        Bans that began together (one service and all of them, by one event) are one.
        """
        starts: set[float] = set()
        spent: set[float] = set()
        bans = self._targets.get(target) or []
        for at in range(0, len(bans), _FIELDS):
            closed, since, _, used = bans[at : at + _FIELDS]
            if used is not None and oldest <= since <= newest and closed in (service, EVERY):
                (spent if rule in used else starts).add(since)
        return sorted(starts - spent)

    def spend(self, target: str, rule: str, starts: list[float]) -> None:
        """`rule` fired for the bans that began at `starts`: they don't count for it again."""
        bans = self._targets.get(target) or []
        for at in range(0, len(bans), _FIELDS):
            if bans[at + 1] in starts and bans[at + 3] is not None:
                bans[at + 3] = (*bans[at + 3], rule)

    def forget(self, target: str, closed: str | None) -> None:
        """The bans of `target` never happened: those of one service, or all when `closed` is None."""
        bans = self._targets.get(target)
        if bans is None:
            return
        if closed is not None:
            for at in reversed(range(0, len(bans), _FIELDS)):
                if bans[at] == closed:
                    del bans[at : at + _FIELDS]
        if closed is None or not bans:
            self._targets.pop(target)

    def _trim(self, bans: list[Any], time: float) -> None:
        over = [at for at in range(0, len(bans) - _FIELDS, _FIELDS) if bans[at + 2] <= time]
        for at in reversed(over[: len(over) // 2 + 1] if over else [0]):
            del bans[at : at + _FIELDS]
