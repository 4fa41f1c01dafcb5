"""Web clients: whole requests as a browser makes them, and bytes of the test's choice for what no browser sends."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
from contextlib import closing
from typing import NamedTuple

from .net import Net


class Answer(NamedTuple):
    """What the server said; `status` 0 when it said nothing that is HTTP."""

    status: int
    head: str


def basic(account: str | bytes, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    name = account.encode() if isinstance(account, str) else account
    return "Basic " + base64.b64encode(name + b":" + password.encode()).decode()


def http_raw(
    net: Net, source: str, data: bytes, *, port: int = 80, seconds: float = 3.0, closing_first: bool = True
) -> bytes:
    """Send `data` in one connection from `source` and return all that comes back, b"" when nothing does.

    closing_first: say that no more will come, so that the server need not wait for it (a proxy takes that for the end).
    """
    with net.client.entered():
        caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    with closing(caller):
        caller.settimeout(seconds)
        caller.bind((source, 0))
        answer = b""
        try:
            caller.connect((net.v6 if ":" in source else net.v4, port))
            caller.sendall(data)
            if closing_first:
                caller.shutdown(socket.SHUT_WR)
            while piece := caller.recv(65536):
                answer += piece
        except (TimeoutError, ConnectionError):
            pass
        return answer


def http_get(
    net: Net,
    source: str,
    path: str = "/",
    headers: dict[str, str] | None = None,
    *,
    authorization: str = "",
    method: str = "GET",
    port: int = 80,
    seconds: float = 3.0,
) -> Answer:
    """One request in a connection of its own."""
    lines = {"Host": "www.example.org", "User-Agent": "Mozilla/5.0 (lab)", "Connection": "close", **(headers or {})}
    if authorization:
        lines["Authorization"] = authorization
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    data = head.encode("latin-1") + b"\r\n"
    return read_answer(http_raw(net, source, data, port=port, seconds=seconds, closing_first=False))


def read_answer(data: bytes) -> Answer:
    """The first answer in `data`."""
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    status = re.match(r"HTTP/1\.[01] (\d{3}) ", head)
    return Answer(int(status[1]) if status else 0, head)


def http_digest(
    net: Net, source: str, path: str, account: str, password: str, *, nonce: str = "", realm: str = "", port: int = 80
) -> Answer:
    """A login by digest (RFC 7616, MD5, qop auth) as a browser does it: asked first, then with the answer.

    nonce, realm: to use instead of asking for them.
    """
    if not nonce:
        challenge = http_get(net, source, path, port=port)
        nonce, realm = nonce_of(challenge), _field(challenge, "realm")
    secret = _md5(f"{account}:{realm}:{password}")
    uri = _md5(f"GET:{path}")
    response = _md5(f"{secret}:{nonce}:00000001:0a4f113b:auth:{uri}")
    fields = {"username": account, "realm": realm, "nonce": nonce, "uri": path, "response": response}
    text = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    answer = f'Digest {text}, algorithm=MD5, qop=auth, nc=00000001, cnonce="0a4f113b"'
    return http_get(net, source, path, authorization=answer, port=port)


def nonce_of(challenge: Answer) -> str:
    """The nonce that a 401 gives."""
    return _field(challenge, "nonce")


def _field(challenge: Answer, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', challenge.head)
    assert found is not None, f"no {name} in {challenge.head!r}"
    return found[1]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
