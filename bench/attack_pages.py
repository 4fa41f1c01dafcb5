"""What the server needs for the overview, the attack list and the pages of addresses, after a month of a busy machine.

A real guard holds the same ledger and answers the page's questions; requests go through the whole application without a
network. Usage: python -m bench.attack_pages [LEDGER] (a copy of it is used; without one, it is made)
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx

from bench import web_ledger
from bench.tools import Result
from ringfence.passwords import hash_password
from ringfence.people_answers import UserRow
from ringfence.settings import load_settings
from ringfence.web.app import make_app
from ringfence.web.web import Web

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from guard_process import GuardProcess, running

ROUNDS: Final = 12
PAGES: Final = (
    "/", "/?range=day", "/?range=month", "/chart?range=hour", "/chart?range=month", "/attacks",
    *(f"/attacks?sort={sort}&order={order}" for sort in ("attempts", "last_seen", "first_seen", "address")
      for order in ("up", "down")),
    "/attacks?level=threatening", "/attacks?level=harmless&sort=first_seen", "/attacks?service=rsync",
    "/attacks?service=ssh&level=threatening&banned=no&sort=last_seen", "/attacks?banned=yes&sort=address",
    "/attacks?banned=no&sort=first_seen", "/attacks?period=1h", "/attacks?period=7d&sort=first_seen", "/attacks?q=.77.",
    "/attacks?q=nowhere", "/attacks?q=1.70.7.0/24", "/attacks?q=2001:db8:1::/48", "/attacks?account=root",
    "/attacks?account=nowhere",
)  # fmt: skip


async def _times(app: Any, cookies: dict[str, str], paths: list[str]) -> list[Result]:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    rows: list[Result] = []
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", cookies=cookies) as client:
        for path in paths:
            took, busy = [], []
            for _ in range(ROUNDS):
                begin, began = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                took.append((time.perf_counter() - begin) * 1000)
                busy.append((time.process_time() - began) * 1000)
                assert answer.status_code == 200, (path, answer.status_code)
            later = sorted(took[1:])
            rows.append(
                {"tool": path, "first": took[0], "median": statistics.median(later), "p95": later[-1],
                 "cpu": statistics.median(busy[1:]), "kB": len(answer.content) / 1000}
            )  # fmt: skip
    return rows


def measure(options: argparse.Namespace | None = None, ledger: Path | None = None) -> list[Result]:
    """One table, in milliseconds: the first time, the median, the slowest of the others, and the processor's share."""
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        guard = GuardProcess(Path(directory), settings="[web]\nstart = false\n")
        if ledger is None:
            web_ledger.make(guard.ledger, time.time())
        else:
            shutil.copyfile(ledger, guard.ledger)
        with running(guard):
            web = Web(load_settings(guard.config, {}, is_root=True))
            hashed = hash_password("four words are enough")
            guard.ask(UserRow, "add_user", name="bench", role="administrator", password_hash=hashed)
            secret, _ = web.sessions.open("bench", "203.0.113.1", web.clock())
            worst = web.readers.ledger().attack_page(limit=40).rows
            networks = ["1.70.7.0/24", "1.70.0.0/16", "2001:db8:1::/48"]
            addresses = [f"/attacks/{one}" for one in (*(row.address for row in worst[::10]), *networks, "192.0.2.1")]
            rows = asyncio.run(_times(make_app(web), {web.cookie: secret}, [*PAGES, *addresses]))
            rows.append({"tool": "the guard's explain, on its loop", **_explain(guard, worst[0].address)})
    return [{"title": "Pages of attacks (ms)", "rows": rows}]


def _explain(guard: GuardProcess, address: str) -> dict[str, float]:
    took = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        guard.ask(dict, "explain", address=address, limit=20)
        took.append((time.perf_counter() - begin) * 1000)
    return {"first": took[0], "median": statistics.median(took[1:]), "p95": max(took[1:])}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.attack_pages")
    parser.add_argument("ledger", type=Path, nargs="?")
    for row in measure(ledger=parser.parse_args().ledger)[0]["rows"]:
        print("  ".join(f"{value:9.1f}" if isinstance(value, float) else f"{value:70}" for value in row.values()))


if __name__ == "__main__":
    main()
