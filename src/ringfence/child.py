"""A process of ours beside the guard, with less rights: started, started again when it ends, ended with the guard.

The guard never waits for it and never fails because of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

from ringfence.settings import Settings

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a process that ended is started again: twice as long each time."""
GOOD: Final = 60.0
"""Seconds after which a start counts as good, and pauses begin short again."""
PATIENCE: Final = 5.0
CHILD: Final = "RINGFENCE_CHILD_OF"
"""Names the process whose end is the child's end too."""
ANEW: Final = 75
"""The exit code of a child that wants to be started again at once, with the rights of the guard (EX_TEMPFAIL)."""


class ChildProcess:
    """Keeps `ringfence COMMAND` running, as the process `pid`. `trouble` says why it is not, if so.

    `title` is what people call it; a line that begins with `ready` says that it is at work. It runs only while
    `wanted` says so, which is asked again after `look`.
    """

    def __init__(
        self, settings: Settings, say: Callable[[str], None], command: str, title: str, ready: str,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self.trouble = ""
        self.pid: int | None = None
        self._command = [sys.executable, "-m", "ringfence", command]
        if settings.origin != "defaults":
            self._command += ["--config", settings.origin]
        self._say = say
        self._title = title
        self._ready = ready
        self._wanted = wanted
        self._look = asyncio.Event()

    def look(self) -> None:
        """Ask again whether it is wanted."""
        self._look.set()

    async def run(self) -> None:
        """Start it again and again, until cancelled; then end it."""
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            while not self._wanted():
                self._look.clear()
                await self._look.wait()
            begun = loop.time()
            code, last = await self._once()
            if code == ANEW:
                continue
            pause = FIRST_PAUSE if loop.time() - begun > GOOD else min(pause * 2, LONGEST_PAUSE)
            trouble = last or "it ended"
            if trouble != self.trouble:
                self._say(f"{self._title} is away: {trouble}; tried again")
            self.trouble = trouble
            await asyncio.sleep(pause)

    async def _once(self) -> tuple[int, str]:
        """Run it to its end; returns its exit code and, of one that failed, the last line that it said."""
        # Two heaps for all threads (mallopt(3)): with one each, much is kept that nobody uses.
        environment = {"MALLOC_ARENA_MAX": "2", **os.environ, CHILD: str(os.getpid())}
        environment.pop("NOTIFY_SOCKET", None)
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=environment, limit=1 << 16,
        )  # fmt: skip
        self.pid, last = process.pid, ""
        try:
            assert process.stdout is not None
            while line := await _line(process.stdout):
                last = line.removeprefix("ringfence: ")
                if line.startswith(self._ready):
                    self.trouble = ""
                self._say(line)
            await process.wait()
        finally:
            await _end(process)
            self.pid = None
        return process.returncode or 0, last if process.returncode else ""


async def _line(stream: asyncio.StreamReader) -> str:
    """The next line, at most so long as a line may be; empty at the end."""
    while True:
        try:
            found = await stream.readline()
        except ValueError:  # longer than the limit: the rest of it follows
            continue
        text = found.decode("utf-8", "backslashreplace").strip()
        if text or not found:
            return text


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
