"""`scan` reads any log whole: plain, packed by any of three programs, or from a pipe, and says where one is damaged."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.errors import SensorError
from ringfence.sense.compressed import blocks

LINES = b"".join(b"Nov 21 20:00:%02d host sshd[%d]: text\n" % (n % 60, n) for n in range(50_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
packed = pytest.mark.parametrize("kind", PACKERS)


@packed
def test_every_line_comes_once_in_whole_lines(tmp_path: Path, kind: str) -> None:
    """Whatever it is packed with and whatever its name is."""
    path = tmp_path / "log"
    path.write_bytes(PACKERS[kind](LINES))
    found = list(blocks(path, block_bytes=100_000))
    assert b"".join(found) == LINES
    assert all(block.endswith(b"\n") for block in found)
    assert len(found) > 4
    assert max(map(len, found)) < 600_000


@packed
def test_several_archives_in_one_file(tmp_path: Path, kind: str) -> None:
    """Members and frames one after the other are one log, cut anywhere; padding between them is none of it."""
    path = tmp_path / "log"
    pack = PACKERS[kind]
    padding = {"gz": b"\0" * 512, "xz": b"\0" * 4, "zst": b"\x50\x2a\x4d\x18\x03\0\0\0abc"}.get(kind, b"")
    path.write_bytes(pack(LINES[:1003]) + pack(b"") + padding + pack(LINES[1003:]))
    assert b"".join(blocks(path)) == LINES


@packed
def test_the_last_line_gets_its_newline(tmp_path: Path, kind: str) -> None:
    """A log that ends in the middle of a line, and one that is empty."""
    path = tmp_path / "log"
    path.write_bytes(PACKERS[kind](b"one\ntwo"))
    assert b"".join(blocks(path)) == b"one\ntwo\n"
    path.write_bytes(PACKERS[kind](b""))
    assert list(blocks(path)) == []


@packed
def test_long_lines_are_cut_and_counted(tmp_path: Path, kind: str) -> None:
    """64 KiB of a line are kept, even of one of many megabytes, and its neighbours stay whole."""
    path = tmp_path / "log"
    path.write_bytes(
        PACKERS[kind](b"first\n" + b"x" * 5_000_000 + b"\n\0\xff\r\n" + b"y" * 65536 + b"\n" + b"z" * 65537)
    )
    cut: list[int] = []
    found = b"".join(blocks(path, on_cut=cut.append))
    assert found == b"first\n" + b"x" * 65536 + b"\n\0\xff\r\n" + b"y" * 65536 + b"\n" + b"z" * 65536 + b"\n"
    assert sum(cut) == 2


@packed
def test_progress_tells_the_bytes_of_the_file(tmp_path: Path, kind: str) -> None:
    """It grows to the size of the file as it lies on the disk."""
    path = tmp_path / "log"
    path.write_bytes(PACKERS[kind](LINES))
    seen: list[int] = []
    list(blocks(path, progress=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size
    assert len(seen) > 1


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_a_truncated_archive_gives_what_can_be_read_and_is_named(tmp_path: Path, kind: str) -> None:
    """Nothing is passed over in silence."""
    path = tmp_path / "auth.log.2"
    path.write_bytes(PACKERS[kind](os.urandom(200_000).hex().encode() + b"\n" + LINES)[:-20])
    found, error = read_damaged(path)
    assert len(found) > 200_000
    assert str(path) in str(error)
    assert "ends too early" in str(error)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_wrong_checksum_is_said_and_the_lines_are_given(tmp_path: Path, kind: str) -> None:
    """The last bytes of both formats vouch for the content."""
    path = tmp_path / "auth.log.2"
    data = bytearray(PACKERS[kind](LINES))
    data[-5 if kind == "gz" else -1] ^= 0xFF
    path.write_bytes(data)
    found, error = read_damaged(path)
    assert f"{path}: damaged archive" in str(error)
    if kind == "gz":
        assert found == LINES


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_garbage_in_or_after_an_archive_is_said(tmp_path: Path, kind: str) -> None:
    """Rubbish in the middle or behind it ends in one clear sentence."""
    path = tmp_path / "log"
    data = PACKERS[kind](os.urandom(300_000).hex().encode() + b"\n" + LINES)
    path.write_bytes(data[: len(data) // 2] + b"rubbish" * 10 + data[len(data) // 2 + 70 :])
    assert f"{path}: damaged archive" in str(read_damaged(path)[1])
    path.write_bytes(PACKERS[kind](LINES) + b"rubbish")
    found, error = read_damaged(path)
    assert found == LINES
    assert f"{path}: " in str(error)


def read_damaged(path: Path) -> tuple[bytes, SensorError]:
    found = []
    with pytest.raises(SensorError) as raised:
        for block in blocks(path):
            found.append(block)
    return b"".join(found), raised.value


def test_what_is_missing_or_a_directory_is_named(tmp_path: Path) -> None:
    """One sentence with the path and what is wrong with it."""
    with pytest.raises(SensorError, match=r"/nope: can't be opened: No such file"):
        list(blocks(tmp_path / "nope"))
    with pytest.raises(SensorError, match="is a directory"):
        list(blocks(tmp_path))


@packed
def test_standard_input(kind: str) -> None:
    """`-` reads a pipe, packed or not."""
    program = (
        "import sys\nfrom ringfence.sense.compressed import blocks\nfor b in blocks('-'): sys.stdout.buffer.write(b)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=PACKERS[kind](LINES), capture_output=True, check=True)
    assert done.stdout == LINES


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.binary(max_size=40) | st.integers(65_500, 65_600).map(lambda n: b"l" * n), max_size=12),
    st.integers(1, 200_000),
    st.sampled_from(["plain", "gz", "zst"]),
)
def test_any_bytes_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], size: int, kind: str
) -> None:
    """However large the blocks are, the lines are the same."""
    path = tmp_path_factory.getbasetemp() / "any"
    content = b"\n".join(parts)
    path.write_bytes((b"x" if kind == "plain" else b"") + PACKERS[kind](content))
    content = b"x" + content if kind == "plain" else content
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert b"".join(blocks(path, block_bytes=size)) == b"".join(line[:65536] + b"\n" for line in lines)
