"""A look at a port that no server notices: only the first packet of a connection."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import closing

from .net import Net

_HEADER = struct.Struct("!HHIIBBHHH")
"""TCP's (RFC 9293): ports, numbers, length, flags, window, checksum, urgent."""
_SYN, _RST = 0x02, 0x04
_HERE = 61_000
"""The source port; nothing else on the client machine uses it."""


def answers(net: Net, source: str, port: int, seconds: float = 0.4) -> bool:
    """Whether the first packet of a TCP connection from `source` to the server's `port` is answered; False is silence.

    The connection is never completed, so the server does not see a contact that would be told as a probe. Raises
    ConnectionRefusedError when nobody listens there.
    """
    family, server = (socket.AF_INET6, net.v6) if ":" in source else (socket.AF_INET, net.v4)
    with net.client.entered():
        raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
    with closing(raw):
        raw.bind((source, 0))
        raw.settimeout(seconds / 4)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            raw.sendto(_first_packet(family, source, server, port), (server, 0))
            try:
                while True:
                    packet = raw.recv(2000)
                    header = packet if family == socket.AF_INET6 else packet[(packet[0] & 15) * 4 :]
                    sender, receiver, _, _, _, flags, *_ = _HEADER.unpack(header[: _HEADER.size])
                    if (sender, receiver) == (port, _HERE):
                        if flags & _RST:
                            raise ConnectionRefusedError(f"nobody listens on port {port}")
                        return True
            except TimeoutError:
                continue
    return False


def _first_packet(family: int, source: str, server: str, port: int) -> bytes:
    """A SYN with the checksum of RFC 9293 (section 3.1) over the pseudo-header of IPv4 or IPv6."""
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, server)
    around = addresses + struct.pack("!II", _HEADER.size, socket.IPPROTO_TCP)
    fields = (_HERE, port, int(time.monotonic() * 1e6) & 0xFFFFFFFF, 0, _HEADER.size // 4 << 4, _SYN, 1024)
    words = struct.unpack("!" + "H" * ((len(around) + _HEADER.size) // 2), around + _HEADER.pack(*fields, 0, 0))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return _HEADER.pack(*fields, ~total & 0xFFFF, 0)
