"""The accounts a lab machine knows: files in the form of passwd(5), shadow(5) and group(5)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def write_accounts(root: Path, accounts: dict[str, str], system: Path | None = None) -> None:
    """Write `root/etc/{passwd,shadow,group,common-auth}` and homes under `root/home`.

    They hold this system's own users below number 1000 (those of the layer `system`, where it has any), and `accounts`
    (name to password). Root has no password. PAM answers a wrong password at once instead of after two seconds.
    """
    etc = root / "etc"
    etc.mkdir()
    homes = root / "home"
    homes.mkdir(mode=0o755)
    passwd, shadow, group = [], ["root:*:19000:0:99999:7:::"], _of_system(system, "group").read_text()
    for line in _of_system(system, "passwd").read_text().splitlines():
        name, _, number = line.split(":")[:3]
        if name not in accounts and (int(number) < 1000 or name == "nobody"):
            passwd.append(line)
            if name != "root":
                shadow.append(f"{name}:*:19000:0:99999:7:::")
    for user, (name, password) in enumerate(accounts.items(), 5000):
        _make_home(homes / name, user)
        passwd.append(f"{name}:x:{user}:{user}::/home/{name}:/bin/sh")
        shadow.append(f"{name}:{_hash(password)}:19000:0:99999:7:::")
        group += f"{name}:x:{user}:\n"
    (etc / "passwd").write_text("\n".join(passwd) + "\n")
    (etc / "shadow").write_text("\n".join(shadow) + "\n")
    (etc / "shadow").chmod(0o600)
    (etc / "group").write_text(group)
    common = _of_system(system, "pam.d/common-auth")
    text = common.read_text() if common.exists() else ""
    (etc / "common-auth").write_text(text.replace("pam_unix.so", "pam_unix.so nodelay"))


def _of_system(layer: Path | None, name: str) -> Path:
    """A file of /etc as the machine would have it without us."""
    changed = layer / "etc" / name if layer else None
    return changed if changed is not None and changed.exists() else Path("/etc") / name


def _make_home(home: Path, number: int) -> None:
    """An empty home with an .ssh folder, owned by user `number`."""
    for folder in (home, home / ".ssh"):
        folder.mkdir(mode=0o700)
        os.chown(folder, number, number)


def _hash(password: str) -> str:
    command = ["openssl", "passwd", "-5", "-stdin"]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return done.stdout.strip()
