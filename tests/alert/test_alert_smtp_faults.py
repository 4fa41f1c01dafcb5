"""A mail server that refuses, stalls, hangs up or talks nonsense, in every state of the dialogue.

What is at stake: a mail that was certainly not taken over is tried again, one that may have been is not.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from alert_sending import HOST, MESSAGE, NOW, RECIPIENT, SENDER, STEPS, Certificate, Marked, Misbehaving, Step
from alert_sending import certificate as make
from hypothesis import given
from hypothesis import settings as settled
from hypothesis import strategies as st

from ringfence.alert.declared import MailSettings
from ringfence.alert.message import Outcome
from ringfence.alert.mime import build, to_bytes
from ringfence.alert.smtp import judged, send

TIMEOUT = 1.0
PASSWORD = "correct horse"
FAULTS = {
    "4xx": "452 4.3.1 Insufficient system storage",
    "5xx": "554 5.7.1 Not\x1b[31m you: \u202eevil",
    "slow": "slow",
    "drop": "drop",
    "garbage": "garbage",
    "endless": "endless",
}
BEFORE = {"4xx": "later", "5xx": "later", "slow": "later", "drop": "later", "garbage": "later", "endless": "later"}
ABOUT_THE_MAIL = BEFORE | {"5xx": "failed"}
GONE = {"4xx": "later", "5xx": "failed", "slow": "unclear", "drop": "unclear", "garbage": "unclear",
        "endless": "unclear"}  # fmt: skip
EXPECTED: dict[Step, dict[str, str]] = {
    "greeting": BEFORE,
    "ehlo": BEFORE,
    "starttls": BEFORE,
    "tls": BEFORE,
    "ehlo2": BEFORE,
    "auth": BEFORE,
    "mail": ABOUT_THE_MAIL,
    "rcpt": ABOUT_THE_MAIL,
    "data": ABOUT_THE_MAIL,
    "content": GONE,
    "quit": dict.fromkeys(FAULTS, "sent"),
}
SAYS = {"4xx": "452 4.3.1 Insufficient", "5xx": "554 5.7.1 Not\\x1b[31m", "slow": "no answer within",
        "drop": "connection lost", "garbage": "no answer of SMTP", "endless": "no answer of SMTP"}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificate"))


def settings(port: int, certificate: Certificate, **changed: object) -> MailSettings:
    """As for a provider: STARTTLS and a login."""
    values: dict[str, object] = {
        "server": "localhost", "port": port, "security": "starttls", "ca": certificate.file, "user": "gate",
        "timeout": TIMEOUT,
    }  # fmt: skip
    return MailSettings(**(values | changed))  # type: ignore[arg-type]


def mail() -> bytes:
    return to_bytes(build(MESSAGE, SENDER, RECIPIENT, message_id="<1@gate>", now=NOW, host=HOST))


async def tried(server: Misbehaving, certificate: Certificate, mark: Marked, **changed: object) -> Outcome:
    async with server.running():
        wanted = settings(server.port, certificate, **changed)
        return await send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), mark, host=HOST)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_each_fault_in_each_state_is_told_for_what_it_is(step: Step, fault: str, certificate: Certificate) -> None:
    server = Misbehaving({step: FAULTS[fault]}, certificate.served())
    mark = Marked()
    outcome = asyncio.run(tried(server, certificate, mark))
    assert step in server.reached, "the dialogue came that far"
    assert outcome.state == EXPECTED[step][fault], outcome
    assert mark.count == (1 if step in ("data", "content", "quit") else 0)
    assert outcome.answer.startswith(f"localhost:{server.port}") and outcome.answer.isprintable()
    assert len(outcome.answer) <= 400
    if step == "quit":
        assert "250 2.0.0 Ok: queued as 1234" in outcome.answer
    elif step != "tls":
        assert SAYS[fault] in outcome.answer
    if step != "content":
        assert bool(server.content) == (step == "quit"), "nothing of the mail left before its time"


def test_what_is_accepted_is_sent_and_the_servers_answer_is_told(certificate: Certificate) -> None:
    server = Misbehaving({}, certificate.served())
    outcome = asyncio.run(tried(server, certificate, Marked()))
    told = f"localhost:{server.port} (TLSv1.3): 250 2.0.0 Ok: queued as 1234"
    assert outcome == Outcome(state="sent", answer=told)
    assert server.content == mail(), "dots at the beginning of lines are not lost"
    assert server.reached == list(STEPS)


def test_a_connection_that_ends_amid_the_mail_leaves_it_unclear(certificate: Certificate) -> None:
    server = Misbehaving({"content": "halfway"}, certificate.served())
    mark = Marked()
    outcome = asyncio.run(tried(server, certificate, mark))
    assert (outcome.state, mark.count) == ("unclear", 1)


def test_a_server_that_reads_nothing_of_a_large_mail_leaves_it_unclear(certificate: Certificate) -> None:
    server = Misbehaving({"content": "unread"}, certificate.served())

    async def there() -> Outcome:
        async with server.running():
            large, wanted = b"x" * 10_000_000, settings(server.port, certificate)
            return await send(wanted, PASSWORD, SENDER, RECIPIENT, large, Marked(), host=HOST)

    outcome = asyncio.run(there())
    assert outcome.state == "unclear" and "no answer within 4 s" in outcome.answer


def test_who_is_told_to_stop_amid_the_mail_drops_the_connection_and_says_nothing_more(
    certificate: Certificate,
) -> None:
    server = Misbehaving({"content": "slow"}, certificate.served())

    async def there() -> None:
        async with server.running():
            wanted = settings(server.port, certificate, timeout=60.0)
            task = asyncio.create_task(send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), Marked(), host=HOST))
            while "content" not in server.reached:
                await asyncio.sleep(0.01)
            task.cancel()
            async with asyncio.timeout(5):
                await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(there())
    assert server.heard[-1] == b"DATA\r\n"


ANSWER = st.from_regex(r"([0-9]{0,4}[ -]?[^\n]{0,20}(\r\n|\n|)){1,3}", fullmatch=True) | st.text(max_size=30)


@settled(max_examples=40, deadline=None)
@given(st.sampled_from(STEPS), ANSWER.filter(lambda text: text not in FAULTS))
def test_whatever_a_server_says_there_is_an_outcome_and_it_does_not_lie(
    certificate: Certificate, step: Step, answer: str
) -> None:
    server = Misbehaving({step: answer or " "}, certificate.served())
    mark = Marked()
    outcome = asyncio.run(tried(server, certificate, mark, timeout=0.1))
    assert outcome.answer.isprintable() and len(outcome.answer) <= 400
    whole = server.content == mail()
    assert mark.count == 1 if whole else outcome.state in ("later", "failed"), outcome
    assert outcome.state != "sent" or whole, outcome


def test_what_somebody_else_has_taken_is_not_sent(certificate: Certificate) -> None:
    server = Misbehaving({}, certificate.served())
    outcome = asyncio.run(tried(server, certificate, Marked(answer=False)))
    assert (outcome.state, server.content) == ("later", b"") and "taken by another" in outcome.answer
    assert server.reached[-2:] == ["rcpt", "quit"], "and the server is told that nothing follows"


@pytest.mark.parametrize(("step", "code"), [("mail", 530), ("mail", 535), ("rcpt", 530)])
def test_a_login_that_is_asked_for_late_is_a_matter_of_settings(
    step: Step, code: int, certificate: Certificate
) -> None:  # fmt: skip
    server = Misbehaving({step: f"{code} 5.7.0 Authentication required"}, certificate.served())
    assert asyncio.run(tried(server, certificate, Marked())).state == "later"


def test_without_starttls_nothing_is_sent_and_no_password_either(certificate: Certificate) -> None:
    """As somebody between us and the server would do it: its offer is struck out."""
    server = Misbehaving({"ehlo": "250-mx.example.org\r\n250 AUTH PLAIN"}, certificate.served())
    mark = Marked()
    outcome = asyncio.run(tried(server, certificate, mark))
    assert (outcome.state, mark.count) == ("later", 0) and "does not offer it" in outcome.answer
    assert not any(line.startswith((b"AUTH", b"MAIL")) for line in server.heard)


def test_what_is_slipped_in_before_encryption_is_not_believed(certificate: Certificate) -> None:
    server = Misbehaving({"starttls": "220 2.0.0 Ready\r\n250 AUTH NONE\r\n554 5.7.1 Go away"}, certificate.served())
    assert asyncio.run(tried(server, certificate, Marked())).state == "sent"
    assert server.reached == list(STEPS)


def test_a_password_does_not_travel_unencrypted(certificate: Certificate) -> None:
    server = Misbehaving({"ehlo": "250-mx.example.org\r\n250 AUTH PLAIN"})
    outcome = asyncio.run(tried(server, certificate, Marked(), security="none"))
    assert outcome.state == "later" and "encryption" in outcome.answer and server.heard == []


@pytest.mark.parametrize("answer", ["535 no {}", "535 no AGdhdGUAY29ycmVjdCBob3JzZQ=="])
def test_a_server_that_repeats_the_password_does_not_make_us_show_it(answer: str, certificate: Certificate) -> None:
    server = Misbehaving({"auth": answer.format(PASSWORD)}, certificate.served())
    outcome = asyncio.run(tried(server, certificate, Marked()))
    assert outcome.answer.endswith("AUTH: 535 no ***")
    assert [line for line in server.heard if line.startswith(b"AUTH")] == [
        b"AUTH PLAIN AGdhdGUAY29ycmVjdCBob3JzZQ==\r\n"
    ], "one failed login, not one for each method"


def test_a_certificate_that_is_not_right_ends_it_before_the_password(
    certificate: Certificate, tmp_path: Path
) -> None:  # fmt: skip
    for wrong, said in ((make(tmp_path, "other.example.org"), "self-signed certificate"), (None, "Hostname mismatch")):
        shown = wrong or Certificate(tmp_path / "certificate.pem", tmp_path / "key.pem")
        trusted = shown if wrong is None else certificate
        server = Misbehaving({}, shown.served())
        mark = Marked()
        outcome = asyncio.run(tried(server, trusted, mark))
        assert (outcome.state, mark.count) == ("later", 0)
        assert "the certificate is not right" in outcome.answer and said.lower() in outcome.answer.lower()
        assert not any(line.startswith(b"AUTH") for line in server.heard)


def test_a_certificate_need_not_be_right_where_nobody_asks(certificate: Certificate, tmp_path: Path) -> None:
    server = Misbehaving({}, make(tmp_path, "other.example.org").served())
    assert asyncio.run(tried(server, certificate, Marked(), verify=False)).state == "sent"


def test_authorities_that_are_not_there_are_named(certificate: Certificate, tmp_path: Path) -> None:
    outcome = asyncio.run(tried(Misbehaving({}), certificate, Marked(), ca=tmp_path / "none.pem"))
    assert outcome.state == "later" and f"ca {tmp_path}/none.pem: No such file" in outcome.answer


def test_a_server_without_tls_on_the_port_of_tls_is_told_so(certificate: Certificate) -> None:
    outcome = asyncio.run(tried(Misbehaving({}), certificate, Marked(), security="tls"))
    assert outcome.state == "later" and "TLS failed" in outcome.answer


def test_nobody_at_the_port_is_later(certificate: Certificate) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        wanted = settings(held.getsockname()[1], certificate, server="127.0.0.1")
        mark = Marked()
        outcome = asyncio.run(send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), mark, host=HOST))
    assert outcome == Outcome(
        state="later", answer=f"127.0.0.1:{wanted.port}: connecting: connection refused"
    )  # fmt: skip
    assert mark.count == 0


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b", "x" * 70, ":::"])
def test_a_name_without_an_address_is_later(name: str, certificate: Certificate) -> None:
    wanted = settings(25, certificate, server=name, timeout=5.0)
    mark = Marked()
    outcome = asyncio.run(send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), mark, host=HOST))
    assert (outcome.state, mark.count) == ("later", 0)
    assert "connecting: " in outcome.answer


def test_the_next_address_of_a_name_is_tried_when_the_first_does_not_answer(certificate: Certificate) -> None:
    """localhost is ::1 as a rule before it is 127.0.0.1, where alone the server listens."""
    server = Misbehaving({}, certificate.served())

    async def there() -> Outcome:
        loop = asyncio.get_running_loop()
        async with server.running():
            nobody = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))
            real = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))

            async def found(*_: object, **__: object) -> object:
                return [nobody, real]

            loop.getaddrinfo = found  # type: ignore[method-assign, assignment]
            wanted = settings(server.port, certificate)
            return await send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), Marked(), host=HOST)

    assert asyncio.run(there()).state == "sent"


def test_what_the_mark_raises_is_not_taken_for_the_servers_fault(certificate: Certificate) -> None:
    server = Misbehaving({}, certificate.served())

    async def broken() -> bool:
        raise OSError("no space left")

    async def there() -> None:
        async with server.running():
            wanted = settings(server.port, certificate)
            await send(wanted, PASSWORD, SENDER, RECIPIENT, mail(), broken, host=HOST)

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(there())
    assert server.content == b""


def test_a_long_answer_of_many_lines_is_told_on_one(certificate: Certificate) -> None:
    server = Misbehaving(
        {"rcpt": "550-5.1.1 No such user\r\n550-5.1.1 here\r\n550 " + "x" * 3000}, certificate.served()
    )
    outcome = asyncio.run(tried(server, certificate, Marked()))
    assert "RCPT TO: 550 5.1.1 No such user 5.1.1 here xxx" in outcome.answer and len(outcome.answer) == 400


@pytest.mark.parametrize("code", [-1, 0, 199, 250, 354, 600, 999])
def test_an_answer_that_is_none_of_smtp_settles_nothing(code: int) -> None:
    assert judged("the mail", code, gone=True) == "unclear"
    assert judged("DATA", code, gone=False) == "later"
