"""How long answers take: a thin layer around the application, and the counts that it keeps."""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import Final

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
KINDS: Final = (("/static/", "static"), ("/api/", "api"), ("/feed/", "feed"), ("/metrics", "metrics"))


class Latencies:
    """Answers by kind and by how long they took. Only for the event loop's thread; others may read."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.sums: dict[str, float] = {}

    def add(self, kind: str, seconds: float) -> None:
        """Count one answer."""
        counts = self.counts.setdefault(kind, [0] * (len(BOUNDS) + 1))
        counts[bisect_left(BOUNDS, seconds)] += 1
        self.sums[kind] = self.sums.get(kind, 0.0) + seconds

    def cumulative(self, kind: str) -> list[tuple[str, float]]:
        """How many took at most so many seconds: upper bounds as text, the last one "+Inf"."""
        found, total = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), list(self.counts[kind]), strict=True):
            total += count
            found.append((bound, float(total)))
        return found


def kind_of(path: str) -> str:
    """What kind of answer a path gets."""
    return next((kind for start, kind in KINDS if path.startswith(start)), "page")


class Measure(ASGIMiddleware):
    """Counts the seconds from a request to the beginning of its answer, so that a stream counts when it begins."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the request on."""
        begun = time.perf_counter()
        latencies: Latencies = scope["litestar_app"].state.web.latencies

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                latencies.add(kind_of(scope["path"]), time.perf_counter() - begun)
            await send(message)

        await next_app(scope, receive, noting)
