"""Restart of a machine: bans that a tool remembers, from start until all are in the (new, empty) kernel table.

For Ringfence the bans are earned first by lines in a log, as many addresses as bans, and the memory of the daemon is
read before and after: that many addresses tracked and banned.
"""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

from bench import generate
from bench import peer_fail2ban as fail2ban
from bench import peer_sshguard as sshguard
from bench.guard import FAILURES, LONG_BANS, Guard
from bench.kernel import Watch
from bench.tools import NOT_INSTALLED, Namespace, Result, idle_share, memory, ringfence

FEW = 500
"""Bans for the slow ones."""
TIMEOUT = 120.0
SETTLE = 5.0
CALM = 5.0
"""Percent of a core over `SETTLE` seconds, below which a daemon counts as idle."""
IDLE = 10.0


def _packed(addresses: list[str]) -> set[bytes]:
    return {socket.inet_aton(address) for address in addresses}


def _memory(tool: str, guard: Guard, bans: int) -> Result:
    """A row of the memory table for a daemon that has nothing to do."""
    if guard.process is None:
        return {"tool": tool, "note": "not running"}
    pid, begin = guard.process.pid, time.monotonic()
    while idle_share(pid, SETTLE) > CALM and time.monotonic() - begin < TIMEOUT:
        pass
    note = f"calm {time.monotonic() - begin - SETTLE:.0f} s later"
    return {"tool": tool, "tracked": bans, "bans": bans, **memory(pid), "cpu": idle_share(pid, IDLE), "note": note}


def _ringfence(bans: int) -> tuple[Result, list[Result]]:
    """The row of the restore table and the rows of the memory table."""
    if ringfence() is None:
        return {"note": NOT_INSTALLED}, [{"tool": "ringfence run", "note": NOT_INSTALLED}]
    rows: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="rfbench") as place:
        directory = Path(place)
        log = directory / "auth.log"
        # Many lines to a second of log time, so that no address is older than its bans are long.
        generate.write(log, generate.rounds(bans, FAILURES, time.time(), per_second=50_000))
        guard = Guard(directory, log, LONG_BANS)
        try:
            with Namespace() as namespace:
                guard.start(namespace)
                if not guard.until(bans * FAILURES, TIMEOUT):
                    return {"note": f"log not read in {TIMEOUT:.0f} s"}, rows
                rows.append(_memory("ringfence run, after catching up", guard, bans))
                guard.stop()
            with Namespace() as namespace:
                watch = Watch(namespace)
                begin = guard.start(namespace)
                found, last = watch.collect(_packed(generate.addresses(bans)), TIMEOUT)
                watch.close()
                rows.append(_memory("ringfence run, after a restart", guard, bans))
                guard.stop()
        except (RuntimeError, OSError) as error:
            return {"note": f"failed: {error}"}, rows
    return {"bans": found, "seconds": max(last - begin, 0.0), "note": "process start included"}, rows


def _fail2ban(bans: int) -> Result:
    if not fail2ban.available():
        return {"note": NOT_INSTALLED}
    with tempfile.TemporaryDirectory(prefix="rfbench") as place:
        directory, chosen = Path(place), generate.addresses(bans)
        log = directory / "auth.log"
        generate.write(log, generate.attack_lines(50, time.time(), 0.0))
        server = fail2ban.Server(directory, log)
        with Namespace() as namespace:
            server.start(namespace)
            server.until("Total failed", 0, TIMEOUT)
            server.ask("set", "sshd", "banip", *chosen)
            server.until("Total banned", bans, TIMEOUT)
            time.sleep(1.0)
            server.stop()
        with Namespace() as namespace:
            watch = Watch(namespace)
            begin = server.start(namespace)
            found, last = watch.collect(_packed(chosen), TIMEOUT)
            watch.close()
            server.stop()
    return {"bans": found, "seconds": max(last - begin, 0.0), "note": "process start included"}


def _sshguard(bans: int) -> Result:
    if not sshguard.available():
        return {"note": NOT_INSTALLED}
    with tempfile.TemporaryDirectory(prefix="rfbench") as place:
        directory, chosen = Path(place), generate.addresses(bans)
        log, blacklist = directory / "auth.log", directory / "blacklist"
        log.touch()
        # The blacklist's form: time|service (100 is ssh)|kind of address (4)|address.
        blacklist.write_text("".join(f"{time.time():.0f}|100|4|{address}\n" for address in chosen))
        with Namespace() as namespace:
            watch = Watch(namespace)
            begin = time.perf_counter()
            namespace.start(["sshguard", "-b", f"{sshguard.THRESHOLD}:{blacklist}", str(log)])
            found, last = watch.collect(_packed(chosen), TIMEOUT)
            watch.close()
    return {"bans": found, "seconds": max(last - begin, 0.0), "note": "its blacklist"}


def measure(bans: int) -> list[Result]:
    """Two tables: bans restored a second, and the memory of a daemon that holds them."""
    ours, loaded = _ringfence(bans)
    rows = [
        {"tool": "ringfence run", **ours},
        {"tool": "fail2ban-server", **_fail2ban(FEW)},
        {"tool": "sshguard", **_sshguard(FEW)},
    ]
    for row in rows:
        if row.get("bans") and row.get("seconds"):
            row["rate"] = row["bans"] / row["seconds"]
    return [
        {"title": "Restore: process start → every remembered ban in the kernel", "key": "rate", "rows": rows},
        {"title": f"Memory with {bans:,} tracked addresses and {bans:,} bans", "rows": loaded},
    ]
