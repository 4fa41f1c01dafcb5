"""Tables on a terminal fit its width; on their way to another program nothing is folded or left out."""

from __future__ import annotations

import io
import sys

import pytest

from ringfence.answers import AttackRow, LockdownRow, ServiceRow, SourceRow, Status
from ringfence.cli import tables

ATTACKER = AttackRow(
    address="198.51.100.123", attempts=12_345, successes=0, level="threatening", services=("sip", "iax", "ssh"),
    accounts=tuple(f"account-number-{n}" for n in range(9)), first_seen="2026-09-21T14:13:20Z",
    last_seen="2026-09-21T14:32:20Z", banned=True,
)  # fmt: skip
RULES = ("standard 10/10m→10m", "flood 100/3m→365d", "enumeration 6 accounts/10m→1d", "repeat 3 bans/7d→7d",
         "persistent 6 bans/30d→365d")  # fmt: skip
STATUS = Status(
    guarded=True, headline="Everything is guarded.", problems=[], notices=[], version="1", pid=1,
    started="2026-09-21T14:13:20Z", mode="guarding with nftables", ledger="/var/lib/ringfence/ringfence.db",
    policy_revision=1, bans_enforced=0, bans_wanted=0, whitelisted=0, lockdown=LockdownRow(on=False),
    services=[
        ServiceRow(name="sip", title="SIP", enabled=True, ports=("5060/udp", "5060-5061/tcp"), rules=RULES, sources=1,
                   bans=0)
    ],
    sources=[SourceRow(source="/var/log/asterisk/messages", kinds=("sip-asterisk",), lines=1_234_567, events=8)],
)  # fmt: skip


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> Terminal:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


def shown(terminal: Terminal) -> str:
    """What is read on the terminal, without the codes for bold and dim."""
    from rich.text import Text

    return Text.from_ansi(terminal.getvalue()).plain


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_the_attack_list_fits_and_keeps_addresses_and_numbers_whole(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    terminal = on_terminal(monkeypatch, width)
    tables.attack_rows([ATTACKER])
    text = shown(terminal)
    assert max(map(len, text.splitlines())) <= width
    assert "198.51.100.123" in text and "12,345" in text and "threatening" in text and "+4" in text


@pytest.mark.parametrize("width", [80, 100, 132])
def test_status_fits_and_has_the_numbers_of_every_rule(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    terminal = on_terminal(monkeypatch, width)
    tables.status(STATUS)
    text = shown(terminal)
    assert max(map(len, text.splitlines())) <= width
    assert all(part in text for rule in RULES for part in rule.split()[:1]) and "1,234,567" in text


def test_what_is_left_out_on_a_narrow_terminal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch, 80)
    tables.attack_rows([ATTACKER])
    text = " ".join(shown(terminal).split())
    assert "left out on this narrow terminal: FIRST SEEN" in text and "LAST SEEN" in text


def test_nothing_is_folded_or_left_out_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    tables.attack_rows([ATTACKER])
    tables.status(STATUS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines[1]) > 200 and "FIRST SEEN" in lines[0] and lines[1].endswith("+4")
    assert any(", ".join(RULES) in line for line in lines)
