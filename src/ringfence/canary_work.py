"""The canary at work: writes test lines to syslog and carries what comes back through the guard's own parts.

The lines take the way of every line up to the parser. There they are taken out, before anything is counted, and go
through a detector with a rule of its own, into a table of its own, and into the real set of a service for an instant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ringfence.alert.journal import DEVICE
from ringfence.answers import SourceRow, stamp
from ringfence.canary import Canary, CanaryState, Line, Log, OnResult
from ringfence.detect import AllowList, Detector
from ringfence.enforce.ruleset import PROTOCOLS
from ringfence.errors import RingfenceError
from ringfence.model import EVERY, Event, Policy, Rule
from ringfence.parse.canary import PROGRAM, SERVICE, message
from ringfence.render import ago

if TYPE_CHECKING:
    from ringfence.guard import Guard
    from ringfence.sense.chunk import Chunk

FACILITIES: Final = {"authpriv": 10, "auth": 4, "daemon": 3, "mail": 2, "local0": 16, "local4": 20}
"""Facilities that servers of the catalogue log to, with their numbers (RFC 5424, section 6.2.1)."""
INFO: Final = 6
HELD: Final = 10.0
"""Seconds after which the address leaves the kernel by itself, should the guard die at that very moment."""
LOOK: Final = 0.25
"""Seconds between two looks at the deadline while a run is under way."""
IDLE: Final = 60.0
"""Seconds between two looks at whether the timer was switched on."""
RULE: Final = Rule(name="canary", failures=1, within=60.0, ban=HELD)

Write = Callable[[Path, list[bytes]], None]


class CanaryWork:
    """The canary of one guard. `every`: seconds between two runs of the timer, 0: only when asked.

    `on_result` hears of each log that was tested, see `OnResult`. `device`: the socket of syslog. `write` sends
    datagrams there and raises OSError; `moment`: a clock that only goes on, in seconds.
    """

    def __init__(self, guard: Guard, *, moment: Callable[[], float] = time.monotonic) -> None:
        self.score = Canary(self._ended)
        self.on_result: OnResult | None = None
        self.device = Path(DEVICE)
        self.every: Callable[[], float] = lambda: 0.0
        self.write: Write = send
        self._guard = guard
        self._moment = moment
        self._began = 0.0
        self._probing = False
        self._coming: deque[Iterator[None]] = deque()
        self._wake = asyncio.Event()

    def state(self) -> CanaryState:
        """How the run that is under way, or the last one, stands."""
        self._expire()
        return self.score.state(stamp(self._began) if self.score.run else "")

    def problems(self) -> list[str]:
        """What the last run found to be broken."""
        return self.score.problems()

    # --- a run

    def start(self) -> int:
        """Begin a run, unless one is under way; returns its number."""
        if self.score.running:
            return self.score.run
        guard = self._guard
        lines = [Line(name, secrets.token_hex(16), _address(number)) for number, name in enumerate(FACILITIES)]
        self._began = guard.clock()
        self._coming.clear()
        logs = self._logs()
        guard.watch.probing, self._probing = self, True
        number = self.score.start(lines, logs, self._moment())
        if self.score.running:
            try:
                self.write(self.device, [datagram(line, self._began) for line in lines])
            except OSError as error:
                self.score.refused(f"syslog takes nothing at {self.device}: {error.strerror or error}")
        self._wake.set()
        return number

    def _logs(self) -> list[Log]:
        """Every log that is watched, and those that were once and still should be."""
        guard, now = self._guard, self._guard.clock()
        before = self._remembered()
        logs = {
            row.source: Log(
                source=row.source, last=before.get(row.source, 0.0), fed=guard.watch.is_fed_by_syslog(row.source),
                why=row.trouble or ("" if guard.watch.is_fed_by_syslog(row.source) else _foreign(row, now)),
            )
            for row in guard.watch.rows()
        }  # fmt: skip
        for source in before.keys() - logs.keys():
            logs[source] = Log(source=source, last=before[source], why="the log is not there any more")
        return list(logs.values())

    def _remembered(self) -> Mapping[str, float]:
        """When a test line last came back, by log; of logs that are watched no longer nothing is kept."""
        guard = self._guard
        try:
            known = guard.ledger.canaries()
            for source in [source for source in known if not guard.watch.plan.kinds_of(source)]:
                guard.ledger.forget_canary(source)
                del known[source]
        except RingfenceError:
            return {}  # the step of the ledger will tell
        return known

    # --- what Watch tells while a run is under way

    def look(self, chunk: Chunk) -> None:
        """Note which test lines are in what was read."""
        if PROGRAM.encode() in chunk.data:
            now = self._moment()
            for token in list(self.score.lines()):
                if token.encode() in chunk.data:
                    self.score.seen(chunk.source, token, now)

    def sift(self, source: str, events: list[Event]) -> list[Event]:
        """Take out what test lines told: it is not to be counted anywhere."""
        kept = []
        for event in events:
            if event.service != SERVICE:
                kept.append(event)
            elif self.score.parsed(source, event.token, event.address, self._moment()):
                self._coming.append(self._carry(source, event))
                self._wake.set()
        return kept

    # --- the way from there on

    def step(self) -> bool:
        """Carry one line one step further; False when there is nothing to do now. Takes well under a millisecond."""
        self._expire()
        if not self._coming:
            return False
        with contextlib.suppress(StopIteration):
            next(self._coming[0])
            return True
        self._coming.popleft()
        return True

    def _carry(self, source: str, event: Event) -> Iterator[None]:
        """The steps that are left, one at a time; a fault of one ends the way and nothing else."""
        steps = {"detect": self._detect, "ledger": self._record, "kernel": self._close}
        for name, do in steps.items():
            try:
                good, note = do(source, event)
            except Exception as error:  # whatever breaks here is what a canary is for
                good, note = False, str(error) if isinstance(error, RingfenceError) else repr(error)
            if not good:
                self.score.broke(source, name, note)
                return
            self.score.reached(source, name, self._moment(), note)
            yield

    def _detect(self, source: str, event: Event) -> tuple[bool, str]:
        """One failure must lead to one verdict on its address (or the prefix that stands for it).

        A detector for each log: syslog may write one line into two of them.
        """
        policy = Policy(rules=(RULE,), limits=self._guard.policy.limits)
        verdicts = Detector(policy, AllowList(()), capacity=64).feed([event])
        good = len(verdicts) == 1 and verdicts[0].address == event.address
        return good, "" if good else f"a rule of one failure gave {len(verdicts)} verdicts"

    def _record(self, source: str, event: Event) -> tuple[bool, str]:
        """Commit, and read again what was committed."""
        ledger, now = self._guard.ledger, self._guard.clock()
        ledger.note_canary(source, now)
        good = ledger.canaries().get(source) == now
        return good, "" if good else "what was committed is not there"

    def _close(self, source: str, event: Event) -> tuple[bool, str]:
        """Let the kernel take the address into the set of a service that the log tells of, and let it go again."""
        guard = self._guard
        told = guard.watch.services_told(source)
        closed = (
            name
            for name, service in sorted(guard.services.items())
            if name in told and any(port[0] in PROTOCOLS for port in service.ports)
        )
        service = next(closed, EVERY)
        return guard.barrier.probe(event.address, service, HELD, guard.clock())

    def _expire(self) -> None:
        """Call broken what is overdue, and give back what a run took when none of its lines can come any more."""
        now = self._moment()
        self.score.expire(now, self._guard.ledger_trouble)
        if not self._coming and not self.score.left(now):
            self._guard.watch.probing, self._probing = None, False

    def _ended(self, source: str, good: bool, step: str, problem: str) -> None:
        if not good:
            self._guard.say(f"canary: {source} is BROKEN at the step {step}: {problem}")
        if self.on_result is not None:
            self.on_result(source, good, step, problem)

    # --- in the loop

    async def keep(self) -> None:
        """Begin runs when the timer says so, and carry lines on between everything else that the loop does."""
        while True:
            now = self._moment()
            left = min(self.score.due(now, self.every()), LOOK if self._probing else IDLE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()
            self._wake.clear()
            if self.score.due(self._moment(), self.every()) <= 0:
                self.start()
            while self.step():
                await asyncio.sleep(0)


def send(device: Path, datagrams: list[bytes]) -> None:
    """Hand messages to syslog without ever waiting for it. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as outlet:
        outlet.connect(os.fspath(device))
        for one in datagrams:
            outlet.send(one)


def datagram(line: Line, now: float) -> bytes:
    """A test line as syslog(3) sends it: `<facility and severity>time program[pid]: message` (RFC 3164)."""
    priority = FACILITIES[line.facility] * 8 + INFO
    moment = time.strftime("%b %e %H:%M:%S", time.localtime(now))
    return f"<{priority}>{moment} {PROGRAM}[{os.getpid()}]: {message(line.address, line.token)}".encode()


def _address(number: int) -> str:
    """An address of those kept for documentation: IPv4 and IPv6 in turn."""
    if number % 2 == 0:
        return f"192.0.2.{1 + secrets.randbelow(254)}"
    return f"2001:db8:{0x1000 + secrets.randbelow(0xE000):x}:{0x1000 + secrets.randbelow(0xE000):x}::1"


def _foreign(row: SourceRow, now: float) -> str:
    """Why nothing is written into a log that is not syslog's, and what is known of it instead."""
    last = f"its last line came {ago(row.last_line, now)}" if row.last_line else "no line of it has come yet"
    return f"only its program writes there; {last}"
