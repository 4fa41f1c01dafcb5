"""Real SMTP clients: Python's smtplib, and a bare connection for what no honest client would send."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from typing import Literal, Self

from .machine import Machine, until
from .net import Net

Mechanism = Literal["plain", "login"]


def listens(machine: Machine, port: int) -> bool:
    """Whether something in `machine` waits for connections on TCP `port`, over IPv4 or over both."""
    mark = f":{port:04X} "
    for table in ("tcp", "tcp6"):
        for line in machine.path(f"/proc/{machine.pid}/net/{table}").read_text().splitlines():
            if mark in line and line.split()[3] == "0A" and line.split()[1].endswith(mark.strip()):
                return True
    return False


def saslauthd(machine: Machine, folder: str) -> subprocess.Popen[bytes]:
    """Cyrus SASL's password checker, asked by servers at its socket in `folder`; it knows the machine's accounts."""
    machine.run(["mkdir", "-p", folder])
    command = ["saslauthd", "-d", "-a", "shadow", "-m", folder, "-n", "2"]
    # In a session of its own: when it ends it ends its whole process group.
    process = machine.popen(command, stderr=subprocess.DEVNULL)
    until(lambda: machine.path(f"{folder}/mux").exists(), what="saslauthd")
    return process


@contextlib.contextmanager
def connected(net: Net, source: str, port: int = 25, seconds: float = 5.0) -> Iterator[smtplib.SMTP]:
    """A client's connection from `source` (which decides between IPv4 and IPv6), greeted but without EHLO."""
    server = net.v6 if ":" in source else net.v4
    with net.client.entered():
        session = smtplib.SMTP(server, port, "client.example.org", seconds, (source, 0))
    try:
        yield session
    finally:
        session.close()


def smtp_login(
    net: Net,
    source: str,
    account: str,
    password: str,
    *,
    port: int = 25,
    mechanism: Mechanism = "plain",
    helo: str = "client.example.org",
    tls: ssl.SSLContext | None = None,
    mail_to: str = "",
    seconds: float = 5.0,
) -> bool:
    """Log in once by AUTH and leave; False when refused and as well when nothing answers.

    tls: how, if by STARTTLS. mail_to: send a mail there before leaving, as a mail program does.
    """
    try:
        with connected(net, source, port, seconds) as session:
            session.ehlo(helo)
            if tls:
                session.starttls(context=tls)
                session.ehlo(helo)
            session.user, session.password = account, password
            how = session.auth_plain if mechanism == "plain" else session.auth_login
            session.auth(mechanism.upper(), how)
            if mail_to:
                session.sendmail(f"{account}@lab.test", mail_to, "Subject: proof\r\n\r\nHello.\r\n")
            session.quit()
    except (smtplib.SMTPException, OSError):
        return False
    return True


def smtp_send(
    net: Net,
    source: str,
    sender: str,
    recipients: list[str],
    *,
    port: int = 25,
    account: str = "",
    password: str = "",
    helo: str = "client.example.org",
    seconds: float = 5.0,
) -> list[int]:
    """Offer a mail, logged in if an `account` is given; the answer to each recipient (250, 550 and the like)."""
    codes = []
    with connected(net, source, port, seconds) as session:
        session.ehlo(helo)
        if account:
            session.user, session.password = account, password
            session.auth("PLAIN", session.auth_plain)
        session.mail(sender)
        codes = [session.rcpt(recipient)[0] for recipient in recipients]
        if any(code == 250 for code in codes):
            session.data("Subject: proof\r\n\r\nHello.\r\n")
        session.quit()
    return codes


def converse(
    net: Net, source: str, *lines: bytes, port: int = 25, seconds: float = 3.0, at_once: bool = False,
    hang_up: int = -1, tls: ssl.SSLContext | None = None,
) -> list[bytes]:  # fmt: skip
    """Say `lines` as they are, a line break behind each, and return the answers (the greeting first).

    at_once: all in one packet (pipelined), after the greeting. hang_up: leave after that many lines without waiting
    for the answer. tls: begin it by STARTTLS before the lines.
    """
    server = net.v6 if ":" in source else net.v4
    with net.client.entered():
        caller = socket.create_connection((server, port), seconds, (source, 0))
    answers = []
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        opened.enter_context(caller)
        answers.append(_answer(caller))
        if tls is not None:
            for line in (b"EHLO client.example.org", b"STARTTLS"):
                caller.sendall(line + b"\r\n")
                _answer(caller)
            caller = opened.enter_context(tls.wrap_socket(caller))
        if at_once:
            caller.sendall(b"".join(line + b"\r\n" for line in lines))
        for number, line in enumerate(lines, 1):
            if not at_once:
                caller.sendall(line + b"\r\n")
            if number == hang_up:
                break
            answers.append(_answer(caller))
    return answers


def _answer(caller: socket.socket) -> bytes:
    """One reply: its lines up to the one without a dash; empty when the server has left."""
    text = line = b""
    while True:
        byte = caller.recv(1)
        line += byte
        if byte in (b"", b"\n"):
            text += line
            if line[3:4] != b"-":
                return text
            line = b""


def greets(net: Net, source: str, port: int = 25, seconds: float = 0.5) -> bool:
    """Whether the server answers at all; begins a mail and takes it back, so that nothing is held against it."""
    polite = (b"EHLO client.example.org", b"MAIL FROM:<alice@lab.test>", b"RSET", b"QUIT")
    try:
        return any(converse(net, source, *polite, port=port, seconds=seconds))
    except TimeoutError:
        return False


def plain(account: bytes | str, password: bytes | str, realm: bytes = b"") -> bytes:
    """The initial response of AUTH PLAIN (RFC 4616)."""
    name = account if isinstance(account, bytes) else account.encode()
    word = password if isinstance(password, bytes) else password.encode()
    return base64.b64encode(realm + b"\0" + name + b"\0" + word)


def word(text: bytes | str) -> bytes:
    """One answer within AUTH LOGIN."""
    return base64.b64encode(text if isinstance(text, bytes) else text.encode())


class SmtpServer:
    """What all mail servers of the laboratory have in common.

    They take mail for alice@lab.test and logins by AUTH PLAIN and LOGIN. `tls`: how, where only STARTTLS lets log in;
    `mails`: a login sends a mail, where the server says nothing of one that does not.
    """

    service = "smtp"
    kind = ""
    """Their kind in the catalogue."""
    logs: tuple[str, ...] = ("/var/log/mail.log", "/var/log/syslog")
    """Where they write the same lines."""
    mails = False
    tls: ssl.SSLContext | None = None

    def __init__(self, net: Net, port: int = 25, mechanism: Mechanism = "plain") -> None:
        self.net = net
        self.port = port
        self.mechanism = mechanism

    def login(self, source: str, account: str, password: str) -> bool:
        """Log in once by SMTP AUTH."""
        to = "alice@lab.test" if self.mails else ""
        return smtp_login(
            self.net, source, account, password, port=self.port, mechanism=self.mechanism, tls=self.tls, mail_to=to
        )

    def say(
        self, source: str, *lines: bytes, at_once: bool = False, hang_up: int = -1, seconds: float = 5.0
    ) -> list[bytes]:
        """A conversation of the caller's own words, under TLS where logins need it; see `converse`."""
        return converse(
            self.net, source, *lines, port=self.port, seconds=seconds, at_once=at_once, hang_up=hang_up, tls=self.tls
        )

    def close(self) -> None:
        """End the server."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
