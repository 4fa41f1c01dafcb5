"""Catching up: a log that was written while the guard was down; from start until every line is counted."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from bench import generate
from bench import peer_fail2ban as fail2ban
from bench import peer_sshguard as sshguard
from bench.guard import Guard
from bench.tools import NOT_INSTALLED, Namespace, Result, ringfence

FEW = 50_000
"""Lines for the slow ones; with the ban of every address in it, it takes them half a minute."""
TIMEOUT = 120.0


def _fail2ban(log: Path, lines: int, maxretry: int) -> Result:
    if not fail2ban.available():
        return {"note": NOT_INSTALLED}
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory, Namespace() as namespace:
        server = fail2ban.Server(Path(directory), log, maxretry)
        begin = server.start(namespace)
        done = server.until("Total failed", lines, TIMEOUT)
        seconds = time.perf_counter() - begin
        status = server.status()
        row = {"lines": lines, "found": status.get("Total failed", 0), "bans": status.get("Total banned", 0)}
        return {**row, "seconds": seconds, "note": "start-up included" if done else "not finished in time"}


def _sshguard(log: Path, lines: int, backend: str, note: str) -> Result:
    if not sshguard.available():
        return {"note": NOT_INSTALLED}
    with Namespace() as namespace:
        begin = time.perf_counter()
        try:
            sshguard.pipeline(namespace, log, sshguard.LIBEXEC / backend).wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            return {"note": f"{lines:,} lines not finished in {TIMEOUT:.0f} s"}
        return {"lines": lines, "seconds": time.perf_counter() - begin, "note": note}


def _ringfence(log: Path, lines: int) -> Result:
    if ringfence() is None:
        return {"note": NOT_INSTALLED}
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory, Namespace() as namespace:
        guard = Guard(Path(directory), log)
        try:
            begin = guard.start(namespace)
            done = guard.until(lines, TIMEOUT)
            seconds = time.perf_counter() - begin
            row = {"lines": lines, "found": guard.attempts(), "bans": guard.ask("status")["bans_enforced"]}
        except (RuntimeError, OSError) as error:
            return {"note": f"failed: {error}"}
        finally:
            guard.stop()
        return {**row, "seconds": seconds, "note": "start-up included" if done else "not finished in time"}


def measure(lines: int) -> list[Result]:
    """One table: attack lines a second from start until all are recorded and every ban is in the kernel."""
    few = min(FEW, lines)
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        full, short = Path(directory, "auth.log"), Path(directory, "short.log")
        generate.write(full, generate.attack_lines(lines, time.time()))
        rows: list[Result] = [{"tool": "ringfence run", **_ringfence(full, lines)}]
        # Fewer addresses too, so that as large a share of the lines comes from banned ones as in the long log.
        generate.write(short, generate.attack_lines(few, time.time(), sources=generate.ADDRESSES * few // lines))
        rows.append({"tool": "fail2ban-server, no ban", **_fail2ban(short, few, fail2ban.NO_BAN)})
        rows.append({"tool": "fail2ban-server, nftables", **_fail2ban(short, few, fail2ban.MAXRETRY)})
        rows.append({"tool": "sshguard, no firewall", **_sshguard(short, few, "sshg-fw-null", "pipe, no record")})
        rows.append({"tool": "sshguard, nft sets", **_sshguard(short, few, "sshg-fw-nft-sets", "pipe, no record")})
    for row in rows:
        if "seconds" in row:
            row["rate"] = row["lines"] / row["seconds"]
    about = f"{lines:,} lines, {generate.ADDRESSES:,} addresses"
    return [{"title": f"Catching up, every line an attack ({about})", "key": "rate", "rows": rows}]
