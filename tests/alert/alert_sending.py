"""What tests of sending share: a warning, a mark that remembers, certificates, and SMTP servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ringfence.alert.message import Message

HOST = "gate.example.org"
NOW = 1_795_000_000.25
SENDER = f"ringfence@{HOST}"
RECIPIENT = "admin@example.org"
MESSAGE = Message(
    subject="sip: 192.0.2.1 banned", text="The rule flood fired.\n.\nA line with a dot alone stands above.\n",
    facts={"kind": "rule", "address": "192.0.2.1"},
)  # fmt: skip


class Marked:
    """A mark that counts how often it was asked, and says `answer`."""

    def __init__(self, answer: bool = True) -> None:
        self.count = 0
        self._answer = answer

    async def __call__(self) -> bool:
        self.count += 1
        return self._answer


class Certificate(NamedTuple):
    """A certificate that signed itself, for `localhost` and its addresses, as files."""

    file: Path
    key: Path

    def served(self) -> ssl.SSLContext:
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def _named(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def certificate(folder: Path, *names: str) -> Certificate:
    """A new certificate for `names` and addresses; none: localhost, 127.0.0.1 and ::1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    kinds = [_named(name) for name in names or ("localhost", "127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(x509.SubjectAlternativeName(kinds), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    found = Certificate(folder / "certificate.pem", folder / "key.pem")
    found.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kept = serialization.NoEncryption()
    found.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept))
    return found


Step = Literal["greeting", "ehlo", "starttls", "tls", "ehlo2", "auth", "mail", "rcpt", "data", "content", "quit"]
STEPS: tuple[Step, ...] = (
    "greeting", "ehlo", "starttls", "tls", "ehlo2", "auth", "mail", "rcpt", "data", "content", "quit",
)  # fmt: skip
USUAL: dict[Step, str] = {
    "greeting": "220 mx.example.org ESMTP",
    "ehlo": "250-mx.example.org\r\n250-SIZE 1000000\r\n250 STARTTLS",
    "starttls": "220 2.0.0 Ready",
    "tls": "",
    "ehlo2": "250-mx.example.org\r\n250 AUTH PLAIN LOGIN",
    "auth": "235 2.7.0 Welcome",
    "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok",
    "data": "354 Go on",
    "content": "250 2.0.0 Ok: queued as 1234",
    "quit": "221 2.0.0 Bye",
}


class Misbehaving:
    """An SMTP server that does at each step what `script` says, and else what servers usually do.

    An answer is given as it is; "slow": none, the connection stays; "drop": it ends; "garbage": an HTTP server's
    answer; "endless": a line without an end; "halfway" (content only): the connection ends after the first
    bytes; "unread": nothing of it is read.
    """

    def __init__(self, script: dict[Step, str], tls: ssl.SSLContext | None = None) -> None:
        self._script = USUAL | script
        self._tls = tls
        self.reached: list[Step] = []
        self.heard: list[bytes] = []
        self.content = b""
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1") -> AsyncIterator[Misbehaving]:
        server = await asyncio.start_server(self._serve, host, 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, ssl.SSLError, _End):
            await self._talk(reader, writer)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._do("greeting", writer)
        encrypted = False
        while line := await reader.readline():
            self.heard.append(line)
            match line.split()[0].upper():
                case b"EHLO":
                    await self._do("ehlo2" if encrypted else "ehlo", writer)
                case b"STARTTLS":
                    await self._do("starttls", writer)
                    await self._do("tls", writer)
                    if self._script["tls"]:
                        await asyncio.Event().wait()
                    assert self._tls is not None
                    await writer.start_tls(self._tls)
                    encrypted = True
                case b"AUTH":
                    await self._do("auth", writer)
                case b"MAIL":
                    await self._do("mail", writer)
                case b"RCPT":
                    await self._do("rcpt", writer)
                case b"DATA":
                    await self._do("data", writer)
                    if not self._script["data"].startswith("3"):
                        continue
                    await self._take(reader)
                    await self._do("content", writer)
                case b"QUIT":
                    await self._do("quit", writer)
                    return

    async def _take(self, reader: asyncio.StreamReader) -> None:
        if self._script["content"] == "halfway":
            await reader.readexactly(10)
            self.reached.append("content")
            raise _End
        if self._script["content"] == "unread":
            await asyncio.Event().wait()
        while (line := await reader.readline()) not in (b".\r\n", b""):
            self.content += line.removeprefix(b".")
        assert line, "the dot that ends a mail"

    async def _do(self, step: Step, writer: asyncio.StreamWriter) -> None:
        self.reached.append(step)
        match self._script[step]:
            case "slow":
                await asyncio.Event().wait()
            case "drop":
                raise _End
            case "garbage":
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\x00\xff\x1b[31m\r\n")
            case "endless":
                while True:
                    writer.write(b"2" * 10_000)
                    await writer.drain()
            case "":
                return
            case answer:
                writer.write(answer.encode() + b"\r\n")
        await writer.drain()


class _End(Exception):
    """The server hangs up."""
