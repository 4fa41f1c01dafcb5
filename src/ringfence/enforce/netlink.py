"""Reading and changing the kernel's sets without text in between: the netlink messages of nf_tables.

100,000 elements as text or JSON of libnftables take seconds and tens of megabytes; as messages a fraction. Rules
and ranges are written by libnftables, see `nft`; here only single elements are (`batch`). Formats: netlink(7) and
the kernel's include/uapi/linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import EnforceError
from .nft import NETLINK_NETFILTER, forbidden

NFPROTO_INET: Final = 1
SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES

# nf_tables_msg_types
NEWTABLE, GETTABLE, DELTABLE = 0, 1, 2
NEWCHAIN, GETCHAIN, DELCHAIN = 3, 4, 5
NEWRULE, GETRULE, DELRULE = 6, 7, 8
NEWSET, GETSET, DELSET = 9, 10, 11
NEWSETELEM, GETSETELEM, DELSETELEM = 12, 13, 14
NEWGEN, GETGEN = 15, 16

_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_ROOM = 8 << 20
_LIVELY = {GETCHAIN: {6, 8}, GETSET: {20}, GETRULE: {6}}
"""Attributes that change by themselves: uses and counters of a chain, elements of a set, position of a rule."""
NESTED = 0x8000
_TYPE = 0x3FFF  # without NLA_FNESTED and NLA_F_NET_BYTEORDER
_INTERVAL_END = 1
_BUFFER = 1 << 18
_PATIENCE = 5

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_GENERIC = struct.Struct(">BBH")  # family, version, resource id
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
BODY: Final = HEADER.size + _GENERIC.size


class Element(NamedTuple):
    """One element of a set: `key` as in the packet; `left` seconds until it ends, None when it does not end.

    `end` marks an element that only closes the interval before it. `packets` and `octets` were counted so far.
    `last` is the end (inclusive) of a range of concatenated fields.
    """

    key: bytes
    end: bool
    left: float | None
    packets: int
    octets: int
    last: bytes = b""


class Interrupted(Exception):
    """The rule set changed while it was read: what was read so far may be torn."""


class Link:
    """A netlink socket to the rule set of the network namespace it was opened in; one thread only."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
            self._socket.bind((0, 0))
            _make_room(self._socket)
        except OSError as error:
            raise EnforceError(f"no netlink socket to read the firewall: {error.strerror}") from error
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def generation(self) -> int:
        """The number of the present rule set: any program's transaction raises it, an element's end in time doesn't."""
        for message in self._ask(GETGEN, _REQUEST, b""):
            for kind, value in attributes(message, BODY, len(message)):
                if kind == 1:
                    return int(_U32.unpack(value)[0])
        raise EnforceError("the kernel does not tell the generation of its rule set")

    def sets(self, table: str) -> set[str]:
        """The names of the sets and maps of `inet table`, empty when there is no such table."""
        names = self._names(GETSET, table, 2)
        return {name for name in names if not name.startswith("__")}  # those are the braces in rules

    def chains(self, table: str) -> set[str]:
        """The names of the chains of `inet table`, empty when there is no such table."""
        return self._names(GETCHAIN, table, 3)

    def _names(self, kind: int, table: str, attribute: int) -> set[str]:
        for _ in range(_PATIENCE):
            names: set[str] = set()
            try:
                for message in self._ask(kind, _REQUEST | _DUMP, text(1, table)):
                    found = dict(attributes(message, BODY, len(message)))
                    if found.get(1) == table.encode() + b"\0":
                        names.add(found[attribute].rstrip(b"\0").decode(errors="replace"))
            except FileNotFoundError:
                return set()
            except Interrupted:
                continue
            return names
        raise EnforceError(f"table inet {table} changes faster than it can be read")

    def elements(self, table: str, name: str) -> list[Element]:
        """All elements of one set; raises FileNotFoundError when there is no such set."""
        for _ in range(_PATIENCE):
            try:
                found: list[Element] = []
                for message in self._ask(GETSETELEM, _REQUEST | _DUMP, text(1, table) + text(2, name)):
                    _collect(message, found)
                return found
            except Interrupted:
                continue
        raise EnforceError(f"set {name} of table inet {table} changes faster than it can be read")

    def glimpse(self, table: str, name: str) -> tuple[list[Element], bool]:
        """The elements of one set, and whether a transaction came between: then some may lack or be twice.

        For another thread than the one that changes sets; the kernel itself does not tell this of elements.
        Raises FileNotFoundError when there is no such set.
        """
        found: list[Element] = []
        before = self.generation()
        with contextlib.suppress(Interrupted):
            for message in self._ask(GETSETELEM, _REQUEST | _DUMP, text(1, table) + text(2, name)):
                _collect(message, found)
        return found, self.generation() != before

    def element(self, table: str, name: str, key: bytes) -> Element | None:
        """One element of a set of single values, or None."""
        wanted = nest(3, nest(1, nest(1, attribute(1, key))))
        try:
            found: list[Element] = []
            for message in self._ask(GETSETELEM, _REQUEST, text(1, table) + text(2, name) + wanted):
                _collect(message, found)
        except FileNotFoundError:
            return None
        return found[0] if found else None

    def rules(self, table: str) -> bytes:
        """A digest of the chains, rules and set declarations of `inet table` with their handles, without elements.

        It changes when anything of them is changed or made anew, and is the same as long as nobody does.
        """
        digest = hashlib.blake2b(digest_size=16)
        for _ in range(_PATIENCE):
            try:
                for kind in (GETCHAIN, GETSET, GETRULE):
                    for message in self._ask(kind, _REQUEST | _DUMP, text(1, table)):
                        found = list(attributes(message, BODY, len(message)))
                        if (1, table.encode() + b"\0") in found:
                            digest.update(repr([each for each in found if each[0] not in _LIVELY[kind]]).encode())
            except FileNotFoundError:
                return b""
            except Interrupted:
                digest = hashlib.blake2b(digest_size=16)
                continue
            return digest.digest()
        raise EnforceError(f"table inet {table} changes faster than it can be read")

    def commit(self, changes: Iterable[tuple[int, int, bytes]]) -> None:
        """Carry out changes (type, flags, body) as one transaction; all are in force when this returns.

        Raises `EnforceError` with the kernel's first reason; nothing is changed then.
        """
        first = self._sequence + 1
        parts = [_message(_BATCH_BEGIN, _REQUEST, first, b"", family=0, resource=SUBSYSTEM)]
        self._sequence += 1
        for kind, flags, body in changes:
            self._sequence += 1
            parts.append(_message(SUBSYSTEM << 8 | kind, _REQUEST | _ACK | flags, self._sequence, body))
        self._sequence += 1
        parts.append(_message(_BATCH_END, _REQUEST, self._sequence, b"", family=0, resource=SUBSYSTEM))
        try:
            self._socket.send(b"".join(parts))
        except OSError as error:
            raise EnforceError(f"the firewall can't be reached: {error.strerror}") from error
        self._acknowledged(first)

    def _acknowledged(self, first: int) -> None:
        """The kernel has answered all when send() returns: no error and at least one acknowledgement, or it failed."""
        acknowledged, reason = False, 0
        while True:
            try:
                data = self._socket.recv(_BUFFER, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:  # ENOBUFS: so many errors that some were lost
                reason = reason or error.errno or errno.EIO
                continue
            for start, _, kind, _, sequence, _ in messages(data):
                if kind == _ERROR and sequence >= first:
                    number = -struct.unpack_from("=i", data, start + HEADER.size)[0]
                    acknowledged = acknowledged or not number
                    reason = reason or number
        if reason or not acknowledged:
            raise EnforceError(_reason(reason))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        """Send one request and yield the messages of its answer."""
        self._sequence += 1
        self._socket.send(_message(SUBSYSTEM << 8 | kind, flags, self._sequence, body))
        torn = False
        while True:
            data = self._socket.recv(_BUFFER)
            for start, length, kind_, flags_, sequence, _port in messages(data):
                if sequence != self._sequence:
                    continue
                torn = torn or bool(flags_ & 0x10)  # NLM_F_DUMP_INTR
                if kind_ == _ERROR:
                    _raise(struct.unpack_from("=i", data, start + HEADER.size)[0])
                    return
                if kind_ == _DONE:
                    if torn:
                        raise Interrupted
                    return
                yield data[start : start + length]
                if not flags & _DUMP:
                    return


def _message(kind: int, flags: int, sequence: int, body: bytes, family: int = NFPROTO_INET, resource: int = 0) -> bytes:
    padding = bytes(-len(body) % 4)
    header = HEADER.pack(HEADER.size + _GENERIC.size + len(body) + len(padding), kind, flags, sequence, 0)
    return header + _GENERIC.pack(family, 0, resource) + body + padding


def _make_room(link: socket.socket) -> None:
    """Let a transaction of thousands of elements, and the kernel's answer, fit the socket's buffers."""
    for force, usual in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            link.setsockopt(socket.SOL_SOCKET, force, _ROOM)
        except PermissionError:  # in a user namespace
            link.setsockopt(socket.SOL_SOCKET, usual, _ROOM)


def _reason(number: int) -> str:
    """What an error number of a transaction means here."""
    if number == errno.EPERM:
        return forbidden()
    if number == errno.ENFILE:
        return "nftables refused a change: the set is full"
    return f"nftables refused a change: {os.strerror(number) if number else 'the kernel did not answer'}"


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The messages of a datagram as (start, length, type, flags, sequence, port id)."""
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, sequence, port = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            return
        yield start, length, kind, flags, sequence, port
        start += (length + 3) & ~3


def attributes(data: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """The attributes between two offsets as (type, value)."""
    while start + 4 <= stop:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & _TYPE, data[start + 4 : start + length]
        start += (length + 3) & ~3


def own_ports() -> frozenset[int]:
    """The netlink port ids of this process: what the kernel names as the sender of our own changes."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if copy.family == socket.AF_NETLINK and copy.proto == NETLINK_NETFILTER:
                    found.add(copy.getsockname()[0])
        except OSError:
            continue  # closed meanwhile
    return frozenset(found)


def _collect(message: bytes, found: list[Element]) -> None:
    """Append the elements of one NFT_MSG_NEWSETELEM message."""
    for kind, value in attributes(message, BODY, len(message)):
        if kind == 3:
            _elements(value, found)


def _usual(width: int) -> re.Pattern[bytes]:
    """An element as the kernel writes it in our sets: key, counter and, unless it is for ever, its times."""
    return re.compile(
        rb".\x00\x01[\x00\x80].\x00\x01[\x00\x80].\x00\x01\x00(.{%d})" % width
        + rb",\x00\x07[\x00\x80]\x0c\x00\x01\x00counter\x00.\x00\x02[\x00\x80]"
        + rb"\x0c\x00\x01\x00(.{8})\x0c\x00\x02\x00(.{8})(?:\x0c\x00\x04\x00.{8}\x0c\x00\x05\x00(.{8}))?",
        re.DOTALL,
    )


_USUAL = tuple((width, 56 + width, _usual(width)) for width in (4, 16))


def _elements(data: bytes, found: list[Element]) -> None:
    """Append the elements of one list: at one stroke where all are of the usual form, else one by one.

    The stroke is trusted only when its matches fill the list without a gap.
    """
    number = int.from_bytes
    for _, size, pattern in _USUAL:
        usual = pattern.findall(data)
        timed = sum(1 for each in usual if each[3])
        if len(usual) * size + timed * 24 == len(data):
            found.extend(
                Element(key, False, number(left) / 1000 if left else None, number(packets), number(octets))
                for key, octets, packets, left in usual
            )
            return
    start, stop = 0, len(data)
    while start + 4 <= stop:
        length = _ATTRIBUTE.unpack_from(data, start)[0]
        found.append(_element(data, start + 4, start + length))
        start += (length + 3) & ~3


def _element(data: bytes, start: int, stop: int) -> Element:
    key, end, left, packets, octets, last = b"", False, None, 0, 0, b""
    for kind, value in attributes(data, start, stop):
        if kind == 1:  # NFTA_SET_ELEM_KEY, holds one NFTA_DATA_VALUE
            key = value[4:]
        elif kind == 3:  # NFTA_SET_ELEM_FLAGS
            end = bool(_U32.unpack(value)[0] & _INTERVAL_END)
        elif kind == 5:  # NFTA_SET_ELEM_EXPIRATION, milliseconds
            left = _U64.unpack(value)[0] / 1000
        elif kind == 7:  # NFTA_SET_ELEM_EXPR
            packets, octets = _counter(value)
        elif kind == 10:  # NFTA_SET_ELEM_KEY_END
            last = value[4:]
    return Element(key, end, left, packets, octets, last)


def _counter(expression: bytes) -> tuple[int, int]:
    """Packets and octets of a counter expression, zeros for any other."""
    parts = dict(attributes(expression, 0, len(expression)))
    if parts.get(1) != b"counter\0":
        return 0, 0
    values = dict(attributes(parts[2], 0, len(parts[2])))
    return _U64.unpack(values[2])[0], _U64.unpack(values[1])[0]


def _raise(number: int) -> None:
    """Turn the error number of an answer into an exception; 0 is an acknowledgement."""
    if number == -errno.ENOENT:
        raise FileNotFoundError
    if number == -errno.EINTR:
        raise Interrupted
    if number == -errno.EPERM:
        raise EnforceError(forbidden())
    if number:
        raise EnforceError(f"the kernel does not let us read its rule set: {os.strerror(-number)}")


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind: int, value: bytes) -> bytes:
    """One attribute that holds others."""
    return attribute(kind | NESTED, value)


def text(kind: int, value: str) -> bytes:
    """One attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")
