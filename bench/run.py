"""`make bench`: every comparison in one run on one machine, printed as tables.

Usage: python -m bench.run [--lines N] [--samples N] [--only PART …] [--json FILE] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import catalogue, catchup, cost, idle, latency, pages, reading, restore, whatif
from bench.render import page, table
from bench.tools import TIMES, Result, ringfence

Part = Callable[[argparse.Namespace], list[Result]]

PARTS: dict[str, tuple[Part, bool]] = {
    "reading": (lambda options: reading.measure(options.lines), False),
    "catchup": (lambda options: catchup.measure(options.lines), True),
    "latency": (lambda options: latency.measure(options.samples), True),
    "restore": (lambda options: restore.measure(options.bans), True),
    "idle": (lambda options: idle.measure(), True),
    "cost": (lambda options: cost.measure(options.lines), False),
    "catalogue": (lambda options: catalogue.measure(options.lines), False),
    "whatif": (lambda options: whatif.measure(options.lines), False),
    "pages": (lambda options: pages.measure(samples=options.samples), True),
}
"""Each part and whether it needs root (network namespaces)."""


def machine() -> str:
    """What this was measured on, in one line."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].split(":")[1].strip() if names else platform.machine()
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return (
        f"{now} · {os.cpu_count()} {TIMES} {model} · Linux {platform.release()} · "
        f"Python {platform.python_version()} · load before: {os.getloadavg()[0]:.2f}"
    )


def warm() -> None:
    """Let Ringfence keep what it keeps after its first start: Python's compiled modules and the compiled patterns."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    program = ringfence()
    if program is not None:
        subprocess.run([program, "scan", "--format", "json", os.devnull], capture_output=True, check=False)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for; a part that needs root is left out, and said so, without it."""
    parser = argparse.ArgumentParser(prog="bench.run", description="Ringfence side by side with its peers.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of the generated logs")
    parser.add_argument("--samples", type=int, default=200, help="samples of the latency")
    parser.add_argument("--bans", type=int, default=100_000, help="bans and tracked addresses for restore and memory")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), help="a part (repeatable)")
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument("--markdown", type=Path, help="also write a page of figures here")
    options = parser.parse_args(arguments)
    # Ended from outside, it still takes its namespaces and processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    warm()
    about, results = machine(), []
    print(f"{about}\n")
    for name, (part, root) in PARTS.items():
        if options.only and name not in options.only:
            continue
        if root and os.geteuid() != 0:
            print(f"{name}: left out, it needs root for a network namespace\n")
            continue
        for result in part(options):
            results.append(result)
            print(table(result), flush=True)
    if options.markdown:
        chosen = [f"--{name} {getattr(options, name)}" for name in ("lines", "samples", "bans")]
        command = " ".join(["python -m bench.run", *chosen, *(f"--only {name}" for name in options.only or ())])
        options.markdown.write_text(page(command, about, results))
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "tables": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
