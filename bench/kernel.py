"""What the kernel says about sets: nftables' own notifications on a netlink socket, the same for every tool.

The kernel sends NFT_MSG_NEWSETELEM to the group NFNLGRP_NFTABLES when a transaction is committed, so an element that is
announced is in force. Formats: linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator

from bench.tools import Namespace

NETLINK_NETFILTER = 12
SOL_NETLINK = 270
SO_RCVBUFFORCE = 33
NETLINK_ADD_MEMBERSHIP = 1
NFNLGRP_NFTABLES = 7
NEW_ELEMENT = 10 << 8 | 12
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
NFGEN = 4
SET_NAME, ELEMENTS = 2, 3
KEY, VALUE, FLAGS = 1, 1, 3
INTERVAL_END = 1
NESTED = 0x3FFF


def _attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The attributes of a netlink payload: type (flags cut off) and content."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & NESTED, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def _key(element: memoryview) -> bytes | None:
    """The key of one set element; None for the far end of an interval."""
    parts = dict(_attributes(element))
    if FLAGS in parts and struct.unpack(">I", parts[FLAGS])[0] & INTERVAL_END:
        return None
    return bytes(dict(_attributes(parts[KEY]))[VALUE]) if KEY in parts else None


def announced(data: bytes) -> Iterator[bytes]:
    """The keys of all elements that the notifications in `data` announce as new."""
    offset, view = 0, memoryview(data)
    while offset + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        if kind == NEW_ELEMENT:
            body = dict(_attributes(view[offset + HEADER.size + NFGEN : offset + length]))
            for _, element in _attributes(body.get(ELEMENTS, memoryview(b""))):
                key = _key(element)
                if key is not None:
                    yield key
        offset += length + 3 & ~3


def _elements(data: bytes) -> int:
    """How many messages in `data` announce a new element.

    Cheap: only lengths and kinds are looked at, so intervals are counted twice.
    """
    offset = count = 0
    while offset + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            break
        count += kind == NEW_ELEMENT
        offset += length + 3 & ~3
    return count


class Watch:
    """Sees every element that enters a set of the namespace, with the time at which the news was read.

    No polling: the watcher sleeps until the kernel speaks, so it takes no processor from what it measures.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._socket = namespace.netlink(NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 512 << 20)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    def drain(self) -> set[bytes]:
        """What has been announced up to now, without waiting."""
        seen: set[bytes] = set()
        while select.select([self._socket], [], [], 0)[0]:
            seen.update(announced(self._socket.recv(1 << 18)))
        return seen

    def wait(self, address: str, timeout: float) -> float | None:
        """`time.perf_counter()` at which `address` is announced; None if it is not within `timeout` seconds."""
        wanted, until = socket.inet_aton(address), time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return None
            data = self._socket.recv(1 << 18)
            now = time.perf_counter()
            if wanted in announced(data):
                return now
        return None

    def collect(self, addresses: set[bytes], timeout: float, quiet: float = 5.0) -> tuple[int, float]:
        """How many of `addresses` entered a set and when (`time.perf_counter()`) the last of them did.

        Ends when all are there, after `timeout` seconds, or when nothing came for `quiet` seconds after the first.
        """
        missing, last, until = set(addresses), 0.0, time.monotonic() + timeout
        news: list[tuple[float, bytes]] = []
        elements = 0
        while missing and (left := until - time.monotonic()) > 0:
            patience = min(quiet, left) if news or last else left
            silent = not select.select([self._socket], [], [], patience)[0]
            if not silent:
                data = self._socket.recv(1 << 18)
                news.append((time.perf_counter(), data))
                elements += _elements(data)
            # Read in full only when it may be all, so that reading does not delay the stamps of what follows.
            if silent or elements >= len(missing):
                for moment, data in news:
                    found = missing.intersection(announced(data))
                    missing -= found
                    last = moment if found else last
                news, elements = [], 0
                if silent:
                    break
        return len(addresses) - len(missing), last
