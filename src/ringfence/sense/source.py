"""One log as the user names it, through rotations, truncations and moving links: a queue of files to be read in order.

The first of the queue is being read; the last is the one that the path leads to now (or led to, when it is gone). A
rotated-away file is left when it was read to its end and nobody has written to it for a grace period, or its writer
closed it. It stays open a while longer, so that what a slow writer still puts there is not lost.
"""

# The path is text, because it is the name of the source.
# ruff: noqa: PTH116

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ringfence.model import Position
from ringfence.sense.chunk import Chunk, SourceStatus
from ringfence.sense.logfile import Lines, LogFile, Plain
from ringfence.sense.rotation import continues, successors, unfinished, younger
from ringfence.sense.watches import NoWatches, Watches

LINGER: Final = 60.0
"""Seconds for which a rotated-away file stays open after its successor took over."""


class LogSource:
    """The log at `path`, to be read on from `position` (None: never read), its files watched by `watches`."""

    def __init__(
        self,
        path: str,
        position: Position | None,
        *,
        chunk_bytes: int,
        line_bytes: int,
        grace: float,
        watches: Watches | NoWatches,
    ) -> None:
        self.path = path
        self.wake_at = math.inf  # when to read again though nothing was noticed
        self.lines = self.cut = 0
        self.last_read = 0.0
        self._stored = position
        self._chunk_bytes = chunk_bytes
        self._line_bytes = line_bytes
        self._grace = grace
        self._watches = watches
        self._attached = False
        self._skipped = False
        self._queue: deque[LogFile] = deque()
        self._late: list[tuple[float, LogFile]] = []

    # -- which files ------------------------------------------------------------------------------------------------

    def check(
        self, now: float, apart_from: Callable[[], set[tuple[int, int]]], *, at_end: bool = False, new: bool = False
    ) -> bool:
        """See what the path leads to now; returns whether there may be something to read.

        `apart_from` gives the identities of files that belong to other logs; `at_end` begins a log that was never read
        at its end; `new`: it was created just now, so all of it is live.
        Raises OSError if the file can't be opened.
        """
        self._drop_late(now)
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            self._drop_deleted()
            if not self._attached and self._stored is not None:
                self._attach(None, now, apart_from(), at_end=False, new=False)
            return self.has_unread()
        if not self._queue or self._queue[-1].content.identity != (status.st_dev, status.st_ino):
            content = Plain(self.path)
            try:
                if self._attached:
                    self._succeed(content, now, apart_from())
                else:
                    self._attach(content, now, apart_from(), at_end=at_end, new=new)
            except OSError:
                content.close()
                raise
        return self.has_unread()

    def _attach(
        self, content: Plain | None, now: float, others: set[tuple[int, int]], *, at_end: bool, new: bool
    ) -> None:
        size = 0 if content is None or new else content.size() or 0
        stored = self._stored
        if content is not None and stored is not None and content.inode == stored.inode and continues(content, stored):
            self._append(LogFile(content, position=stored, live_from=size))
        else:
            current = self._beginning(content, stored, size, at_end=at_end) if content is not None else None
            if stored is not None:
                own = {content.identity} if content is not None else set()
                for file in self._unknown(unfinished(self.path, stored, others | own), current):
                    self._append(file, quiet_since=min(now, file.content.quiet_since()))
            if content is not None and not self._queue and stored is not None and continues(content, stored):
                current = LogFile(content, position=stored, live_from=size)  # on another disk now, or edited
            if current is not None:
                self._append(current)
        self._attached = bool(self._queue)

    def _beginning(self, content: Plain, stored: Position | None, size: int, *, at_end: bool) -> LogFile:
        file = LogFile(content, live_from=size)
        if stored is None and at_end:
            file.begin(*_last_line_end(content, size))
            self._skipped = True
        return file

    def _succeed(self, content: Plain, now: float, others: set[tuple[int, int]]) -> None:
        for again in (*self._queue, *(file for _, file in self._late)):
            if again.content.identity == content.identity:  # it was moved away and back
                content.close()
                self._queue = deque(file for file in self._queue if file is not again)
                self._late = [entry for entry in self._late if entry[1] is not again]
                self._queue.append(again)
                again.moved = again.closed = False
                return
        if self._queue:
            old = self._queue[-1]
            old.quiet_since = now
            for file in self._unknown(
                successors(self.path, old, others | self.identities() | {content.identity}), None
            ):
                self._append(file, quiet_since=now)
                file.live_from = 0
        self._append(LogFile(content))

    def _append(self, file: LogFile, quiet_since: float = 0.0) -> None:
        for superseded in list(self._queue)[:-1]:
            superseded.closed = True  # rotated twice since: who wrote to it has long gone on
        file.quiet_since = quiet_since
        self._queue.append(file)
        if isinstance(file.content, Plain):
            file.wd = self._watches.watch_file(file.content.fd)

    def _restart(self, file: LogFile) -> None:
        """`file` was truncated or overwritten: finish the copy that was made of it, then read it from its beginning."""
        before = file.position(self.path)
        file.begin()
        copies = self._unknown(unfinished(self.path, before, self.identities()), None)
        for copy in copies:
            copy.closed = True  # nobody writes to a copy
            copy.live_from = file.live_from
        self._queue.extendleft(reversed(copies))
        file.live_from = 0

    def _look_ahead(self) -> None:
        """Know the newest file before it may be truncated, and copies of what it was before it was ever looked at."""
        file = self._queue[-1]
        if file.fingerprinted and len(self._queue) == 1:
            return
        seen = file.fingerprinted
        file.look()
        if file.fingerprinted and not seen:
            missed = self._unknown(younger(self.path, file, self.identities()), None)
            for copy in missed:
                copy.closed = True
                copy.live_from = 0
            self._queue.pop()
            self._queue.extend((*missed, file))

    def _unknown(self, files: list[LogFile], current: LogFile | None) -> list[LogFile]:
        """`files` without those that are copies of one that is open, or of `current`."""
        known = [*self.files()] if current is None else [*self.files(), current]
        unknown = [file for file in files if not any(file.is_copy_of(other) for other in known)]
        for file in files:
            if file not in unknown:
                file.content.close()
        return unknown

    def _leave(self, file: LogFile) -> None:
        self._watches.forget(file.wd)
        file.content.close()

    def _drop_late(self, now: float) -> None:
        for entry in [entry for entry in self._late if entry[0] <= now]:
            self._late.remove(entry)
            self._leave(entry[1])

    def _drop_deleted(self) -> None:
        """Don't keep a removed file's space on the disk once it was read."""
        if len(self._queue) == 1:
            content = self._queue[0].content
            if isinstance(content, Plain) and content.is_deleted() and not self.has_unread():
                self._leave(self._queue.popleft())

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self, now: float) -> Chunk | None:
        """The next chunk, or None: nothing there, or not yet (`wake_at`), or a long line goes on (`unread`)."""
        self.wake_at = math.inf
        if self._skipped:
            self._skipped = False
            return self._chunk(Lines(b"", self._queue[0].line + 1, 0, False), self._queue[0], now)
        if self._queue:
            self._look_ahead()
        while self._queue:
            file = self._queue[0]
            lines = file.read(self._chunk_bytes, self._line_bytes)
            if lines is not None:
                file.quiet_since = max(file.quiet_since, now) if lines.live else file.quiet_since
                return self._chunk(lines, file, now)
            if file.replaced:
                self._restart(file)
            elif file.unread:
                return None
            elif len(self._queue) == 1:
                break
            elif not file.closed and now < file.quiet_since + self._grace:
                self.wake_at = file.quiet_since + self._grace
                return None
            elif (last := self._finish(file, now)) is not None:
                return last
        return self._read_late(now)

    def _finish(self, file: LogFile, now: float) -> Chunk | None:
        lines = file.finish(self._line_bytes)
        chunk = self._chunk(lines, file, now) if lines is not None else None
        self._queue.popleft()
        if isinstance(file.content, Plain):
            self._late.append((now + LINGER, file))
        else:
            self._leave(file)
        return chunk

    def _read_late(self, now: float) -> Chunk | None:
        for _, file in self._late:
            lines = file.read(self._chunk_bytes, self._line_bytes)
            if lines is not None:
                return self._chunk(lines, file, now)
        return None

    def _chunk(self, lines: Lines, file: LogFile, now: float) -> Chunk:
        self.lines += lines.data.count(b"\n")
        self.cut += lines.cut
        if lines.data:
            self.last_read = now
        first = self._queue[0] if self._queue else file  # late lines don't lead back to the file they are in
        return Chunk(self.path, lines.data, lines.first_line, first.position(self.path), lines.live, now)

    def has_unread(self) -> bool:
        """Whether a look at the sizes says that there is, or may be, something to read."""
        return self._skipped or len(self._queue) > 1 or any(file.content.size() != file.offset for file in self.files())

    @property
    def unread(self) -> bool:
        """Whether the last read stopped before the end of what is there."""
        return bool(self._queue) and self._queue[0].unread

    @property
    def is_behind(self) -> bool:
        """Whether what comes next was there already when the log was attached."""
        return bool(self._queue) and self._queue[0].offset < self._queue[0].live_from

    def note(self, wd: int, *, moved: bool, closed: bool) -> bool:
        """The file with watch `wd` was renamed, or closed by one who wrote to it; whether it is done with now."""
        for file in self._queue:
            if file.wd == wd:
                file.closed = file.closed or (closed and file.moved)
                file.moved = file.moved or moved
                return file.closed
        return False

    def files(self) -> Iterator[LogFile]:
        """All files that are open for this log."""
        yield from self._queue
        yield from (file for _, file in self._late)

    def identities(self) -> set[tuple[int, int]]:
        """Device and inode of all files that are open for this log."""
        return {file.content.identity for file in self.files()}

    @property
    def is_open(self) -> bool:
        """Whether there is a file to read from."""
        return bool(self._queue)

    def status(self, trouble: str) -> SourceStatus:
        """How it is doing."""
        current = self._queue[-1] if self._queue else None
        size = current.content.size() or 0 if current is not None else 0
        return SourceStatus(
            path=self.path,
            size=size,
            offset=current.offset if current is not None else 0,
            lag=sum(file.lag() for file in self._queue),
            lines=self.lines,
            last_read=self.last_read,
            trouble=trouble,
            cut=self.cut,
        )

    def suspend(self) -> None:
        """Close all its files, to go on where reading was once the log can be read again."""
        if self._queue:
            self._stored = self._queue[0].position(self.path)
        self._attached = False
        self.close()

    def close(self) -> None:
        """Close all its files."""
        for file in self.files():
            self._leave(file)
        self._queue.clear()
        self._late.clear()


def _last_line_end(content: Plain, size: int) -> tuple[int, int]:
    """Where the last complete line within `size` bytes ends, and how many lines there are up to there."""
    offset = end = lines = 0
    while offset < size and (block := content.pread(min(1 << 20, size - offset), offset)):
        lines += block.count(b"\n")
        end = offset + block.rfind(b"\n") + 1 if b"\n" in block else end
        offset += len(block)
    return end, lines
