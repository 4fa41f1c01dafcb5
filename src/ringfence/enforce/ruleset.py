"""The text that nft reads, made out of facts. Pure; element text is made from packed addresses only.

How a packet passes (see docs/decisions/0003-nftables.md): our own interface, neighbour discovery and the whitelist
for all services are let through; then the lockdown; then, by destination port, each service's whitelist and bans;
at last the bans for all. A service's whitelist stands before the bans for all, since whitelist beats ban.
"""

from __future__ import annotations

import functools
import math
import re
import socket
import zlib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Final, NamedTuple

from ..model import EVERY, FOREVER, Lockdown, Service
from .cover import Range, Segment, disjoint, merged

TABLE: Final = "ringfence"
PRIORITY: Final = -310
"""Before raw (-300) and connection tracking (-200), after the reassembly of fragments (-400)."""

PROTOCOL_NAMES: Final = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
PROTOCOLS: Final = frozenset(PROTOCOL_NAMES.values())
LOCKED: Final = ("lockdown_ports", "lockdown_replies")

Port = tuple[str, int, int]
"""Protocol, first and last port."""

_MAPPED = bytes(10) + b"\xff\xff"
_V4, _V6 = "ipv4_addr", "ipv6_addr"


class Target(NamedTuple):
    """An address or network, parsed: `packed` its first address, `length` its prefix length."""

    packed: bytes
    length: int

    @property
    def span(self) -> tuple[int, int]:
        """First and last address as numbers."""
        first = int.from_bytes(self.packed)
        return first, first | (1 << (8 * len(self.packed) - self.length)) - 1


def target(text: str) -> Target:
    """Parse an address or network; IPv4-mapped IPv6 is IPv4. Raises ValueError."""
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        network = ip_network(text, strict=False)
        packed, length = network.network_address.packed, network.prefixlen
        if length >= 96 and packed.startswith(_MAPPED):
            return Target(packed[12:], length - 96)
        return Target(packed, length)
    if packed.startswith(_MAPPED):
        packed = packed[12:]
    return Target(packed, 8 * len(packed))


def slug(service: str) -> str:
    """The service's name as a part of nft names; `EVERY` is "all". Odd names get a checksum so that they stay apart."""
    if service == EVERY:
        return "all"
    if re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", service) and service != "all":
        return service
    plain = re.sub(r"[^a-z0-9]", "_", service.lower())[:24]
    return f"s_{plain}_{zlib.crc32(service.encode()):08x}"


@functools.lru_cache(maxsize=4096)
def set_name(service: str, width: int, length: int, ipv6_prefix: int) -> str:
    """The set that a ban for `service` stands in, of an address of `width` octets with a prefix of `length` bits."""
    if length == 8 * width:
        kind = "hosts4" if width == 4 else "hosts6"
    elif width == 4:
        kind = "networks4"
    else:
        kind = f"prefixes{length}" if length == ipv6_prefix else "networks6"
    return f"{slug(service)}_{kind}"


def is_interval(name: str) -> bool:
    """Whether the set of this name holds ranges rather than single values."""
    return name.endswith(("_networks4", "_networks6", "_allowed4", "_allowed6"))


def names(services: Sequence[Service], ipv6_prefix: int) -> tuple[set[str], set[str]]:
    """The names of all sets and of all chains of the table."""
    owners = (EVERY, *(each.name for each in services))
    sets = {f"{slug(owner)}_{kind[0]}" for owner in owners for kind in _kinds("", ipv6_prefix)}
    return sets | set(LOCKED), {"prerouting", "interrupted", *(f"service_{slug(each.name)}" for each in services)}


def structure(services: Sequence[Service], ipv6_prefix: int) -> str:
    """The table without elements: run over an existing table of ours it replaces the rules and keeps the sets."""
    sets = [line for service in (EVERY, *(each.name for each in services)) for line in _sets(service, ipv6_prefix)]
    chains = [line for service in services for line in _service_chain(service, ipv6_prefix)]
    jumps = [line for service in services for line in _jumps(service)]
    lines = [
        f"add table inet {TABLE}",
        f"flush table inet {TABLE}",
        f"table inet {TABLE} {{",
        *sets,
        *(
            f"set {name} {{ type inet_proto . inet_service; flags interval, timeout; comment {_quoted(comment)}; }}"
            for name, comment in zip(LOCKED, ("ports closed by lockdown", "source ports of replies"), strict=True)
        ),
        *chains,
        'chain interrupted { comment "what lockdown drops"; drop; }',
        "chain prerouting {",
        f"type filter hook prerouting priority {PRIORITY}; policy accept;",
        'iif "lo" accept comment "our own"',
        "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"
        ' comment "a banned prefix may hold our router"',
        'ip saddr @all_allowed4 accept comment "whitelist beats ban"',
        'ip6 saddr @all_allowed6 accept comment "whitelist beats ban"',
        "meta l4proto . th dport @lockdown_ports jump interrupted",
        "meta l4proto . th sport @lockdown_replies jump interrupted",
        *jumps,
        *_drops(EVERY, ipv6_prefix),
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def locked_ports(
    lockdown: Lockdown | None, services: Sequence[Service], media: Iterable[Port], now: float
) -> dict[str, list[Port]]:
    """What each set of the lockdown holds at `now`: the ports that are closed, and those whose replies are dropped.

    Media ports are not matched as source: phones and the rest of the world use the same range for anything.
    """
    locked = _locked(lockdown, services) if lockdown and lockdown.until > now else []
    signalling = [port for each in locked for port in each.ports]
    return {LOCKED[0]: [*signalling, *media] if locked else [], LOCKED[1]: signalling}


def locking(lockdown: Lockdown | None, services: Sequence[Service], media: Iterable[Port], now: float) -> str:
    """Commands that make the table agree with `lockdown`; the kernel itself ends it at `lockdown.until`.

    An address on the whitelist of a locked service passes to all locked ports, since its media belong to its calls.
    """
    lines = [f"flush chain inet {TABLE} interrupted", *(f"flush set inet {TABLE} {name}" for name in LOCKED)]
    for name in (slug(each.name) for each in _locked(lockdown, services)):
        lines.append(f"add rule inet {TABLE} interrupted ip saddr @{name}_allowed4 return")
        lines.append(f"add rule inet {TABLE} interrupted ip6 saddr @{name}_allowed6 return")
    lines.append(f"add rule inet {TABLE} interrupted drop")
    script = "\n".join(lines) + "\n"
    for name, ports in locked_ports(lockdown, services, media, now).items():
        end = ending(lockdown.until, now) if lockdown else ""
        script += elements("add", name, (f"{of} . {first}-{last}{end}" for of, first, last in merged(ports)))
    return script


def whitelist(sets: Mapping[str, Mapping[Range, float]], now: float) -> str:
    """Commands that replace what the whitelist sets hold."""
    script = ""
    for name, spans in sets.items():
        width = 4 if name.endswith("4") else 16
        script += f"flush set inet {TABLE} {name}\n"
        script += elements("add", name, (piece(each, width, now) for each in disjoint(spans) if each.until > now))
    return script


def elements(verb: str, name: str, words: Iterable[str]) -> str:
    """One command about elements of one set, "" when there are none; `verb` is add, create or delete."""
    joined = ",".join(words)
    return f"{verb} element inet {TABLE} {name} {{{joined}}}\n" if joined else ""


def host(key: bytes) -> str:
    """A packed address as text."""
    return socket.inet_ntop(socket.AF_INET if len(key) == 4 else socket.AF_INET6, key)


def span(first: int, last: int, width: int) -> str:
    """A range of addresses of `width` octets as text."""
    low = host(first.to_bytes(width))
    return low if first == last else f"{low}-{host(last.to_bytes(width))}"


def network(span: Range, width: int) -> str:
    """A range that is a network, as "first address/prefix length"."""
    first, last = span
    return f"{host(first.to_bytes(width))}/{8 * width - (first ^ last).bit_length()}"


def piece(segment: Segment, width: int, now: float) -> str:
    """A segment of a cover as element."""
    return span(segment.first, segment.last, width) + ending(segment.until, now)


def ending(until: float, now: float) -> str:
    """The element's time to live, rounded up to milliseconds; nothing for one that does not end.

    nft takes at most eight digits of seconds, so days are written apart.
    """
    if until == FOREVER:
        return ""
    left = max(1, math.ceil((until - now) * 1000))
    return f" timeout {left // 86_400_000}d{left // 1000 % 86_400}s{left % 1000}ms"


def _kinds(whose: str, ipv6_prefix: int) -> list[tuple[str, str, str, str, str]]:
    """Name, type, flags, counter and comment of each set of a service."""
    kinds = [
        ("allowed4", _V4, "interval, timeout", "", f"whitelist of {whose}"),
        ("allowed6", _V6, "interval, timeout", "", f"whitelist of {whose}"),
        ("hosts4", _V4, "timeout", "counter; ", f"addresses kept out of {whose}"),
        ("hosts6", _V6, "timeout", "counter; ", f"addresses kept out of {whose}"),
        ("networks4", _V4, "interval, timeout", "counter; ", f"networks kept out of {whose}"),
        ("networks6", _V6, "interval, timeout", "counter; ", f"networks kept out of {whose}"),
    ]
    if ipv6_prefix < 128:
        comment = f"networks of /{ipv6_prefix} kept out of {whose}, by their first address"
        kinds.append((f"prefixes{ipv6_prefix}", _V6, "timeout", "counter; ", comment))
    return kinds


def _sets(service: str, ipv6_prefix: int) -> list[str]:
    name, whose = slug(service), "all services" if service == EVERY else f"service {slug(service)}"
    return [
        f"set {name}_{kind} {{ type {of}; flags {flags}; {count}comment {_quoted(comment)}; }}"
        for kind, of, flags, count, comment in _kinds(whose, ipv6_prefix)
    ]


def _drops(service: str, ipv6_prefix: int) -> list[str]:
    name = slug(service)
    mask = IPv6Address(int(IPv6Network((0, ipv6_prefix)).netmask))
    prefixes = [f"ip6 saddr & {mask} @{name}_prefixes{ipv6_prefix} drop"] if ipv6_prefix < 128 else []
    return [
        f"ip saddr @{name}_hosts4 drop",
        f"ip saddr @{name}_networks4 drop",
        *prefixes,
        f"ip6 saddr @{name}_hosts6 drop",
        f"ip6 saddr @{name}_networks6 drop",
    ]


def _service_chain(service: Service, ipv6_prefix: int) -> list[str]:
    name = slug(service.name)
    return [
        f"chain service_{name} {{",
        f"comment {_quoted(f'packets to the ports of {name}')};",
        f"ip saddr @{name}_allowed4 accept",
        f"ip6 saddr @{name}_allowed6 accept",
        *_drops(service.name, ipv6_prefix),
        "}",
    ]


def _jumps(service: Service) -> list[str]:
    """One rule for each protocol of the service, by the port that the sender aimed at (before any DNAT)."""
    ports = merged(service.ports)
    return [
        f"{protocol} dport {{ {', '.join(f'{low}-{high}' if low < high else str(low) for low, high in ranges)} }}"
        f" jump service_{slug(service.name)}"
        for protocol in sorted({each[0] for each in ports} & PROTOCOLS)
        if (ranges := [(low, high) for of, low, high in ports if of == protocol])
    ]


def _locked(lockdown: Lockdown | None, services: Sequence[Service]) -> list[Service]:
    named = lockdown.services if lockdown else ()
    return [each for each in services if each.name in named or EVERY in named]


def _quoted(comment: str) -> str:
    """A comment of at most 128 octets, as the kernel allows."""
    return '"' + comment.replace('"', "")[:120] + '"'
