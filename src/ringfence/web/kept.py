"""Answers that are kept for a moment, so that many readers of one page cost what one does.

An answer that is a little old is given at once while a new one is made beside it; only an old one is waited for.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST: Final = 200


class Kept:
    """Keeps answers by key. For any thread; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._making: set[Hashable] = set()
        # One, so that it has one reader of the ledger and never takes more than one core.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="kept")

    def get(self, key: Hashable, make: Callable[[], T], fresh: float, old: float) -> T:
        """The answer for `key`: as it is for `fresh` seconds, made anew beside until `old`, then waited for."""
        now = self._clock()
        with self._lock:
            known = self._known.get(key)
            age = now - known[0] if known else old
            aside = known is not None and fresh <= age < old and key not in self._making
            if aside:
                self._making.add(key)
        if known is None or age >= old:
            return self._make(key, make)
        if aside:
            self._beside.submit(self._make_aside, key, make)
        found: T = known[1]
        return found

    def _make(self, key: Hashable, make: Callable[[], T]) -> T:
        begun = self._clock()
        answer = make()
        with self._lock:
            self._known[key] = (begun, answer)
            self._known.move_to_end(key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return answer

    def _make_aside(self, key: Hashable, make: Callable[[], Any]) -> None:
        try:
            self._make(key, make)
        finally:
            with self._lock:
                self._making.discard(key)
