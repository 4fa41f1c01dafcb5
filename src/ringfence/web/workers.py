"""Processes for comparisons of policies (`ringfence.whatif`), with a pipe to each and one from it.

The page gave up its rights, so it may not even be able to read the program that it would start (a checkout in root's
home directory). Therefore a nursery is forked while everything can still be read: it loads what a comparison needs,
gives up the same rights, and then forks a worker whenever the page asks. Where there is none (tests, tools), a worker
is a program of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from ringfence import unprivileged
from ringfence.errors import RingfenceError

COMMAND: Final = (sys.executable, "-P", "-m", "ringfence.whatif")
GRACE: Final = 5.0
ANSWERS: Final = 10.0
LONGEST: Final = 1_200
"""Seconds after which the kernel ends a worker of the nursery, whatever happened to the page."""


class Worker(Struct, frozen=True):
    """A process that works: `question` is written to, `answer` read from; `end` leaves nothing of it."""

    question: int
    answer: int
    end: Callable[[], None]


Spawn = Callable[[], Worker]


def by_program(command: Sequence[str] = COMMAND) -> Spawn:
    """Workers that are programs of their own."""

    def spawn() -> Worker:
        try:
            process = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise RingfenceError(f"the comparison can't be started: {error.strerror or error}") from error
        assert process.stdin is not None and process.stdout is not None
        return Worker(process.stdin.fileno(), process.stdout.fileno(), lambda: _finish(process))

    return spawn


def _finish(process: subprocess.Popen[bytes]) -> None:
    """End the process, gently at first; its own children end with it."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Nursery:
    """Forked from the page's process before that has threads; ends with it. Its workers end when their pipes do."""

    def __init__(self, who: unprivileged.Identity | None) -> None:
        """Fork; the other side loads what workers need and becomes `who`. Raises RingfenceError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            ours.close()
            _serve(theirs, who)
        theirs.close()
        ours.settimeout(ANSWERS)
        self._socket = ours

    def spawn(self) -> Worker:
        """A new worker."""
        hear, question = os.pipe()
        answer, say = os.pipe()
        try:
            socket.send_fds(self._socket, [b"?"], [hear, say])
            if not self._socket.recv(1):
                raise ConnectionError("the process that starts comparisons is gone")
        except OSError as error:
            os.close(question)
            os.close(answer)
            raise RingfenceError(f"the comparison can't be started: {error}; restart the page") from error
        finally:
            os.close(hear)
            os.close(say)

        def end() -> None:
            os.close(question)
            os.close(answer)

        return Worker(question, answer, end)


def _serve(asked: socket.socket, who: unprivileged.Identity | None) -> None:
    """The nursery: fork a worker for each request, until the page is gone. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _load()
        unprivileged.drop(who)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers
        while True:
            request, pipes, _, _ = socket.recv_fds(asked, 1, 2)
            if not request:
                break
            if not os.fork():
                _work(asked, pipes)
            for pipe in pipes:
                os.close(pipe)
            asked.send(b"!")
        code = 0
    except (OSError, RingfenceError) as error:
        print(f"problem: comparisons of policies can't be started: {error}", flush=True)
    finally:
        os._exit(code)


def _load() -> None:
    """Load all that a worker loads late, while it can be read."""
    import multiprocessing.popen_fork  # noqa: F401
    import tomllib  # noqa: F401

    import ringfence.whatif  # noqa: F401


def _work(asked: socket.socket, pipes: Sequence[int]) -> None:
    """A worker: the program `ringfence.whatif` between two pipes. Never returns."""
    from ringfence.whatif import main

    code = 1
    try:
        asked.close()
        for pipe, standard in zip(pipes, (0, 1), strict=True):
            os.dup2(pipe, standard)
            os.close(pipe)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(LONGEST)
        code = main()
    finally:
        os._exit(code)
