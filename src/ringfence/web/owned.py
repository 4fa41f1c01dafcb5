"""What account holders may see: which events concern the accounts assigned to them, followed in memory.

One index for all of them, brought up to date in the background and, for what is newest, when a page asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

from ringfence.errors import RingfenceError
from ringfence.ledger.holders import AccountIndex
from ringfence.ledger.listed import Cursor, ListedBan, ListedEvent, Page
from ringfence.web.reading import Readers

OFTEN: Final = 0.05
"""Seconds between two steps while there is more to look at: others want the ledger's file, too."""
SELDOM: Final = 5.0
STEPS: Final = 3
"""Steps that a page takes itself; what is left then is being looked at in the background."""


class Owned:
    """Events and bans by account. For any thread."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._lock = threading.Lock()
        self._index = AccountIndex()
        self._audit = -1
        self.behind = False
        """Whether earlier events are still being looked through."""

    async def run(self) -> None:
        """Follow the events, until cancelled."""
        while True:
            with contextlib.suppress(RingfenceError):  # no ledger (yet); every page says so
                await asyncio.to_thread(self.follow, 1)
            await asyncio.sleep(OFTEN if self.behind else SELDOM)

    def follow(self, steps: int) -> None:
        """Look at what is new, in so many steps at most. Raises LedgerError."""
        with self._lock:
            self._follow(steps)

    def events(self, accounts: tuple[str, ...], limit: int, cursor: Cursor | None) -> Page[ListedEvent]:
        """The newest events that concern these accounts. Raises LedgerError."""
        with self._lock:
            self._follow(STEPS)
            return self._readers.ledger().holder_events(self._index, accounts, limit=limit, cursor=cursor)

    def bans(
        self, accounts: tuple[str, ...], *, running: bool, limit: int, cursor: Cursor | None = None
    ) -> Page[ListedBan]:
        """The newest bans that concern these accounts. Raises LedgerError."""
        with self._lock:
            self._follow(STEPS)
            return self._readers.ledger().holder_bans(
                self._index, accounts, running=running, limit=limit, cursor=cursor
            )

    def _follow(self, steps: int) -> None:
        ledger = self._readers.ledger()
        audit = ledger.versions().audit
        if audit != self._audit:  # somebody may have been assigned other accounts
            holders = [user for user in ledger.users() if user.role == "holder"]
            self._index.assign(account for user in holders for account in user.accounts)
            self._audit = audit
        self.behind = True
        for _ in range(steps):
            if not self._index.advance(ledger):
                self.behind = False
                return
