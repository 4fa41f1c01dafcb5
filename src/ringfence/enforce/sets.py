"""Writing elements into the kernel's sets, whatever stands there already.

`add element` leaves the end of an element that exists as it is on kernels before 6.12, `delete` fails where the
kernel was faster to end it, and nft 1.0.6 knows no `destroy`. Adding, deleting and adding again within one
transaction is right in every case and has no moment without the element.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ..errors import EnforceError
from . import ruleset
from .cover import Range, disjoint
from .netlink import Element, Reader
from .nft import Nft
from .ruleset import TABLE, Counted
from .wanted import Hosts, intervals, same_end, width

CHUNK: Final = 8192
"""Elements in one transaction; bounds the memory and the time that libnftables takes at a stroke."""
HOPELESS: Final = 32
"""After so many refusals without one success the whole batch is given up."""
_SINGLY = 256
"""Up to so many elements are looked up one by one, more by reading the whole set."""
_TRIES = 4

Key = bytes | Range
Failures = dict[tuple[str, Key], str]
"""(set name, key) → why the kernel refused this element."""
Item = tuple[str, bytes, float]


class Clock:
    """`now` as it was given, plus the time that passed since."""

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def __call__(self) -> float:
        """Seconds UTC."""
        return self._offset + time.monotonic()


class Change(NamedTuple):
    """One difference between an interval set and what it should hold."""

    what: str  # missing, superfluous or wrong_end
    key: Range


class Sets:
    """The element side of our table. `generation` is what the kernel's should be if only we change anything."""

    def __init__(self, nft: Nft, reader: Reader) -> None:
        self.generation = -1
        self._nft = nft
        self._reader = reader

    def run(self, commands: str) -> None:
        """One transaction, counted in `generation`. Raises `EnforceError`."""
        if commands:
            self._nft.run(commands)
            self.generation += 1

    def put(self, hosts: Hosts, clock: Clock) -> Failures:
        """Add elements or change the ends of those that exist, keeping their counters; returns what was refused.

        Raises `EnforceError` when all is refused.
        """
        failures: Failures = {}
        for chunk in chunks(hosts):
            try:
                self.run(creations(chunk, clock()))
            except EnforceError:
                self._settle(chunk, clock, failures)
        return failures

    def drop(self, hosts: Mapping[str, Iterable[bytes]]) -> None:
        """Remove elements, whether they exist or not. Raises `EnforceError`."""
        for chunk in chunks({name: dict.fromkeys(keys, 0.0) for name, keys in hosts.items()}):
            script = ""
            for name, keys in chunk.items():
                words = [ruleset.host(key) for key in keys]
                script += ruleset.elements("add", name, words) + ruleset.elements("delete", name, words)
            self.run(script)

    def cover(self, name: str, spans: Mapping[Range, float], clock: Clock, slack: float) -> list[Change]:
        """Make an interval set hold a disjoint cover of `spans`; returns what had to be changed.

        Raises `EnforceError`. Tried again when the kernel ended an element between reading and writing.
        """
        changes: list[Change] = []
        for attempt in range(_TRIES):
            script, changes = self.recover(name, spans, clock(), slack)
            try:
                self.run(script)
                break
            except EnforceError:
                if attempt == _TRIES - 1:
                    raise
        return changes

    def recover(
        self, name: str, spans: Mapping[Range, float], now: float, slack: float
    ) -> tuple[str, list[Change]]:
        """The commands that `cover` needs now, and what they change; pieces that are right stay untouched.

        Raises `EnforceError` when there is no such set.
        """
        try:
            held = intervals(self._reader.elements(TABLE, name))
        except FileNotFoundError as error:
            raise gone() from error
        wanted = {(each.first, each.last): each for each in disjoint(spans) if each.until > now}
        changes, old, new = [], [], []
        for key, element in held.items():
            piece = wanted.get(key)
            if piece and same_end(element, piece.until, now, slack):
                del wanted[key]
                continue
            changes.append(Change("wrong_end" if piece else "superfluous", key))
            old.append(ruleset.span(*key, width(name)))
        for key, piece in wanted.items():
            before = held.get(key)
            if before is None:
                changes.append(Change("missing", key))
            counted = Counted(before.packets, before.octets) if before else None
            new.append(ruleset.piece(piece, width(name), now, counted))
        return ruleset.elements("delete", name, old) + ruleset.elements("add", name, new), changes

    def _settle(self, chunk: Hosts, clock: Clock, failures: Failures) -> None:
        """Put a chunk in force that the kernel did not take at a stroke: halve it until the refused stand alone."""
        present = self._present(chunk)
        waiting = [[(name, key, until) for name, ends in chunk.items() for key, until in ends.items()]]
        refused, worked = 0, False
        while waiting:
            items = waiting.pop()
            try:
                self.run(_replacements(items, present, clock()))
                worked = True
            except EnforceError as error:
                if len(items) > 1:
                    waiting += [items[len(items) // 2 :], items[: len(items) // 2]]
                    continue
                refused += 1
                failures[items[0][:2]] = str(error)
                if refused >= HOPELESS and not worked:
                    raise

    def _present(self, chunk: Hosts) -> dict[tuple[str, bytes], Element]:
        """Those of the chunk that the kernel holds already."""
        found: dict[tuple[str, bytes], Element] = {}
        try:
            for name, ends in chunk.items():
                if len(ends) > _SINGLY:
                    found |= {(name, each.key): each for each in self._reader.elements(TABLE, name) if each.key in ends}
                else:
                    single = ((key, self._reader.element(TABLE, name, key)) for key in ends)
                    found |= {(name, key): element for key, element in single if element}
        except FileNotFoundError as error:
            raise gone() from error
        return found


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


def creations(hosts: Hosts, now: float) -> str:
    """Commands that add new elements and fail when one exists."""
    script = ""
    for name, ends in hosts.items():
        words = (ruleset.host(key) + ruleset.ending(until, now) for key, until in ends.items())
        script += ruleset.elements("create", name, words)
    return script


def _replacements(items: list[Item], present: Mapping[tuple[str, bytes], Element], now: float) -> str:
    """Commands that set the ends of elements, whether they exist or not, and keep the counters of those `present`."""
    script = ""
    for name in dict.fromkeys(each[0] for each in items):
        own = [each for each in items if each[0] == name]
        old = [ruleset.host(key) for _, key, _ in own if (name, key) in present]
        new = []
        for _, key, until in own:
            before = present.get((name, key))
            count = ruleset.counter(Counted(before.packets, before.octets)) if before else ""
            new.append(ruleset.host(key) + count + ruleset.ending(until, now))
        script += ruleset.elements("add", name, old) + ruleset.elements("delete", name, old)
        script += ruleset.elements("add", name, new)
    return script
