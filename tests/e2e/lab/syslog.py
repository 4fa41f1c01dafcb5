"""The system log of a lab machine: a real rsyslogd that writes the files Debian has."""

from __future__ import annotations

from typing import Any

from .machine import Machine, stop, until

_FORMATS = {
    "rfc3164": "RSYSLOG_TraditionalFileFormat",
    "iso": "RSYSLOG_FileFormat",
    "rfc5424": "RSYSLOG_SyslogProtocol23Format",
}

_CONFIGURATION = """\
module(load="imuxsock")
module(load="builtin:omfile" template="{template}" fileCreateMode="0640")
auth,authpriv.*                 /var/log/auth.log
local0.*                        /var/log/kamailio.log
mail.*                          /var/log/mail.log
*.*;auth,authpriv.none          /var/log/syslog
"""


class Syslog:
    """rsyslogd inside `machine`, at its private /dev/log. `form`: rfc3164 (as Debian 12 set it up), iso or rfc5424.

    Files: `auth` (auth, authpriv), `kamailio` (local0), `mail` (mail), `everything` (all but auth), as paths on this
    side. As on Debian, a line of a mail server is in two of them.
    """

    def __init__(self, machine: Machine, form: str = "rfc3164") -> None:
        self.machine = machine
        self.auth = machine.log / "auth.log"
        self.kamailio = machine.log / "kamailio.log"
        self.mail = machine.log / "mail.log"
        self.everything = machine.log / "syslog"
        self._configuration = machine.root / "rsyslog.conf"
        self._configuration.write_text(_CONFIGURATION.format(template=_FORMATS[form]))
        self._process = machine.popen(["rsyslogd", "-n", "-iNONE", "-f", str(self._configuration)])
        until(self._ready, what="rsyslogd's /dev/log")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "rsyslogd ended; its error stands above"
        return self.machine.path("/dev/log").exists()

    def hang_up(self) -> None:
        """Make rsyslogd open its files anew, as logrotate does after it has renamed them."""
        self._process.send_signal(1)

    def close(self) -> None:
        """Write what is left and end."""
        stop(self._process)

    def __enter__(self) -> Syslog:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
