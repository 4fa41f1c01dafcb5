"""From bans and whitelist to the elements that the kernel's sets should hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from socket import AF_INET, inet_pton
from typing import NamedTuple

from ..model import EVERY, AllowEntry, Ban, Service
from .cover import Range, disjoint
from .netlink import Element
from .ruleset import PROTOCOL_NAMES, PROTOCOLS, host, is_interval, set_name, slug, span, target

Hosts = dict[str, dict[bytes, float]]
"""Set name → packed address → end (seconds UTC)."""

Networks = dict[str, dict[Range, float]]
"""Set name → range of addresses → end (seconds UTC)."""


Key = bytes | Range
"""What an element is found by: a packed address, or the range in an interval set."""


class Placed(NamedTuple):
    """Where a ban belongs: `key` is a packed address, or a range in an interval set."""

    id: int
    set: str
    key: Key
    until: float


class Places:
    """Knows which set a ban belongs to, for the services there are."""

    def __init__(self, services: Sequence[Service], ipv6_prefix: int) -> None:
        self._prefix = ipv6_prefix
        self._closable = {each.name for each in services if any(port[0] in PROTOCOLS for port in each.ports)} | {EVERY}
        self._known = {each.name for each in services} | {EVERY}
        self._services = {slug(name): name for name in self._known}
        self._hosts = {name: set_name(name, 4, 32, ipv6_prefix) for name in self._closable}
        self.lasting: set[str] = set()
        """Why some bans had no place, as long as services are what they are: to try again is of no use."""

    def place(self, bans: Iterable[Ban], now: float, rejected: dict[int, str]) -> list[Placed]:
        """Each ban that has not ended with its place; `rejected` gets, by id, why a ban can't be enforced."""
        placed: list[Placed] = []
        append, closable, hosts = placed.append, self._closable, self._hosts
        for ban in bans:
            if ban.until <= now:
                continue
            if ban.service not in closable:
                rejected[ban.id] = why = (
                    f"service {ban.service!r} has no known ports that could be closed; "
                    f"name them in the settings: [services.{ban.service}] ports = [...]"
                )
                self.lasting.add(why)
                continue
            text = ban.target
            try:
                if ":" not in text and "/" not in text:  # nearly all of them, and after a start there are very many
                    append(Placed(ban.id, hosts[ban.service], inet_pton(AF_INET, text), ban.until))
                    continue
            except (OSError, ValueError):
                pass  # `target` says why
            try:
                packed, length = parsed = target(text)
            except ValueError as error:
                rejected[ban.id] = str(error)
                continue
            name = set_name(ban.service, len(packed), length, self._prefix)
            append(Placed(ban.id, name, parsed.span if is_interval(name) else packed, ban.until))
        return placed

    def whitelist(self, entries: Sequence[AllowEntry], now: float) -> Networks:
        """What each whitelist set should hold; a host name that was never resolved holds nothing."""
        sets: Networks = {f"{name}_allowed{family}": {} for name in self._services for family in (4, 6)}
        for entry in entries:
            if entry.service not in self._known or entry.expires <= now:
                continue
            for text in entry.addresses or (entry.target,):
                try:
                    place = target(text)
                except ValueError:
                    continue
                held = sets[f"{slug(entry.service)}_allowed{4 if len(place.packed) == 4 else 6}"]
                held[place.span] = max(entry.expires, held.get(place.span, now))
        return sets

    def service(self, name: str) -> str:
        """The service whose set this is."""
        return self._services[name.rpartition("_")[0]]


def gather(placed: Iterable[Placed]) -> tuple[Hosts, Networks]:
    """Bans by set; of several of the same place the one that ends last counts."""
    hosts: Hosts = {}
    networks: Networks = {}
    for _, name, key, until in placed:
        if isinstance(key, bytes):
            held = hosts.setdefault(name, {})
            if held.get(key, 0) < until:
                held[key] = until
        else:
            ranges = networks.setdefault(name, {})
            ranges[key] = max(until, ranges.get(key, until))
    return hosts, networks


def width(name: str) -> int:
    """Octets of an address in the interval set of this name."""
    return 4 if name.endswith("4") else 16


def intervals(elements: Iterable[Element]) -> dict[Range, Element]:
    """The ranges of an interval set, which the kernel tells as beginnings and (exclusive) ends."""
    found: dict[Range, Element] = {}
    begun: Element | None = None
    for element in sorted(elements, key=lambda each: (each.key, not each.end)):
        if begun:
            last = int.from_bytes(element.key) - 1
            found[int.from_bytes(begun.key), last] = begun
        begun = None if element.end else element
    if begun:
        found[int.from_bytes(begun.key), (1 << 8 * len(begun.key)) - 1] = begun
    return found


def port_ranges(elements: Iterable[Element]) -> dict[tuple[str, int, int], Element]:
    """The protocol and port ranges of a lockdown set."""
    found = {}
    for element in elements:
        # Two fields, each in four octets: the protocol in the first, the port in the first two.
        last = element.last or element.key
        protocol = PROTOCOL_NAMES.get(element.key[0], str(element.key[0]))
        found[protocol, int.from_bytes(element.key[4:6]), int.from_bytes(last[4:6])] = element
    return found


def same_end(element: Element, until: float, now: float, slack: float) -> bool:
    """Whether an element ends at `until`, give or take `slack` seconds."""
    if element.left is None:
        return until == float("inf")
    return abs(now + element.left - until) <= slack


def label(name: str, key: Key) -> str:
    """An element as people read it: "1.2.3.4 in sip_hosts4"."""
    if isinstance(key, bytes):
        prefix = name.rpartition("_prefixes")
        return f"{host(key)}{'/' + prefix[2] if prefix[1] else ''} in {name}"
    return f"{span(*key, width(name))} in {name}"


def packets_by_owner(spans: Mapping[Range, float], held: Mapping[Range, Element]) -> dict[Range, int]:
    """Packets counted by the pieces of a cover, added up for the bans they belong to."""
    total: dict[Range, int] = {}
    for piece in disjoint(spans):
        element = held.get((piece.first, piece.last))
        if element and element.packets:
            total[piece.owner] = total.get(piece.owner, 0) + element.packets
    return total
