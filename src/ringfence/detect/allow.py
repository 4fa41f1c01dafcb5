"""The whitelist: who is never banned. It beats every rule.

Looked up for each new address of a flood, so answers are remembered, and thousands of networks cost one dict
lookup per prefix length in use rather than one comparison each.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from ringfence.detect.address import Span, number, span, within
from ringfence.detect.recent import Recent
from ringfence.errors import SettingsError
from ringfence.model import EVERY, AllowEntry

LOOPBACK = ("127.0.0.0/8", "::1")

_REMEMBERED = 65_536
_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?\Z", re.I
)


class AllowList:
    """The entries of the whitelist, our own addresses and loopback, as one value that does not change.

    A changed whitelist is a new `AllowList`. Raises SettingsError for an entry that is neither an address, a network
    nor a host name, or whose resolved addresses are none.
    """

    def __init__(self, entries: Iterable[AllowEntry], own: Iterable[str] = ()) -> None:
        self.entries = tuple(entries)
        ours = [AllowEntry(target=text, note="loopback") for text in LOOPBACK]
        ours += [AllowEntry(target=text, note="our own address") for text in own]
        self.all = (*ours, *self.entries)
        self._tables: dict[int, dict[int, dict[int, tuple[AllowEntry, ...]]]] = {32: {}, 128: {}}
        for entry in self.all:
            for bits, first, length in spans(entry):
                table = self._tables[bits].setdefault(bits - length, {})
                table[first >> (bits - length)] = (*table.get(first >> (bits - length), ()), entry)
        self._starts = {bits: self._sorted(bits) for bits in (32, 128)}
        self._known: Recent[str, tuple[AllowEntry, ...]] = Recent(_REMEMBERED)

    def covers(self, address: str, service: str, now: float) -> AllowEntry | None:
        """The entry that keeps `address` from being banned from `service` at `now`, or None.

        `service` may be EVERY: then only entries for all services answer. What is not an address is not covered.
        """
        for entry in self.candidates(address) or ():
            if (entry.service == EVERY or entry.service == service) and entry.expires > now:
                return entry
        return None

    def candidates(self, address: str) -> tuple[AllowEntry, ...] | None:
        """All entries that contain `address`, for any service and at any time; None when it is not an address.

        Remembering these rather than answers is what makes an expiry take effect without clearing anything.
        """
        found = self._known.get(address)
        if found is None:
            try:
                bits, value = number(address)
            except ValueError:
                return None
            found = ()
            for shift, table in self._tables[bits].items():
                found += table.get(value >> shift, ())
            self._known.put(address, found)
        return found

    def covers_network(self, target: str, service: str, now: float) -> AllowEntry | None:
        """The entry that shares an address with `target` (a network or an address), or None.

        A ban of such a network would hit someone who is whitelisted. Raises SettingsError when `target` is neither.
        """
        try:
            bits, first, length = span(target)
        except ValueError as error:
            raise SettingsError(f"{target!r} is neither an address nor a network") from error
        found: list[AllowEntry] = []
        for shift, table in self._tables[bits].items():
            if shift >= bits - length:
                found += table.get(first >> shift, ())
        starts, inside = self._starts[bits]
        last = first | ((1 << (bits - length)) - 1)
        found += inside[bisect_left(starts, first) : bisect_right(starts, last)]
        for entry in found:
            if (entry.service == EVERY or entry.service == service) and entry.expires > now:
                return entry
        return None

    def _sorted(self, bits: int) -> tuple[list[int], list[AllowEntry]]:
        pairs = [
            (start << shift, entry)
            for shift, table in self._tables[bits].items()
            for start, entries in table.items()
            for entry in entries
        ]
        pairs.sort(key=lambda pair: pair[0])
        return [start for start, _ in pairs], [entry for _, entry in pairs]


def covered_by(entry: AllowEntry, ban_targets: Iterable[str]) -> list[str]:
    """Those of `ban_targets` (addresses and networks) that lie wholly inside `entry`: bans to lift at once.

    Service and expiry are the caller's to compare. A banned network that merely contains the entry stays: the
    kernel asks the whitelist first. Raises SettingsError for an entry that can't be used.
    """
    outer = spans(entry)
    found = []
    for target in ban_targets:
        try:
            inner = span(target)
        except ValueError:
            continue
        if any(within(inner, each) for each in outer):
            found.append(target)
    return found


def spans(entry: AllowEntry) -> list[Span]:
    """The networks of `entry`: its target, or for a host name what it last resolved to (nothing, if it never did)."""
    target = entry.target
    try:
        return [span(target)]
    except ValueError as error:
        looks_like_one = ":" in target or "/" in target or target.replace(".", "").isdigit()
        if looks_like_one or not _HOST.match(target):
            raise SettingsError(
                f"whitelist: {target!r} is neither an address, a network (without host bits) nor a host name: {error}"
            ) from error
    try:
        return [span(address) for address in entry.addresses]
    except ValueError as error:
        raise SettingsError(f"whitelist: {target!r} resolves to something that is no address: {error}") from error
