"""An attack is told when it begins and when it is over, against what the server is used to; over a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.alert.alerting import Alerting
from ringfence.attacks import Attacks
from ringfence.conditions import Conditions
from ringfence.ledger import Ledger
from ringfence.model import Event

NOW = 1_800_000_000.0 // 86_400 * 86_400
MINUTE = 60.0


class Watched:
    """What `Attacks` needs of a guard: ledger, clock, settings, own addresses, conditions."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.ledger = Ledger.open(path / "ledger.db", now=NOW)
        self.numbers = iter(range(1 << 30))
        self.guard: Any = SimpleNamespace(
            ledger=self.ledger, clock=lambda: self.now, alerting=Alerting(),
            whitelist=SimpleNamespace(own={"192.0.2.99"}),
        )  # fmt: skip
        self.restart()

    def restart(self) -> None:
        self.guard.conditions = Conditions(self.guard)
        self.attacks = Attacks(self.guard)

    def pass_minutes(self, minutes: int, attempts: int, address: str = "203.0.113.9", service: str = "sip") -> None:
        """`minutes` go by with so many attempts each, and each is looked at."""
        for _ in range(minutes):
            events = [
                Event(
                    self.now + 1 + number / 1000, address, service, "100", True, "wrong password", "", True,
                    "sip-asterisk/x", "log", next(self.numbers), "",
                )
                for number in range(attempts)
            ]  # fmt: skip
            self.ledger.record(events, [], [], self.now)
            self.now += MINUTE
            self.attacks.look()

    def told(self) -> list[tuple[str, str, float]]:
        found = reversed(self.ledger.warnings())
        return [(one.service, one.phase, (one.time - NOW) / MINUTE) for one in found]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.ledger.close()


def test_an_attack_is_told_once_when_it_begins_and_once_when_it_is_over(watched: Watched) -> None:
    watched.pass_minutes(20, 2)
    watched.pass_minutes(30, 200)
    watched.pass_minutes(30, 2)
    (begin, end) = reversed(watched.ledger.warnings())
    assert (begin.kind, begin.service, begin.phase, begin.grave) == ("attack", "sip", "began", True)
    assert begin.time == NOW + 21 * MINUTE and begin.facts["rate"] > 60
    assert end.phase == "ended" and end.facts["attempts"] >= 30 * 200
    assert NOW + 55 * MINUTE < end.time <= NOW + 62 * MINUTE


def test_what_a_server_is_used_to_is_no_attack(watched: Watched) -> None:
    """Forty attempts a minute, day and night, are usual here after a day; eight times as many are not."""
    watched.pass_minutes(1, 0)
    for hour in range(30):
        watched.now = NOW + hour * 3600
        watched.ledger.record(
            [
                Event(watched.now + n, "203.0.113.9", "sip", "1", True, "x", "", True, "k/x", "log", n, "")
                for n in range(2400)
            ],
            [], [], watched.now,
        )  # fmt: skip
    watched.now = NOW + 30 * 3600
    watched.restart()
    watched.pass_minutes(20, 45)
    assert watched.told() == []
    watched.pass_minutes(5, 500)
    assert [phase for _, phase, _ in watched.told()] == ["began"]


def test_a_restart_tells_nothing_again_and_still_tells_the_end(watched: Watched) -> None:
    watched.pass_minutes(10, 100)
    watched.restart()
    watched.pass_minutes(10, 100)
    watched.restart()
    watched.pass_minutes(20, 0)
    assert [phase for _, phase, _ in watched.told()] == ["began", "ended"]


def test_services_are_judged_apart(watched: Watched) -> None:
    watched.pass_minutes(10, 100, service="ssh")
    assert [service for service, _, _ in watched.told()] == ["ssh"]


def test_what_our_own_addresses_do_wrong_is_no_attack(watched: Watched) -> None:
    """A mail server here that refuses our own warnings can't raise a warning."""
    watched.pass_minutes(20, 500, address="192.0.2.99", service="smtp")
    assert watched.told() == []
