"""How long the guard's loop is held at most while very many bans are in force, and what that means for new ones.

A question that costs nothing is asked a hundred times a second over the control socket: the longest answer is the
longest pause. Beside that one address after the other is banned; in the second row another program changes nftables
(so that all bans are compared with the kernel) while somebody works with whitelist and statistics; in the third
somebody bans by hand while another program keeps the disk busy.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import generate, latency, web_ledger
from bench.guard import FAILURES, Guard
from bench.kernel import Watch
from bench.render import table
from bench.tools import Namespace, Result, percentile

SECONDS = 65.0
"""Longer than the guard's minute, in which all that is done once a minute is done."""
EVERY = 0.01
Beside = Callable[[Namespace, Guard, threading.Event], None]
"""What happens beside the bans, until the end."""
BLOCK = 1 << 22
"""Bytes that are written and synced at a time beside the third row."""
STIR = 5.0
"""Seconds between what is done to the guard in the second row."""


class Pulse(threading.Thread):
    """Asks the guard again and again until ended; `worst` is the longest answer in seconds."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(daemon=True)
        self.worst = 0.0
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(guard.directory / "control.sock"))

    def run(self) -> None:
        """Ask for a command that there is not: nothing else is quicker to answer."""
        stream = self._socket.makefile("rwb")
        while not self._over.wait(EVERY):
            begin = time.perf_counter()
            stream.write(b'{"command": "nothing"}\n')
            stream.flush()
            stream.readline()
            self.worst = max(self.worst, time.perf_counter() - begin)

    def end(self) -> float:
        """Ask no more; returns the longest answer in ms."""
        self._over.set()
        self.join()
        self._socket.close()
        return 1000 * self.worst


def _stir(namespace: Namespace, guard: Guard, over: threading.Event) -> None:
    """What happens on a busy machine now and then."""
    number = 0
    while not over.wait(STIR):
        number += 1
        namespace.run(["nft", "add", "table", "inet", f"other{number}"])
        guard.ask("allow", target=f"198.18.0.{number}")
        guard.ask("statistics" if number % 2 else "reset_statistics")


def _command(namespace: Namespace, guard: Guard, over: threading.Event) -> None:
    """Bans by hand, twenty a second, beside somebody who writes and waits for the disk."""
    busy = threading.Thread(target=_write, args=(guard.directory / "busy", over), daemon=True)
    busy.start()
    number = 0
    while not over.wait(0.05):
        number += 1
        guard.ask("ban", target=f"198.19.{number // 250 % 250}.{number % 250 + 1}", seconds=3600.0)
    busy.join()


def _write(path: Path, over: threading.Event) -> None:
    with path.open("wb", buffering=0) as file:
        while not over.is_set():
            file.seek(0)
            file.write(bytes(BLOCK))
            os.fsync(file.fileno())


def _row(
    name: str, namespace: Namespace, guard: Guard, log: latency.Log, seconds: float, beside: Beside | None = None
) -> Result:  # fmt: skip
    over, watch, pulse = threading.Event(), Watch(namespace), Pulse(guard)
    other = ThreadPoolExecutor(1)
    pool = iter(generate.addresses(100_000, seed=len(name)))
    took: list[float] = []
    pulse.start()
    stirring = other.submit(beside, namespace, guard, over) if beside else None
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            address = next(pool)
            log.write(log.attempts(address, FAILURES - 1))
            time.sleep(0.1)
            written = log.write(log.attempts(address, 1))
            seen = watch.wait(address, latency.TIMEOUT)
            took.append(1000 * ((seen or time.perf_counter()) - written))
            time.sleep(0.1)
    finally:
        over.set()
        other.shutdown()
        watch.close()
    if stirring:
        stirring.result()  # what failed beside must not look like a row that was measured
    return {
        "tool": name, "samples": len(took), "median": statistics.median(took), "p99": percentile(took, 0.99),
        "worst": max(took), "pause": pulse.end(),
    }  # fmt: skip


def rows(namespace: Namespace, guard: Guard, log: latency.Log, seconds: float = SECONDS) -> list[Result]:
    """Three rows about a guard that runs on a large ledger."""
    return [
        _row("bans alone", namespace, guard, log, seconds),
        _row("others change nftables, whitelist, statistics", namespace, guard, log, seconds, _stir),
        _row("bans by hand, on a busy disk", namespace, guard, log, seconds, _command),
    ]


def titled(found: list[Result], size: str) -> Result:
    """The rows as a table."""
    return {"title": f"Line to kernel, and the longest pause of the guard ({size})", "key": "median", "rows": found}


def main() -> None:
    """`python -m bench.pauses [--bans N] [--ledger FILE]`: this part alone."""
    parser = argparse.ArgumentParser(prog="bench.pauses")
    parser.add_argument("--bans", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--ledger", type=Path, help="a ledger of bench.web_ledger to copy; made when left out")
    options = parser.parse_args()
    with Namespace() as namespace, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        log = latency.Log(folder / "auth.log")
        guard = Guard(folder, log.path)
        if options.ledger is not None:
            (folder / "ringfence.db").write_bytes(options.ledger.read_bytes())
        else:
            web_ledger.make(folder / "ringfence.db", time.time(), 10 * options.bans, 2 * options.bans, options.bans)
        guard.start(namespace)
        try:
            while guard.attempts() < 0:
                time.sleep(0.5)
            time.sleep(5.0)
            found = rows(namespace, guard, log, options.seconds)
        finally:
            guard.stop()
            log.close()
    print(table(titled(found, f"{options.bans:,} bans")))


if __name__ == "__main__":
    main()
