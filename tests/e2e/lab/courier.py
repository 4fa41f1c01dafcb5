"""A real Courier, as Debian installs it: IMAP on 143 and 993, POP3 on 110 and 995, accounts of the system by PAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .machine import until
from .net import Net

PACKAGES = ("courier-imap", "courier-pop", "courier-authdaemon")

_DAEMONS = ("authdaemond", "imapd", "imapd-ssl", "pop3d", "pop3d-ssl")
_PORTS = (110, 143, 993, 995)


class Courier:
    """Courier's mailbox servers in their default configuration, started by their own scripts.

    Only POP3 takes more connections from one address: a refused login holds its connection for 5 seconds.
    """

    def __init__(self, net: Net) -> None:
        self._machine = net.server
        for name in net.accounts:
            self._machine.run(["maildirmake", f"/home/{name}/Maildir"])
            self._machine.run(["chown", "-R", f"{name}:{name}", f"/home/{name}/Maildir"])
        settings = self._machine.path("/etc/courier/pop3d")
        settings.write_text(settings.read_text().replace("MAXPERIP=4\n", "MAXPERIP=40\n"))
        for daemon in _DAEMONS:
            # The daemons stay behind, so what they print must not be waited for.
            self._machine.run([f"/usr/sbin/{daemon}", "start"], capture_output=False, text=False, stdout=-3, stderr=-3)
        until(self._listening, what="Courier on port 143")

    def _listening(self) -> bool:
        text = "".join(Path(f"/proc/{self._machine.pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
        return all(f":{port:04X} " in text for port in _PORTS)

    def close(self) -> None:
        """End the daemons; open sessions end with the machine."""
        for daemon in reversed(_DAEMONS):
            self._machine.run([f"/usr/sbin/{daemon}", "stop"], check=False)

    def __enter__(self) -> Courier:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
