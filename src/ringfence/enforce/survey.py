"""Comparing ledger and kernel without holding up either: read beside the work, settled afterwards in small steps.

With 100,000 bans the kernel alone takes seconds to tell its elements, and the ledger half a second. So a thread reads
both and compares them, while bans come and end as ever (`look`). What it found may be out of date when it is done:
therefore the fence notes which elements it touched meanwhile, and leaves those as they are (`Fence.settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Final, TypeVar

from msgspec import Struct

from ..model import Ban
from .netlink import Element, Link
from .ruleset import LOCKED, TABLE
from .sets import Failures, gone
from .wanted import Hosts, Key, Networks, Placed, Places, gather, label, same_end

SLACK: Final = 2.0
"""Seconds that an end may be off before it is corrected: clocks are adjusted all the time."""
EXAMPLES: Final = 10

Item = TypeVar("Item")


class Difference(Struct):
    """What reconcile had to put right; false when nothing. `examples` names some of the elements."""

    structure: bool = False
    whitelist: bool = False
    lockdown: bool = False
    missing: int = 0
    superfluous: int = 0
    wrong_end: int = 0
    examples: list[str] = []

    def __bool__(self) -> bool:
        return any((self.structure, self.whitelist, self.lockdown, self.missing, self.superfluous, self.wrong_end))

    def note(self, what: str, name: str, key: Key) -> None:
        """Count one element as `missing`, `superfluous` or `wrong_end`."""
        self.note_all(what, name, (key,))

    def note_all(self, what: str, name: str, keys: Collection[Key]) -> None:
        """Count elements of one set."""
        setattr(self, what, getattr(self, what) + len(keys))
        for key in islice(keys, EXAMPLES - len(self.examples)):
            self.examples.append(f"{what.replace('_', ' ')}: {label(name, key)}")


class Survey(Struct):
    """What a look at ledger and kernel found, set by set. `torn`: the kernel's sets changed while they were read.

    waiting: bans that the ledger does not call enforced yet, each with its place; rejected: why a ban has no place, by
    id; networks: what the interval sets should hold, by what the ledger knew then; owners: the bans of each of these
    ranges and of each element that has to be put in force, by id. `done`: settled.
    """

    waiting: list[tuple[Ban, Placed]]
    rejected: dict[int, str]
    networks: Networks
    owners: dict[tuple[str, Key], list[int]] = {}
    missing: Hosts = {}
    superfluous: dict[str, list[bytes]] = {}
    wrong_end: Hosts = {}
    failures: Failures = {}
    torn: bool = False
    done: bool = False

    def confirmed(self, touched: Collection[tuple[str, Key]], now: float) -> list[Ban]:
        """The bans that may be called enforced now. Whoever touched an element says so itself."""
        return [
            ban
            for ban, place in self.waiting
            if ban.until > now and ban.id not in self.rejected and (place.set, place.key) not in touched
        ]


def holds_bans(name: str, *, networks: bool = False) -> bool:
    """Whether a set of ours holds bans: of single values, or of networks."""
    if name.endswith(("_networks4", "_networks6")):
        return networks
    return not networks and "_allowed" not in name and name not in LOCKED


def compare(
    elements: Iterable[Element], wanted: dict[bytes, float], now: float, slack: float
) -> tuple[list[bytes], dict[bytes, float]]:
    """The superfluous elements and those with a wrong end; what is missing is left in `wanted`, the rest used up."""
    superfluous, wrong = [], {}
    for element in elements:
        until = wanted.pop(element.key, None)
        if until is None:
            superfluous.append(element.key)
        elif not same_end(element, until, now, slack):
            wrong[element.key] = until
    return superfluous, wrong


def look(bans: Iterable[Ban], places: Places, names: Iterable[str], clock: Callable[[], float]) -> Survey:
    """Read the sets of single values called `names` and compare them with `bans`; changes nothing.

    Has a socket of its own: made to run in a thread beside what changes the sets. Raises `EnforceError`.
    """
    rejected: dict[int, str] = {}
    held = list(bans)
    placed = places.place(held, clock(), rejected)
    hosts, networks = gather(placed)
    wanted_still = {ban.id: ban for ban in held if ban.state == "wanted"}
    waiting = [(wanted_still[each.id], each) for each in placed if each.id in wanted_still]
    found = Survey(waiting, rejected, networks)
    with closing(Link()) as link:
        for name in names:
            before = clock()
            try:
                elements, torn = link.glimpse(TABLE, name)
            except FileNotFoundError as error:
                raise gone() from error
            if torn:
                found.torn = True
                elements = list({each.key: each for each in elements}.values())
            wanted, now = hosts.get(name, {}), clock()
            superfluous, wrong = compare(elements, wanted, now, SLACK + now - before)
            for kept, part in ((found.missing, wanted), (found.wrong_end, wrong)):
                if part:
                    kept[name] = part
            if superfluous:
                found.superfluous[name] = superfluous
    for each in placed:
        parts = (found.missing, found.wrong_end, networks)
        if any(each.key in part[each.set] for part in parts if each.set in part):
            found.owners.setdefault((each.set, each.key), []).append(each.id)
    return found


def parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in lists of at most `size`."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def untouched(
    ends: Iterable[tuple[bytes, float]], name: str, touched: Collection[tuple[str, Key]], now: float
) -> dict[bytes, float]:
    """What of a set is still to be put in force: nobody touched it meanwhile, and it has not ended."""
    return {key: until for key, until in ends if until > now and (name, key) not in touched}
