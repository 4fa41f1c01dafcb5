"""The first ban of one address (or network) at one service, found by counting alone.

For judging a million recorded attempts once more, where only the first ban of each is asked for: what the detector
would say first, in about a quarter of its time, for nothing need be remembered when all attempts are there. What
counting can't tell is `Unclear` and the detector's to say; a test compares the two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ringfence.model import Rule, counts_cause


class Unclear(Exception):
    """Counting does not tell."""


class Threshold(NamedTuple):
    """When a rule fires: so many attempts (`distinct`: at so many accounts) of these `kinds` within so many seconds."""

    failures: int
    within: float
    distinct: bool
    kinds: frozenset[int]


class Attempts:
    """All failed attempts of one address (or network) at one service as they were recorded, in columns.

    A kind is the number of a cause, proven or not. What one policy asked of them is known when the other one asks.
    """

    __slots__ = ("_accounts", "_kinds", "_reached", "_seen", "_times", "ordered")

    def __init__(self, times: Sequence[float], kinds: Sequence[int], accounts: Sequence[str]) -> None:
        self._times = times
        self._kinds = kinds
        self._accounts = accounts
        self._seen = set(kinds)
        self._reached: dict[Threshold, int | None] = {}
        self.ordered = times == sorted(times)

    def reached(self, threshold: Threshold) -> int | None:
        """The place of the attempt that first reaches `threshold`; they must be ordered by time."""
        if threshold not in self._reached:
            self._reached[threshold] = self._find(threshold)
        return self._reached[threshold]

    def _find(self, threshold: Threshold) -> int | None:
        failures, within, distinct, kinds = threshold
        times, accounts = self._times, self._accounts
        places: Sequence[int] = range(len(times))
        if len(times) < failures or kinds.isdisjoint(self._seen):
            return None
        if not kinds.issuperset(self._seen):
            places = [at for at, kind in enumerate(self._kinds) if kind in kinds]
            times, accounts = [times[at] for at in places], [accounts[at] for at in places]
        found = _many(times, failures, within)
        if distinct and found is not None:
            # Before, there were not even as many attempts; and none but these counted then.
            found = _different(times, accounts, found - failures + 1, failures, within)
        return None if found is None else places[found]


class First:
    """The rules of a service that count together what comes from one address or network; `kinds`: (cause, proven)."""

    def __init__(self, rules: Iterable[Rule], kinds: Mapping[int, tuple[str, bool]]) -> None:
        blocking = [rule for rule in rules if "block" in rule.actions]
        counting = [(rule, rule.failures) for rule in blocking if rule.failures is not None]
        # Of rules that fire together the shortest ban is told first, of those by address before those by network; rules
        # that count bans come after them.
        counting.sort(key=lambda each: (each[0].per == "network", each[0].ban))
        self._rules = [
            (Threshold(failures, rule.within, rule.count == "accounts", _counted(rule, kinds)), rule)
            for rule, failures in counting
        ]
        self._later = {rule.scope for rule in blocking if rule.bans is not None}

    def ban(self, attempts: Attempts) -> tuple[int, Rule] | None:
        """Who is banned first, by which rule and by the attempt at which place; None: never.

        Raises Unclear where attempts came late, or where bans of the service and of everything may both be had.
        """
        if self._rules and not attempts.ordered:
            raise Unclear
        fired = [(at, rule) for threshold, rule in self._rules if (at := attempts.reached(threshold)) is not None]
        if not fired:
            return None
        if len(self._later.union(rule.scope for _, rule in fired)) > 1:
            raise Unclear
        return min(fired, key=lambda each: each[0])


def _counted(rule: Rule, kinds: Mapping[int, tuple[str, bool]]) -> frozenset[int]:
    return frozenset(
        kind
        for kind, (cause, proven) in kinds.items()
        if counts_cause(rule.causes, cause) and (proven or not rule.proven)
    )


def _many(times: Sequence[float], failures: int, within: float) -> int | None:
    """The place of the first attempt that is one of `failures` within so many seconds."""
    for at, (time, earliest) in enumerate(zip(times[failures - 1 :], times, strict=False), failures - 1):
        if earliest >= time - within:
            return at
    return None


def _different(times: Sequence[float], accounts: Sequence[str], begin: int, failures: int, within: float) -> int | None:
    """The place of the first attempt, from `begin` on, by which `failures` accounts were tried within so many seconds.

    An account is as old as its newest attempt; where none was named there is none to count.
    """
    newest: OrderedDict[str, float] = OrderedDict()
    for at in range(begin, len(times)):
        account = accounts[at]
        if not account:
            continue
        oldest = times[at] - within
        newest[account] = times[at]
        newest.move_to_end(account)
        while newest[next(iter(newest))] < oldest:
            newest.popitem(last=False)
        if len(newest) >= failures:
            return at
    return None
