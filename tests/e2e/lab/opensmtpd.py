"""Real OpenSMTPD, with the machine's accounts."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

from .image import image
from .machine import stop, until
from .net import Net
from .smtp import Mechanism, SmtpServer, listens

PORTS = (25, 465, 587)
# Debian 12's OpenSMTPD can't use a certificate's key (OpenSMTPD issue 1171), so its clients don't ask for one.
CIPHERS = "AECDH-AES256-SHA:ADH-AES256-GCM-SHA384:@SECLEVEL=0"
_SETTINGS = f"""\
smtp ciphers "{CIPHERS}"
pki lab.test cert "/etc/ssl/opensmtpd.crt"
pki lab.test key "/etc/ssl/opensmtpd.key"
pki lab.test dhe auto
table aliases file:/etc/aliases
table passwords file:/etc/opensmtpd.passwords
listen on 0.0.0.0 port 25 tls pki lab.test auth-optional <passwords>
listen on :: port 25 tls pki lab.test auth-optional <passwords>
listen on 0.0.0.0 port 465 smtps pki lab.test auth <passwords>
listen on :: port 465 smtps pki lab.test auth <passwords>
listen on 0.0.0.0 port 587 tls-require pki lab.test auth <passwords>
listen on :: port 587 tls-require pki lab.test auth <passwords>
action "local" maildir alias <aliases>
action "relay" relay
match from any for domain "lab.test" action "local"
match from local for any action "relay"
match auth from any for any action "relay"
"""


def trusting() -> ssl.SSLContext:
    """How a client speaks TLS with it: without asking who it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    return context


def opensmtpd_image() -> Path:
    """The layer with OpenSMTPD."""
    return image("opensmtpd")


class OpenSmtpd(SmtpServer):
    """OpenSMTPD on ports 25, 465 and 587, logging to syslog. It takes passwords under TLS only."""

    kind = "smtp-opensmtpd"
    tls = trusting()

    def __init__(self, net: Net, *, port: int = 25, mechanism: Mechanism = "plain") -> None:
        super().__init__(net, port, mechanism)
        machine = net.server
        certificate = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=lab.test",
        ]
        machine.run([*certificate, "-keyout", "/etc/ssl/opensmtpd.key", "-out", "/etc/ssl/opensmtpd.crt"])
        machine.run(["chmod", "600", "/etc/ssl/opensmtpd.key"])
        rows = [f"{name}\t{machine.run(['smtpctl', 'encrypt', word]).stdout}" for name, word in net.accounts.items()]
        machine.path("/etc/opensmtpd.passwords").write_text("".join(rows))
        machine.path("/etc/smtpd.conf").write_text(_SETTINGS)
        machine.path("/etc/mailname").write_text("lab.test\n")
        self._process: subprocess.Popen[Any] = machine.popen(["smtpd", "-F"])
        until(self._listening, what="OpenSMTPD on its ports")

    def _listening(self) -> bool:
        assert self._process.poll() is None, "OpenSMTPD ended; its error stands above or in its log"
        return all(listens(self.net.server, port) for port in PORTS)

    def close(self) -> None:
        """End OpenSMTPD."""
        stop(self._process)
