"""Connections that are slow on purpose: a request must be whole within a time, and one address gets only so many."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WHOLE: Final = 20.0
"""Seconds within which a request must be whole, from the connection or from its own beginning on."""
OF_ONE: Final = 300
"""Connections of one address at once."""

_open: Counter[str] = Counter()


class Patient(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience."""

    whole = WHOLE
    of_one = OF_ONE
    _deadline: asyncio.TimerHandle | None = None
    _from = ""

    def connection_made(self, transport: Any) -> None:
        """Count the connection and begin to wait for its first request."""
        peer = transport.get_extra_info("peername")
        self._from = peer[0] if peer else ""
        _open[self._from] += 1
        super().connection_made(transport)
        if _open[self._from] > self.of_one:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._calm()
        _open[self._from] -= 1
        if _open[self._from] <= 0:
            del _open[self._from]
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A further request on the same connection begins."""
        self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._calm()
        super().on_message_complete()

    def _wait(self) -> None:
        self._calm()
        self._deadline = asyncio.get_running_loop().call_later(self.whole, self.transport.abort)

    def _calm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
