"""A real guard in a process of its own, on temporary files: for tests that look at it from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ringfence.control import Client
from ringfence.errors import RingfenceError, UnreachableError

T = TypeVar("T")

POLICY = """
[rules.standard]
failures = 5
within = "1h"
ban = "2h"
"""


def stamp(moment: float) -> str:
    """Asterisk's way to write a time, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment))


def failure(address: str, call: str, moment: float | None = None, account: str = "100") -> str:
    """The line that Asterisk writes about one registration with a wrong password."""
    return (
        f"[{stamp(time.time() if moment is None else moment)}] NOTICE[2552] res_pjsip/pjsip_distributor.c: "
        f"Request 'REGISTER' from '<sip:{account}@192.0.2.1>' failed for '{address}:5060' (callid: {call}) "
        "- Failed to authenticate\n"
    )


def failures(address: str, count: int, moment: float | None = None) -> str:
    """`count` failed registrations of `address`, each an attempt of its own."""
    return "".join(failure(address, f"{address}-{time.monotonic_ns()}-{number}", moment) for number in range(count))


class GuardProcess:
    """`ringfence run` with its own settings; `output` is what it said so far."""

    def __init__(
        self, folder: Path, *, policy: str = POLICY, settings: str = "", mode: str = "monitor", namespace: str = ""
    ) -> None:
        self.folder = folder
        self.log = folder / "messages"
        self.socket = folder / "control.sock"
        self.ledger = folder / "ringfence.db"
        self.config = folder / "ringfence.toml"
        self.policy = folder / "policy.toml"
        self._prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self._process: subprocess.Popen[bytes] | None = None
        self.policy.write_text(policy)
        cache = folder / "cache"
        if "[web]" not in settings:
            settings += "\n[web]\nstart = false\n"
        self.config.write_text(
            f"""
[ledger]
path = "{self.ledger}"
[control]
socket = "{self.socket}"
[enforce]
mode = "{mode}"
[logs]
find = false
journal = false
timezone = "UTC"
[catalogue]
directories = []
cache = "{cache}"
[policy]
file = "{self.policy}"
[[source]]
kind = "sip-asterisk"
files = ["{self.log}"]
{settings}
"""
        )

    def spawn(self) -> None:
        """Start the process without waiting for it."""
        output = (self.folder / "output").open("ab")
        command = [*self._prefix, sys.executable, "-m", "ringfence", "run", "--config", str(self.config)]
        self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        output.close()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        before = len(self.output)
        self.spawn()
        self.wait_for(self._answers, "the guard does not answer")
        self.wait_for(lambda: f"socket {self.socket}" in self.output[before:], "it did not say all that it is")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the guard ended: {self.output}")
        try:
            Client(self.socket).close()
        except UnreachableError:
            return False
        return True

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything it said in all its lives."""
        file = self.folder / "output"
        return file.read_text() if file.exists() else ""

    def write(self, text: str) -> None:
        """Append to the log, as its server would."""
        with self.log.open("a") as file:
            file.write(text)

    def ask(self, answer: type[T], command: str, **arguments: object) -> T:
        """Give a command over the socket."""
        with Client(self.socket) as client:
            return client.ask(answer, command, **arguments)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Give a command as a user does, in a process of its own."""
        command = [*self._prefix, sys.executable, "-m", "ringfence", "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def ensure_gone(self) -> None:
        """Whatever happened: it does not outlive the test."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def wait_for(self, check: Callable[[], T], what: str, patience: float = 20.0) -> T:
        """Wait until `check` is true; fails with what the guard said."""
        end = time.monotonic() + patience
        while True:
            try:
                found = check()
            except RingfenceError:
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{what}; it said:\n{self.output}")
            time.sleep(0.02)


@contextmanager
def running(guard: GuardProcess) -> Iterator[GuardProcess]:
    """The guard, started, and gone afterwards."""
    try:
        guard.start()
        yield guard
    finally:
        guard.ensure_gone()


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A network namespace with its loopback up; needs root."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def elements(namespace: str) -> set[str]:
    """The addresses and networks in all ban sets of our table, as nft(8) itself tells them."""
    import json

    listed = subprocess.run(
        ["ip", "netns", "exec", namespace, "nft", "--json", "list", "table", "inet", "ringfence"],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        return set()
    found: set[str] = set()
    for entry in json.loads(listed.stdout)["nftables"]:
        one = entry.get("set", {})
        if not one.get("name", "").endswith(("hosts4", "hosts6", "networks4", "networks6")):
            continue
        for element in one.get("elem", []):
            value = element.get("elem", {}).get("val", element) if isinstance(element, dict) else element
            if isinstance(value, dict) and "prefix" in value:
                value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
            found.add(str(value))
    return found
