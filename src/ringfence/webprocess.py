"""The page beside the guard: starts `ringfence web`, starts it again when it ends, ends it with the guard.

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
"""Seconds until a page that ended is started again: twice as long each time."""
GOOD: Final = 60.0
"""Seconds after which a start counts as good, and pauses begin short again."""
PATIENCE: Final = 5.0
CHILD: Final = "RINGFENCE_CHILD_OF"
"""Names the process whose end is the page's end too."""


class WebProcess:
    """Keeps one page running. `trouble` says why there is none, if so."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.trouble = ""
        self._command = [sys.executable, "-m", "ringfence", "web"]
        if settings.origin != "defaults":
            self._command += ["--config", settings.origin]
        self._say = say

    async def run(self) -> None:
        """Start it again and again, until cancelled; then end it."""
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            last = await self._once()
            pause = FIRST_PAUSE if loop.time() - begun > GOOD else min(pause * 2, LONGEST_PAUSE)
            trouble = last or "it ended"
            if trouble != self.trouble:
                self._say(f"the page is away: {trouble}; tried again")
            self.trouble = trouble
            await asyncio.sleep(pause)

    async def _once(self) -> str:
        """Run it to its end; returns the last line that it said, its reason as a rule."""
        # Two heaps for all threads (mallopt(3)): with one each, much is kept that nobody uses.
        environment = {"MALLOC_ARENA_MAX": "2", **os.environ, CHILD: str(os.getpid())}
        environment.pop("NOTIFY_SOCKET", None)
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=environment, limit=1 << 16,
        )  # fmt: skip
        last = ""
        try:
            assert process.stdout is not None
            while line := await _line(process.stdout):
                last = line.removeprefix("ringfence: ")
                if line.startswith("page "):
                    self.trouble = ""
                self._say(line)
            await process.wait()
        finally:
            await _end(process)
        return last if process.returncode else ""


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
