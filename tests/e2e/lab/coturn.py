"""A real coturn, and a client that asks it for an allocation (RFC 8489, RFC 8656)."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

from .machine import stop, until
from .net import Net

PORT = 3478
_COOKIE = 0x2112A442
_ALLOCATE, _SUCCESS = 0x0003, 0x0103
_USERNAME, _INTEGRITY, _REALM, _NONCE, _TRANSPORT = 0x0006, 0x0008, 0x0014, 0x0015, 0x0019
_UDP = b"\x11\0\0\0"


class Coturn:
    """turnserver inside the server, for the account alice; its lines are in the syslog.

    A session that gets nothing is ended after `patience` seconds instead of a minute.
    """

    service = "turn"
    port = PORT

    def __init__(self, net: Net, *, patience: int = 1) -> None:
        self._net = net
        users = [f"--user={name}:{password}" for name, password in net.accounts.items()]
        options = ["--lt-cred-mech", "--realm=lab.test", "--no-cli", "--verbose", f"--max-allocate-timeout={patience}"]
        self._process = net.server.popen(["turnserver", "-c", "/etc/turnserver.conf", *options, *users])
        until(self._listening, what="coturn's port")

    def _listening(self) -> bool:
        assert self._process.poll() is None, "coturn ended; its error stands above"
        return f":{PORT:04X} " in Path(f"/proc/{self._net.server.pid}/net/tcp6").read_text()

    def login(self, source: str, account: str, password: str, *, transport: str = "udp") -> bool:
        """Ask for an allocation with these credentials; whether it was granted."""
        with closing(self._connected(source, transport)) as channel:
            try:
                _, challenge = _ask(channel, [])
                realm, nonce = challenge[_REALM], challenge[_NONCE]
                key = hashlib.md5(b"%b:%b:%b" % (account.encode(), realm, password.encode())).digest()
                credentials = [(_USERNAME, account.encode()), (_REALM, realm), (_NONCE, nonce)]
                return _ask(channel, credentials, key)[0] == _SUCCESS
            except TimeoutError:
                return False

    def knock(self, source: str) -> None:
        """Ask without credentials, and leave it at that."""
        with closing(self._connected(source, "udp")) as channel:
            _ask(channel, [])

    def _connected(self, source: str, transport: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with self._net.client.entered():
            channel = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        channel.settimeout(1)
        channel.bind((source, 0))
        channel.connect((self._net.v6 if ":" in source else self._net.v4, PORT))
        return channel

    def close(self) -> None:
        """End the server."""
        stop(self._process)

    def __enter__(self) -> Coturn:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _ask(
    channel: socket.socket, credentials: list[tuple[int, bytes]], key: bytes = b""
) -> tuple[int, dict[int, bytes]]:
    """Send an Allocate request; type and attributes of the answer. TimeoutError when there is none."""
    body = b"".join(_attribute(kind, value) for kind, value in [(_TRANSPORT, _UDP), *credentials])
    head = struct.pack("!HHI", _ALLOCATE, len(body) + (24 if key else 0), _COOKIE) + os.urandom(12)
    if key:
        body += _attribute(_INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())
    channel.send(head + body)
    answer = channel.recv(4096)
    kind, length = struct.unpack("!HH", answer[:4])
    found, at = {}, 20
    while at < 20 + length:
        name, size = struct.unpack("!HH", answer[at : at + 4])
        found[name] = answer[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return kind, found


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)
