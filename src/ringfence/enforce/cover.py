"""Disjoint covers: pure arithmetic on ranges of addresses and ports.

The kernel's interval sets refuse overlapping elements, while bans and whitelist entries overlap as they please.
Ranges are inclusive at both ends; ends in time are seconds UTC.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

Range = tuple[int, int]
"""First and last address (or port), both inclusive."""


class Segment(NamedTuple):
    """A piece of a cover: nothing else covers `first` to `last`; it ends at `until`, as its `owner` does."""

    first: int
    last: int
    until: float
    owner: Range


def disjoint(spans: Mapping[Range, float]) -> list[Segment]:
    """Cut overlapping ranges into ordered pieces without overlap; of those that overlap the one that ends last holds.

    `spans` gives for each range when it ends. Pieces of one owner that touch are joined.
    """
    waiting = sorted(spans, reverse=True)
    points = sorted({first for first, _ in spans} | {last + 1 for _, last in spans})
    running: list[tuple[float, int, int]] = []
    cover: list[Segment] = []
    for point, following in itertools.pairwise(points):
        while waiting and waiting[-1][0] == point:
            first, last = waiting.pop()
            heapq.heappush(running, (-spans[first, last], first, last))
        while running and running[0][2] < point:
            heapq.heappop(running)
        if running:
            ends, first, last = running[0]
            _append(cover, Segment(point, following - 1, -ends, (first, last)))
    return cover


def overlapping(new: Iterable[Range], others: Collection[Range]) -> bool:
    """Whether one of the new ranges shares an address with another new one or with one of the others."""
    seen: list[Range] = []
    for first, last in new:
        if any(first <= end and begin <= last for begin, end in itertools.chain(seen, others)):
            return True
        seen.append((first, last))
    return False


def merged(ports: Iterable[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Port ranges as few ranges without overlap, by protocol: ("udp", 5060, 5061)."""
    result: list[tuple[str, int, int]] = []
    for protocol, first, last in sorted(ports):
        if result and result[-1][0] == protocol and first <= result[-1][2] + 1:
            result[-1] = (protocol, result[-1][1], max(last, result[-1][2]))
        else:
            result.append((protocol, first, last))
    return result


def _append(cover: list[Segment], piece: Segment) -> None:
    if cover and cover[-1].owner == piece.owner and cover[-1].last + 1 == piece.first:
        cover[-1] = cover[-1]._replace(last=piece.last)
    else:
        cover.append(piece)
