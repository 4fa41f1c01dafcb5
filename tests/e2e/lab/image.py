"""Debian packages installed for real, each set in a layer of its own over this system; nothing else is changed.

Servers that exclude one another (all mail servers do) and that would start by themselves can so be had side by side.
A layer is made once, by apt-get in a changed root with a mount namespace of its own, and kept for later runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

STORE = Path(os.environ.get("RINGFENCE_LAB_IMAGES", "/opt/ringfence-lab"))
"""Must not lie below a folder that layers are put over (see machine.py), such as /var."""
_MOUNTS = """
set -eu
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/tree"
mount --rbind /proc "$1/tree/proc"
mount --rbind /dev "$1/tree/dev"
"""
_INSTALL = (
    _MOUNTS
    + """
shift 2
cd "$TREE"
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
install() { chroot . apt-get install --yes --quiet --no-install-recommends "$@" </dev/null; }
install "$@" || { chroot . apt-get update --quiet </dev/null; install "$@"; }
chroot . apt-get clean
"""
)


def image(*packages: str) -> Path:
    """The layer with `packages` as Debian installs them (made now if there is none): a folder to lay over this system.

    Their maintainer scripts have run, so their users, certificates and default settings are there; no server was
    started. Raises CalledProcessError with apt's output on standard error when they can't be had.
    """
    name = "-".join(packages)[:60] + "-" + hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    folder = STORE / name
    STORE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (STORE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, packages)
            (folder / "made").touch()
    return folder / "upper"


def _make(folder: Path, packages: Sequence[str]) -> None:
    for part in ("upper", "work", "tree"):
        (folder / part).mkdir(parents=True)
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _INSTALL, "sh", str(folder), "/", *packages]
    environment = {**os.environ, "TREE": str(folder / "tree")}
    done = subprocess.run(inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(packages)} could not be installed:\n{done.stdout[-4000:]}")
