"""A real Squid with Debian's settings, which asks for a password as its documentation tells how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .http import Answer, basic, http_get
from .machine import stop, until
from .net import Net
from .nginx import write_htpasswd

_LOCAL = """\
auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/htpasswd
auth_param basic children 2
auth_param basic realm lab
acl users proxy_auth REQUIRED
acl evil dstdomain evil.example.org
http_access deny evil
http_access allow users
{extra}
"""
ORIGIN = 8080
"""The port of the web server behind the proxy, on the same machine."""


class Squid:
    """Squid inside the server on port 3128, and a web server that it can fetch from. `extra`: lines of squid.conf."""

    service = "proxy"
    port = 3128

    def __init__(self, net: Net, *, extra: str = "") -> None:
        self._net = net
        machine = net.server
        write_htpasswd(machine.path("/etc/squid/htpasswd"), net.accounts)
        machine.path("/etc/squid/conf.d/lab.conf").write_text(_LOCAL.format(extra=extra))
        self.access = machine.log / "squid" / "access.log"
        self._origin = machine.popen(["python3", "-m", "http.server", str(ORIGIN), "--directory", "/srv"])
        self._process = machine.popen(["squid", "--foreground", "-YC"])
        until(self._ready, seconds=20, what="Squid on port 3128")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "Squid ended; its error stands above"
        return ":0C38 " in Path(f"/proc/{self._net.server.pid}/net/tcp6").read_text()

    def get(self, source: str, authorization: str = "", *, url: str = "", method: str = "GET") -> Answer:
        """Ask the proxy for a page."""
        headers = {"Host": f"{self._net.v4}:{ORIGIN}"}
        if authorization:
            headers["Proxy-Authorization"] = authorization
        return http_get(
            self._net, source, url or f"http://{self._net.v4}:{ORIGIN}/", headers, method=method, port=self.port
        )

    def login(self, source: str, account: str, password: str) -> bool:
        """Ask for a page through the proxy."""
        return self.get(source, basic(account, password)).status == 200

    def close(self) -> None:
        """End both servers."""
        stop(self._process)
        stop(self._origin)

    def __enter__(self) -> Squid:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
