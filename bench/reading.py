"""Reading speed: one process over a generated log, nothing but recognising (and, for Ringfence, judging)."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import generate
from bench import peer_fail2ban as fail2ban
from bench import peer_sshguard as sshguard
from bench.tools import NOT_INSTALLED, Result, installed, ringfence

EXPRESSION = r"sshd\[[0-9]+\]: Failed password for (invalid user )?.+ from [0-9a-fA-F:.]+ port [0-9]+ ssh2$"
SLOW = 50_000
"""Lines that are given to the slow tools; their rate does not depend on the length."""
SHARES = {"every line an attack": 1.0, "2 % attacks": 0.02}


def _timed(command: list[str], source: Path | None = None) -> tuple[Result, str]:
    """Seconds, processor seconds and output of one run; it prints into a file, so that nobody has to read along."""
    with (source or Path("/dev/null")).open("rb") as stdin, tempfile.TemporaryFile("w+") as out:
        begin, used = time.perf_counter(), _used()
        subprocess.run(command, check=True, stdin=stdin, stdout=out, stderr=subprocess.PIPE, text=True)
        row = {"seconds": time.perf_counter() - begin, "busy": _used() - used}
        out.seek(0)
        return row, out.read()


def _used() -> float:
    """Processor seconds of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _ringfence(log: Path, lines: int) -> Result:
    program = ringfence()
    if program is None:
        return {"note": NOT_INSTALLED}
    row, output = _timed([program, "scan", "--format", "json", str(log)])
    answer = json.loads(output)
    found = sum(attacker["attempts"] for attacker in answer["attackers"])
    return {"lines": answer["lines"], **row, "found": found, "note": "whole process, policy included"}


def _sshguard(log: Path, lines: int) -> Result:
    if not sshguard.available():
        return {"note": NOT_INSTALLED}
    row, output = _timed([str(sshguard.PARSER)], log)
    return {"lines": lines, **row, "found": output.count("\n"), "note": "parsing only"}


def _ripgrep(log: Path, lines: int) -> Result:
    if installed("rg") is None:
        return {"note": NOT_INSTALLED}
    row, output = _timed(["rg", "--no-config", "--count", EXPRESSION, str(log)])
    return {"lines": lines, **row, "found": int(output or 0), "note": "counting only, one expression"}


def _fail2ban_filter(log: Path, lines: int) -> Result:
    if not fail2ban.available():
        return {"note": NOT_INSTALLED}
    script = Path(__file__).with_name("peer_fail2ban_filter.py")
    _, output = _timed([fail2ban.SYSTEM_PYTHON, str(script), str(log)])
    answer = json.loads(output)
    return {"lines": lines, "seconds": answer["seconds"], "found": answer["failures"], "note": "no start-up, no bans"}


def _fail2ban_regex(log: Path, lines: int) -> Result:
    if not fail2ban.available():
        return {"note": NOT_INSTALLED}
    row, output = _timed(["fail2ban-regex", str(log), "sshd"])
    matched = re.search(r"(\d+) matched", output)
    return {"lines": lines, **row, "found": int(matched[1]) if matched else 0, "note": "whole process"}


Tool = Callable[[Path, int], Result]
TOOLS: dict[str, tuple[Tool, bool]] = {
    "ringfence scan": (_ringfence, False),
    "sshg-parser": (_sshguard, False),
    "fail2ban filter": (_fail2ban_filter, True),
    "fail2ban-regex": (_fail2ban_regex, True),
    "rg --count": (_ripgrep, False),
}


def _row(tool: Tool, log: Path, lines: int) -> Result:
    """One tool's row, with its rate; a tool that fails says so instead."""
    try:
        row = tool(log, lines)
    except subprocess.CalledProcessError as error:
        return {"note": f"failed: {(error.stderr or '').strip()}"}
    if "seconds" in row:
        row["rate"] = row["lines"] / row["seconds"]
    return row


def measure(lines: int) -> list[Result]:
    """One table for each kind of log: lines a second of every tool."""
    tables = []
    for title, share in SHARES.items():
        with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
            now, full, short = time.time(), Path(directory, "auth.log"), Path(directory, "short.log")
            size = generate.write(full, generate.attack_lines(lines, now, share))
            few = min(SLOW, lines)
            generate.write(short, generate.attack_lines(few, now, share))
            full.read_bytes()
            rows = []
            for name, (tool, slow) in TOOLS.items():
                rows.append({"tool": name, **_row(tool, short if slow else full, few if slow else lines)})
            about = f"{lines:,} lines, {size / 1e6:.0f} MB, {generate.ADDRESSES:,} addresses"
            tables.append({"title": f"Reading, {title} ({about})", "key": "rate", "rows": rows})
    return tables
