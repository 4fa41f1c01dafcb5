"""The built-in catalogue, loaded once, and readers over it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import pytest

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.parser import Parser

REFERENCE = 1_795_300_000.0  # 2026-11-21 22:26:40 UTC, just after the corpus was written


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def parser(catalogue: Catalogue) -> Parser:
    return Parser(catalogue, zone=UTC)


@pytest.fixture
def count(parser: Parser) -> Callable[..., list[Event]]:
    """Counted events of some lines of one log, as at the end of a scan."""

    def counted(*lines: str | bytes, source: str = "log") -> list[Event]:
        data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        sightings = parser.reader(source, reference=REFERENCE).read(data, 1)
        return parser.attempts.feed(sightings) + parser.attempts.finish(float("inf"))

    return counted
