"""This machine's name, as mail and chats give it."""

from __future__ import annotations

import re
import socket
from typing import Final

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def own_host() -> str:
    """The full name of this machine. May ask the network and take seconds: not for an event loop."""
    return chosen_host(socket.getfqdn(), socket.gethostname())


def chosen_host(*names: str) -> str:
    """The first of `names` that can stand in a mail address (RFC 5321 section 4.1.2), and is not just this machine's
    name for itself; else "localhost".
    """
    for name in names:
        found = name.strip().rstrip(".").lower()
        if len(found) <= 253 and _DOMAIN.fullmatch(found) and not found.startswith("localhost"):
            return found
    return "localhost"
