"""Real mailbox clients: the IMAP and POP3 clients of Python's library, on the client machine, and bare connections."""

from __future__ import annotations

import base64
import imaplib
import poplib
import socket
import ssl
import time
from typing import Any

from .net import Net

SECONDS = 6.0


def connect(net: Net, source: str, port: int, *, tls: bool = False, seconds: float = SECONDS) -> socket.socket:
    """A connection to the server's `port` from `source`, one of the clients' addresses; OSError when none answers.

    A server that is just starting another of its processes refuses for a moment: it is asked again.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return _connect(net, source, port, tls=tls, seconds=seconds)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _connect(net: Net, source: str, port: int, *, tls: bool, seconds: float) -> socket.socket:
    with net.client.entered():
        caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    caller.settimeout(seconds)
    try:
        caller.bind((source, 0))
        caller.connect((net.v6 if ":" in source else net.v4, port))
        return trusting().wrap_socket(caller) if tls else caller
    except BaseException:
        caller.close()
        raise


def trusting() -> ssl.SSLContext:
    """TLS with whatever certificate the server made for itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Imap(imaplib.IMAP4):
    """imaplib's client, from one of the client machine's addresses. With `tls` the connection begins with TLS."""

    def __init__(self, net: Net, source: str, port: int = 143, *, tls: bool = False, seconds: float = SECONDS) -> None:
        self._call = (net, source, port)
        self._tls = tls
        self._seconds = seconds
        super().__init__(net.v6 if ":" in source else net.v4, port, timeout=seconds)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(*self._call, tls=self._tls, seconds=timeout or self._seconds)


class Pop3(poplib.POP3):
    """poplib's client, from one of the client machine's addresses. With `tls` the connection begins with TLS."""

    def __init__(self, net: Net, source: str, port: int = 110, *, tls: bool = False, seconds: float = SECONDS) -> None:
        self._call = (net, source, port)
        self._tls = tls
        super().__init__(net.v6 if ":" in source else net.v4, port, timeout=seconds)

    def _create_socket(self, timeout: float) -> socket.socket:
        return connect(*self._call, tls=self._tls, seconds=timeout)


def imap_login(net: Net, source: str, account: str, password: str, *, port: int = 143, **how: Any) -> bool:
    """Log in once by IMAP and out again; False when refused and when nothing answers."""
    try:
        with Imap(net, source, port, tls=port == 993, **how) as client:
            if port != 993 and "STARTTLS" in client.capabilities:
                client.starttls(trusting())
            client.login(account, password)
            return True
    except (imaplib.IMAP4.error, OSError):
        return False


def pop3_login(net: Net, source: str, account: str, password: str, *, port: int = 110, **how: Any) -> bool:
    """Log in once by POP3 and out again; False when refused and when nothing answers."""
    try:
        client = Pop3(net, source, port, tls=port == 995, **how)
    except (poplib.error_proto, OSError):
        return False
    try:
        if port != 995 and "STLS" in client.capa():
            client.stls(trusting())
        client.user(account)
        client.pass_(password)
        client.quit()
        return True
    except (poplib.error_proto, OSError):
        return False
    finally:
        client.close()


def say(
    net: Net, source: str, port: int, *lines: bytes, tls: bool = False, patient: bool = True, seconds: float = SECONDS
) -> list[bytes]:
    """Speak bare to the server: each line after the answer to the one before; then hang up. Returns what was answered.

    The first answer is the greeting. Without patience everything is sent at once behind the greeting, and the
    connection is closed without waiting for answers. A server that stays silent or hangs up ends the conversation.
    """
    with connect(net, source, port, tls=tls, seconds=seconds) as caller:
        answers = [caller.recv(4096)]
        try:
            for line in lines:
                caller.sendall(line)
                if patient:
                    answers.append(caller.recv(4096))
        except OSError:
            pass
        return answers


def literal(text: bytes) -> bytes:
    """`text` as a literal of IMAP that needs no leave (RFC 7888), which may hold whatever bytes."""
    return b"{%d+}\r\n%b" % (len(text), text)


def plain(account: bytes, password: bytes = b"wrong") -> bytes:
    """The credentials of SASL's PLAIN (RFC 4616), in base64."""
    return base64.b64encode(b"\0" + account + b"\0" + password)
