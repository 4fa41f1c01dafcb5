"""Read a whole log for `scan`: plain, packed (gzip, xz, Zstandard) or standard input, in blocks of whole lines."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ringfence.errors import SensorError
from ringfence.sense.archive import MAGIC_BYTES, kind_of, unpack
from ringfence.sense.lines import LINE_BYTES, shorten, whole_lines


def blocks(
    path: Path | Literal["-"],
    *,
    block_bytes: int = 1 << 20,
    progress: Callable[[int], None] | None = None,
    on_cut: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """The lines of the log at `path` (`"-"`: standard input) in blocks of about `block_bytes` bytes.

    Every line ends in b"\\n", the last one too. What it is packed with is told by its first bytes, not by its name.
    `progress` gets the bytes of the file consumed so far (packed bytes, if it is packed); `on_cut` how many lines of a
    block were longer than 64 KiB and lost their rest. Raises SensorError that names the file when it can't be read, or
    when the archive is damaged or truncated; then after everything before that was yielded.
    """
    name = "standard input" if path == "-" else str(path)
    source = _Source(_open(path, name), name, progress, owned=path != "-")
    try:
        beginning = source.peek(MAGIC_BYTES)
        kind = kind_of(beginning)
        if kind == "plain":
            yield from _plain(source, block_bytes, on_cut)
        else:
            yield from whole_lines(unpack(source.read, kind, name), block_bytes=block_bytes, on_cut=on_cut)
    finally:
        source.close()


def _open(path: Path | Literal["-"], name: str) -> int:
    if path == "-":
        with suppress(OSError):  # not a pipe, or the system's limit is lower
            fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, 1 << 20)
        return 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SensorError(f"{name}: can't be opened: {error.strerror}", permanent=True) from error
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise SensorError(f"{name}: is a directory; name the logs in it", permanent=True)
    with suppress(OSError):  # pipes have no read-ahead
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return fd


class _Source:
    """A file descriptor that can give its beginning twice and tells how much was taken."""

    def __init__(self, fd: int, name: str, progress: Callable[[int], None] | None, *, owned: bool) -> None:
        self._fd = fd
        self._name = name
        self._progress = progress
        self._owned = owned
        self._peeked = b""
        self._consumed = 0

    def peek(self, count: int) -> bytes:
        """The first `count` bytes, or as many as there are; they will be read again."""
        while len(self._peeked) < count and (more := self._read(count - len(self._peeked))):
            self._peeked += more
        return self._peeked

    def read(self, count: int) -> bytes:
        """Up to `count` bytes more; b"" at the end."""
        data = self._peeked
        if data:
            self._peeked = b""
            data += self._read(max(0, count - len(data)))
        else:
            data = self._read(count)
        self._consumed += len(data)
        if self._progress is not None:
            self._progress(self._consumed)
        return data

    def _read(self, count: int) -> bytes:
        try:
            return os.read(self._fd, count)
        except OSError as error:
            raise SensorError(f"{self._name}: reading failed: {error.strerror}") from error

    def close(self) -> None:
        """Close what was opened here."""
        if self._owned:
            os.close(self._fd)


def _plain(source: _Source, block_bytes: int, on_cut: Callable[[int], None] | None) -> Iterator[bytes]:
    """Whole lines straight from the file: each block is copied once, to get whole lines."""
    carry = b""
    while data := source.read(block_bytes):
        end = data.rfind(b"\n") + 1
        if not end:
            carry = (carry + data)[: LINE_BYTES + 1]
            continue
        block = b"".join((carry, memoryview(data)[:end])) if carry or end < len(data) else data
        carry = data[end:][: LINE_BYTES + 1]
        block, cut = shorten(block)
        if cut and on_cut is not None:
            on_cut(cut)
        yield block
    if carry:
        block, cut = shorten(carry + b"\n")
        if cut and on_cut is not None:
            on_cut(cut)
        yield block
