"""A real Dropbear, as Debian packages it, logging to the machine's syslog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .machine import Machine, stop, until
from .net import Net
from .ssh import ssh_try

PACKAGES = ("dropbear-bin",)
"""What `image()` must install for it."""


class Dropbear:
    """dropbear inside the server on the port of ssh, IPv4 and IPv6; its lines are in `Syslog.auth`.

    It makes its host key with the first connection (-R). `options`: more of dropbear(8).
    """

    service = "ssh"
    port = 22

    def __init__(self, net: Net, options: Sequence[str] = ()) -> None:
        self._net = net
        net.server.path("/etc/dropbear").mkdir(exist_ok=True)
        self._process = net.server.popen(["dropbear", "-F", "-R", "-p", str(self.port), *options])
        until(self._listening, what="Dropbear")

    def _listening(self) -> bool:
        assert self._process.poll() is None, "dropbear ended; its error stands in the log"
        return f":{self.port:04X} " in _sockets(self._net.server, "tcp") + _sockets(self._net.server, "tcp6")

    def login(self, source: str, account: str, password: str) -> bool:
        """Log in once by OpenSSH's client."""
        return self.attempt(source, account, password)

    def attempt(self, source: str, account: str, password: str, *, tries: int = 1, key: Path | None = None) -> bool:
        """One connection in which `password` is offered `tries` times, or `key` alone."""
        return ssh_try(self._net, account, password, source=source, port=self.port, tries=tries, key=key, seconds=2)

    def close(self) -> None:
        """End the listening process; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> Dropbear:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _sockets(machine: Machine, table: str) -> str:
    return Path(f"/proc/{machine.pid}/net/{table}").read_text()
