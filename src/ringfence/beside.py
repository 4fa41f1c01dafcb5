"""What looks at very many bans, done beside the loop, so that no ban waits for it.

Threads here only read, on connections and sockets of their own, and hand over what they read; everything is changed by
the loop, a few milliseconds at a time. With few bans all of it is done at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from ringfence.enforce.reconcile import Fence
from ringfence.enforce.sets import Clock
from ringfence.enforce.survey import Difference, Survey, parts
from ringfence.errors import EnforceError
from ringfence.guard import Guard
from ringfence.ledger import Ledger
from ringfence.ledger.opening import checkpoint, sync
from ringfence.model import Ban

MARKED = 500
"""Bans that are called enforced in one transaction."""
PAUSE = 0.001
"""Seconds between two steps: whatever came meanwhile is done first."""
FEW_EVENTS = 5_000
"""Events ever recorded up to which their addresses are counted at once."""
LOG_SIZE = 16_000_000
"""Bytes of the ledger's write-ahead log from which it is carried into the file."""
CHANGES = 5_000
"""Rows that are to be changed until then: the log keeps its size when it is empty again."""
MOST_COUNTED = 20_000
"""Running bans up to which counters are read whenever somebody asks for statistics: that takes a fifth of a second."""


async def agree(guard: Guard) -> Difference | None:
    """Make the kernel agree with the ledger if there is reason to; None when there was none, or when it failed.

    Raises LedgerError.
    """
    if guard.few_bans:
        return guard.reconcile()
    barrier, fence = guard.barrier, guard.barrier.fence
    if fence is None or not barrier.is_due():
        return None
    now, before = guard.clock(), barrier.trouble
    difference = barrier.begin(guard.whitelist.list.all, guard.ledger.lockdown(now), now)
    found: Survey | None = None
    try:
        if difference is not None:
            found = await asyncio.to_thread(_look, guard.ledger.path, fence, Clock(now))
            for _ in barrier.settle(found, difference, guard.clock()):
                await asyncio.sleep(PAUSE)
    except EnforceError as error:
        barrier.failed_to_look(error)
    finally:
        confirmed = barrier.finish(found, guard.clock())
    guard.say_trouble(before)
    for _ in _mark(guard, confirmed):
        await asyncio.sleep(PAUSE)
    return difference if found is not None and found.done else None


def _look(path: Path, fence: Fence, clock: Clock) -> Survey:
    with closing(Ledger.open_reader(path)) as reader:
        bans = reader.bans()
    return fence.look(bans, clock)


def _mark(guard: Guard, confirmed: list[Ban]) -> Iterator[None]:
    for some in parts(confirmed, MARKED):
        guard.ledger.mark_enforced(some, guard.clock())
        yield


async def count(guard: Guard, *, asked: bool = False) -> None:
    """Read what the kernel counted if it is time to (or somebody `asked`, and not very many bans run)."""
    barrier = guard.barrier
    if guard.few_bans or not (barrier.reading_due or (asked and guard.ledger.running_bans <= MOST_COUNTED)):
        return
    reading = barrier.reading()
    if reading is None:
        return
    begun = time.monotonic()
    counted: dict[tuple[str, str], int] | EnforceError = EnforceError("the counters were not read to the end")
    try:
        counted = await asyncio.to_thread(reading)
    except EnforceError as error:
        counted = error
    finally:
        barrier.take(counted, begun)


def addresses(ledger: Ledger) -> Callable[[], Awaitable[dict[str, int]]]:
    """What counts the distinct addresses since the last reset of statistics, by service, as they are at this moment."""
    if ledger.events_ever <= FEW_EVENTS:
        counted = ledger.recent_addresses()
        return lambda: asyncio.sleep(0, counted)
    ledger.tally()  # a reader knows only what is folded
    reader = Ledger.open_reader(ledger.path)
    reader.hold()
    return lambda: asyncio.to_thread(_count_addresses, reader)


def _count_addresses(reader: Ledger) -> dict[str, int]:
    with closing(reader):
        return reader.recent_addresses()


class Promises:
    """What people ordered is on the disk before they are told that it is done; nobody else waits for the disk."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept = 0
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Whatever is ordered in the block is on the disk at its end. Raises LedgerError."""
        before = self._ledger.orders
        yield
        ordered = self._ledger.orders
        if ordered > before:
            async with self._one_at_a_time:
                if ordered > self._kept:
                    ordered = self._ledger.orders
                    await asyncio.to_thread(sync, self._ledger.path)
                    self._kept = ordered


async def carry(ledger: Ledger, carried: int) -> int:
    """Carry the ledger's write-ahead log into the file when it has grown, so that no commit has to.

    Takes and returns how many rows had been changed when that was done last.
    """
    changed = ledger.rows_changed
    if changed - carried < CHANGES or ledger.log_size < LOG_SIZE:
        return carried
    await asyncio.to_thread(checkpoint, ledger.path)
    return changed


async def learn(guard: Guard) -> None:
    """Once an hour, where there is much to look through: what each service is used to. Raises LedgerError."""
    now = guard.clock()
    lesson = guard.attacks.lesson(now) if guard.ledger.events_ever > FEW_EVENTS else None
    if lesson is not None:
        guard.attacks.learned(await asyncio.to_thread(_learn, lesson, guard.ledger.path), now)


def _learn(lesson: Callable[[Ledger], dict[str, float]], path: Path) -> dict[str, float]:
    with closing(Ledger.open_reader(path)) as reader:
        return lesson(reader)
