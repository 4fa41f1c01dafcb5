"""Counts that take a look at the whole ledger: made here, beside the guard, and used by everybody for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from ringfence.errors import LedgerError
from ringfence.ledger.facts import ServiceStatistics, Size
from ringfence.web.reading import Readers

T = TypeVar("T")

FRESH: Final = 10.0
"""Seconds for which a count is as good as new."""
USABLE: Final = 300.0
"""Seconds for which it is shown while a new one is being made."""


class Kept(Generic[T]):
    """What `make` returns, made again behind the reader's back; `clock` is any that never goes back."""

    def __init__(self, make: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._value: T | None = None
        self._made = -USABLE
        self._lock = threading.Lock()
        self._making = False

    def get(self) -> T:
        """The value: new, or made a moment ago. Raises what `make` raises when there is none to show."""
        age = self._clock() - self._made
        if self._value is None or age >= USABLE:
            with self._lock:
                if self._value is None or self._clock() - self._made >= USABLE:
                    self._renew()
        elif age >= FRESH and not self._making:
            self._making = True
            threading.Thread(target=self._behind, name="counting", daemon=True).start()
        assert self._value is not None
        return self._value

    def forget(self) -> None:
        """The next one to ask gets a new value."""
        self._made = -USABLE

    def _behind(self) -> None:
        try:
            with self._lock:
                self._renew()
        except LedgerError as error:  # the old value serves on until it is too old
            print(f"web: not counted: {error}", flush=True)
        finally:
            self._making = False

    def _renew(self) -> None:
        begun = self._clock()
        self._value = self._make()
        self._made = begun


class Counts:
    """What the page of diagnostics counts."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._size = Kept(lambda: readers.ledger().size())
        self._addresses = Kept(lambda: readers.ledger().recent_addresses())
        self._began: dict[str, float] = {}

    def size(self) -> Size:
        """How full the ledger is, a little while ago."""
        return self._size.get()

    def statistics(self) -> list[ServiceStatistics]:
        """The statistics of each service: as they are, but for the distinct addresses, counted a little while ago."""
        ledger = self._readers.ledger()
        rows = ledger.statistics_rows({})
        began = {row.service: row.since for row in rows}
        if any(self._began.get(service, since) != since for service, since in began.items()):
            self._addresses.forget()  # something was reset since
        self._began = began
        return ledger.statistics_rows(self._addresses.get())
