"""Real Sendmail, with SASL by Cyrus and saslauthd, configured by Debian's own sendmail.mc."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from .image import image
from .machine import stop, until
from .net import Net
from .smtp import Mechanism, SmtpServer, listens, saslauthd

PORTS = (25, 587)
_SASL = "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n"
_GREETING = re.compile(r"FEATURE\(`greet_pause', `1000'\)")


def sendmail_image() -> Path:
    """The layer with Sendmail and Cyrus SASL."""
    return image("sendmail-bin", "sensible-mda", "sasl2-bin", "libsasl2-modules")


class Sendmail(SmtpServer):
    """Sendmail on ports 25 and 587, logging to syslog at `level` (Debian's is 9); `greeting` ms before it speaks.

    rates: keep Debian's limits of connections, which are for less than a test does in a minute.
    """

    kind = "smtp-sendmail"
    mails = True

    def __init__(
        self, net: Net, *, level: int = 9, greeting: int = 20, rates: bool = False, port: int = 25,
        mechanism: Mechanism = "plain",
    ) -> None:  # fmt: skip
        super().__init__(net, port, mechanism)
        machine = net.server
        self._saslauthd = saslauthd(machine, "/run/saslauthd")
        machine.path("/etc/mail/sasl/Sendmail.conf.2").write_text(_SASL)
        source = machine.path("/etc/mail/sendmail.mc")
        text = source.read_text().replace(", Addr=127.0.0.1')", "')").replace(", Addr=::1')", f", Addr={net.v6}')")
        text = re.sub(r"^dnl (DAEMON_OPTIONS\(`Family=inet6)", r"\1", text, flags=re.MULTILINE)
        text = _GREETING.sub(f"FEATURE(`greet_pause', `{greeting}')", text)
        if not rates:
            text = text.replace("`confCONNECTION_RATE_THROTTLE', `15'", "`confCONNECTION_RATE_THROTTLE', `1000'")
            access = machine.path("/etc/mail/access")
            access.write_text(re.sub(r"^ClientRate:\s+10$", "ClientRate: 0", access.read_text(), flags=re.MULTILINE))
            machine.run(["makemap", "hash", "/etc/mail/access"], input=access.read_text())
        more = f"define(`confLOG_LEVEL', `{level}')dnl\ninclude(`/etc/mail/sasl/sasl.m4')dnl\n"
        source.write_text(text.replace("MAILER_DEFINITIONS", more + "MAILER_DEFINITIONS"))
        made = machine.run(["m4", "/etc/mail/sendmail.mc"])
        machine.path("/etc/mail/sendmail.cf").write_text(made.stdout)
        machine.path("/etc/mail/local-host-names").write_text("lab.test\nlocalhost\n")
        machine.run(["mkdir", "-p", "/run/sendmail/mta"])
        self._process: subprocess.Popen[Any] = machine.popen(["/usr/libexec/sendmail/sendmail", "-bD", "-q10m"])
        until(self._listening, what="Sendmail on its ports")

    def _listening(self) -> bool:
        assert self._process.poll() is None, "Sendmail ended; its error stands above or in its log"
        return all(listens(self.net.server, port) for port in PORTS)

    def close(self) -> None:
        """End Sendmail and saslauthd."""
        stop(self._process)
        stop(self._saslauthd)
