"""Which addresses lie in a banned network, and in which network of the text of an address it may be found."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

_BITS: Final = {4: 32, 16: 128}


def packed(address: str) -> bytes | None:
    """The bytes of an address in text form; None for anything else."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None


class Membership:
    """`address in Membership(network)`, for text; quicker than `ipaddress` by far."""

    def __init__(self, network: str) -> None:
        net = ipaddress.ip_network(network, strict=False)
        self._family = socket.AF_INET if net.version == 4 else socket.AF_INET6
        self._mask = int(net.netmask)
        self._network = int(net.network_address)

    def __contains__(self, address: str) -> bool:
        try:
            packed = socket.inet_pton(self._family, address)
        except OSError:
            return False
        return int.from_bytes(packed, "big") & self._mask == self._network


@lru_cache(maxsize=64)
def _membership(network: str) -> Membership | None:
    try:
        return Membership(network)
    except ValueError:
        return None


def within(target: str, network: str) -> bool:
    """Whether an address, or a whole network, lies in `network`; False where either is none."""
    members = _membership(network)
    address, _, length = target.partition("/")
    if members is None or address not in members:
        return False
    return not length or int(length) >= int(ipaddress.ip_network(network, strict=False).prefixlen)


def text_range(network: str) -> tuple[str, str]:
    """Two texts between which all addresses of `network` are written: `low <= address < high`.

    IPv4: the octets that the prefix covers whole. IPv6: the leading groups that it covers whole, up to the first zero,
    because zeros may be written as "::" (RFC 5952).
    """
    try:
        net = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return "", ""
    width, mark = (8, ".") if net.version == 4 else (16, ":")
    whole = net.prefixlen // width
    if net.version == 4:
        parts = str(net.network_address).split(".")[:whole]
        last = whole == 4
    else:
        groups = [format(int(group, 16), "x") for group in net.network_address.exploded.split(":")]
        parts = []
        for group in groups[: min(whole, 7)]:
            if group == "0":
                break
            parts.append(group)
        last = False
    if not parts:
        return "", "\U0010ffff"
    text = mark.join(parts)
    # The sign after "." is "/", after ":" it is ";".
    return (text, text + "\0") if last else (text + mark, text + chr(ord(mark) + 1))


class Networks:
    """The networks of running bans, by family and length: `address in networks` is a look-up for each length."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], set[int]] = {}
        self._ever: set[tuple[int, int]] = set()

    def note(self, target: str, running: bool) -> None:
        """Take `target` in or out; what is no network is passed over."""
        address, _, length = target.partition("/")
        raw = packed(address)
        if not length or raw is None:
            return
        kind = (len(raw), int(length))
        self._ever.add(kind)
        number = int.from_bytes(raw, "big") >> (_BITS[len(raw)] - kind[1])
        if running:
            self._known.setdefault(kind, set()).add(number)
        elif number in self._known.get(kind, ()):
            self._known[kind].remove(number)
            if not self._known[kind]:
                del self._known[kind]

    def __contains__(self, address: str) -> bool:
        raw = packed(address)
        if raw is None:
            return False
        size, number = len(raw), int.from_bytes(raw, "big")
        return any(
            family == size and number >> (_BITS[size] - length) in members
            for (family, length), members in self._known.items()
        )

    def around(self, addresses: Iterable[str]) -> Iterator[str]:
        """Each address and all networks around it of a length that was ever banned: the targets of its bans."""
        for address in addresses:
            yield address
            raw = packed(address)
            for size, length in self._ever:
                if raw is not None and len(raw) == size:
                    spare = _BITS[size] - length
                    net = (int.from_bytes(raw, "big") >> spare << spare).to_bytes(size, "big")
                    family = socket.AF_INET if size == 4 else socket.AF_INET6
                    yield f"{socket.inet_ntop(family, net)}/{length}"
