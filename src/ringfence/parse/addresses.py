"""One spelling for each address: what logs write -> canonical text.

IPv4-mapped IPv6 becomes IPv4; brackets, zone ids, upper case and a trailing dot or colon go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IPV4 = r"[\d.]{7,15}"
IPV6 = r"[\dA-Fa-f:.]{2,45}(?:%[\w.-]{1,32})?"
ADDRESS = rf"(?:{IPV4}|{IPV6}|\[{IPV6}\])"
"""What may stand where an address is expected, kept loose for speed: `canonical` decides whether it is one."""

HOST_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?"
"""A host name as RFC 952 and RFC 1123 have it, with the underscore that is seen as well."""

_PLAIN_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\Z)|\Z)){4}", re.ASCII)
"""IPv4 in canonical spelling already, as nearly all are; an attack brings a million new ones."""


def canonical(text: str) -> str | None:
    """The address in canonical spelling, or None when `text` is none (a host name, octets over 255)."""
    if _PLAIN_IPV4.fullmatch(text):
        return text
    text = text.strip("[]").rstrip(".")
    if ":" not in text:
        try:
            return str(IPv4Address(text))
        except ValueError:
            return None
    try:
        address = IPv6Address(text.partition("%")[0])
    except ValueError:
        return canonical(text[:-1]) if text.endswith(":") and not text.endswith("::") else None
    return str(address.ipv4_mapped or address)


class AddressSet:
    """Addresses and networks; `address in set` for an address in canonical spelling."""

    def __init__(self, members: Iterable[str]) -> None:
        self._networks = [ip_network(member, strict=False) for member in members]

    def __contains__(self, address: object) -> bool:
        if not self._networks:
            return False
        place = ip_address(str(address))
        return any(place in network for network in self._networks)
