"""Exact sliding windows: the attempts of one key (address, network or account) at one service, for several rules.

A window is one flat list, because there may be a million of them and a list is the one container that Python grows
in place: a header (see the names below), for each rule how many attempts it still lacks at the least, and then three
values for each attempt, sorted by time:

    time (seconds UTC) | account (or address, where an account is the key) | mask

The mask has a bit for each rule that may still count the attempt: the rules that filter it out never had theirs, and
a rule that fires takes its own away. So an attempt fires a rule once, exactly, in whatever order attempts arrive.

Most attempts only append and count down LEFT: as long as that is above zero no rule can possibly fire, for each new
attempt brings a rule at most one nearer and time passing none. Only at zero is anything counted.
"""

from __future__ import annotations

import math
from collections.abc import Set
from itertools import pairwise
from typing import Any

from ringfence.detect.rules import Counted, Masks
from ringfence.model import Per

Window = list[Any]

LEFT = 0
"""How many more attempts until the window must be weighed."""
STEP = 1
"""What LEFT was when it was set."""
TRIM = 2
"""Length of the list from which on it is trimmed."""
LATE = 3
"""Whether attempts that a rule may count may lie before such as it can't: after a late one, or where rules filter."""
LACKS = 4
"""Where the rules' own countdowns begin."""

ATTEMPT = 3
_ROOM = 32 * ATTEMPT
_LONGEST_STEP = 256

_NOBODY = frozenset({""})

Fired = tuple[Counted, int, float, Set[str]]
"""A rule that fired, how many it counted, the time of the oldest; the addresses, where an account is the key."""


class Counter:
    """The windows of one service that count together what the same rules judge.

    `full` is the mask of an attempt that all rules count, `masks` is None when none of them filters.
    """

    __slots__ = ("_blank", "_names_needed", "_terms", "first", "full", "masks", "per", "rules", "service", "windows")

    def __init__(self, service: str, per: Per, rules: tuple[Counted, ...]) -> None:
        self.service = service
        self.per = per
        self.rules = rules
        self.full = (1 << len(rules)) - 1
        self.masks = Masks(rules) if any(rule.causes or rule.proven for rule in rules) else None
        self.windows: dict[str, Window] = {}
        self.first = LACKS + len(rules)
        soonest = min(_LONGEST_STEP, *(rule.needed for rule in rules))
        self._blank = (soonest, soonest, self.first + _ROOM, False, *(rule.needed for rule in rules))
        self._names_needed = per == "account"
        self._terms = [(rule.bit, rule.needed, rule.within, rule.distinct, rule) for rule in rules]

    def add(self, window: Window | None, key: str, time: float, what: str, mask: int) -> list[Fired] | None:
        """Count one attempt in the window of `key` (None: begin one). What fired, or None."""
        if window is None:
            window = self.windows[key] = [*self._blank, time, what, mask]
        elif time < window[-ATTEMPT]:
            return self._insert(window, time, what, mask)
        else:
            if window[-1] & ~mask:
                window[LATE] = True
            window += (time, what, mask)
        window[LEFT] -= 1
        return None if window[LEFT] > 0 else self.weigh(window, time, mask)

    def adopt(self, key: str, attempts: list[Any]) -> None:
        """Take over the attempts (flat, sorted by time) that were counted for `key` under an earlier policy."""
        window = self.windows[key] = [*self._blank, *attempts]
        self.recount(window)
        window[LATE] = True

    def weigh(self, window: Window, time: float, mask: int) -> list[Fired] | None:
        """Count for each rule that may be due after the newest attempt (at `time`, with `mask`); what fired, or None.

        The other half of the hot path, so the two ways to count a simple window stand here in full: attempts that a
        rule may count are all behind those it can't, which is found by bisection.
        """
        fired: list[Fired] | None = None
        simple = not window[LATE]
        step = window[STEP] - window[LEFT]
        soonest = _LONGEST_STEP
        slot = LACKS
        first = self.first
        for bit, needed, within, distinct, rule in self._terms:
            lacks = window[slot] - step
            if lacks > 0:
                pass  # Not due: so many attempts are missing whatever they were.
            elif not mask & bit:
                # It filters this attempt out, so it does not fire now, whatever it has; what it lacks is worth knowing.
                lacks = max(1, needed - self._count(window, bit, time - within, time, distinct)[0])
            elif simple:
                # Masks first: they are small, shared numbers, while each time is a cache miss of its own.
                length = len(window)
                oldest = time - within
                low, high = 1, (length - first) // ATTEMPT
                if not distinct and high >= needed:
                    high = needed
                    if window[length - ATTEMPT * needed + 2] & bit:
                        low = needed  # The usual case: due, and at once.
                while low < high:
                    middle = (low + high + 1) >> 1
                    if window[length - ATTEMPT * middle + 2] & bit:
                        low = middle
                    else:
                        high = middle - 1
                have = low
                if distinct and have >= needed:
                    seen = set(window[length - ATTEMPT * low + 1 :: ATTEMPT])
                    have = len(seen) - ("" in seen)
                if have >= needed and window[length - ATTEMPT * low] < oldest:
                    low = self._young(window, low, oldest)
                    have = len(set(window[length - ATTEMPT * low + 1 :: ATTEMPT]) - _NOBODY) if distinct else low
                lacks = needed - have
                if lacks <= 0:
                    lacks = needed
                    at = length - ATTEMPT * low
                    since = self._since(window, at) if distinct else window[at]
                    among = set(window[at + 1 :: ATTEMPT]) if self._names_needed else _NOBODY
                    window[at + 2 :: ATTEMPT] = [each ^ bit for each in window[at + 2 :: ATTEMPT]]
                    # Older ones that it may still count (should a late attempt come) now lie behind used ones.
                    if at > first and window[at - ATTEMPT + 2] & bit:
                        window[LATE] = True
                    fired = fired or []
                    fired.append((rule, have, since, among))
            else:
                have, since = self._count(window, bit, time - within, time, distinct)
                lacks = needed - have
                if lacks <= 0:
                    lacks = needed
                    fired = fired or []
                    fired.append((rule, have, since, self._spend(window, bit, time - within, time)))
            window[slot] = lacks
            slot += 1
            if lacks < soonest:
                soonest = lacks
        window[LEFT] = window[STEP] = soonest
        if len(window) > window[TRIM]:
            self._trim(window)
        return fired

    def _young(self, window: Window, high: int, oldest: float) -> int:
        """How many of the newest `high` attempts of a sorted window are no older than `oldest`: at least one."""
        low, length = 1, len(window)
        while low < high:
            middle = (low + high + 1) >> 1
            if window[length - ATTEMPT * middle] >= oldest:
                low = middle
            else:
                high = middle - 1
        return low

    def _since(self, window: Window, at: int) -> float:
        """The time of the oldest account from `at` on, an account being as old as its newest attempt."""
        accounts: list[str] = window[at + 1 :: ATTEMPT]
        for place, account in enumerate(accounts):
            if account and account not in accounts[place + 1 :]:
                return float(window[at + ATTEMPT * place])
        return float(window[-ATTEMPT])

    def _insert(self, window: Window, time: float, what: str, mask: int) -> list[Fired] | None:
        """Count an attempt that is older than the newest: weigh every rule as of its time."""
        at = len(window) - ATTEMPT
        while at > self.first and window[at - ATTEMPT] > time:
            at -= ATTEMPT
        window[at:at] = (time, what, mask)
        fired: list[Fired] = []
        for bit, needed, within, distinct, rule in self._terms:
            if mask & bit:
                have, since = self._count(window, bit, time - within, time, distinct)
                if have >= needed:
                    fired.append((rule, have, since, self._spend(window, bit, time - within, time)))
        self.recount(window)
        window[LATE] = True
        return fired or None

    def recount(self, window: Window) -> None:
        """Have every rule weighed at the next attempt: nothing is known of what they lack."""
        window[LACKS : self.first] = [1] * len(self.rules)
        window[LEFT] = window[STEP] = 1

    def _count(self, window: Window, bit: int, oldest: float, newest: float, distinct: bool) -> tuple[int, float]:
        """What a rule counts between two times, in any window: how many, and since when.

        An account is as old as its newest attempt; where none was named there is none to count.
        """
        since = newest
        have = 0
        seen: set[str] = set()
        at = len(window) - ATTEMPT
        while at >= self.first and window[at] >= oldest:
            time, what, mask = window[at : at + ATTEMPT]
            if mask & bit and time <= newest and not (distinct and (not what or what in seen)):
                have += 1
                since = time
                seen.add(what)
            at -= ATTEMPT
        return have, since

    def _spend(self, window: Window, bit: int, oldest: float, newest: float) -> set[str]:
        """Take from a rule the attempts between two times; the accounts (or addresses) that made them."""
        among: set[str] = set()
        first = self.first
        at = len(window) - ATTEMPT
        while at >= first and window[at] >= oldest:
            if window[at + 2] & bit and window[at] <= newest:
                window[at + 2] ^= bit
                among.add(window[at + 1])
            at -= ATTEMPT
        return among

    def _trim(self, window: Window) -> None:
        """Keep only what the rules can still need as time goes on, and the newest attempt.

        A rule needs its newest `needed` attempts, or the newest attempt of each of its newest `needed` accounts.
        """
        newest = window[-ATTEMPT]
        first = self.first
        # What is too old for every rule that could still count it. This alone is nearly always enough.
        until = {mask: self._too_old(newest, mask) for mask in set(window[first + 2 :: ATTEMPT])}
        until[window[-1]] = min(until[window[-1]], newest)
        attempts = zip(window[first::ATTEMPT], window[first + 1 :: ATTEMPT], window[first + 2 :: ATTEMPT], strict=True)
        window[first:] = [each for attempt in attempts if attempt[0] >= until[attempt[2]] for each in attempt]
        if len(window) - first > _ROOM // 2:
            window[first:] = self._needed(window, newest)
        if window[LATE]:
            masks = window[first + 2 :: ATTEMPT]
            window[LATE] = any(older & ~newer for older, newer in pairwise(masks))
        window[TRIM] = first + max(_ROOM, 2 * (len(window) - first))

    def _too_old(self, newest: float, mask: int) -> float:
        return min((newest - within for bit, _, within, _, _ in self._terms if mask & bit), default=math.inf)

    def _needed(self, window: Window, newest: float) -> list[Any]:
        needs = [(bit, needed, newest - within, distinct) for bit, needed, within, distinct, _ in self._terms]
        counts = dict.fromkeys((rule.bit for rule in self.rules), 0)
        seen: set[tuple[int, str]] = set()
        kept: list[Any] = []
        for at in range(len(window) - ATTEMPT, self.first - 1, -ATTEMPT):
            time, what, mask = window[at : at + ATTEMPT]
            needed_by = 0
            for bit, needed, oldest, distinct in needs:
                if not mask & bit or time < oldest or counts[bit] >= needed or (distinct and (bit, what) in seen):
                    continue
                counts[bit] += 1
                needed_by |= bit
                if distinct:
                    seen.add((bit, what))
            if needed_by or not kept:
                kept += (mask, what, time)
        kept.reverse()
        return kept
