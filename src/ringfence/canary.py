"""The canary: whether a failed login still goes all the way from a log to the kernel. Pure; time is an argument.

A run writes test lines to syslog and follows them through source → parse → detect → ledger → kernel; this module
keeps the score, `canary_work` does the work. A line is ours only by its token, which is random and lives as long as its
run: whatever anybody else writes does nothing whatsoever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

STEPS: Final = ("source", "parse", "detect", "ledger", "kernel")
DEADLINE: Final = 10.0
"""Seconds from the writing of the lines until what has not come is called broken."""
FAILED: Final = {
    "source": f"no test line came back within {DEADLINE:.0f} s: does syslog still write there?",
    "parse": "a test line was read and not understood",
    "detect": f"no verdict within {DEADLINE:.0f} s",
    "ledger": f"nothing was committed within {DEADLINE:.0f} s",
    "kernel": f"the kernel's set was not changed within {DEADLINE:.0f} s",
}
"""What it means when a step is not reached in time."""
UNREACHED: Final = "nothing that is said to syslog comes here, nor ever did: it can't be tested without doing harm"

State = Literal["waiting", "ok", "broken", "untestable"]
OnResult = Callable[[str, bool, str, str], None]
"""(log, whether all went well, the step that failed or "", the problem in words or "")."""


class StepRow(Struct, frozen=True, kw_only=True):
    """One step that was reached, in milliseconds since the lines were written; `note`: what is worth a word."""

    name: str
    ms: float
    note: str = ""


class CanaryRow(Struct, frozen=True, kw_only=True):
    """How the test of one log stands. `facility`: of the line that came first; `step`: where it broke; `why`: in words.

    untestable: nothing is known to be wrong, and nothing was shown to work.
    """

    source: str
    state: State
    steps: list[StepRow]
    facility: str = ""
    step: str = ""
    why: str = ""


class CanaryState(Struct, frozen=True, kw_only=True):
    """A run: its number since the start of the guard (0: there was none), when it began, and each log.

    `ok`: it is done, at least one log was tested, and none is broken.
    """

    run: int
    began: str
    done: bool
    ok: bool
    rows: list[CanaryRow]


class Line(Struct, frozen=True):
    """A test line: the facility it is said to, the secret that it is known by, and whose failed login it tells of."""

    facility: str
    token: str
    address: str


class Log(Struct, frozen=True, kw_only=True):
    """A watched log as a run begins. `last`: when a test line last came back through it in an earlier run, 0: never.

    `fed`: syslog may write there; `why`: why nothing may come, in words, as far as that is known.
    """

    source: str
    last: float = 0.0
    fed: bool = True
    why: str = ""


class _Way(Struct):
    """How far a test line came through one log."""

    log: Log
    state: State = "waiting"
    reached: list[StepRow] = []
    line: Line | None = None
    step: str = ""
    why: str = ""


class Canary:
    """The score of the runs, one at a time. All times are seconds of one clock that only goes on."""

    def __init__(self, on_result: OnResult | None = None) -> None:
        self.run = 0
        self.on_result = on_result
        self._began = -math.inf
        self._lines: dict[str, Line] = {}
        self._ways: dict[str, _Way] = {}
        self._due_from: float | None = None

    @property
    def running(self) -> bool:
        """Whether lines are under way."""
        return bool(self._lines)

    def start(self, lines: Iterable[Line], logs: Iterable[Log], now: float) -> int:
        """The lines are about to be written; returns the number of the run."""
        self.run += 1
        self._began = self._due_from = now
        self._lines = {line.token: line for line in lines}
        self._ways = {log.source: _Way(log) for log in logs}
        for way in self._ways.values():
            if not way.log.fed and not way.log.last:
                way.state, way.why = "untestable", way.log.why
        self._end_if_done()
        return self.run

    def lines(self) -> Mapping[str, Line]:
        """What is under way, by token."""
        return self._lines

    def seen(self, source: str, token: str, now: float) -> None:
        """A line with this token was read from `source`."""
        line = self._lines.get(token)
        if line is None:
            return
        way = self._ways.setdefault(source, _Way(Log(source=source)))
        if not way.reached and way.state in ("waiting", "untestable"):
            way.state, way.why, way.line = "waiting", "", line
            self._reach(way, "source", now)

    def parsed(self, source: str, token: str, address: str, now: float) -> bool:
        """It was understood, and names `address`; True for the first of a log, which is to be carried on."""
        line, way = self._lines.get(token), self._ways.get(source)
        if line is None or way is None or line.address != address or self._next(way) != "parse":
            return False
        way.line = line
        self._reach(way, "parse", now)
        return True

    def reached(self, source: str, step: str, now: float, note: str = "") -> None:
        """`source` reached the step after its last one."""
        way = self._ways.get(source)
        if way is not None and self._next(way) == step:
            self._reach(way, step, now, note)
            if step == STEPS[-1]:
                self._end(way, "ok")

    def broke(self, source: str, step: str, problem: str) -> None:
        """What came through `source` does not get over `step`."""
        way = self._ways.get(source)
        if way is not None and way.state == "waiting":
            self._end(way, "broken", step, problem)

    def refused(self, problem: str) -> None:
        """Syslog takes nothing: what it fed before is broken, of the others nothing is known."""
        for way in self._waiting():
            if way.log.last:
                self._end(way, "broken", "source", problem)
            else:
                self._end(way, "untestable", why=problem)

    def expire(self, now: float, stuck: str = "") -> None:
        """Call broken what has not come in time. `stuck`: why the guard reads no logs now (its ledger failed)."""
        if self.running and now >= self._began + DEADLINE:
            for way in self._waiting():
                step = self._next(way)
                if stuck:
                    self._end(way, "broken", "ledger", stuck)
                elif step != "source":
                    self._end(way, "broken", step, FAILED[step])
                elif way.log.last:
                    self._end(way, "broken", step, way.log.why or FAILED[step])
                else:
                    self._end(way, "untestable", why=way.log.why or UNREACHED)
            self._lines = {}

    def left(self, now: float) -> float:
        """Seconds until no line of the last run is to be expected any more, whether all were needed or not."""
        return max(0.0, self._began + DEADLINE - now)

    def due(self, now: float, every: float) -> float:
        """Seconds until the timer begins a run, 0 when it is time; infinite when it is off (`every` is 0) or one runs.

        Counted from the last run, else from the first question.
        """
        if every <= 0:
            self._due_from = None
            return math.inf
        if self._due_from is None:
            self._due_from = now
        return math.inf if self.running else max(0.0, self._due_from + every - now)

    def rows(self) -> list[CanaryRow]:
        """Each log of the last run: those that were or are tested first."""
        order = ("broken", "waiting", "ok", "untestable")
        ways = sorted(self._ways.values(), key=lambda way: (order.index(way.state), way.log.source))
        return [
            CanaryRow(
                source=way.log.source, state=way.state, steps=list(way.reached), step=way.step, why=way.why,
                facility=way.line.facility if way.line is not None else "",
            )
            for way in ways
        ]  # fmt: skip

    def state(self, began: str) -> CanaryState:
        """The last run; `began`: when, in words."""
        rows = self.rows()
        states = {row.state for row in rows}
        ok = "ok" in states and states.isdisjoint({"broken", "waiting"})
        return CanaryState(run=self.run, began=began, done=not self.running, ok=ok and not self.running, rows=rows)

    def problems(self) -> list[str]:
        """What the last run found to be broken."""
        return [f"canary: {row.source}: {row.step}: {row.why}" for row in self.rows() if row.state == "broken"]

    def _waiting(self) -> list[_Way]:
        return [way for way in self._ways.values() if way.state == "waiting"]

    def _next(self, way: _Way) -> str:
        """The step that comes next; empty when there is none, or no more."""
        return STEPS[len(way.reached)] if way.state == "waiting" else ""

    def _reach(self, way: _Way, step: str, now: float, note: str = "") -> None:
        ms = round((now - self._began) * 1000, 3)
        way.reached.append(StepRow(name=step, ms=ms, note=note))

    def _end(self, way: _Way, state: State, step: str = "", why: str = "") -> None:
        way.state, way.step, way.why = state, step, why
        self._end_if_done()
        if self.on_result is not None and state in ("ok", "broken"):
            self.on_result(way.log.source, state == "ok", step, why)

    def _end_if_done(self) -> None:
        if not self._waiting():
            self._lines = {}
