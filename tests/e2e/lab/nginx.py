"""A real nginx with Debian's settings and one site that asks for a password here and there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from .http import basic, http_get
from .machine import Machine, stop, until
from .net import Net

_SITE = """\
limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                '"$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
log_format vhosts '$host:$server_port $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                  '"$http_referer" "$http_user_agent"';
access_log /var/log/nginx/access.log {form};
{before}
server {{
    listen 80 default_server;
    listen [::]:80 default_server;
    root /var/www/html;
    server_name _;
    {extra}
    location / {{ try_files $uri $uri/ =404; }}
    location /private/ {{ auth_basic "lab"; auth_basic_user_file /etc/nginx/htpasswd; {private} }}
    location /denied/ {{ deny all; }}
    location /slow/ {{ limit_req zone=slow; }}
}}
"""


def write_site(machine: Machine) -> None:
    """A page for everybody and one below /private/."""
    for name in ("index.html", "private/index.html", "denied/index.html", "slow/index.html"):
        page = machine.path("/var/www/html") / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<html>lab</html>\n")


def write_htpasswd(file: Path, accounts: dict[str, str]) -> None:
    """A file of user names and hashed passwords, as htpasswd(1) writes it."""
    rows = []
    for name, password in accounts.items():
        command = ["openssl", "passwd", "-apr1", "-stdin"]
        done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
        rows.append(f"{name}:{done.stdout.strip()}\n")
    file.write_text("".join(rows))
    file.chmod(0o644)


class Nginx:
    """nginx inside the server on port 80, IPv4 and IPv6. `form`: combined, main or vhosts, of the access log.

    before, extra, private: lines of its settings before the server, in it, and in the location that needs a password.
    """

    service = "http"
    port = 80

    def __init__(
        self, net: Net, *, form: str = "combined", before: str = "", extra: str = "", private: str = ""
    ) -> None:
        self._net = net
        machine = net.server
        write_site(machine)
        write_htpasswd(machine.path("/etc/nginx/htpasswd"), net.accounts)
        machine.path("/etc/nginx/sites-available/default").write_text(
            _SITE.format(form=form, before=before, extra=extra, private=private)
        )
        settings = machine.path("/etc/nginx/nginx.conf")
        settings.write_text(
            settings.read_text()
            .replace("access_log /var/log/nginx/access.log;", "")
            .replace("worker_processes auto;", "worker_processes 1;")
        )
        self.access = machine.log / "nginx" / "access.log"
        self.error = machine.log / "nginx" / "error.log"
        self._process = machine.popen(["nginx", "-g", "daemon off;"])
        until(lambda: self._ready(net), what="nginx on port 80")

    def _ready(self, net: Net) -> bool:
        assert self._process.poll() is None, "nginx ended; its error stands above"
        tables = (Path(f"/proc/{net.server.pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
        return all(":0050 " in table for table in tables)

    def login(self, source: str, account: str, password: str) -> bool:
        """Ask for a page that needs a password."""
        answer = http_get(self._net, source, "/private/", authorization=basic(account, password))
        return answer.status == 200

    def close(self) -> None:
        """End the server."""
        stop(self._process)

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
