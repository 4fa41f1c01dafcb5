"""SSHGuard as Debian installs it: its own start script and backend, in a namespace of ours.

The start script reads /etc/sshguard/sshguard.conf (which it must be able to), the log file is given as its argument.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.tools import Namespace, installed

LIBEXEC = Path("/usr/libexec/sshguard")
PARSER = LIBEXEC / "sshg-parser"
BACKEND = LIBEXEC / "sshg-fw-nft-sets"
THRESHOLD = 30
SCORE = 10
ATTEMPTS = THRESHOLD // SCORE
"""After how many wrong passwords Debian's default configuration blocks."""


def available() -> bool:
    """Is SSHGuard installed?"""
    return PARSER.exists() and installed("sshguard") is not None


def start(namespace: Namespace, log: Path) -> subprocess.Popen[bytes]:
    """Start SSHGuard on one file, as its service does."""
    return namespace.start(["sshguard", str(log)])


def pipeline(namespace: Namespace, log: Path, backend: Path, *blocker: str) -> subprocess.Popen[bytes]:
    """Parser, blocker and backend over a whole file (the start script only follows the end of one)."""
    with log.open("rb") as source:
        words = " ".join(blocker)
        line = f"{PARSER} | {LIBEXEC}/sshg-blocker -a {THRESHOLD} -p 120 -s 1800 {words} | {backend}"
        return namespace.start(["sh", "-c", line], stdin=source)
