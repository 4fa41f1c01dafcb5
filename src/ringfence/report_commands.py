"""Login events that applications tell themselves, and those of our own page: judged like lines of a log.

What is told here is data and nothing else: a text that is too long is cut, so that nobody escapes counting by a long
name; an event that can't be used is refused by its number and the others are taken.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ringfence.control import Caller, command
from ringfence.errors import RingfenceError
from ringfence.guard import Guard
from ringfence.ledger import ReportMark
from ringfence.model import Event
from ringfence.own import canonical

MOST_EVENTS = 1000
TOLERANCE = 300.0
"""Seconds that the time of an event may be off: what is older belongs into a log that is read."""
LONGEST_KEY = 128
PATTERN = "own/api"
ACCOUNT, CAUSE, DETAIL, SESSION, SHOWN = 256, 64, 1024, 128, 60
"""Characters that are kept of the texts of an event."""


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One login as an application tells it. `time` is seconds UTC, None: now. `proven`: its address can't be forged."""

    service: str
    outcome: Literal["failed", "succeeded"]
    address: str
    account: str = ""
    cause: str = ""
    detail: str = ""
    proven: bool = True
    time: float | None = None
    session: str = ""


class Reported(Struct, frozen=True, kw_only=True):
    """How many events were taken; `repeated`: they had been taken already, with the same key; why others were not."""

    accepted: int
    repeated: bool
    refused: list[str]


class ReportCommands:
    """Takes in what applications report."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def report_events(self, caller: Caller, *, events: list[Report], token: int = 0, key: str = "") -> Reported:
        """Count and judge these logins, at most 1,000; the same `key` of the same `token` counts once within a day."""
        if len(events) > MOST_EVENTS:
            raise RingfenceError(f"at most {MOST_EVENTS:,} events can be reported at once, not {len(events):,}")
        if len(key) > LONGEST_KEY:
            raise RingfenceError(f"an idempotency key has at most {LONGEST_KEY} characters")
        guard = self.guard
        now = guard.clock()
        guard.pipeline.catch_up()  # what failed to be committed may have been this very report
        before = guard.ledger.reported(token, key, now) if key else None
        if before is not None:
            return Reported(accepted=before, repeated=True, refused=[])
        source = "web" if caller.via == "web" else "api"
        taken, refused = [], []
        for number, report in enumerate(events):
            why = self._refused(report, now)
            if why:
                refused.append(f"event {number}: {why}")
            else:
                taken.append(_event(report, now, source))
        taken.sort(key=lambda event: event.time)
        if taken:
            guard.pipeline.report(taken, ReportMark(token=token, key=key, events=len(taken)) if key else None)
        return Reported(accepted=len(taken), repeated=False, refused=refused)

    def _refused(self, report: Report, now: float) -> str:
        if canonical(report.address) is None:
            return f"{report.address[:SHOWN]!r} is not an address"
        if report.service not in self.guard.services:
            return f"there is no service {report.service[:SHOWN]!r}"
        if report.time is not None and not abs(report.time - now) <= TOLERANCE:
            return f"its time is more than {TOLERANCE:.0f} seconds off"
        return ""


def _event(report: Report, now: float, source: str) -> Event:
    return Event(
        time=now if report.time is None else report.time, address=canonical(report.address) or "",
        service=report.service, account=report.account[:ACCOUNT], failed=report.outcome == "failed",
        cause=report.cause[:CAUSE], detail=report.detail[:DETAIL], proven=report.proven, pattern=PATTERN,
        source=source, line=0, session=report.session[:SESSION],
    )  # fmt: skip
