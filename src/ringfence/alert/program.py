"""Runs a local program that is given something on standard input: no shell, little environment, an end to its time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from ringfence.alert.message import Mark, Outcome
from ringfence.alert.said import said

ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that a program sees of ours: no secrets, no settings of Python or the linker."""
KEPT: Final = 4096
"""Bytes of the end of its output that are kept."""
TEMPORARY: Final = frozenset({71, 74, 75})
"""Of sysexits.h: EX_OSERR, EX_IOERR and EX_TEMPFAIL, which say that it may go better later."""


class Ran(Struct, frozen=True, kw_only=True):
    """How a program ended: its exit code (-N: by signal N), or None when its time was over; its last line, raw."""

    code: int | None
    line: str


def unusable(program: str) -> str:
    """Why `program` can't be started, as far as can be seen; empty when it can."""
    if not Path(program).exists():
        return "there is no such program"
    return "" if Path(program).is_file() and os.access(program, os.X_OK) else "is not a program that can be run here"


async def hand_to(command: Sequence[str], data: bytes, timeout: float, mark: Mark) -> Outcome:
    """Start `command` and give it `data`; its exit code says whether it took it over. Raises only what `mark` raises.

    0: sent. 71, 74, 75: later. Any other: failed. Ended by a signal, ours when its time was over, too: unclear.
    """
    name = command[0]
    if trouble := unusable(name):
        return _outcome("later", name, trouble)
    if not await mark():
        return _outcome("later", name, "taken by another")
    try:
        ran = await run(command, data, timeout)
    except (OSError, ValueError) as error:
        return _outcome("later", name, f"can't be started: {getattr(error, 'strerror', None) or error}")
    told = f": {ran.line}" if ran.line else ""
    if ran.code is None:
        return _outcome("unclear", name, f"ended after {timeout:g} s without being done{told}")
    if ran.code < 0:
        return _outcome("unclear", name, f"ended by signal {-ran.code}{told}")
    if ran.code == 0:
        return _outcome("sent", name, f"done{told}")
    return _outcome("later" if ran.code in TEMPORARY else "failed", name, f"exit code {ran.code}{told}")


async def run(command: Sequence[str], data: bytes, timeout: float) -> Ran:
    """Run `command` in a session of its own, with `data` on standard input. Raises OSError when it can't be started.

    When its time is over, or we are cancelled, everything it started in that session's group is killed with it.
    """
    with _file_of(data) as source, _Tail() as tail:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=source, stdout=tail.inlet, stderr=tail.inlet, cwd="/", env=ENVIRONMENT,
            start_new_session=True,
        )  # fmt: skip
        code = None
        try:
            async with asyncio.timeout(timeout):
                code = await process.wait()
        except TimeoutError:
            pass
        finally:
            if code is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Ran(code=code, line=tail.last_line())


class _Tail:
    """The end of what a program says. What it leaves running may hold its output open: nobody waits for that."""

    def __init__(self) -> None:
        self._outlet, self.inlet = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._outlet, False)
        self._kept = b""

    def last_line(self) -> str:
        self._take()
        lines = [line for line in self._kept.splitlines() if line.strip()]
        return lines[-1].decode("utf-8", "surrogateescape") if lines else ""

    def _take(self) -> None:
        for _ in range(64):  # not for ever, were it to write faster than we read
            try:
                found = os.read(self._outlet, 1 << 16)
            except BlockingIOError:
                return
            if not found:
                asyncio.get_running_loop().remove_reader(self._outlet)
                return
            self._kept = (self._kept + found)[-KEPT:]

    def __enter__(self) -> _Tail:
        asyncio.get_running_loop().add_reader(self._outlet, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._outlet)
        os.close(self._outlet)
        os.close(self.inlet)


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[int]:
    """`data` as a file in memory (memfd_create(2)), to be read from its start: no pipe that could break or fill."""
    number = os.memfd_create("ringfence", os.MFD_CLOEXEC)
    try:
        with open(number, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)


def _outcome(state: str, name: str, text: str) -> Outcome:
    return Outcome(state=state, answer=said(f"{name}: {text}"))  # type: ignore[arg-type]
