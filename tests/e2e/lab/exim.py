"""Real Exim, with the authenticators of Debian's own examples."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from .image import image
from .machine import stop, until
from .net import Net
from .smtp import Mechanism, SmtpServer, listens

PORTS = (25, 465, 587)
_SETTINGS = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='lab.test'
dc_local_interfaces=''
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
_EXAMPLES = re.compile(r"^# (?:plain|login)_server:\n(?:# .*\n)+", re.MULTILINE)


def exim_image() -> Path:
    """The layer with Exim."""
    return image("exim4-daemon-heavy")


class Exim(SmtpServer):
    """Exim on ports 25, 587 and 465 (without TLS there: that is not what is proved).

    `selector`: what log_selector adds to or takes from its default (+pid and the like).
    """

    kind = "smtp-exim"
    logs = ("/var/log/exim4/mainlog", "/var/log/exim4/rejectlog")
    mails = True

    def __init__(self, net: Net, *, selector: str = "", port: int = 25, mechanism: Mechanism = "plain") -> None:
        super().__init__(net, port, mechanism)
        machine = net.server
        self._write(selector)
        machine.run(["update-exim4.conf"])
        ports = ":".join(map(str, PORTS))
        self._process: subprocess.Popen[Any] = machine.popen(["exim4", "-bdf", "-q30m", "-oX", ports])
        until(self._listening, what="Exim on its ports")

    def _write(self, selector: str) -> None:
        machine = self.net.server
        machine.path("/etc/exim4/update-exim4.conf.conf").write_text(_SETTINGS)
        template = machine.path("/etc/exim4/exim4.conf.template")
        template.write_text(_EXAMPLES.sub(_uncommented, template.read_text()))
        macros = ["AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes"]
        macros += [f"MAIN_LOG_SELECTOR = {selector}"] if selector else []
        machine.path("/etc/exim4/exim4.conf.localmacros").write_text("\n".join(macros) + "\n")
        machine.path("/etc/mailname").write_text("lab.test\n")
        passwords = machine.path("/etc/exim4/passwd")
        passwords.write_text("".join(f"{name}:{_hash(word)}\n" for name, word in self.net.accounts.items()))
        machine.run(["chown", "root:Debian-exim", "/etc/exim4/passwd", "/var/log/exim4"])
        machine.run(["chown", "Debian-exim:adm", "/var/log/exim4"])

    def _listening(self) -> bool:
        assert self._process.poll() is None, "Exim ended; its error stands above or in its paniclog"
        return all(listens(self.net.server, port) for port in PORTS)

    def close(self) -> None:
        """End the daemon; connections end with the machine."""
        stop(self._process)


def _uncommented(found: re.Match[str]) -> str:
    return re.sub(r"^# ", "", found[0], flags=re.MULTILINE)


def _hash(password: str) -> str:
    command = ["openssl", "passwd", "-5", "-stdin"]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()
