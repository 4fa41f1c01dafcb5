"""One open log file: how far it has been read, and whether it is still the file that was read.

A file is known by its inode and by a fingerprint: a hash of as many of its first bytes as were read, up to
`FINGERPRINT_BYTES`. The fingerprint is looked at again *after* each read: what was read before a truncation is then
thrown away and read from the copy that copytruncate made, so nothing is taken from the wrong file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from ringfence.errors import SensorError
from ringfence.model import Position
from ringfence.sense.archive import MAGIC_BYTES, kind_of, unpack
from ringfence.sense.lines import LINE_BYTES, shorten

FINGERPRINT_BYTES: Final = 1024
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Lines(NamedTuple):
    """Whole lines from one file: the bytes, number of the first (1-based), how many were cut, whether they are new."""

    data: bytes
    first_line: int
    cut: int
    live: bool


class Content(Protocol):
    """Where the bytes of a file come from."""

    inode: int
    identity: tuple[int, int]

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset` on; b"" at the end."""

    def size(self) -> int | None:
        """Bytes in all, or None when that can't be known without unpacking it."""

    def quiet_since(self) -> float:
        """When it was last written or renamed (seconds UTC)."""

    def written(self) -> int:
        """When it was last written (nanoseconds UTC)."""

    def close(self) -> None:
        """Give it back."""


class Plain:
    """A file as it lies on the disk. Raises OSError when it can't be opened or is no regular file."""

    __slots__ = ("fd", "identity", "inode")

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, _OPEN_FLAGS)
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self.fd)
            raise OSError(0, "is not a regular file")
        self.inode = status.st_ino
        self.identity = (status.st_dev, status.st_ino)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset` on; b"" at the end."""
        return os.pread(self.fd, count, offset)

    def size(self) -> int | None:
        """Bytes in the file now."""
        return os.fstat(self.fd).st_size

    def is_deleted(self) -> bool:
        """Whether no name is left for it."""
        return os.fstat(self.fd).st_nlink == 0

    def quiet_since(self) -> float:
        """When it was last written or renamed (seconds UTC)."""
        status = os.fstat(self.fd)
        return max(status.st_mtime, status.st_ctime)

    def written(self) -> int:
        """When it was last written (nanoseconds UTC)."""
        return os.fstat(self.fd).st_mtime_ns

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class Unpacked:
    """A rotated-away file that was packed meanwhile, seen as if it were not. Read forwards; going back starts anew."""

    __slots__ = ("_buffer", "_file", "_head", "_kind", "_path", "_pieces", "_start", "identity", "inode")

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = Plain(path)
        self.inode = self._file.inode
        self.identity = self._file.identity
        self._kind = kind_of(self._file.pread(MAGIC_BYTES, 0))
        self._rewind()
        self._fill(FINGERPRINT_BYTES)
        self._head = self._buffer[:FINGERPRINT_BYTES]

    def _rewind(self) -> None:
        self._start = 0
        self._buffer = b""
        self._pieces: Iterator[bytes] = unpack(_Sequential(self._file), self._kind, self._path)

    def _fill(self, count: int) -> None:
        pieces = [self._buffer]
        missing = count - len(self._buffer)
        while missing > 0 and (piece := self._next()):
            pieces.append(piece)
            missing -= len(piece)
        self._buffer = b"".join(pieces)

    def _next(self) -> bytes:
        try:
            return next(self._pieces, b"")
        except SensorError:  # damaged: what could be read of it is all there is
            return b""

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` unpacked bytes from `offset` on; b"" at the end."""
        if offset + count <= len(self._head):
            return self._head[offset : offset + count]
        if offset < self._start:
            self._rewind()
        while offset > self._start + len(self._buffer):
            self._start += len(self._buffer)
            self._buffer = self._next()
            if not self._buffer:
                return b""
        self._buffer = self._buffer[offset - self._start :]
        self._start = offset
        self._fill(count)
        return self._buffer[:count]

    def size(self) -> int | None:
        """Unknown."""
        return None

    def quiet_since(self) -> float:
        """Always: nobody writes lines into a packed file."""
        return 0.0

    def written(self) -> int:
        """When it was last written, which packing does not change (nanoseconds UTC)."""
        return self._file.written()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Sequential:
    """Read `file` from its beginning, piece by piece."""

    def __init__(self, file: Plain) -> None:
        self._file = file
        self._offset = 0

    def __call__(self, count: int) -> bytes:
        data = self._file.pread(count, self._offset)
        self._offset += len(data)
        return data


def fingerprint(beginning: bytes) -> str:
    """What a file that begins so is known by."""
    return blake2b(beginning, digest_size=16).hexdigest() if beginning else ""


class LogFile:
    """A file being read line by line from `offset` (bytes), after `line` lines.

    `live_from`: what is before that offset is old. `born`: when it was last written before it was begun (ns UTC), and
    `before`: fingerprint of what it was until then, and of how many bytes (0: not known).
    `replaced` becomes True when its beginning is not what it was, or it is shorter than what was read of it: the rest
    is then no continuation. `unread` says that the last read left something to look at.
    """

    __slots__ = (
        "_searched", "before", "born", "closed", "content", "fingerprint", "fingerprinted", "line", "live_from",
        "moved", "offset", "quiet_since", "replaced", "unread", "wd",
    )  # fmt: skip

    def __init__(self, content: Content, *, live_from: int = 0, position: Position | None = None) -> None:
        self.content = content
        self.live_from = live_from
        self.quiet_since = 0.0
        self.wd = -1
        self.moved = self.closed = False
        self.fingerprint, self.fingerprinted = "", 0
        if position is None:
            self.begin()
        else:
            self.begin(position.offset, position.line)
            self.fingerprint, self.fingerprinted = position.fingerprint, position.fingerprinted

    def begin(self, offset: int = 0, line: int = 0) -> None:
        """Go on reading at `offset`, which is the beginning of the line after `line`, as if it was opened just now."""
        self.offset = offset
        self.line = line
        self.replaced = self.unread = False
        self._searched = 0  # bytes after `offset` in which a line that is already too long does not end
        self.before = self.fingerprint, self.fingerprinted
        self.fingerprint, self.fingerprinted = "", 0
        self.born = self.content.written()
        self.look()

    def look(self) -> None:
        """Know the file by as much of its beginning as there is, before it is read."""
        head = self.content.pread(FINGERPRINT_BYTES, 0)
        if fingerprint(head[: self.fingerprinted]) == self.fingerprint:
            self.fingerprint, self.fingerprinted = fingerprint(head), len(head)

    def read(self, limit: int, line_bytes: int = LINE_BYTES) -> Lines | None:
        """The next whole lines, at most `limit` (> line_bytes) bytes; None if there is none (see `unread`, `replaced`).

        A last line without newline waits for it.
        """
        start = self.offset + self._searched
        old = 0 if self._searched else self.live_from - self.offset
        want = min(limit, old) if old > 0 else limit
        block = self.content.pread(want, start)
        end = (block.find(b"\n") if self._searched else block.rfind(b"\n")) + 1
        self.unread = len(block) == want
        if not self._is_same(start + len(block)):
            self.replaced = True
            return None
        if self.fingerprinted < FINGERPRINT_BYTES:
            self._grow_fingerprint(block, start + len(block))
        if not end:
            if old > 0 and want < limit:
                self.live_from = 0  # the last old line is not complete yet: it will be a new one
            elif self._searched or len(block) > line_bytes:
                self._searched += len(block)
            return None
        return self._take(block, end, line_bytes, live=old <= 0)

    def finish(self, line_bytes: int = LINE_BYTES) -> Lines | None:
        """The last line of a file that nobody writes any more, with the newline that it lacks, if there is one."""
        if self._searched:
            data, length = self.content.pread(line_bytes, self.offset), self._searched
        else:
            data = self.content.pread(line_bytes + 1, self.offset)
            length = len(data)
        if not data:
            return None
        return self._advance(
            data[:line_bytes] + b"\n", length, int(length > line_bytes), live=self.offset >= self.live_from
        )

    def _take(self, block: bytes, end: int, line_bytes: int, *, live: bool) -> Lines | None:
        if self._searched:
            data = self.content.pread(line_bytes, self.offset) + b"\n"
            return self._advance(data, self._searched + end, 1, live=live)
        data, cut = shorten(block[:end], line_bytes)
        return self._advance(data, end, cut, live=live)

    def _advance(self, data: bytes, length: int, cut: int, *, live: bool) -> Lines:
        first = self.line + 1
        self.line += data.count(b"\n")
        self.offset += length
        self._searched = 0
        return Lines(data, first, cut, live)

    def _grow_fingerprint(self, block: bytes, end: int) -> None:
        """Know the file by more of its beginning, unless it was replaced this very moment (the next read will tell)."""
        count = min(end, FINGERPRINT_BYTES)
        head = self.content.pread(count, 0)
        known = self.fingerprinted
        same = fingerprint(head[:known]) == self.fingerprint if known else head == block[:count]
        if same and len(head) == count:
            self.fingerprint, self.fingerprinted = fingerprint(head), count

    def _is_same(self, end: int) -> bool:
        size = self.content.size()
        if size is not None and size < end:
            return False
        return not self.fingerprinted or self.begins(self.fingerprint, self.fingerprinted)

    def begins(self, expected: str, count: int) -> bool:
        """Whether the first `count` bytes of the file have the fingerprint `expected`."""
        return fingerprint(self.content.pread(count, 0)) == expected

    def is_copy_of(self, other: LogFile) -> bool:
        """Whether this is a copy of `other`, perhaps of an earlier state of it, and does not merely begin alike."""
        if other.fingerprinted == FINGERPRINT_BYTES and self.begins(other.fingerprint, other.fingerprinted):
            return True
        ours, size, limit = self.content.pread(FINGERPRINT_BYTES, 0), self.content.size(), other.content.size()
        longer = size is not None and limit is not None and size > limit
        return bool(ours) and not longer and other.content.pread(FINGERPRINT_BYTES, 0).startswith(ours)

    def position(self, source: str) -> Position:
        """Where reading goes on, under the name of the log that this file is or was."""
        return Position(
            source=source,
            inode=self.content.inode,
            fingerprint=self.fingerprint,
            fingerprinted=self.fingerprinted,
            offset=self.offset,
            line=self.line,
        )

    def lag(self) -> int:
        """Bytes not read yet, as far as known."""
        size = self.content.size()
        return max(0, size - self.offset) if size is not None else 0
