"""What lasts is told when it begins and when it ends, not when it only flickers; over a real ledger."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.alert.alerting import Alerting
from ringfence.conditions import Conditions
from ringfence.ledger import Ledger
from ringfence.model import AllowEntry
from ringfence.watch import Fault

NOW = 1_800_000_000.0
DAY = 86_400.0


class Stand:
    """As much of a guard as conditions look at; everything is well at first."""

    def __init__(self, path: Path, certificate: Path | None = None) -> None:
        self.now = NOW
        self.problems: list[str] = []
        self.faults: list[Fault] = []
        self.temporary: list[AllowEntry] = []
        self.ledger = Ledger.open(path / "ledger.db", bans_capacity=2, now=NOW)
        self.guard: Any = SimpleNamespace(
            ledger=self.ledger, clock=lambda: self.now, alerting=Alerting(),
            barrier=SimpleNamespace(blocks=True, problems=lambda: self.problems),
            watch=SimpleNamespace(faults=lambda: self.faults, spoke_since=lambda source, since: False),
            whitelist=SimpleNamespace(temporary=lambda: self.temporary),
            settings=SimpleNamespace(
                bans=SimpleNamespace(capacity=2), web=SimpleNamespace(certificate=certificate)
            ),
        )  # fmt: skip
        self.conditions = Conditions(self.as_guard())

    def as_guard(self) -> Any:
        return self.guard

    def look(self, after: float) -> list[tuple[str, str, str]]:
        """What was told by then, the oldest first."""
        self.now = NOW + after
        self.conditions.look()
        return [(one.kind, one.phase, one.subject) for one in reversed(self.ledger.warnings())]


def test_a_firewall_that_fails_is_told_and_that_it_works_again_but_no_flicker(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.problems = ["nft: no"]
    assert stand.look(0) == []
    stand.problems = []
    assert stand.look(3) == []
    stand.problems = ["nft: no"]
    stand.look(6)
    began = [("enforcement", "began", "firewall")]
    assert stand.look(11) == began and stand.look(20) == began
    stand.problems = []
    assert stand.look(21) == began
    assert stand.look(51) == [*began, ("enforcement", "ended", "firewall")]


def test_a_full_list_is_told(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    for address in ("192.0.2.1", "192.0.2.2"):
        stand.ledger.ban(address, "*", NOW, NOW + DAY, author="user:root", now=NOW)
    assert stand.look(1) == [("full", "began", "bans")]


def test_a_log_that_can_not_be_read_is_told_until_it_can(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.faults = [Fault("/var/log/x", "unreadable", "can't be read: no")]
    stand.look(0)
    assert stand.look(10) == [("source", "began", "/var/log/x")]
    stand.faults = []
    stand.look(20)
    assert stand.look(30)[-1] == ("source", "ended", "/var/log/x")


def test_a_silent_log_is_not_well_again_just_because_the_guard_began_anew(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.faults = [Fault("/var/log/x", "silent", "silent for 3h")]
    stand.look(0)
    told = stand.look(10)
    stand.faults = []
    stand.conditions = Conditions(stand.as_guard())
    stand.look(20)
    assert stand.look(60) == told
    stand.guard.watch.spoke_since = lambda source, since: source == "/var/log/x"
    assert stand.look(90)[-1][1] == "ended"


def test_entries_and_certificates_are_told_of_before_they_end(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pbx")])
    end = datetime.datetime.fromtimestamp(NOW + 20 * DAY, datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(end - datetime.timedelta(days=90)).not_valid_after(end).sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path / "page.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    stand = Stand(tmp_path, file)
    stand.temporary = [
        AllowEntry(target="192.0.2.7", created=NOW, expires=NOW + 10 * DAY),
        AllowEntry(target="192.0.2.8", created=NOW, expires=NOW + 3600),
    ]
    assert stand.look(0) == []
    assert stand.look(6 * DAY + 1) == [("expiry", "began", str(file))]
    (alert,) = stand.ledger.warnings()
    assert alert.facts["expires"] == NOW + 20 * DAY
    assert stand.look(7 * DAY + 1)[-1] == ("expiry", "began", "192.0.2.7")
    stand.temporary = []
    assert len(stand.look(8 * DAY)) == 2, "that it is over need not be told"
