"""What the other kinds of server cost when a log holds none of their lines: all kinds active, and OpenSSH alone."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC
from pathlib import Path

from bench import generate
from bench.tools import NOT_INSTALLED, TIMES, Result

TURNS = 5
"""How often each is measured, in turns, so that what else the machine does hits both; the best counts."""
ALONE = "ssh-openssh"


def measure(lines: int) -> list[Result]:
    """One table a log: lines a second with OpenSSH alone and with every kind active."""
    return [
        _compared("An attack on sshd, read with few and with all kinds of server active", lines // 4, 1.0),
        _compared("The same with 2 % attacks among other lines", lines, 0.02),
    ]


def _compared(title: str, lines: int, attacks: float) -> Result:
    try:
        from ringfence.parse.catalogue import Catalogue, load_catalogue
    except ImportError:
        return {"title": title, "rows": [{"tool": "ringfence", "note": NOT_INSTALLED}]}
    every = load_catalogue()
    alone = Catalogue(kinds={ALONE: every.kinds[ALONE]}, services=every.services, problems=())
    rows: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        log = Path(directory) / "auth.log"
        generate.write(log, generate.attack_lines(lines, time.time(), share=attacks))
        best = [float("inf"), float("inf")]
        for _ in range(TURNS):
            for number, catalogue in enumerate((alone, every)):
                best[number] = min(best[number], _seconds(log, catalogue))
    for name, seconds, catalogue in zip(("OpenSSH alone", "every kind"), best, (alone, every), strict=True):
        kinds, patterns = len(catalogue.kinds), len(catalogue.patterns())
        tool = f"{name} ({kinds} kind{'s' * (kinds > 1)}, {patterns} patterns)"
        rows.append({"tool": tool, "lines": lines, "busy": seconds, "rate": lines / seconds})
    rows[1]["note"] = f"{best[0] / best[1]:.2f} {TIMES} as fast as alone"
    return {"title": title, "rows": rows}


def _seconds(log: Path, catalogue: object) -> float:
    """Processor time for reading and counting `log`, without the time to load the catalogue."""
    from ringfence.parse.parser import Parser
    from ringfence.sense.compressed import blocks

    parser = Parser(catalogue, zone=UTC)  # type: ignore[arg-type]  # imported by the caller only if it is installed
    reader = parser.reader(str(log), reference=time.time())
    begun = time.process_time()
    for block in blocks(log):
        parser.attempts.feed(reader.read(block, reader.statistics.lines + 1))
    return time.process_time() - begun
