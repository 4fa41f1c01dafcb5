"""kill -9, full disks and files that can't be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_facts import LOG, NOW, event, opened, position, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger

STREAM = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from ledger_facts import *
ledger = opened(pathlib.Path(sys.argv[1]))
line = ledger.positions()[LOG].line if ledger.positions() else 0
print("go", flush=True)
while True:
    size = (1, 70, 1500)[line % 3]
    batch = [event(f"192.0.2.{n % 200}", NOW + n, line=n) for n in range(line + 1, line + 1 + size)]
    line += size
    ledger.record(batch, [verdict(f"10.{line >> 16}.{line >> 8 & 255}.{line & 255}")], [position(line)], NOW)
"""


def test_killed_at_any_instant_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    """Again and again killed while recording: events, bans and the read position always tell the same story."""
    for turn in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", STREAM, str(tmp_path), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        clock.sleep(0.02 + 0.017 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        ledger = opened(tmp_path)
        line = ledger.positions()[LOG].line if ledger.positions() else 0
        assert [e.line for e in ledger.events_since(0)] == list(range(1, line + 1))
        assert ledger.count_bans() == len(ledger.verdicts(limit=100_000))
        assert sum(a.attempts for a in ledger.attackers(limit=-1)) == line
        timeline = [e.line for _, e in ledger.events_of("192.0.2.7", limit=1_000_000)]
        assert timeline == [n for n in range(line, 0, -1) if n % 200 == 7]
        ledger.close()
    assert line > 1000


def test_a_new_ledger_and_its_directory_are_private_to_owner_and_group(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "var" / "lib")
    ledger.record([event()], [], [], NOW)
    for name in ("ledger.db", "ledger.db-wal"):
        mode = stat.S_IMODE((tmp_path / "var" / "lib" / name).stat().st_mode)
        assert mode == 0o640
    assert not list(tmp_path.glob("**/*.new"))


def test_half_a_file_of_an_interrupted_start_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.new").write_bytes(b"SQLite for")
    assert opened(tmp_path).positions() == {}


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def filled(path: Path) -> Path:
    ledger = opened(path)
    for _ in range(20):
        ledger.record([event(line=n) for n in range(1500)], [], [position(1)], NOW)
    ledger.close()
    return path / "ledger.db"


def damaged_page(file: Path) -> None:
    with file.open("r+b") as opened_file:
        opened_file.seek(file.stat().st_size // 2 // 4096 * 4096)
        opened_file.write(b"\xff" * 4096)


def newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 4")
    connection.close()


def foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE accounts (id)")
    connection.close()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda file: file.write_text("not a database, " * 40), "not an SQLite database"),
    "empty": (lambda file: file.write_bytes(b""), "not an SQLite database"),
    "foreign": (foreign, "another program"),
    "newer": (newer, "version 4.*knows version 3"),
    "cut": (lambda file: os.truncate(file, file.stat().st_size // 4096 // 2 * 4096), "damaged"),
    "page": (damaged_page, "damaged"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_can_not_be_used_is_refused_and_left_as_it_is(tmp_path: Path, fault: str) -> None:
    """The message names the file, what is wrong and what to do; not one byte changes."""
    file = filled(tmp_path)
    spoil, message = FAULTS[fault]
    spoil(file)
    before = content(tmp_path)
    with pytest.raises(LedgerError, match=message) as caught:
        opened(tmp_path)
    assert caught.value.refused
    assert str(file) in str(caught.value)
    assert "move it away" in str(caught.value)
    assert content(tmp_path) == before


@pytest.mark.parametrize("fault", ["text", "empty", "foreign", "newer"])
def test_a_reader_refuses_what_is_no_ledger_of_this_version(tmp_path: Path, fault: str) -> None:
    file = filled(tmp_path)
    spoil, message = FAULTS[fault]
    spoil(file)
    with pytest.raises(LedgerError, match=message):
        Ledger.open_reader(file)


def test_no_ledger_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="start the guard first"):
        Ledger.open_reader(tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="check directory, owner and room") as caught:
        opened(tmp_path / "file" / "below")
    assert not caught.value.refused


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_is_said_and_recording_goes_on_when_there_is_room(small_disk: Path) -> None:
    """The failed batch leaves nothing behind; the same batch succeeds later, and every event is there once."""
    ledger = opened(small_disk)
    kept = 0
    ledger.record([event(line=0)], [verdict()], [position(0)], NOW)
    with pytest.raises(LedgerError, match="make room"):
        for kept in range(1, 100):
            batch = [event(line=n, detail="x" * 100) for n in range(kept * 500, kept * 500 + 500)]
            ledger.record(batch, [verdict(f"198.51.100.{kept}")], [position(kept)], NOW)
    assert ledger.positions()[LOG].line == kept - 1
    assert ledger.count_bans() == kept
    with pytest.raises(LedgerError, match="make room"):
        ledger.record(batch, [verdict(f"198.51.100.{kept}")], [position(kept)], NOW)
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert [b.target for b in ledger.record(batch, [verdict(f"198.51.100.{kept}")], [position(kept)], NOW).wanted]
    attacker = ledger.attacker("192.0.2.1")
    assert attacker is not None
    assert attacker.attempts == 1 + 500 * kept
    assert len(ledger.events_of("192.0.2.1", limit=100_000)) == 1 + 500 * kept
    ledger.close()
