"""Telnet: a real telnetd started by inetd or xinetd, with login(1) and PAM behind it, and a client that speaks it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from .machine import stop, until
from .net import Net

INETD = ("inetutils-telnetd", "inetutils-inetd")
XINETD = ("inetutils-telnetd", "xinetd")
"""What `image()` must install for the one or the other."""

_XINETD = """
service telnet
{{
    disable = no
    flags = REUSE IPv6
    socket_type = stream
    wait = no
    user = root
    server = /usr/sbin/telnetd
    log_type = SYSLOG daemon info
    log_on_success = HOST PID EXIT DURATION
    log_on_failure = HOST
    {extra}
}}
"""
_TERMINALS = """
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /dev/pts
umount /dev/ptmx
rm -f /dev/ptmx
ln -s pts/ptmx /dev/ptmx
"""
_COMMAND = re.compile(
    rb"\xff(?:(?P<asked>[\xfb-\xfe])(?P<option>.)|\xfa.*?\xff\xf0|[\xf0-\xf9]|(?P<byte>\xff))", re.DOTALL
)
"""What stands between the text of RFC 854: an option asked for, a negotiation, another command, a doubled byte."""
_REFUSALS = {0xFD: 0xFC, 0xFB: 0xFE}
"""DO is answered with WONT, WILL with DONT."""


class Telnet:
    """telnetd on the server's port 23, IPv4 and IPv6, started by inetd (behind tcpd, as Debian has it) or by xinetd.

    Lines: login(1) and PAM in `Syslog.auth`, tcpd, telnetd and xinetd in `Syslog.everything`. Changed of Debian's
    settings: login tells of successes, and answers a wrong password at once instead of after three seconds.
    `extra`: more lines for xinetd's service.
    """

    service = "telnet"
    port = 23

    def __init__(self, net: Net, by: Literal["inetd", "xinetd"] = "inetd", extra: str = "") -> None:
        self._net = net
        net.server.run(["sh", "-euc", _TERMINALS])
        self._change("/etc/pam.d/login", "delay=3000000", "delay=0")
        self._change("/etc/login.defs", "LOG_OK_LOGINS\t\tno", "LOG_OK_LOGINS\t\tyes")
        if by == "inetd":
            self._change("/etc/inetd.conf", "#<off># telnet\tstream\ttcp\t", "telnet\tstream\ttcp6\t")
            command = ["inetutils-inetd", "-d", "/etc/inetd.conf"]
        else:
            net.server.path("/etc/xinetd.d/telnet").write_text(_XINETD.format(extra=extra))
            command = ["xinetd", "-dontfork"]
        self._process = net.server.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listening, what=by)

    def _change(self, name: str, before: str, after: str) -> None:
        file = self._net.server.path(name)
        text = file.read_text()
        assert before in text, f"{name} is not as Debian has it"
        file.write_text(text.replace(before, after))

    def _listening(self) -> bool:
        assert self._process.poll() is None, "it ended; its error stands in the log"
        return f":{self.port:04X} " in Path(f"/proc/{self._net.server.pid}/net/tcp6").read_text()

    def login(self, source: str, account: str, password: str) -> bool:
        """Log in once and hang up."""
        return self.attempts(source, [(account, password)])

    def attempts(self, source: str, tries: Sequence[tuple[str, str]]) -> bool:
        """One connection with several tries; whether the last one was let in."""
        with TelnetClient(self._net, source) as client:
            return [client.login(account, password) for account, password in tries][-1]

    def close(self) -> None:
        """End the listening process; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> Telnet:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class TelnetClient:
    """A client that refuses every option that it is asked for (RFC 854) and can read what is written to it."""

    def __init__(self, net: Net, source: str, seconds: float = 2.0) -> None:
        with net.client.entered():
            self._socket = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
        self._socket.settimeout(seconds)
        self._raw = b""
        self._text = b""
        self._socket.bind((source, 0))
        try:
            self._socket.connect((net.v6 if ":" in source else net.v4, Telnet.port))
        except OSError:
            self._socket.close()

    def login(self, account: str, password: str) -> bool:
        """Answer both questions; False when refused, not asked, or not answered in time."""
        if not self.asked("login: "):
            return False
        self.send(account)
        if self.asked("assword: ", "login: ") != "assword: ":  # a name that login does not like
            return False
        self.send(password)
        if self.asked("Login incorrect", "$ ") != "$ ":
            return False
        self.send("exit")
        self.asked("logout")
        return True

    def send(self, line: str) -> None:
        """A line, as RFC 854 ends it."""
        data = line.encode("utf-8", "surrogateescape").replace(b"\xff", b"\xff\xff")
        try:
            self._socket.sendall(data + b"\r\0")
        except OSError:
            self._socket.close()

    def asked(self, *texts: str) -> str:
        """Read until one of `texts` was written, and return it; empty when the server hangs up or says no more."""
        while True:
            for text in texts:
                _, found, after = self._text.partition(text.encode())
                if found:
                    self._text = after
                    return text
            try:
                data = self._socket.recv(4096)
            except OSError:
                return ""
            if not data:
                return ""
            self._raw += data
            self._take()

    def _take(self) -> None:
        """Move what has come from the raw bytes to the text, refusing options on the way."""
        while True:
            plain, mark, _ = self._raw.partition(b"\xff")
            self._text += plain
            self._raw = self._raw[len(plain) :]
            command = _COMMAND.match(self._raw)
            if not mark or command is None:
                return
            self._raw = self._raw[command.end() :]
            self._text += command["byte"] or b""
            if command["asked"] and command["asked"][0] in _REFUSALS:
                self._socket.sendall(bytes([0xFF, _REFUSALS[command["asked"][0]]]) + command["option"])

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> TelnetClient:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
