"""However writing, rotating and restarting are interleaved, every line is delivered once, in order and complete."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model import Position
from ringfence.sense.chunk import Chunk
from ringfence.sense.files import FileSensor

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 30)),
        st.tuples(st.just("part"), st.integers(1, 200)),
        st.tuples(st.just("long"), st.integers(90, 900)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("drain"), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 3)),
        st.tuples(st.just("rename"), st.integers(0, 1)),
        st.tuples(st.just("copytruncate"), st.just(0)),
        st.tuples(st.just("rescan"), st.just(0)),
        st.tuples(st.just("pack"), st.just(0)),
    ),
    min_size=4,
    max_size=30,
)


class World:
    """A log with its writer and rotations on one side, a sensor that is killed and started again on the other."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, "auth.log")
        self.writer = Path(self.path).open("ab", buffering=0)  # noqa: SIM115 - open across steps
        self.written: list[bytes] = []
        self.partial = b""
        self.committed: list[bytes] = []
        self.position: Position | None = None
        self.now = 2e9
        self.number = 0
        self.sensor = self.start()
        self.write(1)
        self.drain()
        self.before = 0  # lines written before the log of now began

    def start(self) -> FileSensor:
        positions = {self.path: self.position} if self.position else {}
        return FileSensor([self.path], positions, chunk_bytes=300, line_bytes=256)

    def line(self, length: int) -> bytes:
        self.number += 1
        return f"{self.number} ".encode() + b"x" * length + b"\n"

    def write(self, count: int) -> None:
        for _ in range(count):
            line = self.line(self.number % 40)
            self.writer.write(line)
            self.written.append(self.partial + line)
            self.partial = b""

    def part(self, length: int) -> None:
        self.number += 1
        self.writer.write(piece := f"({self.number}".encode() + b"p" * length)
        self.partial += piece

    def long(self, length: int) -> None:
        line = self.line(length)
        self.writer.write(line)
        self.written.append(self.partial + line)
        self.partial = b""

    def commit(self, chunk: Chunk) -> None:
        self.committed += chunk.data.splitlines(keepends=True)
        self.position = chunk.position

    def read(self, count: int) -> None:
        self.sensor.notice()
        for _ in range(count):
            if chunk := self.sensor.read(self.now):
                self.commit(chunk)

    def drain(self, _: int = 0) -> None:
        self.sensor.notice()
        while True:
            while chunk := self.sensor.read(self.now):
                self.commit(chunk)
            if self.sensor.wake_at == float("inf"):
                break
            self.now = max(self.now, self.sensor.wake_at)

    def kill(self, uncommitted: int) -> None:
        self.sensor.notice()
        for _ in range(uncommitted):
            self.sensor.read(self.now)
        self.sensor.close()
        self.sensor = self.start()

    def end_partial(self) -> None:
        if self.partial:
            self.written.append(self.partial + b"\n")
            self.partial = b""

    def shift(self) -> None:
        for number in range(8, 0, -1):
            for suffix in ("", ".gz"):
                if os.path.exists(f"{self.path}.{number}{suffix}"):
                    os.rename(f"{self.path}.{number}{suffix}", f"{self.path}.{number + 1}{suffix}")

    def rename(self, write_late: int) -> None:
        self.shift()
        os.rename(self.path, self.path + ".1")
        if write_late:
            self.write(2)  # the writer was not told yet
        self.writer.close()
        self.end_partial()
        self.writer = Path(self.path).open("ab", buffering=0)  # noqa: SIM115 - open across steps
        self.before = len(self.written)

    def copytruncate(self, _: int) -> None:
        if len(self.committed) <= self.before:
            self.drain()  # emptied before it was ever looked at, a log looks as if nothing had been
        self.shift()
        shutil.copy2(self.path, self.path + ".1")
        os.truncate(self.path, 0)
        self.end_partial()
        self.before = len(self.written)

    def rescan(self, _: int) -> None:
        self.sensor.rescan(self.now)

    def pack(self, _: int) -> None:
        """gzip the second last rotated file, as logrotate does with delaycompress."""
        old = Path(self.path + ".2")
        if old.exists():
            status = old.stat()
            packed = Path(self.path + ".2.gz")
            packed.write_bytes(gzip.compress(old.read_bytes()))
            os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
            old.unlink()


def cut(line: bytes) -> bytes:
    return line if len(line) <= 257 else line[:256] + b"\n"


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_line_is_delivered_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """kill -9, rename, copytruncate, gzip, partial and overlong lines in any order: what is written comes out."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(directory)
        try:
            for name, argument in steps:
                getattr(world, name)(argument)
            world.end_partial()
            world.writer.write(b"\n")
            world.sensor.rescan(world.now)
            world.drain()
            expected = [cut(line) for line in world.written]
            got = [line for line in world.committed if line != b"\n"]
            assert got == expected
        finally:
            world.sensor.close()
            world.writer.close()
