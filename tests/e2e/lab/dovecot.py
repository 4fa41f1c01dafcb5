"""A real Dovecot, as Debian installs it: IMAP on 143 and 993, POP3 on 110 and 995, accounts of the system by PAM."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from .machine import stop, until
from .net import Net

PACKAGES = ("dovecot-imapd", "dovecot-pop3d", "dovecot-submissiond", "dovecot-managesieved")

_CERTIFICATE = {
    "dovecot.pem": "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "dovecot.key": "/etc/ssl/private/ssl-cert-snakeoil.key",
}
"""The links that the package makes when the machine has a certificate by the time of its installation."""

_NO_DELAYS = """
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
"""By default a refused client waits, longer each time: right in the world, and only slow in a test."""

VERBOSE = "auth_verbose = yes\n"
"""The authentication process logs each failure as well."""

EVENTS = """
event_exporter log {
  format = json
  format_args = time-rfc3339
  transport = log
}
metric ringfence {
  filter = event=auth_request_finished
  exporter = log
  fields = service remote_ip session user success
}
"""
"""Dovecot logs each login at once, with its service: what the catalogue advises."""


class Dovecot:
    """Dovecot in its default configuration, except that a wrong password is answered at once.

    `extra` is more configuration, which wins over Debian's.
    """

    def __init__(self, net: Net, extra: str = "") -> None:
        net.server.run(["make-ssl-cert", "generate-default-snakeoil"])
        net.server.path("/etc/dovecot/local.conf").write_text(_NO_DELAYS + extra)
        for name, target in _CERTIFICATE.items():
            net.server.path(f"/etc/dovecot/private/{name}").symlink_to(target)
        self._output = net.server.root / "dovecot.output"
        with self._output.open("wb") as output:
            command = ["/usr/sbin/dovecot", "-F"]
            self._process = net.server.popen(command, stdout=output, stderr=subprocess.STDOUT)
        self._machine = net.server
        until(self._listening, what="Dovecot on port 143")

    def _listening(self) -> bool:
        assert self._process.poll() is None, f"Dovecot ended: {self._output.read_text()}"
        text = Path(f"/proc/{self._machine.pid}/net/tcp").read_text()
        return all(f":{port:04X} 00000000:0000 0A" in text for port in (110, 143, 993, 995))

    def close(self) -> None:
        """End the server with all its processes."""
        stop(self._process)

    def __enter__(self) -> Dovecot:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
