"""A real vsftpd, as Debian sets it up but for the lines given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .ftp import ftp_try, until_listens
from .machine import stop
from .net import Net

PACKAGES = ("vsftpd",)


class Vsftpd:
    """vsftpd on the server's port 21; its own log is `log`. `extra`: lines of vsftpd.conf that win over Debian's."""

    service = "ftp"
    port = 21

    def __init__(self, net: Net, *, extra: str = "") -> None:
        self._net = net
        configuration = net.server.path("/etc/vsftpd.conf")
        configuration.write_text(f"{configuration.read_text()}\n{extra}\n")
        net.server.path("/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
        self.log: Path = net.server.log / "vsftpd.log"
        self._process = net.server.popen(["/usr/sbin/vsftpd", "/etc/vsftpd.conf"])
        until_listens(net.server.pid, self.port)

    def login(self, source: str, account: str, password: str) -> bool:
        """By Python's FTP client."""
        return ftp_try(self._net, account, password, source=source)

    def close(self) -> None:
        """End the listening process; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> Vsftpd:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
