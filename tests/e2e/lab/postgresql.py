"""A real PostgreSQL server of the image "postgresql-15", and its real client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .borrowed import run_as
from .machine import until
from .net import Net

PACKAGES = ("postgresql-15",)
LOG = "/var/log/postgresql/postgresql-15-main.log"
_COLLECTED = ("logging_collector = on", "log_directory = '/var/log/postgresql'", "log_filename = 'collected.log'")
_TOLD = "log_connections = on"
LOGS = {
    "debian": (_TOLD,),
    "safe": (_TOLD, "log_line_prefix = '%m [%p] '"),
    "host": (_TOLD, "log_line_prefix = '%m [%p] %h '"),
    "labelled": (_TOLD, "log_line_prefix = '%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h '"),
    "json": (_TOLD, "log_destination = 'jsonlog'", *_COLLECTED),
    "syslog": (_TOLD, "log_destination = 'syslog'", "log_line_prefix = '%m [%p] '"),
    "syslog-plain": (_TOLD, "log_destination = 'syslog'", "log_line_prefix = ''"),
    "everywhere": (_TOLD, "log_destination = 'stderr,syslog,jsonlog'", *_COLLECTED),
}
"""Settings that make it log so that the address can be had, by what is special about them."""
_CLUSTER = "/etc/postgresql/15/main"


class PostgreSql:
    """The cluster that Debian made, open to the network; alice may log in from everywhere, to her own database.

    `settings` are further lines of postgresql.conf, `hba` lines of pg_hba.conf that come before the one for all.
    """

    service = "postgresql"
    port = 5432

    def __init__(self, net: Net, *, settings: Sequence[str] = (), hba: Sequence[str] = ()) -> None:
        self._net = net
        self.machine = machine = net.server
        own = machine.path(f"{_CLUSTER}/conf.d/lab.conf")
        own.write_text("\n".join(["listen_addresses = '*'", "fsync = off", *settings]) + "\n")
        access = machine.path(f"{_CLUSTER}/pg_hba.conf")
        access.write_text("\n".join(["local all postgres peer", *hba, "host all all all scram-sha-256"]) + "\n")
        machine.run(["pg_ctlcluster", "15", "main", "start"], stdout=None, stderr=None, capture_output=False)
        self.log = machine.path(LOG)
        until(lambda: machine.run(["pg_isready", "--quiet"], check=False).returncode == 0, 20, "postgres")
        self.statement(f"CREATE ROLE alice LOGIN PASSWORD '{net.accounts['alice']}'")
        self.statement("CREATE DATABASE alice OWNER alice")

    def statement(self, text: str) -> None:
        """Have the administrator, on the machine itself, execute this SQL."""
        self.machine.run(["runuser", "-u", "postgres", "--", "psql", "--quiet", "--command", text], cwd="/")

    def login(self, source: str, account: str, password: str, *, database: str = "alice", tls: str = "disable") -> bool:
        """Log in by psql(1), run one query, and log out.

        tls: libpq's sslmode; by its own default, "prefer", it may try twice.
        """
        server = self._net.v6 if ":" in source else self._net.v4
        environment = {
            **os.environ,
            "PGPASSWORD": password,
            "PGDATABASE": database,  # an option would be read as more than a name if it holds "="
            "PGSSLMODE": tls,
            "PGCONNECT_TIMEOUT": "8",
        }
        command = ["psql", f"--host={server}", f"--username={account}", "--command", "SELECT 1"]
        return run_as(self._net, source, command, env=environment).returncode == 0

    def __enter__(self) -> PostgreSql:
        return self

    def __exit__(self, *_: Any) -> None:
        self.machine.run(["pg_ctlcluster", "15", "main", "stop", "--mode", "immediate"], check=False)
