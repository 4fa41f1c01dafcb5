"""The program `sendmail` as other mail servers than Postfix bring it along: the same command line fits them all."""

from __future__ import annotations

import asyncio
import email
import email.policy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lab import Net, Syslog, missing
from lab.exim import Exim, exim_image
from lab.machine import until
from lab.opensmtpd import OpenSmtpd, opensmtpd_image
from lab.sendmail import Sendmail, sendmail_image
from lab.smtp import SmtpServer

from ringfence.alert.message import Message
from ringfence.alert.mime import build
from ringfence.alert.sendmail import send_by_program

sys.path.insert(0, str(Path(__file__).parents[1] / "alert"))
from alert_sending import Marked

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs")]

SERVERS: dict[str, tuple[Callable[[], Path], Callable[[Net], SmtpServer]]] = {
    "exim": (exim_image, Exim),
    "opensmtpd": (opensmtpd_image, OpenSmtpd),
    "sendmail": (sendmail_image, Sendmail),
}
BOXES = ("/var/mail/alice", "/home/alice/Maildir/new")
MESSAGE = Message(subject="ssh: 192.0.2.1 — Grüße", text="The rule flood fired.\n.\nThe dot above is no end.\n")


def mail_for_alice(net: Net) -> bytes:
    """What stands in her mailbox, of whatever kind it is; empty when nothing does."""
    for box in map(net.server.path, BOXES):
        for file in sorted(box.glob("*")) if box.is_dir() else [box] if box.is_file() else []:
            return file.read_bytes()
    return b""


@pytest.mark.parametrize("name", SERVERS)
def test_a_mail_goes_by_the_sendmail_program_of_every_mail_server(name: str, tmp_path: Path) -> None:
    image, make = SERVERS[name]
    with Net(tmp_path / "net", clients=1, image=image()) as net, Syslog(net.server) as log, make(net):
        inside = net.server.argv(["runuser", "-u", "alice", "--", "/usr/sbin/sendmail"])
        program = tmp_path / "sendmail"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(inside)} "$@"\n')
        program.chmod(0o755)
        sender, to = "ringfence@lab.test", "alice@lab.test"
        data = build(MESSAGE, sender, to, message_id="1@lab.test", now=1_795_744_800.0, host="lab.test")
        outcome = asyncio.run(send_by_program(program, sender, to, data, Marked(), timeout=15))
        assert outcome.state == "sent", (outcome, log.mail.read_text())
        until(lambda: b"is no end." in mail_for_alice(net), what="the mail; see mail.log")
        mail = email.message_from_bytes(mail_for_alice(net), policy=email.policy.default)
        assert (mail["Subject"], mail["Message-ID"]) == (MESSAGE.subject, "<1@lab.test>")
        assert mail["From"].addresses[0].addr_spec == sender
        text = mail.get_payload(decode=True)
        assert isinstance(text, bytes) and text.decode().rstrip() == MESSAGE.text.rstrip()
