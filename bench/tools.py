"""What every part needs: a network namespace of its own, processes in it that end with it, and what they cost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

CLONE_NEWNET = 0x40000000
RUNTIME = Path("/run/netns")
Result = dict[str, Any]
NOT_INSTALLED = "not installed"
TIMES = "\N{MULTIPLICATION SIGN}"


class Namespace:
    """A network namespace with only a loopback; what is started in it is ended with it."""

    def __init__(self) -> None:
        self.name = f"rfbench-{os.getpid()}"
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Namespace:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            end(process)
        subprocess.run(["ip", "netns", "delete", self.name], check=False)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """`arguments` as they are run inside the namespace (exec, so that the process id stays)."""
        return ["nsenter", f"--net={RUNTIME / self.name}", "--", *arguments]

    def start(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start `arguments` inside, in a session of its own, quiet unless told otherwise."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen(self.command(arguments), start_new_session=True, **options)
        self._started.append(process)
        return process

    def run(self, arguments: Sequence[str]) -> str:
        """Run `arguments` inside to their end; returns what they print."""
        return subprocess.run(self.command(arguments), check=True, capture_output=True, text=True).stdout

    def netlink(self, protocol: int) -> socket.socket:
        """A netlink socket that belongs to the namespace, though the caller does not."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/self/ns/net").open() as home, (RUNTIME / self.name).open() as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            finally:
                if libc.setns(home.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns back")


def end(process: subprocess.Popen[bytes], patience: float = 20.0) -> None:
    """End a process that we started with its whole session: politely, then not."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 to a process that we started, and to its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def installed(program: str) -> str | None:
    """Where `program` (a name or a path) is, or None."""
    return shutil.which(program)


def ringfence() -> str | None:
    """The `ringfence` command that stands beside this Python, or on PATH."""
    beside = Path(sys.executable).parent / "ringfence"
    return str(beside) if beside.exists() else installed("ringfence")


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(pid: int) -> dict[str, float]:
    """MB (10^6 bytes) of a process with its descendants: `rss` summed, and `pss` (shared pages divided)."""
    total = {"rss": 0.0, "pss": 0.0}
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            full = process.memory_full_info()
            total["rss"] += full.rss / 1e6
            total["pss"] += full.pss / 1e6
    return total


def cpu(pid: int) -> float:
    """Seconds that a living process, its threads and its descendants have run, to the nanosecond."""
    nanoseconds = 0
    for process in tree(pid):
        for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9


def idle_share(pid: int, seconds: float) -> float:
    """Percent of one core that a process uses over the next `seconds`."""
    before, begin = cpu(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu(pid) - before) / (time.monotonic() - begin)


@contextlib.contextmanager
def timed(result: Result, key: str = "seconds") -> Iterator[None]:
    """Put the seconds that the block took into `result[key]`."""
    begin = time.perf_counter()
    yield
    result[key] = time.perf_counter() - begin


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of the samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]
