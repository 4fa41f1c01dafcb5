"""Telling a program of the administrator's: its arguments as they are, the event as one JSON object on its input."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.alert.message import Mark, Outcome
from ringfence.alert.program import hand_to


async def send_to_command(command: Sequence[str], body: bytes, mark: Mark, *, timeout: float) -> Outcome:
    """Run `command` with `body` and a line end on standard input; its exit code says what came of it, see `hand_to`.

    It runs in `/`, with PATH and LANG alone in its environment, and is killed with all it started after `timeout`
    seconds. Raises only what `mark` raises.
    """
    return await hand_to(command, body + b"\n", timeout, mark)
