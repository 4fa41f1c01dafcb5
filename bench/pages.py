"""The page's server time over a large ledger, its memory, and whether reading pages delays bans.

A real guard and a real `ringfence web` in a namespace of their own; a client on the same loopback asks one page after
the other over one connection, so what is measured is the server's work for one reader and a millisecond of transport.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import latency, web_ledger
from bench.guard import Guard
from bench.tools import Namespace, Result, memory, percentile, ringfence

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
    "bans": ("/bans", "/bans?sort=until", "/bans?sort=target", "/bans?service=sip", "/bans?q=64.0.0.0/8", "/bans?show=all"),
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
        from urllib.parse import urlencode

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


def serve(events: int, attackers: int, bans: int) -> list[Result]:
    """Run inside the namespace's network: the guard's page over a ledger of this size. Prints nothing."""
    reader = Reader()
    reader.log_in("bench")
    rows = []
    for name, paths in PAGES.items():
        times = _times(reader, paths)
        rows.append(
            {"tool": name, "views": len(paths), "samples": len(times), "median": statistics.median(times),
             "p95": percentile(times, 0.95), "worst": max(times)}
        )  # fmt: skip
    return rows


def measure(events: int = 1_000_000, attackers: int = 200_000, bans: int = 100_000, samples: int = 100) -> list[Result]:
    """Two tables: server time by page, and the latency of bans without and with readers."""
    import json

    with Namespace() as namespace, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        log = folder / "auth.log"
        guard = Guard(folder, log)
        web_ledger.make(folder / "ringfence.db", time.time(), events, attackers, bans)
        settings = folder / "ringfence.toml"
        settings.write_text(settings.read_text().replace("start = false", f'listen = "127.0.0.1:{PORT}"'))
        log.touch()
        guard.start(namespace)
        guard.wait_ready()
        program = ringfence()
        assert program is not None
        add = [program, "--config", str(settings), "user", "add", "bench", "--role", "administrator", "--password-stdin"]
        subprocess.run(namespace.command(add), input=PASSWORD + "\n", text=True, check=True, capture_output=True)
        probe = [sys.executable, "-c", f"import json; from bench import pages; print(json.dumps(pages.serve({events}, {attackers}, {bans})))"]
        rows = json.loads(namespace.run(probe))
        pid = guard.page_pid()
        resident = memory(pid)
        guard.stop()
    return [{"title": f"Server time of pages", "rows": rows, "memory": resident}]
