"""The page's server time over a large ledger, its memory, and whether reading pages delays bans.

A real guard and a real `ringfence web` in a namespace of their own; a client on the same loopback asks one page after
the other over one connection, so what is measured is the server's work for one reader and a millisecond of transport.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import psutil

from bench import latency, pauses, web_ledger
from bench.guard import FAILURES, Guard
from bench.kernel import Watch
from bench.render import table
from bench.tools import Namespace, Result, end, percentile, ringfence

PORT = 8470
ROUNDS = 40
PASSWORD = "four words are enough"
CSRF = re.compile(rb'name="csrf" value="([^"]+)"')
"""Pages as people ask for them, sorted and filtered in every way that a list offers."""
PAGES = {
    "overview": ("/", "/?range=day", "/?range=month"),
    "chart data": ("/chart?range=hour", "/chart?range=day", "/chart?range=month"),
    "attacks, sorted": (
        "/attacks", "/attacks?sort=attempts", "/attacks?sort=address", "/attacks?sort=first_seen",
        "/attacks?sort=first_seen&order=asc",
    ),
    "attacks, filtered": (
        "/attacks?service=sip", "/attacks?level=threatening", "/attacks?level=harmless", "/attacks?banned=no",
        "/attacks?q=203.0.", "/attacks?q=64.0.0.0/8", "/attacks?period=1d&level=threatening&service=ssh",
    ),
    "attacks, by account": ("/attacks?account=admin", "/attacks?account=user77"),
    "address": ("/attacks/1.64.0.1", "/attacks/1.64.1.7"),
    "bans": (
        "/bans", "/bans?sort=until", "/bans?sort=target", "/bans?service=sip", "/bans?q=64.0.0.0/8", "/bans?show=all",
    ),
    "whitelist": ("/whitelist",),
    "policy": ("/policy", "/policy/history", "/policy/review"),
    "lockdown": ("/lockdown",),
    "diagnostics": ("/diagnostics",),
    "audit": ("/audit",),
    "users": ("/users",),
}  # fmt: skip


class Reader:
    """One browser that is logged in, over one connection."""

    def __init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self._cookies: dict[str, str] = {}

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of `path`; with `form` it is sent there."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        body = None
        if form is not None:
            body, headers["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        self._connection.request("GET" if form is None else "POST", path, body, headers)
        answer = self._connection.getresponse()
        for name, value in answer.getheaders():
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        return answer.status, answer.read()

    def log_in(self, name: str) -> None:
        """Come in by the form."""
        found = CSRF.search(self.ask("/login")[1])
        assert found is not None
        status, _ = self.ask("/login", {"csrf": found[1].decode(), "name": name, "password": PASSWORD})
        assert status == 303, status


def _times(reader: Reader, paths: tuple[str, ...]) -> list[float]:
    """Milliseconds of each question, every path ROUNDS times, the first of each left out."""
    found = []
    for number in range(ROUNDS + 1):
        for path in paths:
            begin = time.perf_counter()
            status, _ = reader.ask(path)
            took = 1000 * (time.perf_counter() - begin)
            assert status == 200, (path, status)
            if number:
                found.append(took)
    return found


def ask_all() -> list[Result]:
    """Run inside the namespace: every page, with its times."""
    reader = Reader()
    reader.log_in("bench")
    rows: list[Result] = []
    for name, paths in PAGES.items():
        times = _times(reader, paths)
        rows.append(
            {"tool": name, "views": len(paths), "samples": len(times), "median": statistics.median(times),
             "p95": percentile(times, 0.95), "worst": max(times)}
        )  # fmt: skip
    return rows


def read_on() -> None:
    """Run inside the namespace: two readers that ask for one page after the other, until ended."""
    ways = [path for paths in PAGES.values() for path in paths]

    def read() -> None:
        reader = Reader()
        reader.log_in("bench")
        print("reads", flush=True)
        while True:
            for path in ways:
                reader.ask(path)

    for _ in range(2):
        threading.Thread(target=read, daemon=True).start()
    threading.Event().wait()


def _inside(call: str) -> list[str]:
    return [sys.executable, "-c", f"import json; from bench import pages; print(json.dumps(pages.{call}))"]


def _add_user(namespace: Namespace, settings: Path) -> None:
    program = ringfence()
    assert program is not None
    words = [program, "--config", str(settings), "user", "add", "bench", "--role", "administrator", "--password-stdin"]
    subprocess.run(namespace.command(words), input=PASSWORD + "\n", text=True, check=True, capture_output=True)


def _until_listening(namespace: Namespace, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    probe = [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 1)"]
    while subprocess.run(namespace.command(probe), capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("the page does not listen")
        time.sleep(0.3)


def _page_memory(guard: Guard) -> float:
    """Resident MB of the page's process."""
    assert guard.process is not None
    children = psutil.Process(guard.process.pid).children()
    return float(max(child.memory_info().rss for child in children)) / 1e6


def _delays(namespace: Namespace, guard: Guard, log: latency.Log, samples: int) -> list[Result]:
    """Line to kernel, alone and while two readers ask for pages without a pause."""
    rows = []
    for name, seed in (("no reader", 7), ("two readers without a pause", 8)):
        reading = namespace.start(_inside("read_on()"), stdout=subprocess.PIPE) if seed == 8 else None
        if reading is not None and reading.stdout is not None:
            reading.stdout.readline()
        watch = Watch(namespace)
        try:
            row = latency.sample(log, watch, FAILURES, samples, 0.05, lambda _: time.sleep(3.0), seed=seed)
        finally:
            watch.close()
            if reading is not None:
                end(reading)
        rows.append({"tool": name, **row})
    return rows


def measure(events: int = 1_000_000, attackers: int = 200_000, bans: int = 100_000, samples: int = 100) -> list[Result]:
    """Server time by page with the page's memory, the latency of bans without and with readers, the longest pause."""
    size = f"{events:,} events, {attackers:,} attackers, {bans:,} bans"
    with Namespace() as namespace, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        log = latency.Log(folder / "auth.log")
        guard = Guard(folder, log.path)
        web_ledger.make(folder / "ringfence.db", time.time(), events, attackers, bans)
        settings = folder / "ringfence.toml"
        settings.write_text(settings.read_text().replace("start = false", f'listen = "127.0.0.1:{PORT}"'))
        try:
            guard.start(namespace)
            _until_listening(namespace)
            _add_user(namespace, settings)
            rows = json.loads(namespace.run(_inside("ask_all()")))
            resident = _page_memory(guard)
            delays = _delays(namespace, guard, log, samples)
            held = pauses.rows(namespace, guard, log)
        finally:
            guard.stop()
            log.close()
    rows.append({"tool": "page's process, afterwards", "rss": resident})
    return [
        {"title": f"Server time of pages ({size})", "rows": rows},
        {"title": f"Line to kernel while pages are read ({size})", "key": "median", "rows": delays},
        pauses.titled(held, size),
    ]


def main() -> None:
    """`python -m bench.pages [--events N]`: this part alone."""
    parser = argparse.ArgumentParser(prog="bench.pages")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    share = options.events / 1_000_000
    for result in measure(options.events, int(200_000 * share), int(100_000 * share), options.samples):
        print(table(result), flush=True)


if __name__ == "__main__":
    main()
