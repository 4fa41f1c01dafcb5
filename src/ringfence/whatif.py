"""`python -m ringfence.whatif`: what a changed policy would have done, worked out in a process of its own.

A `Job` comes as one line of JSON on standard input; lines of JSON go out: {"progress": 0.0 … 1.0} about ten times a
second, and last {"result": …} (see `Result`) or {"error": "…"}. Two children share the judging and read the ledger
without ever writing, at low priority, so that a ban never waits for them. Whoever asked and is not interested any more
closes either end or sends SIGTERM. (A job that ends with the input instead of a line break is worked out to its end.)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import msgspec
from msgspec import Struct

from ringfence.errors import RingfenceError
from ringfence.whatif_judging import Entry, Job, Judged, Plan, Result, Row, Task, compare, merged
from ringfence.whatif_replaying import judge

__all__ = ["Entry", "Job", "Message", "Result", "Row", "what_if"]

NICE = 10
EVERY_SECONDS = 0.1
_JUDGING = 0.95
"""The share of the work that is judging; the rest is comparing."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the answer: just one of these is there."""

    progress: float | None = None
    result: Result | None = None
    error: str | None = None


class Unwanted(Exception):
    """Nobody waits for the answer any more."""


def what_if(job: Job, progress: Callable[[float], None] = lambda share: None) -> Result:
    """The answer, worked out by two children; `progress` is called with 0 … 1 about ten times a second.

    It may raise `Unwanted` to end all. Raises RingfenceError when a policy does not load or the ledger can't be read.
    """
    plan = Plan(job)
    tasks = plan.tasks()
    context = multiprocessing.get_context("fork")
    children: list[ForkProcess] = []
    pipes: list[Connection] = []
    try:
        for task in tasks:
            mine, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(plan, task, theirs, [*pipes, mine]), daemon=True)
            child.start()
            theirs.close()
            children.append(child)
            pipes.append(mine)
        return compare(plan, merged(tasks, _gather(pipes, progress)))
    finally:
        for child in children:
            child.terminate()
            child.join()
        for pipe in pipes:
            pipe.close()


def _gather(pipes: list[Connection], progress: Callable[[float], None]) -> list[Judged]:
    """What the children found, in their order."""
    shares = [0.0] * len(pipes)
    found: dict[int, Judged] = {}
    while len(found) < len(pipes):
        for ready in wait([pipe for at, pipe in enumerate(pipes) if at not in found], EVERY_SECONDS):
            at = next(at for at, pipe in enumerate(pipes) if pipe is ready)
            try:
                said = pipes[at].recv()
            except EOFError as error:
                raise RingfenceError("the comparison was ended from outside; start it again") from error
            if isinstance(said, str):
                raise RingfenceError(said)
            if isinstance(said, float):
                shares[at] = said
            else:
                found[at] = Judged(*said)
                shares[at] = 1.0
        progress(_JUDGING * sum(shares) / len(shares))
    return [found[at] for at in range(len(pipes))]


def _child(plan: Plan, task: Task, pipe: Connection, others: list[Connection]) -> None:
    """Do one part of the judging and say how far that is, and last what came of it; ends when nobody listens."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    said = 0.0

    def progress(share: float) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            pipe.send(share)

    with contextlib.suppress(BrokenPipeError):
        try:
            judged = judge(plan, task, progress)
        except RingfenceError as error:
            pipe.send(str(error))
        else:
            pipe.send((judged.bans, judged.successes, judged.events))


def _say(**what: object) -> None:
    line = msgspec.json.encode(Message(**what)) + b"\n"  # type: ignore[arg-type]
    try:
        while line:
            line = line[os.write(sys.stdout.fileno(), line) :]
    except OSError as error:
        raise Unwanted from error


def _asked() -> tuple[Job, bool]:
    """The job, and whether the input is still open (so that its end says something)."""
    line = sys.stdin.buffer.readline()
    try:
        return msgspec.json.decode(line, type=Job), line.endswith(b"\n")
    except msgspec.MsgspecError as error:
        raise RingfenceError(f"this is no job: {error}") from error


def _ended(descriptor: int) -> bool:
    """Whether the other side closed the input."""
    readable, _, _ = select.select([descriptor], [], [], 0)
    return bool(readable) and os.read(descriptor, 4096) == b""


def _end(*_: object) -> None:
    raise Unwanted


def main() -> int:
    """Read a job, answer it; the exit code is 0 with a result, 1 with an error, 2 when nobody wanted it any more."""
    signal.signal(signal.SIGTERM, _end)
    os.nice(NICE)
    said = time.monotonic()

    def progress(share: float) -> None:
        nonlocal said
        if watched and _ended(sys.stdin.fileno()):
            raise Unwanted
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            _say(progress=round(share, 3))

    try:
        try:
            job, watched = _asked()
            _say(progress=0.0)
            result = what_if(job, progress)
            _say(progress=1.0)
            _say(result=result)
        except RingfenceError as error:
            _say(error=str(error))
            return 1
    except (Unwanted, KeyboardInterrupt):
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
