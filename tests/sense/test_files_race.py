"""A log is read while another process writes and rotates it: no line is lost, repeated or mixed up."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringfence.model import Position
from ringfence.sense.files import FileSensor

WRITER = """
import os, random, shutil, sys, time
path, how, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(total)
log = open(path, "ab", buffering=0)
number = generation = 0
while number < total:
    count = min(random.randrange(50, 400), total - number)
    block = b"".join(b"%d some text that a server writes\\n" % n for n in range(number, number + count))
    number += count
    while block:
        piece = block[: random.randrange(1, 4000)]
        log.write(piece)
        block = block[len(piece):]
    time.sleep(0.02)
    if number == total or random.random() < 0.5:
        continue
    generation += 1
    if how == "rename":
        os.rename(path, f"{path}-{20260000 + generation}")
        old, log = log, open(path, "ab", buffering=0)
        old.close()
    else:
        shutil.copy2(path, f"{path}-{20260000 + generation}")
        log.truncate(0)
"""


@pytest.mark.parametrize("how", ["rename", "copytruncate"])
@pytest.mark.parametrize("restarts", [False, True])
def test_reading_while_a_log_is_written_and_rotated(tmp_path: Path, how: str, restarts: bool) -> None:
    """20,000 lines with dozens of rotations, and with the sensor started anew now and then without a last commit."""
    total, path = 20_000, tmp_path / "log"
    path.write_bytes(b"begin\n")
    sensor = FileSensor([str(path)], {}, chunk_bytes=20_000, line_bytes=4096, grace=0.02)
    got: list[bytes] = []
    position: Position | None = None
    while chunk := sensor.read(time.time()):
        got += chunk.data.splitlines()
        position = chunk.position
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), how, str(total)])
    end, turn = time.monotonic() + 60, 0
    while len(got) < total + 1 and time.monotonic() < end:
        select.select([sensor.fileno()], [], [], min(0.05, max(0.0, sensor.wake_at - time.time())))
        sensor.notice()
        while chunk := sensor.read(time.time()):
            turn += 1
            if restarts and turn % 23 == 0:
                sensor.close()  # what was read last was not committed
                sensor = FileSensor(
                    [str(path)],
                    {str(path): position} if position else {},
                    chunk_bytes=20_000,
                    line_bytes=4096,
                    grace=0.02,
                )
                continue
            got += chunk.data.splitlines()
            position = chunk.position
    assert writer.wait(5) == 0
    sensor.close()
    assert [int(line.split()[0]) for line in got[1:]] == list(range(total))
