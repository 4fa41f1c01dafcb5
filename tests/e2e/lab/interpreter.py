"""The Python that runs the tests, on a machine with a root of its own: the guard runs there too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .machine import Machine


def share_python(machine: Machine) -> None:
    """Lay the folder of this Python over the machine's root, where it is not there already (such as below /root)."""
    folder = Path(sys.base_prefix).resolve()
    if machine.path(f"{folder}/bin").exists():
        return
    target = machine.root / "tree" / str(folder).lstrip("/")
    inside = ["nsenter", "--target", str(machine.pid), "--mount", "--"]
    subprocess.run([*inside, "mkdir", "-p", str(target)], check=True)
    subprocess.run([*inside, "mount", "--bind", str(folder), str(target)], check=True)
