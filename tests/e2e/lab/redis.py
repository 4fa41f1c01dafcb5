"""A real Redis server of the image "redis-server", and its real client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .borrowed import run_as
from .machine import stop, until
from .net import Net

PACKAGES = ("redis-server",)
LOG = "/var/log/redis/redis-server.log"
_AS_REDIS = ("setpriv", "--reuid=redis", "--regid=redis", "--clear-groups")


class Redis:
    """redis-server by Debian's configuration, but open to the network; alice and the default user have passwords.

    `settings` are further lines of its configuration, and win.
    """

    service = "redis"
    port = 6379

    def __init__(self, net: Net, *, settings: Sequence[str] = ()) -> None:
        self._net = net
        self.machine = machine = net.server
        password = net.accounts["alice"]
        own = [
            "bind * -::*",
            "daemonize no",
            f'requirepass "{password}"',
            f'user alice on ">{password}" ~* +@all',
            *settings,
        ]
        configuration = machine.path("/etc/redis/lab.conf")
        configuration.write_text("include /etc/redis/redis.conf\n" + "\n".join(own) + "\n")
        machine.run(["install", "-d", "-o", "redis", "-g", "redis", "/run/redis"])
        self._process = machine.popen([*_AS_REDIS, "redis-server", "/etc/redis/lab.conf"])
        self.log = machine.path(LOG)
        until(lambda: self.log.exists() and "Ready to accept connections" in self.log.read_text(), 10, "redis-server")

    def command(self, source: str, words: Sequence[str]) -> str:
        """What redis-cli(1) prints for a command, with its options before it."""
        server = self._net.v6 if ":" in source else self._net.v4
        done = run_as(self._net, source, ["redis-cli", "-h", server, "--no-auth-warning", *words])
        return done.stdout + done.stderr

    def login(self, source: str, account: str, password: str) -> bool:
        """AUTH by redis-cli(1), then PING."""
        return "PONG" in self.command(source, ["--user", account, "--pass", password, "PING"])

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *_: Any) -> None:
        stop(self._process)
