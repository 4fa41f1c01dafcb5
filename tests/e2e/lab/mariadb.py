"""A real MariaDB server of the image "mariadb-server", and its real client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .borrowed import run_as
from .machine import stop, until
from .net import Net

PACKAGES = ("mariadb-server",)
AUDIT = (
    "plugin_load_add = server_audit",
    "server_audit_logging = ON",
    "server_audit_events = CONNECT",
    "server_audit_output_type = syslog",
)
"""What makes the server tell of logins that succeed, too."""


class MariaDb:
    """mariadbd as Debian sets it up, but open to the network; alice may log in from everywhere.

    By its own starter it logs to syslog, as Debian's settings want; `error_log` (a path in the machine) makes it write
    that file. `settings` are further lines of its configuration.
    """

    service = "mysql"
    port = 3306

    def __init__(self, net: Net, *, error_log: str = "", settings: Sequence[str] = ()) -> None:
        self._net = net
        self.machine = machine = net.server
        own = "/etc/mysql/mariadb.conf.d/99-lab.cnf"
        lines = ["[mariadbd]", "bind-address = *", "max_connect_errors = 100000", *settings]
        starter = ["mariadbd-safe"]
        if error_log:
            lines.append(f"log_error = {error_log}")
            starter = ["mariadbd"]
        machine.path(own).write_text("\n".join(lines) + "\n")
        machine.run(["install", "-d", "-o", "mysql", "-g", "mysql", "/run/mysqld", "/var/log/mysql"])
        self._process = machine.popen([*starter, "--user=mysql"])
        until(lambda: self._runs(), 20, "mariadbd")
        self.statement(f"CREATE USER alice IDENTIFIED BY '{net.accounts['alice']}'")

    def _runs(self) -> bool:
        assert self._process.poll() is None, "mariadbd ended; its error stands in the log"
        return self.machine.run(["mariadb-admin", "ping"], check=False).returncode == 0

    def statement(self, text: str) -> None:
        """Have root, on the machine itself, execute this SQL."""
        self.machine.run(["mariadb", "--execute", text])

    def login(self, source: str, account: str, password: str, *, database: str = "") -> bool:
        """Log in by mariadb(1), run one query, and log out."""
        server = self._net.v6 if ":" in source else self._net.v4
        options = ["--no-defaults", "--connect-timeout=8", f"--host={server}", f"--user={account}"]
        options += [f"--password={password}", f"--database={database}", "--execute=SELECT 1"]
        return run_as(self._net, source, ["mariadb", *options]).returncode == 0

    def __enter__(self) -> MariaDb:
        return self

    def __exit__(self, *_: Any) -> None:
        stop(self._process)
