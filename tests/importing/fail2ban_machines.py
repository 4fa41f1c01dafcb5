"""Machines that were never there: folders of fail2ban's, written for one test."""

from __future__ import annotations

import shutil
from pathlib import Path

from fail2ban_oracle import STOCK

GATE = """
[INCLUDES]
before = common.conf

[Definition]
_daemon = gated
_where = (?: \\(port \\d+\\))?
failregex = ^%(__prefix_line)srefused <F-USER>\\S+</F-USER> from <HOST>%(_where)s$
            ^%(__prefix_line)sno such user: "<F-USER>[^"]*</F-USER>" \\[<ADDR>\\]
ignoreregex = from 192\\.0\\.2\\.
"""


def folder(place: Path, files: dict[str, str], *, stock: bool = True) -> Path:
    """fail2ban's folder with `files` (path → text) added, in `place`; `stock`: beside Debian's own."""
    made = place / "fail2ban"
    if stock:
        shutil.copytree(STOCK, made)
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


def everything(place: Path) -> Path:
    """Debian's folder with all of its jails enabled."""
    return folder(place, {"jail.d/zz-all.local": "[DEFAULT]\nenabled = true\n"})


def gate(place: Path, jail: str = "", filter_text: str = GATE) -> Path:
    """A machine with a server of its own, which nobody knows."""
    text = "[DEFAULT]\nmaxretry = 4\n[sshd]\nenabled = false\n[gate]\nenabled = true\nport = 7000,7001\n"
    text += f"logpath = /var/log/gate.log\n{jail}"
    return folder(place, {"jail.local": text, "filter.d/gate.conf": filter_text})
