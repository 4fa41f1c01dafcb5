"""Real Courier: esmtpd and authdaemond, with accounts by PAM."""

from __future__ import annotations

import re
from pathlib import Path

from .image import image
from .machine import until
from .net import Net
from .smtp import Mechanism, SmtpServer, listens

PORTS = (25, 587)
_SERVICES = ("authdaemond", "courierfilter", "courier", "esmtpd", "esmtpd-msa")


def courier_mta_image() -> Path:
    """The layer with Courier's mail server."""
    return image("courier-mta", "courier-authdaemon")


class CourierMta(SmtpServer):
    """Courier's esmtpd on ports 25 and 587, logging to syslog; it does not ask for names and never slows down."""

    kind = "smtp-courier"
    logs = ("/var/log/mail.log", "/var/log/syslog", "/var/log/auth.log")
    mails = True

    def __init__(self, net: Net, *, port: int = 25, mechanism: Mechanism = "plain") -> None:
        super().__init__(net, port, mechanism)
        machine = net.server
        machine.path("/etc/courier/me").write_text("lab.test\n")
        machine.path("/etc/courier/locals").write_text("lab.test\nlocalhost\n")
        machine.path("/etc/pam.d/esmtp").write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
        settings = machine.path("/etc/courier/esmtpd")
        text = re.sub(r"^ESMTPAUTH=.*$", 'ESMTPAUTH="PLAIN LOGIN"', settings.read_text(), flags=re.MULTILINE)
        text = text.replace("-noidentlookup", "-noidentlookup -nodnslookup").replace("BOFHCHECKDNS=1", "BOFHCHECKDNS=0")
        text = re.sub(r"^(MAXPERI?[CP])=5$", r"\1=50", text, flags=re.MULTILINE)
        settings.write_text(text.replace("TARPIT=1", "TARPIT=0"))
        machine.run(["install", "-d", "-o", "courier", "-g", "courier", "/run/courier", "/run/courier/authdaemon"])
        for service in _SERVICES:
            machine.run([service, "start"], check=False)
        until(lambda: all(listens(machine, number) for number in PORTS), what="Courier on its ports; see its log")

    def close(self) -> None:
        """End all its daemons."""
        for service in reversed(_SERVICES):
            self.net.server.run([service, "stop"], check=False)
