"""What systemd wants to hear from a service (sd_notify(3)): readiness, a sign of life, the end."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends states to the socket that systemd names in NOTIFY_SOCKET; silent when there is none."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        found = dict(os.environ) if environment is None else environment
        self._path = found.get("NOTIFY_SOCKET", "")
        self.interval = _watchdog(found)
        """Seconds between two signs of life; 0 when none are wanted."""

    def tell(self, state: str) -> None:
        """Send `state`, such as "READY=1". A systemd that does not listen is not our fault and not our end."""
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
                outlet.sendto(state.encode(), address)
        except OSError:
            return


def _watchdog(environment: dict[str, str]) -> float:
    """Half the time that systemd allows between signs of life (WATCHDOG_USEC), if it means this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(environment.get("WATCHDOG_USEC", "0")) / 2e6
    except ValueError:
        return 0.0
