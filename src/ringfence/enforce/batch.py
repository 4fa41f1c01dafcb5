"""Changes of sets as netlink messages: bytes out of values. Pure.

libnftables reads all sets of the machine, and every element of the interval sets among them, before it adds one
element; on a host with large sets that would cost milliseconds to seconds a ban (measured with nft 1.0.6: 8 s for
one network more in a set of 5,000). These messages need nothing read.
Formats: see `netlink`.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ..model import FOREVER
from .cover import Range
from .netlink import DELSETELEM, NESTED, NEWSETELEM, attribute, nest, text
from .ruleset import TABLE

CREATE: Final = 0x400  # NLM_F_CREATE
EXCLUSIVE: Final = 0x200  # NLM_F_EXCL
_AT_ONCE: Final = 500
"""Elements in one message; a list of attributes can't be longer than 64 KiB."""

_HEAD = struct.Struct("=HHHHHH")
_TIMEOUT = struct.pack("=HH", 12, 4)
_NUMBER = struct.Struct(">Q")
_INTERVAL_END = attribute(3, struct.pack(">I", 1))


class Change(NamedTuple):
    """One message of a transaction: its type, its flags and what follows the generic header."""

    kind: int
    flags: int
    body: bytes


class Entry(NamedTuple):
    """An element to be: its packed address, when it ends, and what its counter begins with."""

    key: bytes
    until: float
    packets: int = 0
    octets: int = 0


def add(name: str, entries: Iterable[Entry], now: float, *, new: bool) -> list[Change]:
    """Add elements; the transaction fails if one of them exists and is to be `new`."""
    flags = CREATE | EXCLUSIVE if new else CREATE
    return [Change(NEWSETELEM, flags, body) for body in _bodies(name, [_element(each, now) for each in entries])]


def delete(name: str, keys: Iterable[bytes]) -> list[Change]:
    """Delete elements; the transaction fails if one of them does not exist."""
    return [Change(DELSETELEM, 0, body) for body in _bodies(name, [_bare(key) for key in keys])]


def add_ranges(name: str, pieces: Iterable[tuple[Range, Entry]], now: float) -> list[Change]:
    """Add ranges to an interval set; `key` of the entry is the first address."""
    elements = [
        element for (_, last), entry in pieces for element in (_element(entry, now), *_closing(last, len(entry.key)))
    ]
    return [Change(NEWSETELEM, CREATE, body) for body in _bodies(name, elements)]


def delete_ranges(name: str, ranges: Iterable[Range], width: int) -> list[Change]:
    """Delete ranges of addresses of `width` octets; the transaction fails if one of them does not exist."""
    elements = [element for first, last in ranges for element in (_bare(first.to_bytes(width)), *_closing(last, width))]
    return [Change(DELSETELEM, 0, body) for body in _bodies(name, elements)]


def _closing(last: int, width: int) -> list[bytes]:
    """The element that closes a range: the address after its last, unless that is the very last there is."""
    if last + 1 == 1 << 8 * width:
        return []
    return [_bare((last + 1).to_bytes(width), _INTERVAL_END)]


def _bodies(name: str, elements: Sequence[bytes]) -> list[bytes]:
    where = text(1, TABLE) + text(2, name)
    return [
        where + nest(3, b"".join(elements[start : start + _AT_ONCE])) for start in range(0, len(elements), _AT_ONCE)
    ]


def _bare(key: bytes, rest: bytes = b"") -> bytes:
    return _head(len(key), len(rest)) + key + rest


@functools.cache
def _head(width: int, rest: int) -> bytes:
    """What stands before the key of an element, by the lengths of the key and of what follows it."""
    return _HEAD.pack(12 + width + rest, 1 | NESTED, 8 + width, 1 | NESTED, 4 + width, 1)


def _element(entry: Entry, now: float) -> bytes:
    key, until, packets, octets = entry
    rest = b"" if until == FOREVER else _TIMEOUT + _NUMBER.pack(max(1, math.ceil((until - now) * 1000)))
    if packets:
        values = attribute(1, _NUMBER.pack(octets)) + attribute(2, _NUMBER.pack(packets))
        rest += nest(7, attribute(1, b"counter\0") + nest(2, values))
    return _head(len(key), len(rest)) + key + rest
