"""A real ProFTPD, as Debian sets it up but for the lines given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .ftp import ftp_try, until_listens
from .machine import stop
from .net import Net

PACKAGES = ("proftpd-core",)


class Proftpd:
    """proftpd on the server's port 21; its own log is `log`. `extra`: lines at the end of proftpd.conf.

    With `syslog` the line SystemLog is taken out, so that it writes to the system's log.
    """

    service = "ftp"
    port = 21

    def __init__(self, net: Net, *, extra: str = "", syslog: bool = False) -> None:
        self._net = net
        configuration = net.server.path("/etc/proftpd/proftpd.conf")
        lines = configuration.read_text().splitlines()
        kept = [line for line in lines if not (syslog and line.strip().startswith("SystemLog"))]
        configuration.write_text("\n".join([*kept, extra, ""]))
        net.server.path("/var/log/proftpd").mkdir(parents=True, exist_ok=True)
        net.server.path("/run/proftpd").mkdir(parents=True, exist_ok=True)
        self.log: Path = net.server.log / "proftpd" / "proftpd.log"
        self._process = net.server.popen(["/usr/sbin/proftpd", "-n", "-q", "-c", "/etc/proftpd/proftpd.conf"])
        until_listens(net.server.pid, self.port)

    def login(self, source: str, account: str, password: str) -> bool:
        """By Python's FTP client."""
        return ftp_try(self._net, account, password, source=source)

    def close(self) -> None:
        """End the listening process; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> Proftpd:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
