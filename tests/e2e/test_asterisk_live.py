"""What Asterisk wrote under attack, written again into growing logs before a running guard: every attempt counts once.

The traffic is replayed ten times as fast as it was recorded, each line with the stamp of the moment at which it is
written, in small pieces that end anywhere, into two logs that are rotated meanwhile.
"""

from __future__ import annotations

import bisect
import json
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lab import Machine, missing

from guard import Guard
from ringfence.answers import SourceRow, Status

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

CORPUS = Path(__file__).parent.parent / "corpus" / "asterisk"
SPEED = 10.0
PATIENCE = 8.0
"""Seconds after which a challenge that nobody answered counts."""
POLICY = """
[rules.standard]
failures = 5
within = "1h"
ban = "2h"
scope = "all"
"""
SETTINGS = """
[[source]]
kind = "sip-asterisk"
files = ["/var/log/asterisk/messages", "/var/log/asterisk/security"]
"""
_STAMP = re.compile(rb"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\]", re.MULTILINE)
_PRECISE = re.compile(rb'(EventTV|SessionTV)="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\+0000"')


class Line(NamedTuple):
    """A line of the corpus (with the torn pieces behind it) and when it was written, in seconds UTC."""

    time: float
    log: str
    data: bytes


def seconds(stamp: bytes) -> float:
    return datetime.fromisoformat(stamp.decode()).replace(tzinfo=UTC).timestamp()


def abroad(data: bytes) -> bytes:
    """The recording was made on loopback, whose addresses are ours and never banned; here the clients are elsewhere."""
    return re.sub(rb"\b127\.0\.(?!0\.1\b)", b"198.18.", data)


def recorded() -> list[Line]:
    """Both logs in order of time. What has no stamp of its own belongs to the line before."""
    lines: list[Line] = []
    for name in ("messages", "security"):
        last = 0.0
        for data in (CORPUS / f"{name}.log").read_bytes().splitlines(keepends=True):
            stamp, precise = _STAMP.match(data), _PRECISE.search(data)
            moment = seconds(precise[2]) if precise else seconds(stamp[1]) if stamp else last
            # A forged stamp does not move its line; a log is written in order.
            last = moment = max(moment, last) if abs(moment - last) < 60 or not last else last
            lines.append(Line(moment, name, abroad(data)))
    return sorted(lines, key=lambda line: line.time)


def truth() -> dict[str, int]:
    """The failed attempts by address, wherever one of the two logs names the address at all."""
    labels: list[dict[str, Any]] = [json.loads(line) for line in (CORPUS / "labels.jsonl").read_text().splitlines()]
    return {
        abroad(label["src"].encode()).decode(): label["failed_attempts"]
        for label in labels
        if label["observed"]["messages"] or sum(label["observed"]["security"].values())
    }


class Clock:
    """Turns recorded times into those of the replay."""

    def __init__(self, first: float, speed: float, start: float) -> None:
        self._first, self._speed, self._start = first, speed, start

    def __call__(self, moment: float) -> float:
        return self._start + (moment - self._first) / self._speed

    def restamped(self, data: bytes) -> bytes:
        """The line with the stamps that it has in the replay."""

        def plain(found: re.Match[bytes]) -> bytes:
            return b"[%s]" % datetime.fromtimestamp(self(seconds(found[1])), UTC).strftime("%F %T").encode()

        def precise(found: re.Match[bytes]) -> bytes:
            when = datetime.fromtimestamp(self(seconds(found[2])), UTC).isoformat(timespec="milliseconds")
            return b'%s="%s0000"' % (found[1], when.replace("+00:00", "+").encode())

        return _PRECISE.sub(precise, _STAMP.sub(plain, data))


class Logs:
    """The two logs on the machine, open as Asterisk has them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._paths = {name: folder / name for name in ("messages", "security")}
        self._files = {name: path.open("ab", buffering=0) for name, path in self._paths.items()}
        self._random = random.Random(20)
        self._numbers = count(1)
        self.rotations = 0

    def write(self, log: str, data: bytes) -> None:
        """Write a line in one to three pieces."""
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.randrange(3)))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self._files[log].write(data[start:end])

    def rotate(self) -> None:
        """As `logger rotate` of Asterisk does: rename both, then begin anew."""
        number = next(self._numbers)
        for name, path in self._paths.items():
            path.rename(path.with_name(f"{name}.{number}"))
            self._files[name].close()
            self._files[name] = path.open("ab", buffering=0)
        self.rotations += 1


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without any server."""
    one = Machine(tmp_path / "machine")
    try:
        yield one
    finally:
        one.close()


def counted(guard: Guard) -> dict[str, int]:
    return {address: row.attempts for address, row in guard.attackers().items() if row.attempts}


def differences(guard: Guard) -> dict[str, tuple[int, int]]:
    """Address → (counted, really made), where they differ."""
    found, made = counted(guard), truth()
    return {
        address: (found.get(address, 0), made.get(address, 0))
        for address in found.keys() | made.keys()
        if found.get(address, 0) != made.get(address, 0)
    }


def checked(guard: Guard) -> None:
    """What the guard holds in the end is what happened."""
    guard.until(lambda: not differences(guard), f"the truth, not {differences(guard)}", PATIENCE + 5)
    rows = guard.json("attacks", "--limit", "1000")["rows"]
    assert {row["address"]: row["attempts"] for row in rows if row["attempts"]} == {
        address: number for address, number in truth().items() if number
    }
    guilty = {address for address, number in truth().items() if number >= 5 and address != "::1"}  # which is ours
    assert {row["target"] for row in guard.json("bans")["rows"] if row["state"] == "enforced"} == guilty
    assert set(guard.kernel()) == guilty


def replay(guard: Guard, folder: Path) -> Logs:
    """Write everything, as fast as `SPEED` says."""
    lines = recorded()
    logs = Logs(folder)
    clock = Clock(lines[0].time, SPEED, time.time())
    rotations = [lines[len(lines) * part // 4].time for part in (1, 2, 3)]
    for line in lines:
        wait = clock(line.time) - time.time()
        if wait > 0:
            time.sleep(wait)
        if bisect.bisect(rotations, line.time) > logs.rotations:
            logs.rotate()
        logs.write(line.log, clock.restamped(line.data))
    return logs


def test_every_attempt_at_a_living_asterisk_is_counted_once(machine: Machine, tmp_path: Path) -> None:
    """Both logs, live: for each of the recorded sources as many attempts as it made."""
    with Guard(machine, tmp_path / "guard", policy=POLICY, settings=SETTINGS) as guard:
        logs = replay(guard, machine.log / "asterisk")
        checked(guard)
        assert logs.rotations == 3


def test_what_was_written_and_rotated_while_the_guard_was_away_counts_the_same(
    machine: Machine, tmp_path: Path
) -> None:
    """The guard sees a third of it, is killed, finds the rest in rotated logs at its next start."""
    folder = machine.log / "asterisk"
    lines = recorded()
    clock = Clock(lines[0].time, 1.0, time.time() - 60 - (lines[-1].time - lines[0].time))
    logs = Logs(folder)
    with Guard(machine, tmp_path / "guard", policy=POLICY, settings=SETTINGS) as guard:
        cut = len(lines) // 3
        for line in lines[:cut]:
            logs.write(line.log, clock.restamped(line.data))
        guard.until(lambda: all(row.lag == 0 for row in sources(guard)) and counted(guard), "what was read")
        guard.kill()
        for number, line in enumerate(lines[cut:]):
            if number == cut:
                logs.rotate()
            logs.write(line.log, clock.restamped(line.data))
        guard.start()
        checked(guard)


def sources(guard: Guard) -> list[SourceRow]:
    return guard.ask(Status, "status").sources


def test_a_scan_that_waits_for_its_answers_survives_a_restart(machine: Machine, tmp_path: Path) -> None:
    """Challenges that nobody answered yet when the guard was killed count all the same when their time has come."""
    address, attempts = "198.18.1.25", 6
    scan = [line for line in recorded() if address.encode() in line.data]
    assert truth()[address] == attempts and all(b"ChallengeSent" in line.data for line in scan)
    with Guard(machine, tmp_path / "guard", policy=POLICY, settings=SETTINGS) as guard:
        logs = Logs(machine.log / "asterisk")
        clock = Clock(scan[0].time, SPEED, time.time())
        for line in scan:
            logs.write(line.log, clock.restamped(line.data))
        guard.until(lambda: sum(row.lines for row in sources(guard)) == len(scan), "what was read")
        assert counted(guard) == {}
        guard.kill()
        guard.start()
        guard.until(lambda: counted(guard) == {address: attempts}, "the attempts", PATIENCE + 3)
