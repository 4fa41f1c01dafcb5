"""Handing a mail to a mail server by SMTP (RFC 5321), and saying exactly what came of it.

What cannot be told otherwise is told by where the dialogue ended. Before the first byte of the mail itself leaves,
everything that goes wrong means that the server certainly has not got it: 5xx to MAIL or RCPT is about this mail and is
final; everything else (no connection, TLS, a certificate, a greeting or a login refused) is about the server or the
settings, may be mended by somebody, and is tried again. From the first byte on until the server's answer the mail may
have been taken over; an answer settles it, silence does not.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable
from email.message import EmailMessage
from typing import Final, Literal

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

from ringfence.alert.declared import MailSettings
from ringfence.alert.message import Mark, Outcome
from ringfence.alert.mime import addressed, to_bytes
from ringfence.alert.said import said, without

PATIENCE: Final = 4
"""So many times the time limit may the last answer take: many servers examine a mail before they answer, and giving up
then leaves unclear what became of it (RFC 5321 section 4.5.3.2.6 allows them 10 minutes)."""
FAREWELL: Final = 2.0
"""Seconds at most for QUIT, whose answer changes nothing."""
MOST_ADDRESSES: Final = 4
"""A name's addresses that are tried, one after another."""
MENDABLE: Final = frozenset({530, 534, 535, 538})
"""Answers that ask for another login or for encryption (RFC 4954 section 6): settings, not the mail, are at fault."""
ABOUT_THE_MAIL: Final = frozenset({"MAIL FROM", "RCPT TO", "DATA", "the mail"})

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DOT: Final = re.compile(rb"(?m)^\.")

State = Literal["sent", "later", "failed", "unclear"]


async def send(
    mail: MailSettings, password: str, sender: str, recipient: str, data: EmailMessage | bytes, mark: Mark, *, host: str
) -> Outcome:  # fmt: skip
    """Hand `data` to `mail.server` for `recipient`; `host` is this machine's name. Raises only what `mark` raises.

    `mark` is awaited when the server has accepted everything up to the recipient, right before DATA.
    """
    content = _as_content(to_bytes(data) if isinstance(data, EmailMessage) else data)
    talk = _Talk(mail, password, host)
    try:
        ended = await talk.told(talk.prepare(addressed(sender, host), addressed(recipient, host), len(content)))
        if ended is not None:
            return ended
        if not await mark():
            return talk.outcome("later", "taken by another")
        ended = await talk.told(talk.hand_over(content))
        assert ended is not None
        return ended
    except BaseException:
        talk.abort()
        raise
    finally:
        await talk.leave()


def judged(step: str, code: int, *, gone: bool) -> State:
    """What an answer that is no success means at `step`; `gone`: the mail itself had left."""
    if not 400 <= code <= 599:  # nothing that SMTP knows
        return "unclear" if gone else "later"
    final = code >= 500 and code not in MENDABLE and step in ABOUT_THE_MAIL
    return "failed" if final else "later"


class _Talk:
    """One dialogue with one server: where it is, and how far it got."""

    def __init__(self, mail: MailSettings, password: str, host: str) -> None:
        self._mail = mail
        self._password = password
        self._secrets = (password, _base64(password), _base64(f"\0{mail.user}\0{password}")) if password else ()
        self._host = host
        self._client = SMTP(timeout=mail.timeout, start_tls=False)
        self._step = "connecting"
        self._tls = ""
        self._gone = False
        self._limit = mail.timeout

    async def told(self, steps: Awaitable[Outcome | None]) -> Outcome | None:
        """Take `steps` as far as they go; what stops them becomes an outcome."""
        try:
            return await steps
        except SMTPResponseException as error:
            known = 400 <= error.code <= 599
            if not known:  # who knows what it would take a QUIT for
                self.abort()
            text = f"{error.code} {error.message}" if known else f"no answer of SMTP: {error.message}"
            return self.outcome(judged(self._step, error.code, gone=self._gone), f"{self._step}: {text}")
        except (SMTPException, OSError, ValueError) as error:
            self.abort()
            return self.outcome(
                "unclear" if self._gone else "later", f"{self._step}: {_in_words(error, self._limit)}"
            )  # fmt: skip

    def outcome(self, state: State, text: str) -> Outcome:
        """`text` with where it comes from, and without the password should the server repeat it."""
        server = f"[{self._mail.server}]" if ":" in self._mail.server else self._mail.server
        where = f"{server}:{self._mail.port}{f' ({self._tls})' if self._tls else ''}"
        return Outcome(state=state, answer=said(f"{where}: {without(text, self._secrets)}"))

    async def prepare(self, sender: str, recipient: str, size: int) -> Outcome | None:
        """Everything up to the recipient; None when the server accepted all of it."""
        mail = self._mail
        if mail.user and mail.security == "none":
            return self.outcome("later", "login: not without encryption; the password would be read on the way")
        context = await asyncio.to_thread(_context, mail) if mail.security != "none" else None
        await self._connect(context)
        await self._greet()
        if mail.security == "starttls":
            self._step = "STARTTLS"
            if not self._client.supports_extension("starttls"):
                return self.outcome("later", "STARTTLS: the server does not offer it; nothing is sent unencrypted")
            await self._client.starttls(tls_context=context, server_hostname=_name_of(mail.server))
            await self._greet()
        if mail.user and (ended := await self._log_in()):
            return ended
        self._step = "MAIL FROM"
        sized = [f"SIZE={size}"] if self._client.supports_extension("size") else []  # RFC 1870
        await self._client.mail(sender, options=sized)
        self._step = "RCPT TO"
        await self._client.rcpt(recipient)
        return None

    async def hand_over(self, content: bytes) -> Outcome:
        """DATA, the mail, and what the server says to it."""
        self._step = "DATA"
        answer = await self._client.execute_command(b"DATA")
        if answer.code != 354:
            raise SMTPResponseException(answer.code, answer.message)
        self._step = "the mail"
        self._limit = self._mail.timeout * PATIENCE
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        protocol.write(content)
        self._gone = True
        answer = await protocol.read_response(timeout=self._limit)
        if not 200 <= answer.code <= 299:
            raise SMTPResponseException(answer.code, answer.message)
        return self.outcome("sent", f"{answer.code} {answer.message}")

    async def leave(self) -> None:
        """QUIT, if there is anybody to say it to."""
        if self._client.is_connected:
            try:
                await self._client.quit(timeout=min(FAREWELL, self._mail.timeout))
            except (SMTPException, OSError):
                self.abort()
        self._client.close()

    def abort(self) -> None:
        """Drop the connection at once, with all that has not left yet."""
        transport = self._client.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        self._client.close()

    async def _connect(self, context: ssl.SSLContext | None) -> None:
        mail = self._mail
        outlet = await _connected(mail.server, mail.port, mail.timeout)
        at_once = mail.security == "tls"
        self._step = "TLS and greeting" if at_once else "greeting"
        try:
            await self._client.connect(
                sock=outlet, hostname=_name_of(mail.server), use_tls=at_once, tls_context=context,
                local_hostname=self._host,
            )  # fmt: skip
        except BaseException:
            outlet.close()
            raise

    async def _greet(self) -> None:
        encrypted = self._client.get_transport_info("ssl_object")
        self._tls = encrypted.version() if encrypted is not None else ""
        self._step = "EHLO"
        name = self._host if "." in self._host else _literal(self._client.get_transport_info("sockname")[0])
        await self._client.ehlo(hostname=name)

    async def _log_in(self) -> Outcome | None:
        """One try: each more would be another failed login to a server that counts them."""
        self._step = "AUTH"
        offered = self._client.server_auth_methods
        user, password = self._mail.user.encode(), self._password.encode()
        if "plain" in offered:
            await self._client.auth_plain(user, password)
        elif "login" in offered:
            await self._client.auth_login(user, password)
        elif "cram-md5" in offered:
            await self._client.auth_crammd5(user, password)
        else:
            known = f"only {', '.join(offered)}" if offered else "none"
            return self.outcome("later", f"AUTH: of PLAIN, LOGIN and CRAM-MD5 the server offers {known}")
        return None


async def _connected(server: str, port: int, timeout: float) -> socket.socket:
    """A connection to the first of the server's addresses that answers; each has `timeout` seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        found = await loop.getaddrinfo(server, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{server} has no address")
    for family, kind, protocol, _, address in found[:MOST_ADDRESSES]:
        with contextlib.ExitStack() as kept:
            try:
                outlet = kept.enter_context(socket.socket(family, kind, protocol))
                outlet.setblocking(False)
                async with asyncio.timeout(timeout):
                    await loop.sock_connect(outlet, address)
            except OSError as error:
                failure = error
            else:
                kept.pop_all()
                return outlet
    raise failure


def _context(mail: MailSettings) -> ssl.SSLContext:
    """How the server is known to be the right one. Raises OSError when `ca` can't be used."""
    try:
        context = ssl.create_default_context(cafile=str(mail.ca) if mail.ca else None)
    except OSError as error:
        raise OSError(f"ca {mail.ca}: {error.strerror or error}") from error
    if not mail.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _in_words(error: BaseException, limit: float) -> str:
    """Why there was no answer, without this library's or that one's way to say it."""
    cause = error.__cause__ if isinstance(error, SMTPException) and isinstance(error.__cause__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not right: {cause.verify_message or cause.reason}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or cause}"
    if isinstance(cause, SMTPTimeoutError | TimeoutError):
        return f"no answer within {limit:g} s"
    if isinstance(cause, socket.gaierror):
        return f"the name can't be found: {cause.strerror}"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, SMTPServerDisconnected | ConnectionError):
        return "connection lost"
    return str(getattr(cause, "strerror", None) or cause)


def _as_content(data: bytes) -> bytes:
    """`data` as it follows DATA: every line ended by CR LF, a dot at its beginning doubled (RFC 5321, 4.5.2)."""
    lines = _LINE_END.sub(b"\r\n", data)
    return _DOT.sub(b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n") + b".\r\n"


def _name_of(server: str) -> str:
    return server.rstrip(".")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _literal(address: str) -> str:
    """An address in place of a name (RFC 5321 section 4.1.3)."""
    plain = address.partition("%")[0]
    return f"[IPv6:{plain}]" if ipaddress.ip_address(plain).version == 6 else f"[{plain}]"
