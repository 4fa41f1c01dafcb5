"""Mail handed to a real SMTP server: plain, with STARTTLS, with TLS, with a login, by name and by address."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from alert_sending import HOST, MESSAGE, NOW, RECIPIENT, SENDER, Certificate, Marked
from alert_sending import certificate as make

from ringfence.alert.declared import MailSettings
from ringfence.alert.message import Outcome
from ringfence.alert.mime import build
from ringfence.alert.smtp import send

NAME, PASSWORD = "gäte", "pässword with spaces"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificate"))


class Taking:
    """Keeps what it is handed, and how."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.greeted = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.greeted = session.host_name or ""
        return "250 2.0.0 Ok: queued as 4711"


def known(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login, data.password) == (NAME.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


async def sent(
    settings: dict[str, Any], offered: dict[str, Any], *, tls: ssl.SSLContext | None = None, at: str = "127.0.0.1",
    host: str = HOST, recipient: str = RECIPIENT, password: str = PASSWORD,
) -> tuple[Outcome, Taking]:  # fmt: skip
    taking = Taking()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(taking, hostname="mx.example.org", **offered), at, 0, ssl=tls)
    mail = MailSettings(
        **{"server": at, "port": server.sockets[0].getsockname()[1], "timeout": 5.0, **settings}
    )  # fmt: skip
    try:
        data = build(MESSAGE, SENDER, recipient, message_id="1@gate", now=NOW, host=host)
        return await send(mail, password, SENDER, recipient, data, Marked(), host=host), taking
    finally:
        server.close()


@pytest.mark.parametrize(("at", "literal"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_plain_relay_takes_the_mail(at: str, literal: str) -> None:
    outcome, taking = asyncio.run(sent({}, {}, at=at))
    assert outcome.state == "sent" and outcome.answer.startswith(f"{literal}:")
    assert outcome.answer.endswith(": 250 2.0.0 Ok: queued as 4711")
    (envelope,) = taking.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [RECIPIENT])
    assert isinstance(envelope.content, bytes)
    read = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert read.get_content().splitlines() == MESSAGE.text.splitlines()
    assert taking.greeted == HOST


@pytest.mark.parametrize(("at", "literal"), [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]")])
def test_a_machine_without_a_full_name_greets_with_its_address(at: str, literal: str) -> None:
    _, taking = asyncio.run(sent({}, {}, at=at, host="gate"))
    assert taking.greeted == literal


def test_a_mailbox_of_this_machine_gets_its_name() -> None:
    _, taking = asyncio.run(sent({}, {}, recipient="root"))
    assert taking.envelopes[0].rcpt_tos == [f"root@{HOST}"]


LOGIN = {"authenticator": known, "auth_required": True}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_provider_with_starttls_and_a_login(mechanism: str, certificate: Certificate) -> None:
    other = {"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[mechanism]
    offered = LOGIN | {
        "tls_context": certificate.served(), "require_starttls": True, "auth_exclude_mechanism": [other],
    }  # fmt: skip
    settings = {"security": "starttls", "ca": certificate.file, "user": NAME}
    outcome, taking = asyncio.run(sent(settings, offered))
    assert outcome.state == "sent" and "(TLSv1." in outcome.answer, outcome
    assert len(taking.envelopes) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("at", ["127.0.0.1", "::1"])
def test_a_server_with_tls_from_the_start(at: str, certificate: Certificate) -> None:
    settings = {"security": "tls", "ca": certificate.file, "user": NAME}
    offered = LOGIN | {"auth_require_tls": False}  # it does not see that the connection is encrypted already
    outcome, taking = asyncio.run(sent(settings, offered, tls=certificate.served(), at=at))
    assert outcome.state == "sent" and "(TLSv1." in outcome.answer, outcome
    assert len(taking.envelopes) == 1


def test_a_wrong_password_is_told_and_nothing_is_sent(certificate: Certificate) -> None:
    offered = LOGIN | {"tls_context": certificate.served(), "require_starttls": True}
    settings = {"security": "starttls", "ca": certificate.file, "user": NAME}
    outcome, taking = asyncio.run(sent(settings, offered, password="wrong"))
    assert outcome.state == "later" and ": AUTH: 535 5.7.8 " in outcome.answer
    assert taking.envelopes == []


def test_an_untrusted_certificate_is_told_and_nothing_is_sent(certificate: Certificate) -> None:
    """It signed itself, and the system's authorities do not know it."""
    for security, offered, tls in (
        ("starttls", {"tls_context": certificate.served()}, None),
        ("tls", {}, certificate.served()),
    ):
        outcome, taking = asyncio.run(sent({"security": security}, offered, tls=tls))
        assert outcome.state == "later" and "the certificate is not right: self-signed" in outcome.answer
        assert taking.envelopes == []


def test_a_mail_that_is_too_large_for_the_server_is_refused_before_it_leaves() -> None:
    outcome, taking = asyncio.run(sent({}, {"data_size_limit": 100}))
    assert outcome.state == "failed" and "MAIL FROM: 552" in outcome.answer
    assert taking.envelopes == []
