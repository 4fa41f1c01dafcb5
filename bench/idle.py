"""What a daemon costs that has nothing to do: memory, and processor time over ten seconds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import generate
from bench import peer_fail2ban as fail2ban
from bench import peer_sshguard as sshguard
from bench.guard import Guard
from bench.tools import NOT_INSTALLED, Namespace, Result, idle_share, memory, ringfence

SETTLE = 5.0
SECONDS = 10.0


def _ringfence(directory: Path, log: Path, namespace: Namespace) -> int | None:
    if ringfence() is None:
        return None
    guard = Guard(directory, log)
    guard.start(namespace)
    guard.until(0, 20.0)
    return guard.process.pid if guard.process else None


def _fail2ban(directory: Path, log: Path, namespace: Namespace) -> int | None:
    if not fail2ban.available():
        return None
    server = fail2ban.Server(directory, log)
    server.start(namespace)
    server.until("Total failed", 0, 20.0)
    return server.process.pid if server.process else None


def _sshguard(directory: Path, log: Path, namespace: Namespace) -> int | None:
    return sshguard.start(namespace, log).pid if sshguard.available() else None


Starter = Callable[[Path, Path, Namespace], int | None]


def _row(start: Starter) -> Result:
    with tempfile.TemporaryDirectory(prefix="rfbench") as place, Namespace() as namespace:
        directory = Path(place)
        log = directory / "auth.log"
        generate.write(log, generate.attack_lines(50, time.time(), 0.0))
        try:
            pid = start(directory, log, namespace)
        except (RuntimeError, OSError) as error:
            return {"note": f"failed: {error}"}
        if pid is None:
            return {"note": NOT_INSTALLED}
        time.sleep(SETTLE)
        return {**memory(pid), "cpu": idle_share(pid, SECONDS)}


def measure() -> list[Result]:
    """One table: resident memory (of all processes of a tool, summed) and share of one core."""
    tools: dict[str, Starter] = {"ringfence run": _ringfence, "fail2ban-server": _fail2ban, "sshguard": _sshguard}
    rows = [{"tool": name, **_row(start)} for name, start in tools.items()]
    return [{"title": "Idle: memory, and processor over 10 s (one log, one service)", "key": "rss", "rows": rows}]
