"""A SIP client that writes what it is told, however wrong: for what sipp is too well-mannered to send."""

from __future__ import annotations

import hashlib
import re
import socket
from typing import Any, NamedTuple

from .net import Net


class Answer(NamedTuple):
    """What the server said to one request."""

    status: int
    realm: str
    nonce: str

    def with_nonce(self, nonce: str) -> Answer:
        """The same answer as if it had given another nonce."""
        return self._replace(nonce=nonce)


class Probe:
    """A socket of one client address towards the server's SIP port, UDP or TCP."""

    def __init__(self, net: Net, source: str, port: int = 5060, transport: str = "udp") -> None:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.server = net.v6 if ":" in source else net.v4
        self.host = f"[{self.server}]" if ":" in source else self.server
        with net.client.entered():
            self._socket = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        self._transport = transport.upper()
        self._socket.settimeout(3)
        self._socket.bind((source, 0))
        self._socket.connect((self.server, port))
        self._branch = 0

    def send(self, data: bytes) -> None:
        """Send these very bytes."""
        self._socket.send(data)

    def register(
        self,
        user: bytes,
        credentials: bytes = b"",
        *,
        call_id: bytes = b"1@lab",
        agent: bytes = b"lab",
        sequence: int = 1,
        wait: float = 3,
    ) -> Answer:
        """Send a REGISTER and return the answer; TimeoutError when there is none within `wait` seconds.

        With `wait` 0 nobody listens: the answer is an empty one.
        """
        self._branch += 1
        here, port = self._socket.getsockname()[:2]
        via = f"{f'[{here}]' if ':' in here else here}:{port};branch=z9hG4bK{self._branch}"
        host = self.host.encode()
        head = [
            b"REGISTER sip:%b SIP/2.0" % host,
            b"Via: SIP/2.0/%b %b" % (self._transport.encode(), via.encode()),
            b"From: <sip:%b@%b>;tag=1" % (user, host),
            b"To: <sip:%b@%b>" % (user, host),
            b"Call-ID: %b" % call_id,
            b"CSeq: %d REGISTER" % sequence,
            b"User-Agent: %b" % agent,
        ]
        self.send(b"\r\n".join(head) + b"\r\n" + credentials + b"Content-Length: 0\r\n\r\n")
        if not wait:
            return Answer(0, "", "")
        self._socket.settimeout(wait)
        return _read(self._socket.recv(65535))

    def answer(self, challenge: Answer, user: bytes, password: str) -> bytes:
        """The Authorization header of RFC 2617 (without qop) that answers `challenge`."""
        uri = f"sip:{self.host}"
        secret = _md5(user + f":{challenge.realm}:{password}".encode())
        response = _md5(f"{secret}:{challenge.nonce}:{_md5(f'REGISTER:{uri}'.encode())}".encode())
        rest = f'",realm="{challenge.realm}",nonce="{challenge.nonce}",uri="{uri}",response="{response}"\r\n'
        return b'Authorization: Digest username="' + user + rest.encode()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def _read(data: bytes) -> Answer:
    text = data.decode("latin-1")
    status = re.match(r"SIP/2\.0 (\d{3}) ", text)
    assert status is not None, f"no answer of SIP: {text[:80]!r}"
    realm, nonce = (re.search(rf'{word}="([^"]*)"', text) for word in ("realm", "nonce"))
    return Answer(int(status[1]), realm[1] if realm else "", nonce[1] if nonce else "")
