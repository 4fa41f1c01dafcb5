"""Entries of the systemd journal arrive like lines of a log, each once: a real journal and the real journalctl."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringfence.errors import SensorError
from ringfence.model import Position
from ringfence.sense.chunk import Chunk
from ringfence.sense.journal import JournalSensor

REMOTE = Path("/lib/systemd/systemd-journal-remote")
needs_journal = pytest.mark.skipif(
    shutil.which("journalctl") is None or not REMOTE.exists(),
    reason="needs journalctl and systemd-journal-remote (Debian packages systemd, systemd-journal-remote)",
)
Start = Callable[..., JournalSensor]


class Journal:
    """A journal file that entries can be added to, as systemd-journald would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def add(
        self, *messages: str, unit: str = "ssh.service", identifier: str = "sshd", stamp: float = 1_700_000_000
    ) -> None:
        text = ""
        for message in messages:
            self.count += 1
            moment = int((stamp + self.count) * 1e6)
            text += (
                f"__REALTIME_TIMESTAMP={moment}\n__MONOTONIC_TIMESTAMP={self.count * 1000}\n_BOOT_ID={'01' * 16}\n"
                f"_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER={identifier}\nMESSAGE={message}\n\n"
            )
        subprocess.run([REMOTE, "-o", self.path, "-"], input=text.encode(), capture_output=True, check=True)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "t.journal")


@pytest.fixture
def start(journal: Journal) -> Iterator[Start]:
    sensors: list[JournalSensor] = []

    def begin(*units: str, identifiers: tuple[str, ...] = (), **options: object) -> JournalSensor:
        options.setdefault("arguments", [f"--file={journal.path}"])
        sensors.append(JournalSensor(units, identifiers, **options))  # type: ignore[arg-type]
        return sensors[-1]

    yield begin
    for sensor in sensors:
        sensor.close()


def wait(sensor: JournalSensor, lines: int) -> list[Chunk]:
    """The next chunks, until there are `lines` entries; journalctl takes its time."""
    found: list[Chunk] = []
    end = time.monotonic() + 10
    while sum(chunk.data.count(b"\n") for chunk in found) < lines and time.monotonic() < end:
        while chunk := sensor.read(time.time()):
            found.append(chunk)
        select.select([sensor.fileno()], [], [], 0.05)
    return found


def messages(found: list[Chunk]) -> list[str]:
    return [json.loads(line)["MESSAGE"] for chunk in found for line in chunk.data.splitlines()]


@needs_journal
def test_entries_of_units_and_identifiers_come_and_go_on_coming(journal: Journal, start: Start) -> None:
    """What was there is old; what is written while we follow wakes the event loop and is live."""
    journal.add("a", "b")
    journal.add("not asked for", unit="cron.service", identifier="cron")
    journal.add("c", unit="x.service", identifier="asterisk")
    sensor = start("ssh", identifiers=("asterisk", "sshd"))
    old = wait(sensor, 3)
    assert messages(old) == ["a", "b", "c"]
    assert {chunk.live for chunk in old} == {False}
    journal.add("d", stamp=time.time() + 100)
    new = wait(sensor, 1)
    assert messages(new) == ["d"]
    assert [(chunk.live, chunk.first_line, chunk.source) for chunk in new] == [(True, 4, "journal")]


@needs_journal
def test_a_restart_goes_on_after_the_committed_cursor(journal: Journal, start: Start) -> None:
    """Neither the last entry again, nor one left out; the count of entries goes on."""
    journal.add("a", "b")
    committed = wait(start("ssh"), 2)[-1].position
    assert committed.cursor
    journal.add("c")
    found = wait(start("ssh", position=committed), 1)
    assert messages(found) == ["c"]
    assert found[0].first_line == 3


@needs_journal
def test_only_new_entries_if_so_wished(journal: Journal, start: Start) -> None:
    """A journal of years can be begun at its end."""
    journal.add("old", "older")
    sensor = start("ssh", start_at_end_if_new=True)
    assert wait_nothing(sensor)
    journal.add("new")
    assert messages(wait(sensor, 1)) == ["new"]


def wait_nothing(sensor: JournalSensor) -> bool:
    sensor.read(time.time())
    return not select.select([sensor.fileno()], [], [], 0.3)[0]


@needs_journal
def test_a_text_cannot_pose_as_a_cursor(journal: Journal, start: Start) -> None:
    """What an attacker writes into a message does not move our position."""
    journal.add('x","__CURSOR":"s=evil;t=1","y":"z')
    found = wait(start("ssh"), 1)
    assert json.loads(found[0].data)["__CURSOR"] == found[0].position.cursor


@needs_journal
def test_a_journalctl_that_ends_is_started_again_later(journal: Journal, start: Start) -> None:
    """It is said once, retried after a second, and goes on after the last entry."""
    journal.add("a")
    sensor = start("ssh")
    assert messages(wait(sensor, 1)) == ["a"]
    process = sensor._process
    assert process is not None
    process.kill()
    process.wait()
    now = time.time()
    assert sensor.read(now) is None
    assert len(sensor.troubles()) == 1
    assert sensor.wake_at == pytest.approx(now + 1)
    journal.add("b")
    sensor.rescan(now + 0.5)
    assert sensor._process is None
    sensor.rescan(now + 1)
    assert messages(wait(sensor, 1)) == ["b"]
    assert sensor.troubles() == ["journal: is being read now"]


@needs_journal
def test_a_refused_cursor_does_not_stop_us(journal: Journal, start: Start) -> None:
    """With a cursor that journalctl does not take, reading goes on at the time that it tells."""
    journal.add("a", "b", "c")
    bad = Position(source="journal", cursor=f"s=nonsense;t={int(1_700_000_002 * 1e6):x}")
    sensor = start("ssh", position=bad)
    now = time.time()
    while sensor.read(now) is None and sensor.wake_at > 1e300:
        select.select([sensor.fileno()], [], [], 0.05)
    (said,) = sensor.troubles()
    assert "cursor" in said
    sensor.rescan(now + 2)
    assert messages(wait(sensor, 2)) == ["b", "c"]


def test_without_journalctl_that_is_said_for_good(start: Start) -> None:
    """The one case in which trying again is pointless."""
    with pytest.raises(SensorError, match="package systemd") as raised:
        start("ssh", program="no-such-journalctl")
    assert raised.value.permanent


@needs_journal
def test_closing_leaves_no_process(journal: Journal, start: Start) -> None:
    """journalctl ends with us."""
    journal.add("a")
    sensor = start("ssh")
    wait(sensor, 1)
    process = sensor._process
    assert process is not None
    sensor.close()
    assert process.poll() is not None
    sensor._epoll = select.epoll()  # so that it can be closed again
