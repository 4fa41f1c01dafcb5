"""Addresses as numbers, and the networks that count together.

`socket.inet_pton` is a computation, not I/O; it takes a fifth of the time of `ipaddress`, which a flood of new
addresses would feel. Spelling of networks is left to `ipaddress`.
"""

from __future__ import annotations

import ipaddress
from socket import AF_INET, AF_INET6, inet_pton

Span = tuple[int, int, int]
"""A network as (bits of the family: 32 or 128, first address, prefix length)."""

_MAPPED = 0xFFFF << 32


def number(address: str) -> tuple[int, int]:
    """`address` as (bits of the family, number); IPv4-mapped IPv6 as IPv4. Raises ValueError for anything else."""
    try:
        if ":" not in address:
            return 32, int.from_bytes(inet_pton(AF_INET, address), "big")
        value = int.from_bytes(inet_pton(AF_INET6, address), "big")
    except OSError as error:
        raise ValueError(f"{address!r} is not an address") from error
    return (32, value & 0xFFFFFFFF) if value >> 32 == 0xFFFF else (128, value)


def span(target: str) -> Span:
    """An address or network in text as a `Span`. Raises ValueError, also for a network with host bits set."""
    if "/" not in target:
        bits, value = number(target)
        return bits, value, bits
    network = ipaddress.ip_network(target)
    first = int(network.network_address)
    if network.version == 6 and network.prefixlen >= 96 and first >> 32 == 0xFFFF:
        return 32, first & 0xFFFFFFFF, network.prefixlen - 96
    return network.max_prefixlen, first, network.prefixlen


def within(inner: Span, outer: Span) -> bool:
    """Whether every address of `inner` is one of `outer`."""
    bits, first, length = outer
    return inner[0] == bits and inner[2] >= length and (inner[1] ^ first) >> (bits - length) == 0


def network_of(address: str, ipv4: int, ipv6: int) -> str:
    """The network of prefix length `ipv4` or `ipv6` that `address` lies in, in canonical text. Raises ValueError."""
    bits, value = number(address)
    length = ipv4 if bits == 32 else ipv6
    first = value >> (bits - length) << (bits - length)
    text = str(ipaddress.IPv4Address(first) if bits == 32 else ipaddress.IPv6Address(first))
    return f"{text}/{length}"
