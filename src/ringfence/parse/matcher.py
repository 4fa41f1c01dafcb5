"""Where in a block of text the telling fragments stand: one pass of Hyperscan for all patterns of all kinds.

Hyperscan finds the fragments (its cost hardly grows with their number); the anchored expressions decide. The compiled
database is kept in a cache file whose name holds a digest of the fragments and of the library's version.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import hyperscan

from ringfence.parse.catalogue import Pattern
from ringfence.parse.compiled import Compiled


class Matcher:
    """Finds candidates: `find(block)` gives (offset just behind the fragment, patterns that hold it), in order."""

    def __init__(self, patterns: Sequence[Pattern], cache: Path | None = None) -> None:
        by_fragment: dict[str, list[Compiled]] = {}
        for pattern in patterns:
            compiled = Compiled(pattern)
            for fragment in pattern.fragments:
                by_fragment.setdefault(fragment, []).append(compiled)
        self._candidates = [tuple(group) for group in by_fragment.values()]
        self._of_kinds: dict[frozenset[str], list[tuple[Compiled, ...]]] = {}
        self._database = _database(list(by_fragment), cache) if by_fragment else None

    def candidates(self, kinds: Collection[str] | None = None) -> list[tuple[Compiled, ...]]:
        """For each fragment the patterns of `kinds` (None: all) that hold it; the same list for all who ask for it."""
        if kinds is None:
            return self._candidates
        wanted = frozenset(kinds)
        if wanted not in self._of_kinds:
            self._of_kinds[wanted] = [
                tuple(compiled for compiled in group if compiled.pattern.kind in wanted) for group in self._candidates
            ]
        return self._of_kinds[wanted]

    def find(self, block: bytes) -> list[tuple[int, int]]:
        """(end offset of the fragment, index into the candidates) of each occurrence, by offset."""
        hits: list[tuple[int, int]] = []
        if self._database is None or not block:
            return hits
        add = hits.append

        def found(index: int, start: int, end: int, flags: int, context: object) -> None:
            add((end, index))

        self._database.scan(block, match_event_handler=found)
        return hits


def _database(fragments: list[str], cache: Path | None) -> hyperscan.Database:
    file = cache / f"patterns-{_digest(fragments)}.hs" if cache else None
    if file is not None:
        try:
            loaded = hyperscan.loadb(file.read_bytes(), mode=hyperscan.HS_MODE_BLOCK)
            loaded.scratch = hyperscan.Scratch(loaded)  # one that is compiled here has it already
            return loaded
        except (OSError, hyperscan.error):
            pass
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[re.escape(fragment).encode("utf-8") for fragment in fragments],
        ids=list(range(len(fragments))),
        flags=0,
    )
    if file is not None:
        _keep(database, file)
    return database


def _keep(database: hyperscan.Database, file: Path) -> None:
    """A cache that can't be written is no fault: the next start compiles again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(hyperscan.dumpb(database))
        temporary.replace(file)
    except OSError:
        pass


def _digest(fragments: list[str]) -> str:
    return hashlib.sha256("\0".join([getattr(hyperscan, "__version__", ""), *fragments]).encode()).hexdigest()[:24]
