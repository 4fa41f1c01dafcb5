"""Which addresses lie in a banned network, and in which network of the text of an address it may be found."""

from __future__ import annotations

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


def parsed(network: str) -> tuple[int, int, int] | None:
    """The bytes of an address, the prefix length and the number of a network (or address); None for anything else.

    Quicker than `ipaddress` by far; while catching up it is asked for every network that was banned.
    """
    address, slash, length = network.partition("/")
    raw = packed(address)
    if raw is None or (slash and not (length.isascii() and length.isdigit())):
        return None
    bits = _BITS[len(raw)]
    prefix = int(length) if slash else bits
    if prefix > bits:
        return None
    spare = bits - prefix
    return len(raw), prefix, int.from_bytes(raw, "big") >> spare << spare


def single_address(network: str) -> tuple[str, str] | tuple[()]:
    """The two ways in which a network of one address is written, without and with its length; nothing for a wider one.

    The text is the canonical one, as in bans.
    """
    found = parsed(network)
    if found is None or found[1] != _BITS[found[0]]:
        return ()
    raw = found[2].to_bytes(found[0], "big")
    address = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return address, f"{address}/{found[1]}"


class Membership:
    """`address in Membership(network)`, for text; quicker than `ipaddress` by far."""

    def __init__(self, network: str) -> None:
        found = parsed(network)
        if found is None:
            raise ValueError(f"{network!r} is no network")
        self._size, self.prefix, self._network = found
        self._spare = _BITS[self._size] - self.prefix

    def __contains__(self, address: str) -> bool:
        raw = packed(address)
        if raw is None or len(raw) != self._size:
            return False
        return int.from_bytes(raw, "big") >> self._spare << self._spare == self._network


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
    return not length or int(length) >= members.prefix


def text_range(network: str) -> tuple[str, str, bool]:
    """Two texts between which all addresses of `network` are written: `low <= address < high`.

    IPv4: the octets that the prefix covers whole. IPv6: the leading groups that it covers whole, up to the first zero,
    because zeros may be written as "::" (RFC 5952). The third says whether no other address is written so; an empty
    `low` that nothing narrows the search.
    """
    found = parsed(network)
    if found is None:
        return "", "", False
    size, prefix, number = found
    width, mark, form = (8, ".", "d") if size == 4 else (16, ":", "x")
    whole = prefix // width
    parts = []
    for place in range(whole if size == 4 else min(whole, 7)):
        part = number >> (_BITS[size] - width * (place + 1)) & ((1 << width) - 1)
        if size == 16 and not part:
            break
        parts.append(format(part, form))
    last = size == 4 and whole == 4
    if not parts:
        return "", "\U0010ffff", False
    text = mark.join(parts)
    # The sign after "." is "/", after ":" it is ";".
    exact = len(parts) * width == prefix
    return (text, text + "\0", exact) if last else (text + mark, text + chr(ord(mark) + 1), exact)


class Targets:
    """What running bans are aimed at, by family and length: `address in targets` is a look-up for each length."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], set[int]] = {}
        self._ever: set[tuple[int, int]] = set()
        self._probes: dict[int, list[tuple[int, set[int]]]] = {4: [], 16: []}

    def add(self, target: str) -> None:
        """A ban of `target` runs."""
        kind, number = _kind(target)
        self._ever.add(kind)
        if kind not in self._known:
            self._known[kind] = set()
            self._prepare()
        self._known[kind].add(number)

    def remove(self, target: str) -> None:
        """No ban of `target` runs (any more)."""
        kind, number = _kind(target)
        self._ever.add(kind)
        if kind in self._known:
            self._known[kind].discard(number)
            if not self._known[kind]:
                del self._known[kind]
                self._prepare()

    def _prepare(self) -> None:
        """What a look-up goes through: it is asked for every row of a list."""
        self._probes = {
            size: [
                (_BITS[size] - length, members) for (family, length), members in self._known.items() if family == size
            ]
            for size in _BITS
        }

    def __contains__(self, address: str) -> bool:
        raw = packed(address)
        if raw is None:
            return False
        number = int.from_bytes(raw, "big")
        for shift, members in self._probes[len(raw)]:  # noqa: SIM110 — twice as quick as any()
            if number >> shift in members:
                return True
        return False

    def around(self, addresses: Iterable[str]) -> Iterator[str]:
        """Each address and all networks around it of a length that was ever banned: the targets of its bans."""
        for address in addresses:
            yield address
            raw = packed(address)
            for size, length in self._ever:
                if raw is not None and len(raw) == size and length < _BITS[size]:
                    spare = _BITS[size] - length
                    net = (int.from_bytes(raw, "big") >> spare << spare).to_bytes(size, "big")
                    family = socket.AF_INET if size == 4 else socket.AF_INET6
                    yield f"{socket.inet_ntop(family, net)}/{length}"


def _kind(target: str) -> tuple[tuple[int, int], int]:
    """Family (bytes of an address) and prefix length of a target, and its bits as a number."""
    address, _, length = target.partition("/")
    raw = packed(address) or b""
    bits = _BITS.get(len(raw), 0)
    prefix = int(length) if length else bits
    return (len(raw), prefix), int.from_bytes(raw, "big") >> (bits - prefix)
