"""From the write of the deciding line to the element in the kernel's set, on an idle system, one address a time.

The lines before the deciding one are written and digested beforehand. The end is the kernel's own notification, read
by a process that sleeps until it comes (see `kernel`), the same for every tool.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import generate
from bench import peer_fail2ban as fail2ban
from bench import peer_sshguard as sshguard
from bench.guard import FAILURES, Guard
from bench.kernel import Watch
from bench.tools import NOT_INSTALLED, Namespace, Result, end, percentile, ringfence

TIMEOUT = 20.0
HANGING = "import socket, time; held = socket.create_server(('127.0.0.1', 2525)); time.sleep(3600)"
WARNING = f'[rules.standard]\nfailures = {FAILURES}\nwithin = "10m"\nban = "10m"\nactions = ["block", "mail"]\n'
MAIL = '[mail]\nrecipients = ["root"]\nserver = "127.0.0.1"\nport = 2525\ninterval = "none"\ntimeout = "300s"\n'


class Log:
    """A log that is appended to, each line (or block of lines) with one write()."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._number = 0
        self.write("".join(generate.attack_lines(50, time.time(), 0.0)))

    def write(self, text: str) -> float:
        """Append `text`; returns `time.perf_counter()` just before."""
        data = text.encode()
        begin = time.perf_counter()
        os.write(self._file, data)
        return begin

    def attempts(self, address: str, count: int) -> str:
        """The lines of `count` failed logins from `address`, each a connection of its own."""
        lines = []
        for _ in range(count):
            self._number += 1
            when, pid, port = generate.stamp(time.time()), 400 + self._number % 31000, 1024 + self._number % 64000
            lines.append(generate.failed(when, pid, "root", address, port))
        return "".join(lines)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sample(
    log: Log, watch: Watch, needed: int, samples: int, pause: float, digested: Callable[[int], None], seed: int = 7
) -> Result:
    """Latencies in ms of `samples` bans; `needed` lines ban, `digested(lines)` waits until the tool has read them."""
    first, *pool = generate.addresses(samples + 1, seed=seed)
    dice = random.Random(7)
    log.write(log.attempts(first, needed))
    if watch.wait(first, TIMEOUT) is None:
        return {"note": "no ban seen"}
    if needed > 1:
        log.write("".join(log.attempts(address, needed - 1) for address in pool))
    digested(needed + (needed - 1) * samples)
    time.sleep(1.0)
    early = watch.drain()
    measured: list[float] = []
    for address in pool:
        written = log.write(log.attempts(address, 1))
        seen = watch.wait(address, TIMEOUT)
        if seen is None:
            return {"note": f"no ban seen after {len(measured)} samples ({len(early)} too early)"}
        measured.append(1000 * (seen - written))
        time.sleep(dice.uniform(0.02, pause))
    return {
        "samples": samples,
        "median": statistics.median(measured),
        "p99": percentile(measured, 0.99),
        "worst": max(measured),
    }


def _warning(directory: Path, samples: int) -> Result:
    """Every ban is to be mailed as well, by a server that takes the connection and says nothing."""
    return _ringfence(directory, samples, warns=True)


def _ringfence(directory: Path, samples: int, *, warns: bool = False) -> Result:
    if ringfence() is None:
        return {"note": NOT_INSTALLED}
    log = Log(directory / "auth.log")
    guard = Guard(directory, log.path, WARNING if warns else None)
    with Namespace() as namespace:
        watch = Watch(namespace)
        guard.start(namespace)
        hanging = namespace.start([sys.executable, "-c", HANGING]) if warns else None
        try:
            guard.until(0, TIMEOUT)
            if warns:
                guard.ask("apply_alerting", text=MAIL, name="bench")
            time.sleep(1.0)
            return sample(log, watch, FAILURES, samples, 0.05, lambda lines: void(guard.until(lines, TIMEOUT)))
        except (RuntimeError, OSError) as error:
            return {"note": f"failed: {error}"}
        finally:
            guard.stop()
            if hanging is not None:
                end(hanging)
            watch.close()
            log.close()


def _fail2ban(directory: Path, samples: int) -> Result:
    if not fail2ban.available():
        return {"note": NOT_INSTALLED}
    log = Log(directory / "auth.log")
    server = fail2ban.Server(directory, log.path)
    with Namespace() as namespace:
        watch = Watch(namespace)
        server.start(namespace)
        server.until("Total failed", 0, TIMEOUT)
        time.sleep(1.0)
        # Pauses of up to a second, because the tool polls: its samples fall anywhere between two looks.
        wait = lambda lines: void(server.until("Total failed", lines, TIMEOUT))  # noqa: E731
        result = sample(log, watch, fail2ban.MAXRETRY, samples, 1.0, wait)
        backend = server.backend()
        server.stop()
        watch.close()
        log.close()
        return {"note": f"backend {backend}, action nftables", **result}


def _sshguard(directory: Path, samples: int) -> Result:
    if not sshguard.available():
        return {"note": NOT_INSTALLED}
    log = Log(directory / "auth.log")
    with Namespace() as namespace:
        watch = Watch(namespace)
        sshguard.start(namespace, log.path)
        time.sleep(2.0)
        result = sample(log, watch, sshguard.ATTEMPTS, samples, 0.05, lambda lines: time.sleep(2.0))
        watch.close()
        log.close()
        return {"note": "tail, nft sets", **result}


def void(_: object) -> None:
    """Drop a result."""


def measure(samples: int) -> list[Result]:
    """One table: median, 99 % and worst of every tool in ms."""
    rows = []
    tools = {
        "ringfence run": _ringfence, "ringfence run, mail hangs": _warning, "fail2ban-server": _fail2ban,
        "sshguard": _sshguard,
    }  # fmt: skip
    for name, tool in tools.items():
        with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
            rows.append({"tool": name, **tool(Path(directory), samples)})
    return [{"title": "Latency: deciding line written → element in the kernel", "key": "median", "rows": rows}]
