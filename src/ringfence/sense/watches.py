"""Be told by the kernel (inotify(7)) which files were written and which names in their directories changed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Final, NamedTuple

from inotify_simple import INotify

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ISDIR: Final = 0x40000000

_ONLYDIR: Final = 0x01000000
_FILE: Final = MODIFY | ATTRIB | CLOSE_WRITE | DELETE_SELF | MOVE_SELF
_DIRECTORY: Final = CREATE | MOVED_TO | MOVED_FROM | DELETE | MOVE_SELF | _ONLYDIR


class Notice(NamedTuple):
    """What happened to the file or directory with watch `wd`; `name`: to which name in that directory."""

    wd: int
    mask: int
    name: str


class Watches:
    """The inotify watches of one sensor. Raises OSError if there can be none.

    `trouble`: why the last watch that failed did so, "" if none did; a directory that is not there is no trouble.
    """

    def __init__(self) -> None:
        self._inotify = INotify(nonblocking=True)
        self.trouble = ""

    def fileno(self) -> int:
        """Readable when there is something to notice."""
        return int(self._inotify.fileno())

    def watch_file(self, fd: int) -> int:
        """Watch the very file that is open as `fd`, whatever it is called; returns its watch, -1 if that can't be."""
        return self._add(f"/proc/self/fd/{fd}", _FILE)

    def watch_directory(self, path: str) -> int:
        """Watch the names in a directory; returns its watch (always the same one), -1 if that can't be."""
        return self._add(path, _DIRECTORY)

    def _add(self, path: str, mask: int) -> int:
        try:
            return int(self._inotify.add_watch(path, mask))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                self.trouble = error.strerror or "failed"
            return -1

    def forget(self, wd: int) -> None:
        """End a watch, if it has not ended by itself."""
        with suppress(OSError):
            self._inotify.rm_watch(wd)

    def notices(self) -> list[Notice]:
        """All that happened since the last call, in order."""
        return [Notice(event.wd, event.mask, event.name) for event in self._inotify.read(timeout=0)]

    def close(self) -> None:
        """End all watches."""
        self._inotify.close()


class NoWatches:
    """In place of `Watches` where inotify is not to be had: nothing is noticed, rescan finds what is new."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.trouble = ""

    def fileno(self) -> int:
        """Never readable."""
        return self._fd

    def watch_file(self, _fd: int) -> int:
        """Nothing."""
        return -1

    def watch_directory(self, _path: str) -> int:
        """Nothing."""
        return -1

    def forget(self, _wd: int) -> None:
        """Nothing."""

    def notices(self) -> list[Notice]:
        """None."""
        return []

    def close(self) -> None:
        """Close what stands in for inotify."""
        os.close(self._fd)
