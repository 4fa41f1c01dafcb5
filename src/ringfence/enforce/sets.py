"""Writing elements into the kernel's sets, whatever stands there already.

To add an element that exists leaves its end as it is on kernels before 6.12, and to delete one fails where the
kernel was faster to end it. Adding, deleting and adding again within one transaction is right in every case, and
there is no moment without the element.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ..errors import EnforceError
from . import batch
from .batch import Entry
from .cover import Range, disjoint
from .netlink import Element, Link
from .nft import Nft
from .ruleset import TABLE
from .wanted import Hosts, Key, intervals, same_end, width

CHUNK: Final = 8192
"""Elements in one transaction; bounds the memory and the time it takes at a stroke."""
HOPELESS: Final = 32
"""After so many refusals without one success the whole chunk is given up."""
_CAREFUL = 32
"""Up to so many elements are looked up beforehand (20 µs each), since a refused transaction costs some 10 ms."""
_TRIES = 4

Failures = dict[tuple[str, Key], str]
"""(set name, key) → why the kernel refused this element."""
Item = tuple[str, bytes, float]
Present = dict[str, dict[bytes, Element]]
"""Set name → packed address → the element that the kernel holds."""


class Clock:
    """`now` as it was given, plus the time that passed since."""

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def __call__(self) -> float:
        """Seconds UTC."""
        return self._offset + time.monotonic()


class Correction(NamedTuple):
    """One difference between an interval set and what it should hold."""

    what: str  # missing, superfluous or wrong_end
    key: Range


class Sets:
    """The element side of our table. `generation` is what the kernel's should be if only we change anything."""

    def __init__(self, nft: Nft, link: Link) -> None:
        self.generation = -1
        self._nft = nft
        self._link = link

    def run(self, commands: str) -> None:
        """One transaction in the language of nft, counted in `generation`. Raises `EnforceError`."""
        if commands:
            self._nft.run(commands)
            self.generation += 1

    def put(self, hosts: Hosts, clock: Clock, *, new: bool = False) -> Failures:
        """Add elements or change the ends of those that exist, keeping their counters; returns what was refused.

        `new`: very probably none exists, so that nothing needs to be looked up.

        Raises `EnforceError` when all is refused, as when the set is gone.
        """
        failures: Failures = {}
        known: Present = {}
        for chunk in chunks(hosts):
            items = [(name, key, until) for name, ends in chunk.items() for key, until in ends.items()]
            if new or len(items) > _CAREFUL:
                try:
                    self._commit(_creations(chunk, clock()))
                    continue
                except EnforceError:
                    if not set(chunk) <= self._link.sets(TABLE):
                        raise gone() from None
            present = self._read(hosts, known) if len(items) == CHUNK else self._look_up(items)
            self._settle(items, present, clock, failures)
        return failures

    def drop(self, hosts: Mapping[str, Iterable[bytes]]) -> None:
        """Remove elements, whether they exist or not. Raises `EnforceError`."""
        for chunk in chunks({name: dict.fromkeys(keys, 0.0) for name, keys in hosts.items()}):
            changes = []
            for name, keys in chunk.items():
                changes += batch.add(name, [Entry(key, 60.0) for key in keys], 0.0, new=False)
                changes += batch.delete(name, keys)
            self._commit(changes)

    def cover(self, name: str, spans: Mapping[Range, float], clock: Clock, slack: float) -> list[Correction]:
        """Make an interval set hold a disjoint cover of `spans`; returns what had to be corrected.

        Pieces that are right within `slack` seconds stay untouched. Raises `EnforceError`. Tried again when the
        kernel ended an element between reading and writing.
        """
        return self.cover_all({name: spans}, clock, slack)

    def cover_all(self, sets: Mapping[str, Mapping[Range, float]], clock: Clock, slack: float) -> list[Correction]:
        """The same for several interval sets in one transaction."""
        corrections: list[Correction] = []
        for attempt in range(_TRIES):
            changes, corrections = [], []
            for name, spans in sets.items():
                needed, put_right = self._corrections(name, spans, clock(), slack)
                changes += needed
                corrections += put_right
            try:
                self._commit(changes)
                break
            except EnforceError:
                if attempt == _TRIES - 1:
                    raise
        return corrections

    def extend(self, name: str, spans: Mapping[Range, float], clock: Clock) -> None:
        """Add ranges to an interval set that overlap none in it, without reading it. Raises `EnforceError`."""
        octets = width(name)
        pieces = [(span, Entry(span[0].to_bytes(octets), until)) for span, until in spans.items()]
        self._commit(batch.add_ranges(name, pieces, clock()))

    def _corrections(
        self, name: str, spans: Mapping[Range, float], now: float, slack: float
    ) -> tuple[list[batch.Change], list[Correction]]:
        """The changes that `cover` needs now, and what they correct."""
        try:
            held = intervals(self._link.elements(TABLE, name))
        except FileNotFoundError as error:
            raise gone() from error
        wanted = {(each.first, each.last): each.until for each in disjoint(spans) if each.until > now}
        corrections, old, octets = [], [], width(name)
        for key, element in held.items():
            until = wanted.get(key)
            if until is not None and same_end(element, until, now, slack):
                del wanted[key]
                continue
            corrections.append(Correction("superfluous" if until is None else "wrong_end", key))
            old.append(key)
        new = []
        for key, until in wanted.items():
            before = held.get(key)
            if before is None:
                corrections.append(Correction("missing", key))
            counted = (before.packets, before.octets) if before else (0, 0)
            new.append((key, Entry(key[0].to_bytes(octets), until, *counted)))
        return batch.delete_ranges(name, old, octets) + batch.add_ranges(name, new, now), corrections

    def _settle(self, items: list[Item], present: Present, clock: Clock, failures: Failures) -> None:
        """Put elements in force that may exist; a part that is refused is halved until the guilty stand alone."""
        waiting, refused, worked = [items], 0, False
        while waiting:
            part = waiting.pop()
            try:
                self._commit(_replacements(part, present, clock()))
                worked = True
            except EnforceError as error:
                if not {each[0] for each in part} <= self._link.sets(TABLE):
                    raise gone() from None
                if len(part) > 1:
                    waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                refused += 1
                failures[part[0][:2]] = str(error)
                if refused >= HOPELESS and not worked:
                    raise

    def _look_up(self, items: Iterable[Item]) -> Present:
        """Those of the items that the kernel holds already, asked for one by one."""
        known: Present = {}
        for name, key, _ in items:
            if element := self._link.element(TABLE, name, key):
                known.setdefault(name, {})[key] = element
        return known

    def _read(self, names: Iterable[str], known: Present) -> Present:
        """All that the sets hold, read once for many chunks; `known` keeps it."""
        try:
            for name in () if known else names:
                known[name] = {each.key: each for each in self._link.elements(TABLE, name)}
        except FileNotFoundError as error:
            raise gone() from error
        return known

    def _commit(self, changes: Sequence[batch.Change]) -> None:
        """One transaction of messages, counted in `generation`. Raises `EnforceError`."""
        if changes:
            self._link.commit(changes)
            self.generation += 1


def gone() -> EnforceError:
    """Another program removed our table, or a part of it."""
    return EnforceError(f"nftables table inet {TABLE} is gone or incomplete: another program removed it")


def chunks(hosts: Hosts) -> Iterator[Hosts]:
    """Parts of at most `CHUNK` elements."""
    part: Hosts = {}
    room = CHUNK
    for name, ends in hosts.items():
        pending = list(ends.items())
        while pending:
            part[name] = dict(pending[:room])
            pending, room = pending[room:], room - len(part[name])
            if not room:
                yield part
                part, room = {}, CHUNK
    if part:
        yield part


def _creations(hosts: Hosts, now: float) -> list[batch.Change]:
    """Changes that add new elements and fail when one exists."""
    changes = []
    for name, ends in hosts.items():
        changes += batch.add(name, [Entry(key, until) for key, until in ends.items()], now, new=True)
    return changes


def _replacements(items: list[Item], present: Present, now: float) -> list[batch.Change]:
    """Changes that set the ends of elements, whether they exist or not, and keep the counters of those `present`."""
    changes = []
    for name in dict.fromkeys(each[0] for each in items):
        entries, old, held = [], [], present.get(name, {})
        for own, key, until in items:
            if own != name:
                continue
            before = held.get(key)
            if before:
                old.append(Entry(key, until))
            entries.append(Entry(key, until, before.packets, before.octets) if before else Entry(key, until))
        changes += batch.add(name, old, now, new=False)
        changes += batch.delete(name, [each.key for each in old])
        changes += batch.add(name, entries, now, new=False)
    return changes
