"""Connections for reading the ledger: one for each thread, since SQLite's are not shared, and none that could write."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger
from ringfence.ledger.remembered import Memory
from ringfence.unprivileged import give_back


class Readers:
    """Gives every thread its own reader of the ledger at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = threading.local()
        self._memory = Memory()

    def ledger(self) -> Ledger:
        """This thread's reader. Raises LedgerError when there is no ledger that can be read."""
        found: Ledger | None = getattr(self._mine, "ledger", None)
        if found is None:
            found = self._mine.ledger = Ledger.open_reader(self._path)
            found.memory = self._memory  # what one has read ahead serves them all
        return found

    def warm(self) -> None:
        """Let this thread's reader read ahead what would make its first page slow."""
        with contextlib.suppress(LedgerError):  # no ledger yet: then there is nothing to read
            self.ledger().warm()
            give_back()
