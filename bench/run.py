"""`make bench`: every comparison in one run on one machine, printed as tables.

Usage: python -m bench.run [--lines N] [--samples N] [--only PART …] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import reading
from bench.render import table
from bench.tools import Result

Part = Callable[[argparse.Namespace], list[Result]]

PARTS: dict[str, tuple[Part, bool]] = {
    "reading": (lambda options: reading.measure(options.lines), False),
}
"""Each part and whether it needs root (network namespaces)."""


def machine() -> str:
    """What this was measured on, in one line."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC · {os.cpu_count()} × {model} · Linux {platform.release()} · "
        f"Python {platform.python_version()} · load before: {load:.2f}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for; a part that needs root is left out, and said so, without it."""
    parser = argparse.ArgumentParser(prog="bench.run", description="Ringfence side by side with its peers.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of the generated logs")
    parser.add_argument("--samples", type=int, default=200, help="samples of the latency")
    parser.add_argument("--bans", type=int, default=100_000, help="bans and tracked addresses for restore and memory")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), help="a part (repeatable)")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments)
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
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "tables": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
