"""What-if comparisons in a process of their own: one at a time, given up when nobody asks about it any more."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.model import FOREVER, AllowEntry
from ringfence.own import own_addresses
from ringfence.render import safe
from ringfence.whatif import Entry, Job, Message, Result
from ringfence.whitelist import POLICY

if TYPE_CHECKING:
    from ringfence.web.web import Web

ABANDONED: Final = 30.0
"""Seconds without a question after which a running comparison is ended."""
KEPT: Final = 600.0
"""Seconds for which an answer is kept."""
MOST_KEPT: Final = 4
"""Answers kept at once; each has up to 2,000 rows."""
LOOK: Final = 0.5
COMMAND: Final = (sys.executable, "-m", "ringfence.whatif")


class JobState(Struct, kw_only=True):
    """How far a comparison is: `progress` from 0 to 1; when it is done its `result`, when it failed its `error`."""

    owner: str
    state: Literal["running", "done", "failed"] = "running"
    progress: float = 0.0
    result: Result | None = None
    error: str = ""
    asked: float = 0.0


class Jobs:
    """The comparisons of one server. For any thread; `clock` never goes back."""

    def __init__(self, command: Sequence[str] = COMMAND, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, JobState] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._running = ""

    def start(self, job: Job, owner: str) -> str:
        """Begin; returns the id to ask with. Raises RefusedError while somebody else's runs, NotFoundError never."""
        with self._lock:
            if self._running:
                if self._known[self._running].owner != owner:
                    raise RefusedError("somebody else's comparison runs; try again when it is done")
                self._give_up(self._running)
            self._forget()
            try:
                process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            except OSError as error:
                raise RingfenceError(f"the comparison can't be started: {error.strerror}") from error
            number = secrets.token_urlsafe(12)
            state = self._known[number] = JobState(owner=owner, asked=self._clock())
            self._process, self._running = process, number
        threading.Thread(target=self._follow, args=(number, state, process, job), daemon=True, name="what-if").start()
        threading.Thread(target=self._watch, args=(number, state), daemon=True, name="what-if watch").start()
        return number

    def state(self, number: str, owner: str) -> JobState:
        """How far it is; to ask is to want it. Raises NotFoundError: there is none (any more), or it is not theirs."""
        with self._lock:
            self._forget()
            found = self._known.get(number)
            if found is None or found.owner != owner:
                raise NotFoundError("there is no such comparison (any more): start it again")
            found.asked = self._clock()
            return found

    def end(self, number: str, owner: str) -> None:
        """Give it up, or forget its answer. Raises NotFoundError like `state`."""
        self.state(number, owner)
        with self._lock:
            self._give_up(number)
            self._known.pop(number, None)

    def close(self) -> None:
        """End what runs."""
        with self._lock:
            if self._running:
                self._give_up(self._running)

    def _give_up(self, number: str) -> None:
        state = self._known.get(number)
        if number == self._running and self._process is not None:
            self._process.terminate()
            self._running = ""
        if state is not None and state.state == "running":
            state.state, state.error = "failed", "given up"

    def _forget(self) -> None:
        now = self._clock()
        over = [number for number, one in self._known.items() if one.state != "running" and now >= one.asked + KEPT]
        for number in [*over, *[one for one in self._known if one != self._running][: -MOST_KEPT + 1]]:
            self._known.pop(number, None)

    def _watch(self, number: str, state: JobState) -> None:
        """End what nobody asks about."""
        while state.state == "running":
            if self._clock() >= state.asked + ABANDONED:
                with self._lock:
                    self._give_up(number)
                return
            time.sleep(LOOK)

    def _follow(self, number: str, state: JobState, process: subprocess.Popen[bytes], job: Job) -> None:
        """Send the job, take in what the process says until it ends."""
        assert process.stdin is not None and process.stdout is not None
        with process:
            with contextlib.suppress(OSError):
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                process.stdin.flush()  # and stays open: its end would say that nobody wants the answer
            for line in process.stdout:
                self._take(state, line)
            with contextlib.suppress(OSError):
                process.stdin.close()
        with self._lock:
            if state.state == "running":
                state.state, state.error = "failed", f"the comparison ended with code {process.returncode}"
            if self._running == number:
                self._running, self._process = "", None

    def _take(self, state: JobState, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=Message)
        except msgspec.MsgspecError as error:
            said = Message(error=f"the answer is not understood: {error}")
        with self._lock:
            if state.state != "running":
                return
            if said.progress is not None:
                state.progress = said.progress
            if said.error is not None:
                state.error, state.state = safe(said.error), "failed"
            if said.result is not None:
                state.result, state.progress, state.state = said.result, 1.0, "done"


def job_of(web: Web, text: str, days: float) -> Job:
    """What to compare: the policy `text` with the one in force, over the last `days`, the whitelist as it is now."""
    ledger, now = web.readers.ledger(), web.clock()
    newest = ledger.policy()
    entries = [*ledger.whitelist(now), *_fixed(web)]
    entries += [AllowEntry(target=one, note="protected", addresses=(one,)) for one in web.settings.protect.addresses]
    return Job(
        ledger=str(web.settings.ledger.path), before=newest.text if newest is not None else "", after=text, days=days,
        now=now, whitelist=tuple(map(_entry, entries)), own=tuple(sorted(own_addresses())),
        capacity=web.settings.detector.capacity,
    )  # fmt: skip


def _fixed(web: Web) -> list[AllowEntry]:
    """The entries of the policy in force, with the addresses that its host names stand for, as far as that is known."""
    from ringfence.answers import AllowRow

    try:
        rows = web.guard.ask_for_page(list[AllowRow], "whitelist")
    except RingfenceError:
        return []
    return [AllowEntry(target=row.target, author=POLICY, addresses=row.addresses) for row in rows if row.fixed]


def _entry(entry: AllowEntry) -> Entry:
    expires = None if entry.expires == FOREVER else entry.expires
    return Entry(
        target=entry.target, service=entry.service, note=entry.note, author=entry.author, created=entry.created,
        expires=expires, addresses=entry.addresses or (entry.target,),
    )  # fmt: skip
