"""Line breaks inside of what a client wrote: which lines of Asterisk's log are its own.

Asterisk writes some names as they came, line breaks included, so a client can put whole lines of its own choice into
the log. What gives them away: the true line before is torn, its true end follows without a prefix, and the client does
not know the number of the thread that writes. So a line near such a break is believed only when its thread has been
seen elsewhere; and a torn line is put together again with its end, which names the true address.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from ringfence.parse.compiled import Compiled

REACH = 4096
"""Bytes before and after a break in which lines may be forged: no field that is written unescaped is longer."""

OPEN_REACH = 260
"""Bytes after a line that ends in a client's text (an IAX2 information element holds at most 255)."""

_THREADS_KEPT = 4096
# A line without a prefix, except for what Asterisk itself goes on with ("       > priority = mine"): the rest of a
# torn line holds a quote or comes within OPEN_REACH.
_BARE = re.compile(r"^(?!\[(?:\d{4}-|[A-Z][a-z]{2} )|\x1b| {2,}> [a-z ]+ = [\w(),|.]*$)(?=.|\n)", re.MULTILINE)
_FOREIGN = re.compile(r"^\[[^\]\n]*\] \w+\[\d+\](?:\[C-[0-9a-f]+\])? pjproject:", re.MULTILINE)


class Find(Struct):
    """A line in a block that holds a telling fragment: from `start` to `end`, by `thread`.

    `index` is that of its event, -1 when the line is torn (no expression took it: `candidates` are those to try).
    `raw`: a client's text stands in it unescaped; `open_end`: at its very end.
    """

    start: int
    end: int
    thread: str
    candidates: tuple[Compiled, ...]
    index: int
    raw: bool
    open_end: bool


class Judgement(Struct):
    """`dropped`: indices of events not to be believed; `joined`: lines put together again, without line breaks."""

    dropped: set[int]
    joined: list[tuple[Find, str]]


class Forgery:
    """Remembers, for one log, the threads that are known to write it."""

    def __init__(self) -> None:
        self._threads: dict[str, None] = {}
        self._carried = 0

    def passed(self, size: int) -> None:
        """`size` bytes without any find went by."""
        self._carried = max(0, self._carried - size)

    def judge(self, text: str, finds: list[Find]) -> Judgement:
        """Which of a block's finds, in order, are the log's own."""
        breaks = [found.start() for found in _BARE.finditer(text)]
        suspects = [find for find in finds if self._is_near(find, breaks, finds)]
        suspicious = {id(find) for find in suspects}
        for find in finds:
            if id(find) not in suspicious:
                self._learn(find.thread)
        judgement = Judgement({find.index for find in suspects if find.thread not in self._threads} - {-1}, [])
        if breaks:
            self._join(text, finds, breaks, judgement)
        doubtful = [*breaks[-1:], *(find.end for find in finds if find.open_end)]
        self._carried = max(0, max(doubtful, default=-OPEN_REACH) + OPEN_REACH - len(text), self._carried - len(text))
        return judgement

    def _is_near(self, find: Find, breaks: list[int], finds: list[Find]) -> bool:
        if find.start < self._carried:
            return True
        if bisect_left(breaks, find.start - OPEN_REACH) < bisect_right(breaks, max(find.end, find.start) + REACH):
            return True
        return any(
            other.open_end and other is not find and other.end <= find.start < other.end + OPEN_REACH
            for other in finds[max(0, bisect_left(finds, find.start, key=lambda each: each.start) - 4) :][:4]
        )

    def _learn(self, thread: str) -> None:
        if thread not in self._threads:
            if len(self._threads) >= _THREADS_KEPT:
                del self._threads[next(iter(self._threads))]
            self._threads[thread] = None

    def _join(self, text: str, finds: list[Find], breaks: list[int], judgement: Judgement) -> None:
        """Give each bare line back to the newest line before it whose writer is known."""
        starts = [find.start for find in finds]
        joined: dict[int, tuple[Find, str]] = {}
        for start in breaks:
            end = text.find("\n", start)
            head = self._head(finds, bisect_left(starts, start) - 1, start)
            if head is None:
                continue
            record = text[head.start : end if end >= 0 else len(text)].replace("\n", " ").replace("\r", " ")
            if any(compiled.match(record) for compiled in head.candidates):
                judgement.dropped.add(head.index)
                if not _FOREIGN.search(text, head.start + 1, start):
                    joined[head.start] = (head, record)
        judgement.dropped.discard(-1)
        judgement.joined = list(joined.values())

    def _head(self, finds: list[Find], last: int, before: int) -> Find | None:
        for find in reversed(finds[: last + 1]):
            if before - find.start > REACH:
                return None
            if find.thread in self._threads:
                return find if find.raw else None
        return None
