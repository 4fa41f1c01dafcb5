"""What if: a changed policy over a month of recorded events, as the administrator's page asks for it."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.tools import Result, memory
from ringfence.ledger import Ledger
from ringfence.model import Event
from ringfence.policy import default_policy_text
from ringfence.policy_draft import set_rule

ATTACKERS = 200_000
DAYS = 30
BATCH = 50_000
SERVICES = ("ssh", "sip", "imap", "http", "smtp", "ftp", "mysql", "login")
CHANGES = {
    "one rule, every service": ("standard", "*", {"failures": "5", "within": "1h"}),
    "one rule, one service": ("standard", "ssh", {"failures": "5", "within": "1h"}),
    "nothing changed": ("standard", "*", {}),
}


def fill(path: Path, events: int, now: float) -> None:
    """A ledger of `events` over a month: most addresses try a few times, few very often, two in a hundred log in."""
    chance = random.Random(7)
    begin, step = now - DAYS * 86_400 + 60, (DAYS * 86_400 - 120) / events
    guessers = _guessers(chance, max(10, ATTACKERS * events // 1_000_000))
    running = [next(guessers) for _ in range(40)]
    ledger = Ledger.open(path, max_bytes=1 << 34, now=now)
    for first in range(0, events, BATCH):
        rows: list[Event] = []
        for number in range(first, min(first + BATCH, events)):
            place = chance.randrange(len(running))
            address, service, left = running[place]
            running[place] = (address, service, left - 1) if left > 1 else next(guessers)
            failed = chance.random() > 0.02
            account = f"user{chance.randrange(3000)}" if chance.random() < 0.5 else "root"
            cause, time_ = ("wrong password" if failed else ""), begin + number * step
            rows.append(Event(time_, address, service, account, failed, cause, "", True, f"{service}/x", "log", 0, ""))
        ledger.record(rows, [], [], now)
    ledger.close()


def _guessers(chance: random.Random, addresses: int) -> Iterator[tuple[str, str, int]]:
    """Who comes next, to what, for how many attempts: every address once, and then again those who never rest."""
    order = list(range(addresses))
    chance.shuffle(order)
    while True:
        for number in order:
            yield _address(number), SERVICES[number % len(SERVICES)], min(2_000, int(chance.paretovariate(1.1)))


def _address(number: int) -> str:
    if number % 20 == 0:
        return f"2001:db8:{number // 65_536:x}:{number % 65_536:x}::{number % 7 + 1:x}"
    return f"{11 + number % 180}.{number // 256 % 256}.{number % 256}.{number // 65_536 + 1}"


def ask(job: dict[str, object]) -> tuple[dict[str, object], Result]:
    """The answer; the seconds it took, the seconds of processor, and the most memory of all its processes (PSS, MB)."""
    cost: Result = {"pss": 0.0}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "ringfence.whatif"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        last = ""
        for line in process.stdout:
            last = line
            cost["pss"] = max(cost["pss"], memory(process.pid)["pss"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost["seconds"] = time.perf_counter() - begin
    cost["busy"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(last), cost


def measure(events: int) -> list[Result]:
    """One table: seconds from question to answer."""
    rows: list[Result] = []
    now = 1_800_000_000.0
    before = default_policy_text({})
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        path = Path(directory, "ledger.db")
        fill(path, events, now)
        for title, (rule, service, values) in CHANGES.items():
            after = set_rule(before, rule, service, values)
            job = {"ledger": str(path), "before": before, "after": after, "days": DAYS, "now": now}
            answer, cost = ask(job)
            result = answer.get("result")
            if not isinstance(result, dict):
                rows.append({"tool": title, "note": f"failed: {answer}"})
                continue
            note = f"{result['added_total']:,} more, {result['removed_total']:,} fewer"
            rows.append({"tool": title, "lines": result["events"], **cost, "note": note})
    return [{"title": f"What if, {events:,} recorded events over {DAYS} days", "key": "seconds", "rows": rows}]
