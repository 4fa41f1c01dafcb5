"""What tells open pages that something changed: one look a second for all of them, and a stream to each.

Only the names of what changed are sent ("events", "bans", …); the page then asks for itself again, with the rights
that its reader has by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import msgspec
from msgspec import structs

from ringfence.errors import RingfenceError
from ringfence.live import Pulse
from ringfence.web.asking import Guard
from ringfence.web.reading import Readers

EVERY: Final = 1.0
"""Seconds between two looks while somebody listens."""
IDLE: Final = 10.0
"""The same while nobody does."""
BEAT: Final = 15.0
"""Seconds after which a silent stream says that it is there."""
MOST: Final = 500
"""Streams at once."""


class Live:
    """Looks what changed and wakes the streams."""

    def __init__(self, readers: Readers, guard: Guard) -> None:
        self._readers = readers
        self._guard = guard
        self._marks: dict[str, object] = {}
        self._versions: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self.streams = 0

    async def run(self) -> None:
        """Look and wake, until cancelled."""
        while True:
            before = dict(self._versions)
            marks = await asyncio.to_thread(self._look)
            for topic, mark in marks.items():
                if self._marks.get(topic) != mark:
                    self._versions[topic] = self._versions.get(topic, 0) + 1
            self._marks = marks
            if self._versions != before:
                async with self._changed:
                    self._changed.notify_all()
            self._wanted.clear()
            if self.streams:
                await asyncio.sleep(EVERY)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE):
                        await self._wanted.wait()  # the first who listens should not wait for so long

    def _look(self) -> dict[str, object]:
        marks: dict[str, object] = {}
        with contextlib.suppress(RingfenceError):
            marks |= structs.asdict(self._readers.ledger().versions())
        try:
            marks["status"] = _mark(self._guard.pulse())
        except RingfenceError as error:
            marks["status"] = str(error)
        return marks

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody listens: look more often meanwhile."""
        self.streams += 1
        self._wanted.set()
        try:
            yield
        finally:
            self.streams -= 1

    def versions(self) -> dict[str, int]:
        """How often each topic changed so far."""
        return dict(self._versions)

    async def next(self, seen: dict[str, int]) -> dict[str, int]:
        """The versions as soon as they differ from `seen`, or after BEAT seconds as they are."""
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._changed.wait_for(lambda: self._versions != seen)
        return self.versions()

    async def stream(self, goes_on: Callable[[], bool]) -> AsyncIterator[str]:
        """Server-sent events (HTML Living Standard, 9.2): topics that changed, until `goes_on` says no."""
        with self.listening():
            seen = self.versions()
            yield "retry: 3000\n\n"
            while goes_on():
                now = await self.next(seen)
                changed = sorted(topic for topic, version in now.items() if seen.get(topic) != version)
                seen = now
                yield f"event: changed\ndata: {' '.join(changed)}\n\n" if changed else ": still here\n\n"
            yield "event: ended\ndata: \n\n"


def _mark(pulse: Pulse) -> bytes:
    """What of the pulse is worth a new look: not the counters of logs, which change all the time."""
    worth = (
        pulse.headline,
        pulse.problems,
        pulse.notices,
        pulse.lockdown,
        [trial.id for trial in pulse.trials],
    )
    return msgspec.json.encode((worth, pulse.policy_revision, int(time.time() // 60)))
