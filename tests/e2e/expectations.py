"""What a test expects the guard to have told of each of several clients."""

from __future__ import annotations

from collections import Counter

from proof import POLICY, outcomes

from guard import Guard

NO_BANS = POLICY.replace("failures = 4", "failures = 1000")
"""A policy that lets everything be counted."""


def told(guard: Guard, address: str) -> Counter[str]:
    """How often which cause was told of an address; successes under "succeeded"."""
    return Counter(cause if outcome == "failed" else outcome for _, outcome, cause in outcomes(guard, address))


def expect(guard: Guard, expected: dict[str, dict[str, int]], service: str) -> None:
    """What was told of each address is what was done from there, all of `service`, and nobody else is named."""
    wanted = {address: Counter(counts) for address, counts in expected.items()}
    try:
        guard.until(lambda: all(told(guard, address) == counts for address, counts in wanted.items()), "all of it", 5)
    except AssertionError:
        assert {address: told(guard, address) for address in wanted} == wanted
    assert {event.service for address in expected for event in guard.explain(address).events} == {service}
    assert set(guard.attackers()) <= set(expected)
