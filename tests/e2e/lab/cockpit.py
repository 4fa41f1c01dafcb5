"""A real Cockpit: its two processes on sockets made for them, as systemd makes them, and a client of its login page."""

from __future__ import annotations

import base64
import http.client
import subprocess
from contextlib import closing
from typing import Any

from .ftp import until_listens
from .machine import stop, until
from .net import Net

PACKAGES = ("cockpit-ws", "cockpit-bridge")
_TO_WS = "/run/cockpit/wsinstance/http.sock"
_LISTEN = """
import os, socket, sys
path, *command = sys.argv[1:]
if path.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
else:
    listener = socket.create_server(("::", int(path)), family=socket.AF_INET6, dualstack_ipv6=True)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), RUNTIME_DIRECTORY="/run/cockpit/tls")
os.execv(command[0], command)
"""
"""Becomes a server with a socket (a path or a TCP port) that it finds as sd_listen_fds(3) has it."""


class Cockpit:
    """cockpit-tls on the server's port 9090 (without TLS, so that it needs no certificate) and cockpit-ws behind it."""

    service = "http"
    port = 9090

    def __init__(self, net: Net) -> None:
        self._net = net
        net.server.run(["mkdir", "-p", "/run/cockpit/tls", "/run/cockpit/wsinstance"])
        programs = "/usr/lib/cockpit"
        self._processes = [
            self._start(_TO_WS, f"{programs}/cockpit-ws", "--for-tls-proxy", "--port=0"),
            self._start("9090", f"{programs}/cockpit-tls", "--no-tls"),
        ]
        until(net.server.path(_TO_WS).exists, what="the socket of cockpit-ws")
        until_listens(net.server.pid, self.port)

    def _start(self, socket: str, *command: str) -> subprocess.Popen[Any]:
        return self._net.server.popen(["/usr/bin/python3", "-c", _LISTEN, socket, *command])

    def login(self, source: str, account: str, password: str) -> bool:
        """As the login page does: a request for /cockpit/login with basic authentication."""
        return self.status(source, f"{account}:{password}".encode()) == 200

    def status(self, source: str, credentials: bytes) -> int:
        """The status of the answer to a login; 0 when nothing answers."""
        header = {"Authorization": "Basic " + base64.b64encode(credentials).decode()}
        with self._net.client.entered():
            server = self._net.v6 if ":" in source else self._net.v4
            caller = http.client.HTTPConnection(server, self.port, timeout=6, source_address=(source, 0))
            with closing(caller):
                try:
                    caller.request("GET", "/cockpit/login", headers=header)
                    return caller.getresponse().status
                except OSError:
                    return 0

    def close(self) -> None:
        """End the server; sessions end with the machine."""
        for process in self._processes:
            stop(process)

    def __enter__(self) -> Cockpit:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
