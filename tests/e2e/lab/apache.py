"""A real Apache with Debian's settings, and pages that ask for a password by basic and by digest authentication."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from .http import basic, http_digest, http_get
from .machine import stop, until
from .net import Net
from .nginx import write_htpasswd, write_site

_SITE = """\
ServerName lab.test
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\" \\"%{{X-Forwarded-For}}i\\"" forwarded
<VirtualHost *:80>
    DocumentRoot /var/www/html
    ErrorLog ${{APACHE_LOG_DIR}}/error.log
    CustomLog ${{APACHE_LOG_DIR}}/access.log {form}
    <Location "/private/">
        AuthType Basic
        AuthName lab
        AuthUserFile /etc/apache2/htpasswd
        Require valid-user
    </Location>
    <Location "/staff/">
        AuthType Basic
        AuthName lab
        AuthUserFile /etc/apache2/htpasswd
        Require user somebody-else
    </Location>
    <Location "/digest/">
        AuthType Digest
        AuthName lab
        AuthDigestProvider file
        AuthUserFile /etc/apache2/htdigest
        Require valid-user
    </Location>
    <Location "/denied/">
        Require all denied
    </Location>
    {extra}
</VirtualHost>
"""


class Apache:
    """Apache inside the server on port 80, IPv4 and IPv6. `form`: name of the access log's LogFormat."""

    service = "http"
    port = 80

    def __init__(self, net: Net, *, form: str = "combined", extra: str = "") -> None:
        self._net = net
        machine = net.server
        write_site(machine)
        for folder in ("staff", "digest"):
            machine.path(f"/var/www/html/{folder}").mkdir(exist_ok=True)
            machine.path(f"/var/www/html/{folder}/index.html").write_text("<html>lab</html>\n")
        write_htpasswd(machine.path("/etc/apache2/htpasswd"), net.accounts)
        rows = (f"{name}:lab:{_digest(name, password)}\n" for name, password in net.accounts.items())
        machine.path("/etc/apache2/htdigest").write_text("".join(rows))
        site = _SITE.format(form=form, extra=extra)
        machine.path("/etc/apache2/sites-available/000-default.conf").write_text(site)
        machine.run(["a2enmod", "-q", "auth_digest"])
        self.access = machine.log / "apache2" / "access.log"
        self.error = machine.log / "apache2" / "error.log"
        for folder in ("apache2", "lock"):
            machine.path(f"/run/{folder}").mkdir(exist_ok=True)
        self._process = machine.popen(["apachectl", "-D", "FOREGROUND"])
        until(self._ready, what="Apache on port 80")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "Apache ended; its error stands above"
        return ":0050 " in Path(f"/proc/{self._net.server.pid}/net/tcp6").read_text()

    def login(self, source: str, account: str, password: str) -> bool:
        """Ask for a page that needs a password by basic authentication."""
        answer = http_get(self._net, source, "/private/", authorization=basic(account, password))
        return answer.status == 200

    def close(self) -> None:
        """End the server; its workers end with the machine."""
        stop(self._process)

    def __enter__(self) -> Apache:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class ApacheDigest(Apache):
    """The same, logged in to by digest authentication."""

    def login(self, source: str, account: str, password: str) -> bool:
        """Ask for a page that needs a password by digest authentication: two requests, as browsers do."""
        challenge = http_get(self._net, source, "/digest/")
        if challenge.status != 401:
            return False
        return http_digest(self._net, source, "/digest/", account, password).status == 200


def _digest(name: str, password: str) -> str:
    return hashlib.md5(f"{name}:lab:{password}".encode()).hexdigest()
