"""A real Cyrus IMAP, as Debian installs it: IMAP on 143, POP3 on 110, accounts in SASL's own file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from .machine import stop, until
from .net import Net

PACKAGES = ("cyrus-imapd", "cyrus-pop3d", "cyrus-admin", "sasl2-bin")

_ABSENT = re.compile(r"^\s(?:nntp|http)\s.*", re.MULTILINE)
"""Services that Debian switches on though they come in packages of their own."""

_TLS_PORTS = re.compile(r"^(\s)#(?=(?:imaps|pop3s)\s+cmd=\"(?:imapd|pop3d) )", re.MULTILINE)
"""IMAP on 993 and POP3 on 995, which Debian has prepared for who has a certificate."""

_MAILBOXES = {"autocreate_quota: 0": "autocreate_quota: 100000", "popminpoll: 1": "popminpoll: 0"}
"""Each account gets a mailbox at its first login (POP3 lets nobody in who has none), and may fetch mail at any time."""

TLS = """
tls_server_cert: /etc/ssl/certs/ssl-cert-snakeoil.pem
tls_server_key: /etc/ssl/private/ssl-cert-snakeoil.key
"""
"""Settings for a certificate, with which it listens for TLS as well."""


class Cyrus:
    """Cyrus in its default configuration, but for what `_MAILBOXES` says. `settings` are more lines of imapd.conf."""

    def __init__(self, net: Net, settings: str = "") -> None:
        self._machine = net.server
        self._ports = (110, 143, 993, 995) if settings == TLS else (110, 143)
        for name, password in net.accounts.items():
            self._machine.run(["saslpasswd2", "-p", "-c", "-u", "lab", name], input=password)
        configuration = self._machine.path("/etc/imapd.conf")
        text = configuration.read_text()
        for told, wanted in _MAILBOXES.items():
            text = text.replace(told, wanted)
        configuration.write_text(text + settings)
        services = self._machine.path("/etc/cyrus.conf")
        text = _ABSENT.sub(r"#\g<0>", services.read_text())
        services.write_text(_TLS_PORTS.sub(r"\1", text) if settings == TLS else text)
        if settings == TLS:
            self._machine.run(["make-ssl-cert", "generate-default-snakeoil"])
            self._machine.run(["usermod", "--append", "--groups", "ssl-cert", "cyrus"])
        self._machine.run(["chown", "cyrus:sasl", "/etc/sasldb2"])
        for folder in ("/run/cyrus", "/run/cyrus/socket", "/run/cyrus/proc", "/run/cyrus/lock"):
            self._machine.run(["install", "-d", "-o", "cyrus", "-g", "mail", folder])
        self._output = net.server.root / "cyrus.output"
        with self._output.open("wb") as output:
            command = ["/usr/lib/cyrus/bin/master"]
            self._process = self._machine.popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self._listening, 20, what="Cyrus on port 143")

    def _listening(self) -> bool:
        assert self._process.poll() is None, f"Cyrus ended: {self._output.read_text()}"
        text = "".join(Path(f"/proc/{self._machine.pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
        return all(f":{port:04X} " in text for port in self._ports)

    def close(self) -> None:
        """End the server with all its processes."""
        stop(self._process)

    def __enter__(self) -> Cyrus:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
