"""What if: a changed policy over a month of recorded events, as the administrator's page asks for it."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.tools import Result
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
    """A ledger of `events` over a month: few addresses try often, most a few times, two in a hundred log in."""
    chance = random.Random(7)
    ledger = Ledger.open(path, max_bytes=1 << 34, now=now)
    addresses = [_address(number) for number in range(max(10, ATTACKERS * events // 1_000_000))]
    begin, step = now - DAYS * 86_400 + 60, (DAYS * 86_400 - 120) / events
    done, bursts = 0, []
    while done < events:
        rows = []
        while len(rows) < BATCH and done < events:
            # Guessers come in bursts, several at a time.
            if len(bursts) < 40:
                index = int(len(addresses) * chance.random() ** 2)
                bursts.append([addresses[index], SERVICES[index % len(SERVICES)], 1 + int(chance.expovariate(0.1))])
            burst = chance.choice(bursts)
            burst[2] -= 1
            if burst[2] <= 0:
                bursts.remove(burst)
            address, service, _ = burst
            failed = chance.random() > 0.02
            account = f"user{chance.randrange(3000)}" if chance.random() < 0.5 else "root"
            cause = "wrong password" if failed else ""
            rows.append(
                Event(begin + done * step, address, service, account, failed, cause, "", True, f"{service}/x", "log", 0, "")
            )
            done += 1
        ledger.record(rows, [], [], now)
    ledger.close()


def _address(number: int) -> str:
    if number % 20 == 0:
        return f"2001:db8:{number // 65_536:x}:{number % 65_536:x}::{number % 7 + 1:x}"
    return f"{11 + number // 65_536 % 80}.{number // 256 % 256}.{number % 256}.{number * 7 % 250 + 1}"


def ask(job: dict[str, object]) -> tuple[dict[str, object], float, float]:
    """The answer, the seconds it took, and the largest memory of the processes together (MB, at most twice the peak)."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "ringfence.whatif"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        last = ""
        for line in process.stdout:
            last = line
    seconds = time.perf_counter() - begin
    return json.loads(last), seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000


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
            answer, seconds, largest = ask(job)
            result = answer.get("result")
            if not isinstance(result, dict):
                rows.append({"tool": title, "note": f"failed: {answer}"})
                continue
            note = f"{result['added_total']:,} more, {result['removed_total']:,} fewer; largest process {largest:.0f} MB"
            rows.append({"tool": title, "lines": result["events"], "seconds": seconds, "note": note})
    return [{"title": f"What if, {events:,} recorded events over {DAYS} days", "key": "seconds", "rows": rows}]
