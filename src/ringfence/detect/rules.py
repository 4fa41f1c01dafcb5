"""The rules of a policy, prepared for counting: everything that does not depend on an event is worked out once."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ringfence.model import EVERY, Action, Per, Rule, Scope, counts_cause

_CAUSES_REMEMBERED = 1_024


class Counted(Struct, frozen=True, gc=False):
    """A rule that counts attempts: its place (`bit`) among those counted together, and what it says.

    `distinct` counts different accounts (for `per = "account"`: different addresses, an account being one account)
    instead of attempts. `closed` is what its ban closes, a service or EVERY; `blocks` whether it bans at all.
    """

    bit: int
    needed: int
    within: float
    distinct: bool
    name: str
    ban: float
    actions: tuple[Action, ...]
    scope: Scope
    closed: str
    blocks: bool
    causes: tuple[str, ...]
    proven: bool


class Masks(dict[tuple[str, bool], int]):
    """(cause, proven) of an attempt → the bits of the rules that count it, worked out when first asked."""

    def __init__(self, rules: tuple[Counted, ...]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, key: tuple[str, bool]) -> int:
        if len(self) >= _CAUSES_REMEMBERED:
            self.clear()
        cause, proven = key
        mask = 0
        for rule in self._rules:
            if counts_cause(rule.causes, cause) and (proven or not rule.proven):
                mask |= rule.bit
        self[key] = mask
        return mask


def counted(rules: Iterable[Rule], per: Per, service: str) -> tuple[Counted, ...]:
    """Those of `rules` that count attempts per address, network or account, as they hold for `service`."""
    chosen = [rule for rule in rules if rule.failures is not None and rule.per == per]
    return tuple(_prepared(rule, rule.failures or 1, 1 << place, service) for place, rule in enumerate(chosen))


def repeated(rules: Iterable[Rule], service: str) -> tuple[Counted, ...]:
    """Those of `rules` that count earlier bans, shortest ban first, as they hold for `service`."""
    chosen = sorted((rule for rule in rules if rule.bans is not None), key=lambda rule: rule.ban)
    return tuple(_prepared(rule, rule.bans or 1, 0, service) for rule in chosen)


def _prepared(rule: Rule, needed: int, bit: int, service: str) -> Counted:
    return Counted(
        bit=bit,
        needed=needed,
        within=rule.within,
        distinct=rule.count == "accounts",
        name=rule.name,
        ban=rule.ban,
        actions=rule.actions,
        scope=rule.scope,
        closed=EVERY if rule.scope == "all" else service,
        blocks="block" in rule.actions,
        causes=rule.causes,
        proven=rule.proven,
    )
