"""fail2ban as Debian installs it, with a configuration, socket and database of its own in a directory that we give.

Filters and actions are the installed ones; only what says where things are is ours. The socket carries pickled lists
that end in a marker (fail2ban's own client protocol), so asking the server costs no new process.
"""

from __future__ import annotations

import io
import pickle
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.tools import Namespace, installed

INSTALLED = Path("/etc/fail2ban")
SHARED = ("filter.d", "action.d", "fail2ban.conf", "jail.conf", "paths-common.conf", "paths-debian.conf")
END_OF_COMMAND = b"<F2B_END_COMMAND>"
MAXRETRY = 5
NO_BAN = 100_000_000
SYSTEM_PYTHON = "/usr/bin/python3"


def available() -> bool:
    """Is fail2ban installed?"""
    return installed("fail2ban-server") is not None


class _Refusal(Exception):
    """Stands for whatever error the server answers with."""


class _Plain(pickle.Unpickler):
    """Reads plain values; every class, known or not, becomes a refusal, so that nothing of the peer's is loaded."""

    def find_class(self, module: str, name: str) -> type[_Refusal]:
        return _Refusal


class Server:
    """One fail2ban-server with one sshd jail on one file; `maxretry=NO_BAN` for a jail that never bans."""

    def __init__(self, directory: Path, log: Path, maxretry: int = MAXRETRY, findtime: str = "1d") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            if not (directory / name).exists():
                (directory / name).symlink_to(INSTALLED / name)
        (directory / "fail2ban.local").write_text(
            f"[Definition]\nlogtarget = {directory}/fail2ban.log\nsocket = {directory}/socket\n"
            f"pidfile = {directory}/pid\ndbfile = {directory}/fail2ban.sqlite3\n"
        )
        (directory / "jail.local").write_text(
            f"[DEFAULT]\nbanaction = nftables\nbanaction_allports = nftables[type=allports]\n"
            f"[sshd]\nenabled = true\nlogpath = {log}\nmaxretry = {maxretry}\nfindtime = {findtime}\nbantime = 1h\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, namespace: Namespace) -> float:
        """Start the server; returns `time.perf_counter()` just before."""
        begin = time.perf_counter()
        self.process = namespace.start(["fail2ban-server", "-f", "-c", str(self.directory), "start"])
        return begin

    def ask(self, *command: str) -> Any:
        """The server's answer to one client command, e.g. `ask("status", "sshd")`."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.directory / "socket"))
            client.sendall(pickle.dumps(list(command)) + END_OF_COMMAND)
            answer = b""
            while not answer.endswith(END_OF_COMMAND):
                data = client.recv(1 << 16)
                if not data:
                    break
                answer += data
        code, value = _Plain(io.BytesIO(answer.removesuffix(END_OF_COMMAND))).load()
        if code:
            raise RuntimeError(f"fail2ban refused {command}: {value}")
        return value

    def status(self) -> dict[str, Any]:
        """Counters of the jail: "Total failed", "Total banned", …; empty while the server is not up."""
        try:
            answer = self.ask("status", "sshd")
        except (OSError, RuntimeError, EOFError):
            return {}
        return {name: value for _, group in answer for name, value in group}

    def until(self, counter: str, value: int, timeout: float) -> bool:
        """Wait until a counter of the jail has reached `value`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.status().get(counter, -1) >= value:
                return True
            time.sleep(0.05)
        return False

    def backend(self) -> str:
        """Which backend the server has chosen to follow the file."""
        for line in (self.directory / "fail2ban.log").read_text().splitlines():
            if "Initiated" in line:
                return line.split("'")[1]
        return "unknown"

    def stop(self) -> None:
        """Stop the server and wait for it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)


def version() -> str:
    """The installed version."""
    return subprocess.run(["fail2ban-server", "-V"], check=True, capture_output=True, text=True).stdout.strip()


def remove(directory: Path) -> None:
    """Remove a server's directory."""
    shutil.rmtree(directory, ignore_errors=True)
