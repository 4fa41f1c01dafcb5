"""The cost of one attempt when few and when many addresses are tracked: the detector alone, and all of `scan`.

In processor time, so that what else the machine does matters less.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from bench import generate
from bench.tools import NOT_INSTALLED, TIMES, Result, ringfence

FEW, MANY = 1_000, 1_000_000
BATCH = 1_000
ROUNDS = 2
"""How often every address has been seen before it is measured: the first time is dearer than all later ones."""
HOUR = 3600.0


def _detector(tracked: int, attempts: int) -> Result:
    """Time `Detector.feed` over `attempts` events spread evenly over `tracked` known addresses, each once an hour."""
    try:
        from ringfence.detect import AllowList, Detector
        from ringfence.model import Event
        from ringfence.policy import default_policy_text, load_policy
    except ImportError:
        return {"note": NOT_INSTALLED}
    pool, dice = generate.addresses(tracked), random.Random(3)
    detector = Detector(load_policy(default_policy_text({})), AllowList(()), capacity=MANY)
    start, step = 1_700_000_000.0, HOUR / tracked

    def event(number: int, address: str) -> Event:
        return Event(start + number * step, address, "ssh", "root", True, "password", "", True, "ssh/failed",
                     "auth.log", number + 1, f"sshd[{number}]")  # fmt: skip

    for times in range(ROUNDS):
        for at in range(0, tracked, BATCH):
            block = [event(times * tracked + at + offset, each) for offset, each in enumerate(pool[at : at + BATCH])]
            detector.feed(block)
    # In blocks, so that what is measured is the detector and not the making of a million events.
    seconds, number, verdicts = 0.0, ROUNDS * tracked, 0
    gc.collect()
    for _ in range(attempts // BATCH):
        # A new string for each event, as a parser makes one: not the object that the detector already holds.
        block = [event(number + offset, "".join([*pool[dice.randrange(tracked)]])) for offset in range(BATCH)]
        number += BATCH
        begin = time.process_time()
        verdicts += len(detector.feed(block))
        seconds += time.process_time() - begin
    done = attempts // BATCH * BATCH
    return {
        "tracked": tracked,
        "lines": done,
        "bans": verdicts,
        "busy": seconds,
        "microseconds": 1e6 * seconds / done,
    }


def _scan(tracked: int, lines: int, directory: Path) -> Result:
    """Time `ringfence scan` over `lines` attempts, spread evenly over `tracked` addresses."""
    program = ringfence()
    if program is None:
        return {"note": NOT_INSTALLED}
    log = directory / f"{tracked}.log"
    generate.write(log, generate.attack_lines(lines, time.time(), sources=tracked))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([program, "scan", "--format", "json", str(log)], stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        return {"note": f"failed with exit code {done.returncode}"}
    return {"tracked": tracked, "lines": lines, "busy": seconds, "microseconds": 1e6 * seconds / lines}


def _alone(tracked: int, attempts: int) -> Result:
    """`_detector` in a process of its own, so that one measurement does not warm or fill the memory of the next."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(into, "w") as stream:
            row = _detector(tracked, attempts)
            row["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
            json.dump(row, stream)
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return dict(json.loads(answer)) if answer else {"note": "failed"}


def measure(lines: int) -> list[Result]:
    """One table: microseconds an attempt, with few and with many addresses."""
    rows = [
        {"tool": f"detector, {tracked:,} tracked", **_alone(tracked, min(lines, 300_000))} for tracked in (FEW, MANY)
    ]
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        for tracked in (FEW, MANY):
            rows.append({"tool": f"scan, {tracked:,} addresses", **_scan(tracked, lines, Path(directory))})
    for few, many in ((rows[0], rows[1]), (rows[2], rows[3])):
        if "microseconds" in few and "microseconds" in many:
            many["note"] = f"{many['microseconds'] / few['microseconds']:.2f} {TIMES} the cost with {FEW:,}"
    return [{"title": f"Cost of an attempt with {FEW:,} and {MANY:,} addresses", "rows": rows}]
