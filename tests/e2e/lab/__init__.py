"""The laboratory: real servers and real clients in network namespaces of their own.

Receives addresses, accounts and log formats from tests; returns running servers, what clients were told, and log files
as the system's own syslog writes them. Owns namespaces, mounts and processes, all of which end with the `Net` they
belong to. May import nothing of ringfence: the tests start the guard as a user would, with `net.server.popen`.
"""

from __future__ import annotations

from .image import image
from .machine import Machine
from .net import Client, Net, missing
from .sip import Kamailio, sip_register
from .ssh import SshServer, ssh_try
from .syslog import Syslog

__all__ = [
    "Client",
    "Kamailio",
    "Machine",
    "Net",
    "SshServer",
    "Syslog",
    "image",
    "missing",
    "sip_register",
    "ssh_try",
]
