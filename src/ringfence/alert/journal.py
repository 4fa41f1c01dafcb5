"""The line of the system's log for every ban: a stable form for other programs.

    ban service=sip address=192.0.2.1 seconds=3600 until=2026-11-27T03:00:00Z by=rule:flood id=17
    unban service=sip address=192.0.2.1 why=expired at=2026-11-27T03:00:00Z by=rule:flood id=17

Always these keys in this order; new ones may follow. A value holds no space: whatever is not a letter, digit or one of
`._:/@+*-` of ASCII is written as in a URL (%20, RFC 3986 section 2.1). A ban for good has seconds=-1 until=never; of
all services, service=*. Only what we named ourselves is told, nothing that an attacker wrote.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import time
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from ringfence.ledger import BanLine

PROGRAM: Final = "ringfence"
AUTHPRIV_NOTICE: Final = (10 << 3) | 5
"""Facility and severity as RFC 3164 section 4.1.1 counts them: about security, not for everybody's eyes."""
DEVICE: Final = "/dev/log"
VARIABLE: Final = "RINGFENCE_SYSLOG"
"""Names another socket of syslog than `DEVICE`: for tests, and for machines that have it elsewhere."""
ENDS: Final = ("expired", "lifted", "evicted", "past")
"""The changes after which a ban no longer runs."""


def line(told: BanLine) -> str:
    """What the log is told of a change of a ban: that it is, with its end as it now is, or that it is over."""
    where = f"service={_value(told.service)} address={_value(told.target)}"
    whose = f"by={_value(told.author)} id={told.ban}"
    if told.change in ENDS:
        return f"unban {where} why={told.change} at={_moment(told.time)} {whose}"
    seconds = math.ceil(told.until - told.time) if math.isfinite(told.until) else -1
    return f"ban {where} seconds={seconds} until={_moment(told.until)} {whose}"


def datagram(text: str, now: float, process: int) -> bytes:
    """`text` as the local syslog daemon takes it (RFC 3164 section 4.1, without the host, as syslog(3) does)."""
    stamp = time.localtime(now)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[stamp.tm_mon - 1]
    moment = f"{month} {stamp.tm_mday:2} {stamp.tm_hour:02}:{stamp.tm_min:02}:{stamp.tm_sec:02}"
    return f"<{AUTHPRIV_NOTICE}>{moment} {PROGRAM}[{process}]: {text}".encode()


class SystemLog:
    """The local syslog or journal, at its socket; never waited for."""

    def __init__(self, device: str = DEVICE) -> None:
        self._device = device
        self._outlet: socket.socket | None = None

    def write(self, text: str, now: float) -> str:
        """Write one line; returns why it could not be written, empty when it was. `now` in seconds UTC."""
        data = datagram(text, now, os.getpid())
        try:
            try:
                self._socket().send(data)
            except OSError as error:
                if error.errno not in (errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE):
                    raise
                self.close()  # the daemon began anew, with a new socket
                self._socket().send(data)
        except BlockingIOError:
            return f"{self._device}: the log takes nothing at the moment"
        except OSError as error:
            self.close()
            return f"{self._device}: {error.strerror or error}"
        return ""

    def close(self) -> None:
        """Let the socket go; the next line opens it again."""
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None

    def _socket(self) -> socket.socket:
        if self._outlet is None:
            outlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            try:
                outlet.connect(self._device)
            except OSError:
                outlet.close()
                raise
            self._outlet = outlet
        return self._outlet


def _value(text: str) -> str:
    return quote(text, safe="._:/@+*-", errors="backslashreplace").replace("~", "%7E") or "-"


def _moment(when: float) -> str:
    """Seconds UTC as RFC 3339 with Z, rounded up to whole seconds; "never" for what has no end."""
    if not math.isfinite(when):
        return "never"
    return datetime.fromtimestamp(math.ceil(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
