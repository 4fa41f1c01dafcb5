"""A network of two machines: a server and a client that owns many addresses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from .machine import Machine

SERVER4 = "10.77.0.1"
SERVER6 = "fd77::1"

PROGRAMS = ("unshare", "nsenter", "ip", "openssl")
SSH_PROGRAMS = ("rsyslogd", "sshd", "ssh", "sshpass", "ssh-keygen")
SIP_PROGRAMS = ("rsyslogd", "kamailio", "sipp")


class Client(NamedTuple):
    """The addresses of one client; each client has a /24 and a /64 of its own."""

    v4: str
    v6: str


def missing(*programs: str) -> str:
    """Why the lab can't work here, in words for a skip; empty when it can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    lacking = [name for name in (*PROGRAMS, *programs) if shutil.which(name) is None]
    return f"needs {', '.join(lacking)} (apt-get install)" if lacking else ""


class Net:
    """`with Net(folder) as net`: `net.server` and `net.client` are machines joined by a cable.

    The server is `net.v4` (10.77.0.1) and `net.v6` (fd77::1); `net.clients[i]` holds the addresses of client i
    (10.77.i+1.2 and fd77:0:0:i+1::2), all bound on the client machine, so that a test picks its source address.
    `accounts` are the login names of the server with their passwords; `image` is the layer with its packages, if it
    needs others than this system has.
    """

    v4 = SERVER4
    v6 = SERVER6

    def __init__(
        self, folder: Path, clients: int = 4, accounts: dict[str, str] | None = None, *, image: Path | None = None
    ) -> None:
        self.image = image
        self.folder = folder
        self.clients = [Client(f"10.77.{i}.2", f"fd77:0:0:{i:x}::2") for i in range(1, clients + 1)]
        self.accounts = {"alice": "correct horse"} if accounts is None else accounts

    def __enter__(self) -> Net:
        self.server = Machine(self.folder / "server", self.accounts, image=self.image)
        try:
            self.client = Machine(self.folder / "client", private_folders=False)
            self._plug_in()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()
        if hasattr(self, "client"):
            self.client.close()

    def _plug_in(self) -> None:
        """Lay the cable and give out the addresses, without IPv6's wait for duplicates."""
        server = [
            f"link add wire type veth peer name wire netns {self.client.pid}",
            f"address add {SERVER4}/16 dev wire",
            f"address add {SERVER6}/32 dev wire nodad",
            "link set wire up",
        ]
        client = ["link set wire up"]
        for one in self.clients:
            client += [f"address add {one.v4}/16 dev wire", f"address add {one.v6}/32 dev wire nodad"]
        for machine, commands in ((self.server, server), (self.client, client)):
            machine.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n")
