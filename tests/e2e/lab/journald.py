"""The journal of a lab machine: a real systemd-journald without systemd, whose entries live in the machine's /run."""

from __future__ import annotations

from typing import Any

from .machine import Machine, stop, until

PROGRAM = "/lib/systemd/systemd-journald"
# Nothing of the kernel's: its messages and its audit are this computer's, not the machine's.
_CONFIGURATION = """\
[Journal]
Storage=volatile
ReadKMsg=no
Audit=
ForwardToSyslog=no
ForwardToKMsg=no
ForwardToConsole=no
ForwardToWall=no
"""


class Journald:
    """systemd-journald inside `machine`, at its private /dev/log: as on a Debian 12 without rsyslog."""

    def __init__(self, machine: Machine) -> None:
        configuration = machine.root / "journald.conf"
        configuration.write_text(_CONFIGURATION)
        machine.run(["mount", "--bind", str(configuration), "/etc/systemd/journald.conf"])
        machine.run(["mkdir", "-p", "/run/systemd/journal", "/run/log/journal"])
        machine.run(["ln", "-s", "/run/systemd/journal/dev-log", "/dev/log"])
        self._process = machine.popen([PROGRAM])
        self._socket = machine.path("/run/systemd/journal/dev-log")
        until(self._ready, what="journald's /dev/log")

    def _ready(self) -> bool:
        assert self._process.poll() is None, "journald ended; its error stands above"
        return self._socket.exists()

    def close(self) -> None:
        """End it."""
        stop(self._process)

    def __enter__(self) -> Journald:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
