"""Warnings handed to a real Postfix: by SMTP, with STARTTLS and a login, and by its `sendmail` as an ordinary user."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from lab import Net, Syslog, missing
from lab.machine import until
from lab.postfix import Postfix, postfix_image

from ringfence.alert.declared import MailSettings
from ringfence.alert.message import Message, Outcome, Picture
from ringfence.alert.mime import build, sender_of
from ringfence.alert.sendmail import send_by_program
from ringfence.alert.smtp import send

sys.path.insert(0, str(Path(__file__).parents[1] / "alert"))
from alert_sending import Certificate, Marked
from alert_sending import certificate as make

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs")]

HOST = "gate.example.org"
NOW = 1_795_744_800.0
PASSWORD = "correct horse"
MOST = 60_000
FULL, SLOW = 2525, 2526
SERVICES = f"""
{FULL} inet n - y - - smtpd
  -o queue_minfree=1000000000000000
{SLOW} inet n - y - - smtpd
  -o smtpd_delay_reject=no
  -o smtpd_recipient_restrictions=sleep,60,reject
"""
MESSAGE = Message(
    subject="sip: 192.0.2.1 gesperrt — Grüße\r\nBcc: x@example.com",
    text="Die Regel flood hat gefeuert:\n.\n..\nFrom here it goes on, " + "x" * 40 + "\n",
    html='<p>Grüße</p><img src="cid:chart" alt="">', pictures=(Picture(name="chart", data=b"\x89PNG" * 50, text=""),),
    facts={"kind": "rule"}, grave=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificate"), "10.77.0.1", "fd77::1")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Net]:
    """Postfix that delivers to alice's maildir."""
    with Net(tmp_path_factory.mktemp("lab") / "net", clients=1, image=postfix_image()) as one, Syslog(one.server):
        for file, name in ((certificate.file, "lab.pem"), (certificate.key, "lab.key")):
            one.server.path(f"/etc/postfix/{name}").write_bytes(file.read_bytes())
        settings = (
            "home_mailbox = Maildir/", f"message_size_limit = {MOST}", "mailbox_size_limit = 0",
            "smtpd_tls_security_level = may", "smtpd_tls_auth_only = yes",
            "smtpd_tls_cert_file = /etc/postfix/lab.pem", "smtpd_tls_key_file = /etc/postfix/lab.key",
        )  # fmt: skip
        with Postfix(one, settings=settings, services=SERVICES):
            yield one


def handed(net: Net, *, to: str = "alice@lab.test", message: Message = MESSAGE, **changed: Any) -> tuple[Outcome, int]:
    """Handed over from the client's machine; and how often it was marked."""
    mail = MailSettings(**{"server": net.v4, "port": 25, "timeout": 10.0, **changed})
    sender, mark = sender_of("auto", HOST), Marked()
    data = build(message, sender, to, message_id="1@gate", now=NOW, host=HOST)
    with net.client.entered():
        return asyncio.run(send(mail, PASSWORD, sender, to, data, mark, host=HOST)), mark.count


def delivered(net: Net) -> EmailMessage:
    """The one mail that alice has; taken away."""
    folder = net.server.path("/home/alice/Maildir/new")
    (file,) = until(lambda: list(folder.glob("*")), what="a mail for alice; see mail.log")
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    file.unlink()
    assert isinstance(mail, EmailMessage)
    return mail


def check(mail: EmailMessage) -> None:
    """It arrived whole, and to nobody else."""
    assert mail["X-Ringfence"] == "rule" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "sip: 192.0.2.1 gesperrt — Grüße\\x0d\\x0aBcc: x@example.com" and mail["Bcc"] is None
    assert mail["Return-Path"] == f"<ringfence@{HOST}>" and mail["X-Original-To"] == "alice@lab.test"
    plain, related = mail.iter_parts()
    assert isinstance(plain, EmailMessage) and isinstance(related, EmailMessage)
    assert plain.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert [part.get_content_type() for part in related.iter_parts()] == ["text/html", "image/png"]


@pytest.mark.parametrize("server", ["10.77.0.1", "fd77::1"])
def test_by_smtp_a_warning_reaches_its_mailbox_and_postfix_says_under_which_number(net: Net, server: str) -> None:
    outcome, marked = handed(net, server=server)
    assert (outcome.state, marked) == ("sent", 1) and ":25: 250 2.0.0 Ok: queued as " in outcome.answer, outcome
    check(delivered(net))


def test_with_starttls_and_a_login_it_is_encrypted_and_signed_for(net: Net, certificate: Certificate) -> None:
    outcome, _ = handed(net, port=587, security="starttls", ca=certificate.file, user="alice")
    assert outcome.answer.startswith("10.77.0.1:587 (TLSv1.3): 250 2.0.0 Ok: queued as "), outcome
    mail = delivered(net)
    check(mail)
    assert "ESMTPSA" in mail["Received"], "as Postfix says of what came encrypted and logged in (RFC 3848)"


@pytest.mark.parametrize(
    ("changed", "state", "said"),
    [
        ({"to": "nobody-here@lab.test"}, "failed", ":25: RCPT TO: 550 5.1.1 "),
        ({"to": "x@example.com"}, "later", ":25: RCPT TO: 454 4.7.1 "),
        ({"message": Message(subject="s", text="x" * 70 + "\n" + "y\n" * MOST)}, "failed", "MAIL FROM: 552 5.3.4 "),
        ({"security": "starttls"}, "later", ":25: STARTTLS: the certificate is not right: self-signed certificate"),
        ({"security": "tls"}, "later", ":25: TLS and greeting: TLS failed: "),
        ({"port": FULL}, "later", f":{FULL}: MAIL FROM: 452 4.3.1 Insufficient system storage"),
        ({"port": SLOW, "timeout": 2.0}, "later", f":{SLOW}: RCPT TO: no answer within "),
        ({"port": 26}, "later", ":26: connecting: connection refused"),
    ],
)
def test_what_postfix_refuses_is_told_in_its_own_words_and_never_marked(
    net: Net, changed: dict[str, Any], state: str, said: str
) -> None:
    outcome, marked = handed(net, **changed)
    assert (outcome.state, marked) == (state, 0) and said in outcome.answer, outcome


def test_a_postfix_that_dies_while_it_is_spoken_to_gets_the_mail_later(net: Net) -> None:
    log = net.server.path("/var/log/mail.log")
    said = log.stat().st_size

    def kill() -> None:
        until(lambda: ": connect from " in log.read_text()[said:], what="a connection; see mail.log")
        for pid in net.server.processes():
            if Path(f"/proc/{pid}/comm").read_text() == "smtpd\n":
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome, marked = handed(net, port=SLOW)
    killer.join()
    assert (outcome.state, marked) == ("later", 0) and outcome.answer.endswith(": connection lost"), outcome


def test_a_wrong_password_is_told_and_tried_again_later(net: Net, certificate: Certificate) -> None:
    outcome, marked = handed(net, port=587, security="starttls", ca=certificate.file, user="bob")
    assert (outcome.state, marked) == ("later", 0) and ": AUTH: 535 5.7.8 " in outcome.answer, outcome


def sendmail(net: Net, folder: Path, *before: str) -> Path:
    """Postfix's `sendmail` inside the machine, run as alice, as a program on this side."""
    file = folder / "sendmail"
    command = net.server.argv(["runuser", "-u", "alice", "--", *before, "/usr/sbin/sendmail"])
    file.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    file.chmod(0o755)
    return file


def test_by_its_sendmail_program_an_ordinary_user_reaches_the_mailbox(net: Net, tmp_path: Path) -> None:
    program, sender = sendmail(net, tmp_path), sender_of("auto", HOST)
    data = build(MESSAGE, sender, "alice@lab.test", message_id="1@gate", now=NOW, host=HOST)
    outcome = asyncio.run(send_by_program(program, sender, "alice@lab.test", data, Marked(), timeout=10))
    assert outcome == Outcome(state="sent", answer=f"{program}: done")
    check(delivered(net))


def test_what_its_sendmail_program_refuses_is_told(net: Net, tmp_path: Path) -> None:
    program = sendmail(net, tmp_path)
    sender, large = sender_of("auto", HOST), b"Subject: s\n\n" + b"y\n" * MOST
    outcome = asyncio.run(send_by_program(program, sender, "alice@lab.test", large, Marked(), timeout=10))
    assert outcome.state == "later" and outcome.answer.endswith(": message file too big"), outcome


def test_where_its_sendmail_program_may_not_change_group_it_is_said_why_nobody_knows(net: Net, tmp_path: Path) -> None:
    """As under NoNewPrivileges of systemd: Postfix's postdrop can't write its queue, and tries for ever."""
    program = sendmail(net, tmp_path, "setpriv", "--no-new-privs")
    outcome = asyncio.run(
        send_by_program(program, sender_of("auto", HOST), "alice@lab.test", b"x: y\n\nz\n", Marked(), timeout=1)
    )
    assert outcome.state == "unclear" and "Permission denied" in outcome.answer, outcome
