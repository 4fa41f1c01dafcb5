"""A real Pure-FTPd, started by Debian's wrapper as Debian sets it up but for the settings given."""

from __future__ import annotations

from typing import Any

from .ftp import ftp_try, until_listens
from .machine import stop
from .net import Net

PACKAGES = ("pure-ftpd",)


class PureFtpd:
    """pure-ftpd on the server's port 21. `settings`: files of /etc/pure-ftpd/conf with their contents."""

    service = "ftp"
    port = 21

    def __init__(self, net: Net, *, settings: dict[str, str] | None = None) -> None:
        self._net = net
        folder = net.server.path("/etc/pure-ftpd/conf")
        for name, value in (settings or {}).items():
            (folder / name).write_text(f"{value}\n")
        net.server.path("/var/log/pure-ftpd").mkdir(parents=True, exist_ok=True)
        self._process = net.server.popen(["/usr/sbin/pure-ftpd-wrapper"])
        until_listens(net.server.pid, self.port)

    def login(self, source: str, account: str, password: str) -> bool:
        """By Python's FTP client."""
        return ftp_try(self._net, account, password, source=source, seconds=6)

    def close(self) -> None:
        """End the listening process; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> PureFtpd:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
