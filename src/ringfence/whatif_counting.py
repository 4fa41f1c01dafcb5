"""What if: the first bans that counting tells (`detect.first`), of addresses and of networks that count together.

Nothing is taken down of attempts of which counting can't tell all: those are the detector's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from ringfence.detect.address import network_of
from ringfence.detect.first import Attempts, First, Unclear
from ringfence.errors import SettingsError
from ringfence.ledger.connection import Row
from ringfence.ledger.replay import Context
from ringfence.model import EVERY
from ringfence.whatif_judging import Banned, Pair, Plan

Flat = list[Any]
"""Attempts in their order, four values each: time, address, context, account. There may be a million of them."""
ATTEMPT = 4

Counts = Literal["address", "network", "both"]
"""Which rules count what comes from a target; both where an IPv6 prefix is an address and a network."""
_PER: dict[Counts, tuple[str, ...]] = {"address": ("address",), "network": ("network",), "both": ("address", "network")}
Unit = tuple[str, Counts, Attempts, Flat]
"""What is banned (address or network), the rules that count it, and its attempts at one service in both forms."""


class Counting:
    """Counts attempts of the kinds in `failing`; `bans`: the first ones of each side, by whom they keep out of what."""

    def __init__(self, plan: Plan, sides: Iterable[str], failing: Mapping[int, Context]) -> None:
        self.bans: dict[str, dict[Pair, Banned]] = {side: {} for side in sides}
        services = {context.service for context in failing.values()}
        self._service = {number: context.service for number, context in failing.items()}
        self._closing = plan.closing(services)
        self._allow = {side: plan.allow(plan.policy(side)) for side in self.bans}
        self._limits = plan.before.limits
        self._same_limits = plan.same_limits
        self._by_network = any(rule.per == "network" for rule in plan.rules(services))
        self._first: dict[tuple[str, str, Counts], First] = {}
        for service in services:
            kinds = {number: (one.cause, one.proven) for number, one in failing.items() if one.service == service}
            for side in self.bans:
                rules = plan.policy(side).rules_for(service)
                for counts, per in _PER.items():
                    chosen = [rule for rule in rules if rule.failures is None or rule.per in per]
                    self._first[side, service, counts] = First(chosen, kinds)

    def count(self, key: str, rows: Flat) -> Iterator[tuple[str, Flat]]:
        """Take down the first bans by the attempts of `key` (an address or network); what is left to whom, by side."""
        for service, part in self._parts(key, rows):
            units = list(self._units(key, part)) if service else []
            for side, bans in self.bans.items():
                try:
                    bans.update(self._found(side, service, units))
                except Unclear:
                    yield side, part

    def _parts(self, key: str, rows: Flat) -> Iterator[tuple[str, Flat]]:
        """The attempts at each service, as far as they can be counted by themselves; the service is "" otherwise.

        A ban of one service does not concern others, unless it may be one of everything.
        """
        services = {self._service[number] for number in set(rows[2::ATTEMPT])}
        if len(services) > 1 and services & self._closing:
            yield "", rows
        elif not self._same_limits and (self._by_network or ":" in key):
            yield "", rows  # The sides mean other networks.
        elif len(services) == 1:
            yield services.pop(), rows
        else:
            parts: dict[str, Flat] = {service: [] for service in services}
            for attempt in attempts_in(rows):
                parts[self._service[attempt[2]]] += attempt
            yield from parts.items()

    def _units(self, key: str, part: Flat) -> Iterator[Unit]:
        """All that may be banned for these attempts at one service."""
        if not self._by_network:
            yield key, "address", _columns(part), part
            return
        targets: dict[str, list[tuple[str, Counts]]] = {}
        units: dict[tuple[str, Counts], Flat] = {}
        for attempt in attempts_in(part):
            address = attempt[1]
            if address not in targets:
                targets[address] = self._targets(address)
            for each in targets[address]:
                units.setdefault(each, []).extend(attempt)
        for (target, counts), rows in units.items():
            yield target, counts, _columns(rows), rows

    def _targets(self, address: str) -> list[tuple[str, Counts]]:
        """What may be banned for an attempt of `address`, where networks count: nothing if it is no address."""
        limits = self._limits
        try:
            alone = network_of(address, 32, limits.ipv6_prefix) if ":" in address else address
            network = network_of(address, limits.ipv4_network, limits.ipv6_network)
        except ValueError:
            return []
        return [(alone, "both")] if alone == network else [(alone, "address"), (network, "network")]

    def _found(self, side: str, service: str, units: Iterable[Unit]) -> dict[Pair, Banned]:
        """The first bans at one service, on one side. Raises Unclear."""
        if not service:
            raise Unclear
        bans: dict[Pair, Banned] = {}
        for target, counts, attempts, rows in units:
            found = self._first[side, service, counts].ban(attempts)
            # Whom the whitelist spares does not try more often than all together.
            if found is not None:
                self._not_whitelisted(side, target, service)
                at, rule = found
                time, address, _, _ = rows[ATTEMPT * at : ATTEMPT * (at + 1)]
                closed = EVERY if rule.scope == "all" else service
                bans[target, closed] = Banned(rule.name, time, time + rule.ban, address)
        return bans

    def _not_whitelisted(self, side: str, target: str, service: str) -> None:
        """Raises Unclear if the whitelist may spare somebody there at some time, or where `target` is no address."""
        try:
            entry = self._allow[side].covers_network(target, service, -math.inf)
        except SettingsError as error:
            raise Unclear from error
        if entry is not None:
            raise Unclear


def attempts_in(rows: Flat) -> Iterator[Row]:
    """One by one."""
    return zip(*(rows[at::ATTEMPT] for at in range(ATTEMPT)), strict=True)


def _columns(rows: Flat) -> Attempts:
    return Attempts(rows[0::ATTEMPT], rows[2::ATTEMPT], rows[3::ATTEMPT])
