"""Watch log files: what was there, what is written, and what becomes of them when they are rotated."""

# Paths are text here, because they are keys and names of sources.
# ruff: noqa: PTH100, PTH116, PTH118, PTH120, PTH207

from __future__ import annotations

import glob
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from ringfence.model import Position
from ringfence.sense.chunk import Chunk, SourceStatus
from ringfence.sense.lines import LINE_BYTES
from ringfence.sense.rotation import is_numbered, is_packed, is_rotated
from ringfence.sense.source import LogSource
from ringfence.sense.troubles import Troubles
from ringfence.sense.watches import (
    ATTRIB,
    CLOSE_WRITE,
    CREATE,
    DELETE_SELF,
    IGNORED,
    ISDIR,
    MODIFY,
    MOVE_SELF,
    OVERFLOW,
    Notice,
    NoWatches,
    Watches,
)

_LIVE_TURNS: Final = 8
"""After so many chunks of live logs, one of a log that is catching up, so that neither waits for ever."""

_NO_INOTIFY: Final = (
    "{}; some logs are only looked at every few seconds (see the system's limits fs.inotify.max_user_instances"
    " and max_user_watches)"
)


class FileSensor:
    """All logs that `patterns` (paths, or globs as of glob(7)) name, each under the path that was found.

    `positions`: by path, where reading of each goes on. A log without one is read from its beginning, or from its end
    if it is there at the start and `start_at_end_if_new` (then its first chunk is empty and only carries the position).
    `grace`: seconds that a rotated-away file must be quiet before its successor is read. Rotated and packed files that
    a glob happens to match are left out: they are read as a part of the log that they were.

    Call `notice` when `fileno` is readable, `read` until it gives None after that and whenever `wake_at` has come, and
    `rescan` every few seconds. Not to be used by several threads.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        positions: Mapping[str, Position],
        *,
        chunk_bytes: int = 1 << 18,
        start_at_end_if_new: bool = False,
        line_bytes: int = LINE_BYTES,
        grace: float = 1.0,
    ) -> None:
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]
        self._positions = dict(positions)
        self._chunk_bytes = max(chunk_bytes, line_bytes + 1)
        self._line_bytes = line_bytes
        self._grace = grace
        self._start_at_end = start_at_end_if_new
        self._troubles = Troubles()
        self._watches = self._watch()
        self._sources: dict[str, LogSource] = {}
        self._by_wd: dict[int, LogSource] = {}
        self._names: dict[tuple[int, str], LogSource] = {}
        self._directories: dict[int, str] = {}
        self._ready: dict[LogSource, None] = {}  # an ordered set
        self._changed: dict[LogSource, None] = {}
        self._created: set[str] = set()
        self._look = True
        self._started = False
        self._turn = 0

    def _watch(self) -> Watches | NoWatches:
        try:
            return Watches()
        except OSError as error:
            self._troubles.say("inotify", _NO_INOTIFY.format(error.strerror))
            return NoWatches()

    def fileno(self) -> int:
        """The file descriptor that is readable when there is something to `notice`."""
        return self._watches.fileno()

    def notice(self) -> None:
        """Take in which files were written and which names changed; reads nothing yet."""
        for notice in self._watches.notices():
            if notice.mask & OVERFLOW:
                self._look = True
            elif notice.wd in self._by_wd:
                self._notice_file(notice, self._by_wd[notice.wd])
            elif notice.wd in self._directories:
                self._notice_name(notice)

    def _notice_file(self, notice: Notice, source: LogSource) -> None:
        if notice.mask & MODIFY:
            self._ready[source] = None
        moved, closed = bool(notice.mask & MOVE_SELF), bool(notice.mask & CLOSE_WRITE)
        if (moved or closed) and source.note(notice.wd, moved=moved, closed=closed):
            self._ready[source] = None
        if notice.mask & (MOVE_SELF | ATTRIB | DELETE_SELF):
            self._changed[source] = None
        if notice.mask & IGNORED:
            del self._by_wd[notice.wd]

    def _notice_name(self, notice: Notice) -> None:
        if notice.mask & (IGNORED | MOVE_SELF):
            self._watches.forget(notice.wd)
            del self._directories[notice.wd]
            self._look = True
            return
        path = os.path.join(self._directories[notice.wd], notice.name)
        source = self._names.get((notice.wd, notice.name))
        if source is None and (notice.mask & ISDIR or self._is_wanted(path)):
            self._look = True
        if source is not None:
            self._changed[source] = None
        if notice.mask & CREATE and (source is not None or self._look):
            self._created.add(path)

    def _is_wanted(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self._patterns)

    def read(self, now: float) -> Chunk | None:
        """The next chunk of any log, live ones first; None when everything is read. `now`: seconds UTC."""
        if self._look:
            self.rescan(now)
        elif self._changed:
            changed, self._changed = self._changed, {}
            for source in changed:
                self._check(source, now)
        self._created.clear()
        for source in self._sources.values():
            if source.wake_at <= now:
                self._ready[source] = None
        while self._ready:
            source = self._next()
            chunk = self._read(source, now)
            if chunk is not None:
                return chunk
        return None

    def _next(self) -> LogSource:
        self._turn += 1
        behind = self._turn % (_LIVE_TURNS + 1) == 0
        chosen = next((source for source in self._ready if source.is_behind is behind), None) or next(iter(self._ready))
        del self._ready[chosen]
        return chosen

    def _read(self, source: LogSource, now: float) -> Chunk | None:
        try:
            chunk = source.read(now)
        except OSError as error:
            self._say(source, f"reading failed: {error.strerror}")
            source.suspend()
            return None
        if chunk is not None or source.unread:
            self._ready[source] = None
        return chunk

    def rescan(self, now: float) -> None:
        """Look at everything: new files, moved links, what no notice told of, and what could not be read before."""
        self._look = False
        self._changed.clear()
        for path in self._found():
            self._add(path)
        for source in list(self._sources.values()):
            self._check(source, now)
        self._created.clear()
        self._started = True
        if self._watches.trouble:
            self._troubles.say("inotify", _NO_INOTIFY.format(self._watches.trouble))

    def _found(self) -> Iterator[str]:
        """New paths to be read: those that were named, and what globs match; logs read before come first."""
        named = {pattern for pattern in self._patterns if not glob.has_magic(pattern)}
        matched = set(named)
        for pattern in self._patterns:
            if pattern not in named:
                for directory in glob.glob(os.path.dirname(pattern)):
                    self._watch_directory(directory)
                matched.update(glob.glob(pattern))
        new = matched.difference(self._sources)
        names = [os.path.split(path) for path in matched] if new else []
        for path in sorted(new, key=lambda path: (path not in named, path not in self._positions, path)):
            directory, name = os.path.split(path)
            bases = (base for place, base in names if place == directory and base != name)
            old = is_packed(name) or is_numbered(name) or any(is_rotated(name, base) for base in bases)
            if path in named or not old:
                yield path

    def _add(self, path: str) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            self._troubles.say(ascii(path), "is not read, because its name is not UTF-8")
            return
        self._sources[path] = LogSource(
            path,
            self._positions.get(path),
            chunk_bytes=self._chunk_bytes,
            line_bytes=self._line_bytes,
            grace=self._grace,
            watches=self._watches,
        )

    def _check(self, source: LogSource, now: float) -> None:
        path = source.path
        if not source.is_open and self._is_held(path):
            del self._sources[path]  # another name of a log that is read already
            return
        self._watch_names(source)
        at_end = self._start_at_end and not self._started
        try:
            if source.check(now, self._identities_but(source), at_end=at_end, new=path in self._created):
                self._ready[source] = None
        except OSError as error:
            self._say(source, f"can't be read: {error.strerror}; tried again every few seconds")
            return
        for file in source.files():
            self._by_wd[file.wd] = source
        if source.is_open:
            self._troubles.end(path, "is being read now")
        elif path in self._patterns:
            self._say(source, "does not exist; will be read when it appears")
        else:
            self._drop(source)

    def _drop(self, source: LogSource) -> None:
        source.close()
        self._sources.pop(source.path, None)
        self._positions.pop(source.path, None)  # what comes under this name later is another log
        self._ready.pop(source, None)
        self._troubles.forget(source.path)
        self._names = {key: other for key, other in self._names.items() if other is not source}

    def _is_held(self, path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        identity = (status.st_dev, status.st_ino)
        return any(identity in source.identities() for source in self._sources.values())

    def _identities_but(self, source: LogSource) -> Callable[[], set[tuple[int, int]]]:
        return lambda: set().union(*(other.identities() for other in self._sources.values() if other is not source))

    def _watch_names(self, source: LogSource) -> None:
        """Watch the name of a log and, where that is a symbolic link, the name of what it leads to."""
        for place in {source.path, os.path.realpath(source.path)}:
            directory, name = os.path.split(place)
            wd = self._watch_directory(directory)
            if wd >= 0:
                self._names[wd, name] = source

    def _watch_directory(self, directory: str) -> int:
        wd = self._watches.watch_directory(directory)
        if wd >= 0:
            self._directories[wd] = directory
        return wd

    def _say(self, source: LogSource, what: str) -> None:
        self._troubles.say(source.path, what)

    @property
    def wake_at(self) -> float:
        """When to call `read` again though nothing was noticed (seconds UTC; infinite: not at all)."""
        return min((source.wake_at for source in self._sources.values()), default=math.inf)

    def status(self) -> list[SourceStatus]:
        """How each log is doing, in the order of their paths."""
        statuses = (source.status(self._troubles.of(path)) for path, source in sorted(self._sources.items()))
        return list(statuses)

    def troubles(self) -> list[str]:
        """Troubles that began or ended since the last call, each said once."""
        return self._troubles.news()

    def close(self) -> None:
        """Close all files and end all watches."""
        for source in self._sources.values():
            source.close()
        self._watches.close()
