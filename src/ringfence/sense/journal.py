"""Follow the systemd journal through journalctl(1), one JSON object a line (systemd.io/JOURNAL_EXPORT_FORMATS).

Has the shape of `FileSensor`, so that both are used alike. A `Position` holds the cursor of the last entry of its
chunk; its `line` counts the entries read, for the journal does not number them.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import select
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which
from typing import Final

from ringfence.errors import SensorError
from ringfence.model import Position
from ringfence.sense.chunk import Chunk, SourceStatus
from ringfence.sense.lines import shorten
from ringfence.sense.troubles import Troubles

SOURCE: Final = "journal"
_BACKOFF: Final = (1.0, 60.0)
_ENTRY_BYTES: Final = 1 << 20
_JOURNALS: Final = (Path("/run/log/journal"), Path("/var/log/journal"))

# A quotation mark within a JSON string has a backslash before it, so no text of an entry can look like these.
_CURSOR: Final = re.compile(rb'"__CURSOR"\s*:\s*"([^"\\]*)"')
_STAMP: Final = re.compile(rb'"__REALTIME_TIMESTAMP"\s*:\s*"(\d+)"')
_CURSOR_TIME: Final = re.compile(r"(?:\A|;)t=([0-9a-f]+)")


class JournalSensor:
    """The entries of `units` (`_SYSTEMD_UNIT`) and of `identifiers` (`SYSLOG_IDENTIFIER`) after `position`.

    Without a position: from the oldest entry on, or only new ones if `start_at_end_if_new`. `arguments` are handed to
    journalctl as they are (`--file=…`, `--directory=…`). Raises SensorError (permanent) if there is no journalctl.
    """

    def __init__(
        self,
        units: Iterable[str],
        identifiers: Iterable[str],
        position: Position | None = None,
        *,
        arguments: Sequence[str] = (),
        chunk_bytes: int = 1 << 18,
        start_at_end_if_new: bool = False,
        program: str = "journalctl",
    ) -> None:
        found = which(program)
        if found is None:
            raise SensorError(f"{program}: not found; the journal can't be read (package systemd)", permanent=True)
        self._program = found
        self._arguments = tuple(arguments)
        self._matches = _matches(units, identifiers)
        self._position = position or Position(source=SOURCE)
        self._chunk_bytes = chunk_bytes
        self._at_end = start_at_end_if_new
        self._troubles = Troubles()
        self._epoll = select.epoll()
        self._process: subprocess.Popen[bytes] | None = None
        self._started: float | None = None
        self._start_at = 0.0
        self._backoff = _BACKOFF[0]
        self._buffer = b""
        self._complaint = b""
        self._cursor_refused = False
        self._lines = self._cut = 0
        self._last_read = 0.0

    def fileno(self) -> int:
        """Readable when there is something to read; the same one, however often journalctl is started."""
        return self._epoll.fileno()

    def notice(self) -> None:
        """Nothing: `read` sees by itself what journalctl wrote."""

    def rescan(self, now: float) -> None:
        """Start journalctl if it is not running and its time has come; tell what one that runs complains of."""
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
            return
        self._listen(self._process)
        if self._complaint and self._process.poll() is None:  # such as that there are entries that we may not see
            self._troubles.say(SOURCE, f"journalctl: {self._complained()}")

    def read(self, now: float) -> Chunk | None:
        """The next entries, or None if there are no more now. `now`: seconds UTC."""
        if self._process is None:
            self.rescan(now)
        process = self._process
        if process is None or process.stdout is None:
            return None
        self._listen(process)
        while True:
            try:
                data = os.read(process.stdout.fileno(), self._chunk_bytes)
            except BlockingIOError:
                return None
            if not data:
                self._ended(process, now)
                return None
            self._buffer += data
            end = self._buffer.rfind(b"\n") + 1
            if end:
                block, self._buffer = self._buffer[:end], self._buffer[end:]
                return self._chunk(block, now)
            self._buffer = self._buffer[:_ENTRY_BYTES]

    def _start(self, now: float) -> None:
        if self._started is None:
            self._started = now
            if not self._arguments and not any(place.glob("*/*.journal*") for place in _JOURNALS if place.is_dir()):
                self._troubles.say(SOURCE, "there is no systemd journal on this machine yet")
        command = [
            self._program,
            "--output=json",
            "--follow",
            "--no-pager",
            *self._arguments,
            *self._from(),
            *self._matches,
        ]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            self._retry(now, f"journalctl can't be started: {error.strerror}")
            return
        self._process = process
        self._buffer = self._complaint = b""
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._epoll.register(pipe.fileno(), select.EPOLLIN)
        if process.stdout is not None:
            with suppress(OSError):  # only faster
                fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)

    def _from(self) -> list[str]:
        cursor = self._position.cursor
        if not cursor:
            return ["--lines=0"] if self._at_end else ["--no-tail"]
        if not self._cursor_refused:
            return ["--no-tail", f"--after-cursor={cursor}"]
        stamp = _CURSOR_TIME.search(cursor)
        return ["--no-tail", f"--since=@{int(stamp[1], 16) // 1_000_000}"] if stamp else ["--no-tail"]

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take in what journalctl complains of."""
        if process.stderr is None:
            return
        with suppress(BlockingIOError):
            while data := os.read(process.stderr.fileno(), 4096):
                self._complaint = (self._complaint + data)[-4096:]

    def _complained(self) -> str:
        return " ".join(self._complaint.decode("utf-8", "replace").split())

    def _ended(self, process: subprocess.Popen[bytes], now: float) -> None:
        self._listen(process)
        self._stop()
        text = self._complained() or f"it ended with status {process.returncode}"
        if "cursor" in text and self._position.cursor and not self._cursor_refused:
            self._cursor_refused = True
            text += "; going on from the time of the last entry that was read"
        self._retry(now, f"journalctl: {text}")

    def _retry(self, now: float, what: str) -> None:
        self._start_at = now + self._backoff
        self._backoff = min(2 * self._backoff, _BACKOFF[1])
        self._troubles.say(SOURCE, f"{what}; will be started again")

    def _chunk(self, block: bytes, now: float) -> Chunk:
        cursors = _CURSOR.findall(block, block.rfind(b"\n", 0, len(block) - 1) + 1)
        stamp = _STAMP.search(block, 0, block.index(b"\n"))
        live = stamp is not None and int(stamp[1]) / 1e6 >= (self._started or 0.0)
        first = self._position.line + 1
        count = block.count(b"\n")
        data, cut = shorten(block)
        cursor = cursors[0].decode() if cursors else self._position.cursor
        self._position = Position(source=SOURCE, line=self._position.line + count, cursor=cursor)
        self._lines += count
        self._cut += cut
        self._last_read = now
        self._backoff = _BACKOFF[0]
        self._cursor_refused = False
        if not self._complaint:
            self._troubles.end(SOURCE, "is being read now")
        return Chunk(SOURCE, data, first, self._position, live, now)

    @property
    def wake_at(self) -> float:
        """When to call `read` again though nothing is readable: when journalctl is to be started (seconds UTC)."""
        return self._start_at if self._process is None else math.inf

    def status(self) -> list[SourceStatus]:
        """How the journal is doing; sizes are not known."""
        return [SourceStatus(SOURCE, 0, 0, 0, self._lines, self._last_read, self._troubles.of(SOURCE), self._cut)]

    def troubles(self) -> list[str]:
        """Troubles that began or ended since the last call, each said once."""
        return self._troubles.news()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                self._epoll.unregister(pipe.fileno())
                pipe.close()
        process.terminate()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End journalctl."""
        self._stop()
        self._epoll.close()


def _matches(units: Iterable[str], identifiers: Iterable[str]) -> list[str]:
    """journalctl's arguments for entries of any of these; a unit without a type is a service."""
    fields = [f"_SYSTEMD_UNIT={unit if '.' in unit else unit + '.service'}" for unit in units]
    fields += [f"SYSLOG_IDENTIFIER={identifier}" for identifier in identifiers]
    matches: list[str] = []
    for field in dict.fromkeys(fields):
        matches += ["+", field] if matches else [field]
    return matches
