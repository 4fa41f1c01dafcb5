"""One parser for all logs of a machine: the compiled catalogue, a reader for each log, and the attempts they share."""

from __future__ import annotations

from collections.abc import Collection, Container
from datetime import tzinfo
from pathlib import Path

from ringfence.parse import canary
from ringfence.parse.attempts import Attempts
from ringfence.parse.catalogue import Catalogue
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader


class Parser:
    """Made once from a catalogue. cache: folder for the compiled patterns; zone: of stamps that name none;
    services: only these are looked for (None: all). proxies, names: see `Reader`. The guard's own test lines are always
    known, and never attempts."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        zone: tzinfo,
        cache: Path | None = None,
        services: Collection[str] | None = None,
        proxies: Container[str] = (),
        names: bool = False,
    ) -> None:
        patterns = [
            pattern
            for pattern in catalogue.patterns()
            if not services or not pattern.service or pattern.service in services
        ]
        patterns.insert(0, canary.PATTERN)
        self.attempts = Attempts(patterns)
        self._matcher = Matcher(patterns, cache)
        self._zone = zone
        self._services = services
        self._proxies = proxies
        self._names = names

    def reader(
        self,
        source: str,
        *,
        reference: float,
        kinds: Collection[str] | None = None,
        year: int | None = None,
        journal: bool = False,
    ) -> Reader:
        """A reader for one log; see `Reader` for the arguments."""
        return Reader(
            source,
            self._matcher,
            zone=self._zone,
            reference=reference,
            kinds=kinds,
            services=self._services,
            year=year,
            journal=journal,
            proxies=self._proxies,
            names=self._names,
        )
