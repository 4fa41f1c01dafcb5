"""Hearing at once that another program changed our table, as `nft flush ruleset` does.

The kernel tells every change of nftables to the listeners of a multicast group, with the netlink port of the
program that made it. Source: netlink(7), NFNLGRP_NFTABLES in the kernel's linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import Final

from ..errors import EnforceError
from .netlink import (
    BODY,
    HEADER,
    NEWGEN,
    NFPROTO_INET,
    SUBSYSTEM,
    messages,
    own_ports,
)
from .nft import NETLINK_NETFILTER
from .ruleset import TABLE

_GROUP: Final = 7  # NFNLGRP_NFTABLES
_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_SO_RCVBUFFORCE: Final = 33
_SO_ATTACH_FILTER: Final = 26
_ROOM: Final = 4 << 20
_NAME: Final = TABLE.encode() + b"\0"


class TableMonitor:
    """A socket that becomes readable when nftables changed. Our own changes are dropped before they reach it.

    Make it after the `Fence` but before `install`, so that it knows our sockets and misses nothing.
    """

    def __init__(self) -> None:
        try:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        except OSError as error:
            raise EnforceError(f"changes of nftables can't be watched: {error.strerror}") from error
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        except PermissionError:  # in a user namespace; less room only means that we reconcile more often
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        self._ours: frozenset[int] = frozenset()
        self._know_ourselves()

    def fileno(self) -> int:
        """For `loop.add_reader`."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Read all there is without waiting; True when our table may no longer be what we made it.

        That is: another program added, removed or flushed something in it, or so much changed that messages were lost.
        """
        foreign = False
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return foreign
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise EnforceError(f"changes of nftables can't be watched: {error.strerror}") from error
                self._know_ourselves()  # perhaps these were our own, from before we knew
                foreign = True
                continue
            foreign = self._foreign(data) or foreign

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _foreign(self, data: bytes) -> bool:
        for start, length, kind, _, _, port in messages(data):
            if kind >> 8 != SUBSYSTEM or kind & 0xFF == NEWGEN or not _about_us(data, start, length):
                continue
            if port not in self._ours:
                self._know_ourselves()  # libnftables may have opened its socket since
            if port not in self._ours:
                return True
        return False

    def _know_ourselves(self) -> None:
        """Learn the ports of our own process and let the kernel leave their messages out."""
        ours = own_ports() - {0}
        if ours != self._ours:
            self._ours = ours
            _leave_out(self._socket, ours)


def _about_us(data: bytes, start: int, length: int) -> bool:
    """Whether a message concerns our table: in all of them the first attribute, of type 1, is the table's name."""
    if length < BODY + 4 or data[start + HEADER.size] != NFPROTO_INET:
        return False
    size, kind = struct.unpack_from("=HH", data, start + BODY)
    return kind == 1 and data[start + BODY + 4 : start + BODY + size] == _NAME


def _leave_out(listener: socket.socket, ports: frozenset[int]) -> None:
    """Attach a classic BPF program (socket(7)) that drops messages whose sender is one of `ports`.

    Without it each of our own large transactions would overflow the socket and look like a foreign change.
    """
    load, equal, result = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    steps = [(load, 0, 0, 12)]  # nlmsg_pid, read as big-endian
    chosen = sorted(ports)[:64]
    for position, port in enumerate(chosen):
        steps.append((equal, len(chosen) - position, 0, int.from_bytes(struct.pack("=I", port))))
    steps += [(result, 0, 0, 0xFFFFFFFF), (result, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("HL", len(steps), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
