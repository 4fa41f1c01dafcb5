"""Comparisons of policies ("what if"), each in a process of its own: started, asked about, ended.

One at a time, for its memory and both cores are meant for one. Who asked is expected to ask how far it is: a job that
nobody has asked about for a minute is ended. For any thread.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ringfence.errors import NotFoundError, RefusedError
from ringfence.web.workers import Spawn, Worker, by_program
from ringfence.whatif_judging import Job, Result

PATIENCE: Final = 60.0
"""Seconds after which a job that nobody asks about is ended."""
LONGEST: Final = 900.0
"""Seconds after which a job is ended in any case."""
KEPT: Final = 4
"""Answers that are remembered, some megabytes each."""
FORGOTTEN: Final = 3_600.0
"""Seconds after which an answer that nobody asked for again is forgotten."""
MOST_ANSWER: Final = 32 << 20
LOOK: Final = 0.25

Status = Literal["running", "done", "failed", "cancelled"]


class Message(Struct):
    """A line that the process says."""

    progress: float | None = None
    result: Result | None = None
    error: str | None = None


class State(Struct, frozen=True, kw_only=True):
    """How a job is. `job` is what was asked, `progress` from 0 to 1, `error` a sentence where it failed."""

    id: str
    job: Job
    status: Status
    progress: float = 0.0
    result: Result | None = None
    error: str = ""


class _Running(Struct):
    """A job, whose it is and when it was last asked about (monotonic)."""

    owner: str
    state: State
    asked: float
    stop: threading.Event


class Jobs:
    """All jobs of this process. `spawn` starts a process for one, `clock` gives monotonic seconds."""

    def __init__(
        self, spawn: Spawn | None = None, clock: Callable[[], float] = time.monotonic, patience: float = PATIENCE
    ) -> None:
        self.spawn = spawn or by_program()
        self._clock = clock
        self._patience = patience
        self._jobs: OrderedDict[str, _Running] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, job: Job, owner: str) -> str:
        """Begin `job` for user `owner`, in place of one of theirs that still runs; returns its number.

        Raises RefusedError while one of somebody else runs, RingfenceError when no process can be started.
        """
        with self._lock:
            self._forget()
            for one in self._jobs.values():
                if one.state.status == "running" and one.owner != owner:
                    raise RefusedError(
                        f"a comparison that {one.owner} started is at {one.state.progress:.0%}; one runs at a time, "
                        "so try again in a moment"
                    )
            for one in self._jobs.values():
                self._end(one, "cancelled", "another one was started instead")
            number = secrets.token_urlsafe(12)
            state = State(id=number, job=job, status="running")
            running = _Running(owner=owner, state=state, asked=self._clock(), stop=threading.Event())
            worker = self.spawn()
            self._jobs[number] = running
        threading.Thread(target=self._attend, args=(running, worker), name="whatif", daemon=True).start()
        return number

    def state(self, number: str, owner: str) -> State:
        """How job `number` of `owner` is; this counts as asking. Raises NotFoundError."""
        with self._lock:
            self._forget()
            return self._find(number, owner).state

    def newest(self, owner: str) -> State | None:
        """How the newest job of `owner` is; None when there is none that is remembered."""
        with self._lock:
            self._forget()
            own = [number for number, one in self._jobs.items() if one.owner == owner]
            return self._find(own[-1], owner).state if own else None

    def cancel(self, number: str, owner: str) -> State:
        """End job `number` of `owner` if it still runs. Raises NotFoundError."""
        with self._lock:
            running = self._find(number, owner)
            self._end(running, "cancelled", "it was cancelled")
            return running.state

    def close(self) -> None:
        """End whatever runs: the page goes."""
        with self._lock:
            for one in self._jobs.values():
                self._end(one, "cancelled", "the page was stopped")

    def _find(self, number: str, owner: str) -> _Running:
        found = self._jobs.get(number)
        if found is None or found.owner != owner:
            raise NotFoundError("there is no such comparison (any more)")
        found.asked = self._clock()
        return found

    def _forget(self) -> None:
        """Drop answers that are old or too many; never one that is still awaited."""
        now = self._clock()
        ended = [number for number, one in self._jobs.items() if one.state.status != "running"]
        for at, number in enumerate(ended):
            if at < len(ended) - KEPT or now > self._jobs[number].asked + FORGOTTEN:
                del self._jobs[number]

    @staticmethod
    def _end(running: _Running, status: Status, error: str, result: Result | None = None) -> None:
        """What a job came to; only its first end counts. Called with the lock held."""
        if running.state.status == "running":
            running.state = msgspec.structs.replace(running.state, status=status, error=error, result=result)
        running.stop.set()

    # --- in the job's own thread

    def _attend(self, running: _Running, worker: Worker) -> None:
        """Hand the question over, listen until the end, and see that nothing is left of the process."""
        try:
            with contextlib.suppress(BrokenPipeError):  # it went already: what it said, if anything, tells why
                _write(worker.question, msgspec.json.encode(running.state.job) + b"\n", running.stop)
            trouble = self._listen(running, worker.answer)
        except (OSError, msgspec.MsgspecError) as error:
            trouble = f"the comparison's answer can't be read: {error}"
        worker.end()
        with self._lock:
            self._end(
                running, "failed", trouble or "the comparison ended without an answer; the page's log may say why"
            )

    def _listen(self, running: _Running, stream: int) -> str:
        """Take up what the process says, until it ends or is not wanted any more; returns why not, if so."""
        begun, line, heard = self._clock(), bytearray(), 0
        while not running.stop.is_set():
            now = self._clock()
            if now > running.asked + self._patience:
                return "nobody asked how far it is, so it was ended"
            if now > begun + LONGEST:
                return f"it was not done after {LONGEST / 60:.0f} minutes; choose fewer days"
            if not select.select([stream], [], [], LOOK)[0]:
                continue
            part = os.read(stream, 1 << 16)
            heard += len(part)
            if not part:
                return ""
            if heard > MOST_ANSWER:
                return "the answer is too long; choose fewer days"
            line += part
            while (end := line.find(b"\n")) >= 0:
                self._hear(running, msgspec.json.decode(bytes(line[:end]), type=Message))
                del line[: end + 1]
        return ""

    def _hear(self, running: _Running, said: Message) -> None:
        with self._lock:
            if said.result is not None:
                running.state = msgspec.structs.replace(running.state, progress=1.0)
                self._end(running, "done", "", said.result)
            elif said.error is not None:
                self._end(running, "failed", said.error)
            elif said.progress is not None and running.state.status == "running":
                running.state = msgspec.structs.replace(running.state, progress=said.progress)


def _write(stream: int, text: bytes, stop: threading.Event) -> None:
    """Write all of `text`, unless told to stop before."""
    os.set_blocking(stream, False)
    rest = memoryview(text)
    while rest and not stop.is_set():
        if select.select([], [stream], [], LOOK)[1]:
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(stream, rest) :]
