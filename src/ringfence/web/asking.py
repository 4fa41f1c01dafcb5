"""Commands to the guard on behalf of who looks at the page; and the guard's pulse, asked for once for all readers."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final, TypeVar

from ringfence.control import Behalf, Client
from ringfence.errors import RingfenceError
from ringfence.live import Pulse
from ringfence.web.access import Visitor

Answer = TypeVar("Answer")

FRESH: Final = 2.0
"""Seconds for which one answer of the guard about itself serves everybody."""
PATIENCE: Final = 20.0


class Guard:
    """The running guard behind its control socket. For any thread."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._lock = threading.Lock()
        self._pulse: Pulse | RingfenceError | None = None
        self._asked = -FRESH

    def ask(self, answer: type[Answer], visitor: Visitor, command: str, **arguments: Any) -> Answer:
        """Give `command` as `visitor`. Raises what the guard raises, and UnreachableError."""
        behalf = Behalf(user=visitor.name or "nobody", address=visitor.address, via=visitor.via)
        with Client(self._socket, behalf=behalf, patience=PATIENCE) as client:
            return client.ask(answer, command, **arguments)

    def ask_for_page(self, answer: type[Answer], command: str, **arguments: Any) -> Answer:
        """Give `command` as the page itself: for what nobody in particular wants."""
        with Client(self._socket, patience=PATIENCE) as client:
            return client.ask(answer, command, **arguments)

    def pulse(self, *, fresh: bool = False) -> Pulse:
        """How the guard is, at most `FRESH` seconds old. Raises RingfenceError when it does not answer."""
        with self._lock:
            if fresh or time.monotonic() >= self._asked + FRESH:
                try:
                    self._pulse = self.ask_for_page(Pulse, "pulse")
                except RingfenceError as error:
                    self._pulse = error
                self._asked = time.monotonic()
            if isinstance(self._pulse, RingfenceError):
                raise self._pulse
            assert self._pulse is not None
            return self._pulse

    def known(self) -> Pulse | None:
        """How the guard was when it was asked last, without asking or waiting; None where that is not known."""
        return self._pulse if isinstance(self._pulse, Pulse) else None

    def changed(self) -> None:
        """Something was just changed: the next one to ask gets a new answer."""
        with self._lock:
            self._asked = -FRESH
