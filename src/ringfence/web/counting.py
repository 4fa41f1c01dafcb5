"""Counts that take a look at the whole ledger: made here, beside the guard, and used by everybody for a while."""

from __future__ import annotations

from typing import Final

from ringfence.ledger.facts import ServiceStatistics, Size
from ringfence.web.kept import Kept
from ringfence.web.reading import Readers

FRESH: Final = 10.0
"""Seconds for which a count is as good as new."""
USABLE: Final = 300.0
"""Seconds for which it is shown while a new one is being made."""


class Counts:
    """What the page of diagnostics counts."""

    def __init__(self, readers: Readers, kept: Kept) -> None:
        self._readers = readers
        self._kept = kept

    def size(self) -> Size:
        """How full the ledger is, a little while ago."""
        return self._kept.get("size", lambda: self._readers.ledger().size(), FRESH, USABLE)

    def statistics(self) -> list[ServiceStatistics]:
        """The statistics of each service: as they are, but for the distinct addresses, counted a little while ago."""
        ledger = self._readers.ledger()
        # Once something was reset, what was counted before means nothing any more: so it is part of the name.
        began = tuple(sorted((row.service, row.since) for row in ledger.statistics_rows({})))
        make = lambda: self._readers.ledger().recent_addresses()  # noqa: E731  (the reader of the thread that counts)
        return ledger.statistics_rows(self._kept.get(("addresses", began), make, FRESH, USABLE))
