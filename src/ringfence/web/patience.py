"""Connections that are slow or greedy on purpose.

A request must be whole within a time, its head is only so long, and one address gets only so many connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WHOLE: Final = 20.0
"""Seconds within which a request must be whole, from the connection or from its own beginning on."""
OF_ONE: Final = 300
"""Connections of one address at once."""

LONGEST_HEAD: Final = 64 << 10
"""Bytes of a request's first line and headers: nobody's cookies are so many."""

_open: Counter[str] = Counter()


class Patient(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience."""

    whole = WHOLE
    of_one = OF_ONE
    longest_head = LONGEST_HEAD
    _deadline: asyncio.TimerHandle | None = None
    _from = ""
    _in_head = True
    _head = 0

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

    def data_received(self, data: bytes) -> None:
        """More bytes; a head that does not end is refused before it fills the memory (RFC 9110, 15.5.1)."""
        self._head += len(data) if self._in_head else 0
        super().data_received(data)
        if self._in_head and self._head > self.longest_head and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """A further request on the same connection begins."""
        self._in_head, self._head = True, 0
        self._wait()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; raising here makes uvicorn answer 400."""
        self._head += len(name) + len(value)
        if self._head > self.longest_head:
            raise ValueError("the head of the request is too long")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        super().on_headers_complete()

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
