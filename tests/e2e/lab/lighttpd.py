"""A real lighttpd with Debian's settings and its modules for passwords and the access log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .http import basic, http_get
from .machine import stop, until
from .net import Net
from .nginx import write_htpasswd, write_site

_AUTH = """\
server.modules += ( "mod_auth", "mod_authn_file" )
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "/etc/lighttpd/htpasswd"
auth.require = (
    "/private/" => ( "method" => "basic", "realm" => "lab", "require" => "valid-user" ),
    "/staff/" => ( "method" => "basic", "realm" => "lab", "require" => "user=somebody-else" )
)
$HTTP["url"] =~ "^/denied/" { url.access-deny = ( "" ) }
"""


class Lighttpd:
    """lighttpd inside the server on port 80, IPv4 and IPv6."""

    service = "http"
    port = 80

    def __init__(self, net: Net) -> None:
        self._net = net
        machine = net.server
        write_site(machine)
        write_htpasswd(machine.path("/etc/lighttpd/htpasswd"), net.accounts)
        enabled = machine.path("/etc/lighttpd/conf-enabled")
        enabled.mkdir(exist_ok=True)
        (enabled / "05-auth.conf").write_text(_AUTH)
        log = machine.path("/etc/lighttpd/conf-available/10-accesslog.conf").read_text()
        (enabled / "10-accesslog.conf").write_text(log)
        self.access = machine.log / "lighttpd" / "access.log"
        self.error = machine.log / "lighttpd" / "error.log"
        self._process = machine.popen(["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"])
        until(self._ready, what="lighttpd on port 80")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "lighttpd ended; its error stands above"
        tables = (Path(f"/proc/{self._net.server.pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
        return all(":0050 " in table for table in tables)

    def login(self, source: str, account: str, password: str) -> bool:
        """Ask for a page that needs a password."""
        answer = http_get(self._net, source, "/private/", authorization=basic(account, password))
        return answer.status == 200

    def close(self) -> None:
        """End the server, which writes what it still holds of its access log."""
        stop(self._process)

    def __enter__(self) -> Lighttpd:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
