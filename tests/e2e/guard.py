"""A real guard on a laboratory machine: `ringfence run` started as a user would, and asked by the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from lab import Machine, Net
from lab.knock import answers as reaches
from lab.machine import die_with_parent, until

from ringfence.answers import AttackRow, Attacks, BanRow, Bans, Explanation, Status
from ringfence.control import Client
from ringfence.errors import RingfenceError

T = TypeVar("T")

__all__ = ["Guard", "listener", "reaches", "seconds_until"]

CACHE = Path(tempfile.gettempdir()) / f"ringfence-test-patterns-{os.geteuid()}"
"""Compiled patterns, shared by all tests; the guard itself knows when they are out of date."""

SETTINGS = """
[ledger]
path = "{ledger}"
[control]
socket = "{socket}"
[logs]
journal = false
timezone = "UTC"
[catalogue]
directories = []
cache = "{cache}"
[policy]
file = "{policy}"
"""


class Guard:
    """`ringfence run` inside `machine`, with its files in `folder`. It finds the usual logs below /var/log by itself.

    `settings` is added to the settings file; `prefix` is put in front of its command line (setpriv and the like).
    """

    def __init__(
        self, machine: Machine, folder: Path, *, policy: str, settings: str = "", prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None, ledger: Path | None = None,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.machine = machine
        self.prefix = list(prefix)
        self.environment = environment or {}
        self.config = folder / "ringfence.toml"
        self.policy = folder / "policy.toml"
        self.ledger = ledger or folder / "ringfence.db"
        self._output = folder / "output"
        # A socket's path has little room, and the folders of tests have long names.
        self._folder = tempfile.TemporaryDirectory(prefix="rf")
        Path(self._folder.name).chmod(0o777)
        self.socket = Path(self._folder.name) / "s"
        self.process: subprocess.Popen[Any] | None = None
        self.policy.write_text(policy)
        CACHE.mkdir(mode=0o700, exist_ok=True)
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Write the settings file, with `settings` added; for the next start."""
        paths = {"ledger": self.ledger, "socket": self.socket, "cache": CACHE, "policy": self.policy}
        page = "" if "[web]" in settings else "[web]\nstart = false\n"
        self.config.write_text(SETTINGS.format(**paths) + page + settings)

    # --- its life

    def spawn(self) -> subprocess.Popen[Any]:
        """Start it without waiting."""
        with self._output.open("ab") as output:
            self.process = self.machine.popen(
                [*self.prefix, sys.executable, "-m", "ringfence", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
            )  # fmt: skip
        return self.process

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        self.until(lambda: self.ask(Status, "status"), "the guard's first answer", 20)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self) -> Guard:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._folder.cleanup()
        if self.process is not None:
            assert "Traceback" not in self.said, self.said

    @property
    def said(self) -> str:
        """All that it said, in all its lives."""
        return self._output.read_text() if self._output.exists() else ""

    # --- questions

    def cli(self, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Give a command as a user does."""
        command = [sys.executable, "-m", "ringfence", "--config", str(self.config), *words]
        return subprocess.run(
            self.machine.argv(command), capture_output=True, text=True, timeout=60, preexec_fn=die_with_parent,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """What a command prints with --json; it must succeed, with nothing on standard error."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0 and done.stderr == "", f"{words}: {done.returncode} {done.stderr}\n{self.said}"
        return json.loads(done.stdout)

    def ask(self, answer: type[T], command: str, **arguments: object) -> T:
        """Ask over the socket, without the time that a process takes: for waiting."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the guard ended: {self.said}")
        with Client(self.socket) as client:
            return client.ask(answer, command, **arguments)

    def bans(self, *, history: bool = False) -> list[BanRow]:
        """The ban list."""
        return self.ask(Bans, "bans", history=history).rows

    def ban_of(self, target: str) -> BanRow | None:
        """The running ban of `target`, if any."""
        return next((row for row in self.bans() if row.target == target), None)

    def enforced(self, target: str) -> BanRow | None:
        """The running ban of `target` if the kernel confirmed it."""
        row = self.ban_of(target)
        return row if row is not None and row.state == "enforced" else None

    def attackers(self) -> dict[str, AttackRow]:
        """The attack list by address."""
        return {row.address: row for row in self.ask(Attacks, "attacks", limit=10_000).rows}

    def attempts(self, address: str) -> int:
        """The attempts counted of `address`."""
        row = self.attackers().get(address)
        return 0 if row is None else row.attempts

    def explain(self, address: str) -> Explanation:
        """Why an address is banned or not."""
        return self.ask(Explanation, "explain", address=address, limit=1000)

    def until(self, check: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
        """Wait until `check` is true; an answer that does not come is not true. Fails with what the guard said."""

        def checked() -> Any:
            try:
                return check()
            except (RingfenceError, OSError, msgspec.ValidationError):
                return None

        try:
            return until(checked, seconds, what)  # type: ignore[no-any-return]
        except AssertionError as error:
            raise AssertionError(f"{error}; the guard said:\n{self.said}") from None

    # --- the kernel

    def nft(self, *words: str, check: bool = True) -> str:
        """nft(8) inside the machine; returns what it printed."""
        return self.machine.run(["nft", *words], check=check).stdout

    def kernel(self) -> dict[str, float]:
        """The addresses and networks in the ban sets of the kernel, by nft(8), each with the seconds it has left."""
        listed = self.machine.run(["nft", "--json", "list", "table", "inet", "ringfence"], check=False)
        if listed.returncode:
            return {}
        found: dict[str, float] = {}
        for entry in json.loads(listed.stdout)["nftables"]:
            one = entry.get("set", {})
            if "allowed" in one.get("name", "allowed") or one["name"].startswith("lockdown"):
                continue
            for element in one.get("elem", []):
                facts = element["elem"]
                value = facts["val"]
                if isinstance(value, dict):
                    value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
                elif "_prefixes" in one["name"]:
                    value += "/" + one["name"].rpartition("_prefixes")[2]
                found[value] = facts.get("expires", float("inf"))
        return found


def listener(net: Net, port: int) -> socket.socket:
    """Some other service of the server: it accepts connections, IPv4 and IPv6, and says nothing."""
    with net.server.entered():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)


def seconds_until(check: Callable[[], object], what: str, patience: float = 10.0) -> float:
    """How long it took until `check` was true."""
    begun = time.monotonic()
    until(check, patience, what)
    return time.monotonic() - begun
