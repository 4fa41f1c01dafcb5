"""Real Postfix, with SASL by Cyrus and saslauthd or by Dovecot, as Debian installs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from .image import image
from .machine import stop, until
from .net import Net
from .smtp import Mechanism, SmtpServer, listens, saslauthd

PACKAGES = ("postfix", "sasl2-bin", "libsasl2-modules")
_CHROOT = "/var/spool/postfix"
_SASL = "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n"
_SETTINGS = (
    "inet_interfaces = all",
    "inet_protocols = all",
    "myhostname = lab.test",
    "mydestination = lab.test, localhost",
    "mynetworks = 127.0.0.0/8 [::1]/128",
    "smtpd_sasl_auth_enable = yes",
    "smtpd_sasl_security_options = noanonymous",
    "smtpd_tls_security_level = none",
)
_DOVECOT = """
protocols =
ssl = no
auth_mechanisms = plain login
auth_verbose = yes
auth_failure_delay = 0
passdb {
  driver = shadow
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
"""
_SERVICES = """
submission inet n - y - - smtpd
  -o syslog_name=postfix/submission
smtps inet n - y - - smtpd
  -o syslog_name=postfix/smtps
"""


def postfix_image() -> Path:
    """The layer with Postfix and Cyrus SASL."""
    return image(*PACKAGES)


def postfix_dovecot_image() -> Path:
    """The layer with Postfix and Dovecot's core, which checks passwords."""
    return image("postfix", "dovecot-core")


class Postfix(SmtpServer):
    """Postfix on ports 25, 587 and 465 (without TLS there: that is not what is proved), logging to syslog.

    `settings`: further lines for main.cf; `services`: for master.cf. `postscreen`: it answers port 25 in place of
    smtpd.
    """

    kind = "smtp-postfix"
    sasl: tuple[str, ...] = ("smtpd_sasl_path = smtpd",)

    def __init__(
        self, net: Net, *, settings: tuple[str, ...] = (), services: str = "", postscreen: bool = False,
        port: int = 25, mechanism: Mechanism = "plain",
    ) -> None:  # fmt: skip
        super().__init__(net, port, mechanism)
        machine = net.server
        self._passwords = self._start_passwords()
        master = machine.path("/etc/postfix/master.cf")
        text = master.read_text()
        if postscreen:
            text = re.sub(r"^smtp +inet", "#smtp inet", text, flags=re.MULTILINE)
            text = re.sub(r"^#smtp( .*postscreen)$", r"smtp\1", text, flags=re.MULTILINE)
            text = re.sub(r"^#(smtpd +pass|dnsblog|tlsproxy)", r"\1", text, flags=re.MULTILINE)
        master.write_text(text + _SERVICES + services)
        machine.run(["postconf", "-e", *_SETTINGS, *self.sasl, *settings])
        self._share_log()
        machine.run(["postfix", "start"])
        until(lambda: all(listens(machine, needed) for needed in (25, 465, 587)), what="Postfix; see its log")

    def _start_passwords(self) -> subprocess.Popen[Any]:
        machine = self.net.server
        machine.path("/etc/postfix/sasl").mkdir(exist_ok=True)
        machine.path("/etc/postfix/sasl/smtpd.conf").write_text(_SASL)
        return saslauthd(machine, f"{_CHROOT}/var/run/saslauthd")

    def _share_log(self) -> None:
        """What Debian's rsyslog does for it: a log socket within the folder that its processes are locked into."""
        inside = f"{_CHROOT}/dev/log"
        self.net.server.run(["mkdir", "-p", f"{_CHROOT}/dev"])
        self.net.server.path(inside).touch()
        self.net.server.run(["mount", "--bind", "/dev/log", inside])

    def stop_passwords(self) -> None:
        """End what checks passwords: from now on no password can be checked."""
        stop(self._passwords)

    def close(self) -> None:
        """End Postfix and what checks its passwords."""
        self.net.server.run(["postfix", "abort"], check=False)
        stop(self._passwords)


class PostfixDovecot(Postfix):
    """The same with Dovecot, which logs each failure itself, too."""

    sasl = ("smtpd_sasl_type = dovecot", "smtpd_sasl_path = private/auth")

    def _start_passwords(self) -> subprocess.Popen[Any]:
        machine = self.net.server
        for part in ("10-auth.conf", "10-ssl.conf"):
            machine.path(f"/etc/dovecot/conf.d/{part}").write_text("")
        machine.path("/etc/dovecot/local.conf").write_text(_DOVECOT)
        process = machine.popen(["dovecot", "-F"])
        until(lambda: machine.path(f"{_CHROOT}/private/auth").exists(), what="Dovecot; see its log")
        return process
