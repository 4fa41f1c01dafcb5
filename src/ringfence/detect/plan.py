"""What holds for one service: its counters, the rules that count bans, and who logged in successfully."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.detect.recent import Recent
from ringfence.detect.rules import Counted, Masks, counted, repeated
from ringfence.detect.window import ATTEMPT, Counter, Window
from ringfence.model import Event, Limits, Per, Policy, Verdict

_SUCCESSES = 100_000

Hot = tuple[Counter | None, bool, Masks | None, int, dict[str, Window]]


class Plan:
    """The policy as it holds for one service, with the windows. A service that is switched off counts nothing.

    `hot` is what the loop over events needs: the counter by address, whether there are others, and the counter's
    `masks`, `full` and `windows`.
    """

    __slots__ = ("by_account", "by_address", "by_network", "counters", "hot", "repeated", "service", "succeeded")

    def __init__(self, policy: Policy, service: str) -> None:
        rules = policy.rules_for(service)
        self.service = service
        self.by_address = self._counter(counted(rules, "address", service), "address")
        self.by_network = self._counter(counted(rules, "network", service), "network")
        self.by_account = self._counter(counted(rules, "account", service), "account")
        self.repeated = repeated(rules, service)
        self.succeeded: Recent[tuple[str, str], bool] = Recent(_SUCCESSES)
        every = (self.by_address, self.by_network, self.by_account)
        self.counters = [counter for counter in every if counter is not None]
        others = self.by_network is not None or self.by_account is not None
        address = self.by_address
        self.hot: Hot = (address, others, None, 0, {})
        if address is not None:
            self.hot = (address, others, address.masks, address.full, address.windows)

    def _counter(self, rules: tuple[Counted, ...], per: Per) -> Counter | None:
        return Counter(self.service, per, rules) if rules else None

    def inherit(self, old: Plan, before: Limits, after: Limits) -> None:
        """Take over the windows of `old`, the plan under an earlier policy, as far as they mean the same."""
        self.succeeded = old.succeeded
        for mine, theirs in zip(
            (self.by_address, self.by_network, self.by_account),
            (old.by_address, old.by_network, old.by_account),
            strict=True,
        ):
            if mine is not None and theirs is not None:
                _inherit(mine, theirs, before, after)

    def verdict(
        self, event: Event, rule: Counted, target: str, count: int, since: float, *, bans: bool = False
    ) -> Verdict:
        """What is said when `rule` fired for `target` at `event`, having counted `count` (`bans`) since `since`."""
        return Verdict(
            event.time,
            rule.name,
            event.service,
            target,
            event.address,
            event.time + rule.ban,
            rule.actions,
            rule.scope,
            count,
            since,
            "bans" if bans else "accounts" if rule.distinct else "attempts",
        )


def _inherit(mine: Counter, theirs: Counter, before: Limits, after: Limits) -> None:
    """Move windows over, each attempt keeping the bits of the rules that are still there (see `_translation`)."""
    if mine.per == "network" and (before.ipv4_network, before.ipv6_network) != (after.ipv4_network, after.ipv6_network):
        return
    other_prefix = mine.per == "address" and before.ipv6_prefix != after.ipv6_prefix
    bits, always = _translation(mine.rules, theirs.rules)
    translated: dict[int, int] = {}
    for key, window in theirs.windows.items():
        if other_prefix and ":" in key:
            continue
        attempts = window[theirs.first :]
        for at in range(2, len(attempts), ATTEMPT):
            mask = attempts[at]
            new = translated.get(mask)
            if new is None:
                new = translated[mask] = sum((to for was, to in bits if mask & was), always)
            attempts[at] = new
        mine.adopt(key, attempts)


def _translation(mine: Sequence[Counted], theirs: Sequence[Counted]) -> tuple[list[tuple[int, int]], int]:
    """Which bit becomes which, and the bits that every attempt gets.

    A rule of the same name keeps what it has used. A new rule counts all attempts that there are, unless it filters:
    their causes are not remembered, and to count too few is the lesser harm.
    """
    known = {rule.name: rule for rule in theirs}
    bits: list[tuple[int, int]] = []
    always = 0
    for rule in mine:
        old = known.get(rule.name)
        if old is None:
            always |= 0 if rule.causes or rule.proven else rule.bit
        elif not (rule.causes or rule.proven) or (old.causes, old.proven) == (rule.causes, rule.proven):
            bits.append((old.bit, rule.bit))
    return bits, always
