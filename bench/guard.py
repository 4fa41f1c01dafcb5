"""`ringfence run` on one file: settings, policy and state in a directory that we give, asked over its own socket."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.tools import Namespace, end, ringfence

FAILURES = 10
"""After how many attempts the guard bans from ssh with its built-in policy."""
LONG_BANS = f'[rules.standard]\nfailures = {FAILURES}\nwithin = "10m"\nban = "1d"\n'
"""A policy for what must not end while it is measured."""


class Guard:
    """A daemon that is started, asked and stopped; `policy` is TOML, None for the built-in policy."""

    def __init__(self, directory: Path, log: Path, policy: str | None = None) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        self._socket = directory / "control.sock"
        settings = [
            f'[ledger]\npath = "{directory}/ringfence.db"\n[control]\nsocket = "{self._socket}"\ngroup = ""',
            f'[catalogue]\ncache = "{directory}"\n[enforce]\nmode = "nftables"\n[logs]\nfind = false\njournal = false',
            "[web]\nstart = false",
            f'[[source]]\nkind = "ssh-openssh"\nfiles = "{log}"',
        ]
        if policy is not None:
            (directory / "policy.toml").write_text(policy)
            settings.append(f'[policy]\nfile = "{directory}/policy.toml"')
        (directory / "ringfence.toml").write_text("\n".join(settings) + "\n")

    def start(self, namespace: Namespace) -> float:
        """Start the daemon; returns `time.perf_counter()` just before."""
        program = ringfence()
        if program is None:
            raise RuntimeError("ringfence is not installed")
        with (self.directory / "output").open("ab") as output:
            begin = time.perf_counter()
            arguments = [program, "--config", str(self.directory / "ringfence.toml"), "run"]
            self.process = namespace.start(arguments, stdout=output, stderr=output)
        return begin

    def ask(self, command: str, **arguments: Any) -> Any:
        """The daemon's answer to one command of its control socket."""
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rwb") as stream:
            client.connect(str(self._socket))
            stream.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            stream.flush()
            reply = json.loads(stream.readline())
        if reply.get("error"):
            raise RuntimeError(f"ringfence refused {command}: {reply['message']}")
        return reply["answer"]

    def attempts(self) -> int:
        """How many attempts are recorded; -1 while the daemon is not up."""
        try:
            return sum(row["attempts"] for row in self.ask("statistics")["rows"])
        except (OSError, ValueError):
            return -1

    def until(self, attempts: int, timeout: float) -> bool:
        """Wait until `attempts` are recorded and every ban that is wanted is in force."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"ringfence run ended: {self.said()}")
            if self.attempts() >= attempts and self.ask("status")["bans_wanted"] == 0:
                return True
            time.sleep(0.5)  # each question costs the guard something
        return False

    def said(self) -> str:
        """The last line that the daemon printed."""
        return (self.directory / "output").read_text(errors="replace").strip().rpartition("\n")[2]

    def stop(self) -> None:
        """Stop the daemon as an administrator would, and wait."""
        if self.process is not None:
            end(self.process)
