"""What charts are drawn from: attempts by time and service, the busiest services apart and the others as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ringfence.ledger import Ledger
from ringfence.ledger.listed import Slot

APART: Final = 7
"""Services with a colour of their own."""
STEPS: Final = (60, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
MOST_SLOTS: Final = 400
MOST_BARS: Final = 120
FEWEST_BARS: Final = 30
LONGEST: Final = 31 * 86_400.0


class Range(Struct, frozen=True):
    """What one can look back on: `span` seconds, drawn by `step` seconds, told in the table by `rows` seconds."""

    span: float
    step: int
    rows: int


RANGES: Final = {
    "hour": Range(3_600, 60, 600),
    "day": Range(86_400, 600, 7_200),
    "month": Range(30 * 86_400, 7_200, 86_400),
}


class Line(Struct, frozen=True):
    """One service: how many attempts in each slot, and in all; or several `others` together."""

    name: str
    counts: list[int]
    total: int
    others: int = 0


class Chart(Struct, frozen=True):
    """Slots of `step` seconds that begin at `times`; `until` is where the last one ends so far."""

    since: float
    until: float
    step: int
    times: list[int]
    services: list[Line]
    bans: list[int]

    @property
    def attempts(self) -> int:
        """All attempts."""
        return sum(line.total for line in self.services)


def chart_of(ledger: Ledger, name: str, now: float) -> Chart:
    """The chart of one of the RANGES, until now."""
    wanted = RANGES[name]
    since = math.floor((now - wanted.span) / wanted.rows) * wanted.rows
    return chart_between(ledger, since, now, wanted.step)


def chart_between(ledger: Ledger, since: float, until: float, step: int = 0) -> Chart:
    """The chart from `since` to `until`; without a `step`, the smallest that leaves few enough slots."""
    step = step or fitting_step(until - since, MOST_SLOTS)
    first = math.floor(since / step) * step
    count = max(1, math.ceil((until - first) / step))
    attempts = ledger.attempts_by_minute(first, first + count * step, step)
    bans = ledger.bans_by_slot(first, until, step)
    return Chart(
        since=first, until=until, step=step, times=[first + number * step for number in range(count)],
        services=_lines(attempts, first, step, count), bans=_counts(bans, first, step, count),
    )  # fmt: skip


def fitting_step(span: float, most: int) -> int:
    """The smallest of the STEPS that divides `span` seconds into at most `most` slots."""
    return next((step for step in STEPS if span / step <= most), STEPS[-1])


def rows_of(chart: Chart, rows: int) -> Chart:
    """The same by `rows` seconds (a multiple of the step): short enough to be read as a table."""
    each = max(1, rows // chart.step)

    def together(counts: Sequence[int]) -> list[int]:
        return [sum(counts[at : at + each]) for at in range(0, len(counts), each)]

    lines = [Line(line.name, together(line.counts), line.total, line.others) for line in chart.services]
    return Chart(
        since=chart.since, until=chart.until, step=each * chart.step, times=chart.times[::each], services=lines,
        bans=together(chart.bans),
    )  # fmt: skip


class Bar(Struct, frozen=True):
    """One bar of a small picture: `height` from 0 to 100."""

    time: float
    count: int
    height: float


class Bars(Struct, frozen=True):
    """Attempts of one address in time, as bars of `step` seconds from the first one to the last."""

    step: int
    bars: list[Bar]
    total: int


def bars_of(ledger: Ledger, target: str, first: float, last: float) -> Bars:
    """How the attempts of `target` between `first` and `last` lie in time; never further back than LONGEST."""
    first = max(first, last - LONGEST)
    step = fitting_step(last - first, MOST_BARS)
    begin = math.floor(first / step) * step
    counts = Counter[int]()
    for slot in ledger.events_in_time(target, begin, step):
        counts[int(slot.time)] += slot.count
    highest = max(counts.values(), default=1)
    # A single bar would be as broad as the page.
    begin = min(begin, math.floor(last / step) * step - (FEWEST_BARS - 1) * step)
    times = range(int(begin), int(last) + 1, step)
    bars = [Bar(time, counts[time], round(100 * counts[time] / highest, 1)) for time in times]
    return Bars(step, bars, sum(counts.values()))


def _lines(slots: Sequence[Slot], first: float, step: int, count: int) -> list[Line]:
    totals = Counter[str]()
    for slot in slots:
        totals[slot.service] += slot.count
    apart = {name: [0] * count for name, _ in totals.most_common(APART)}
    rest = [0] * count
    for slot in slots:
        at = int((slot.time - first) // step)
        if 0 <= at < count:
            apart.get(slot.service, rest)[at] += slot.count
    lines = [Line(name, counts, sum(counts)) for name, counts in apart.items()]
    if len(totals) > len(apart):
        lines.append(Line("", rest, sum(rest), len(totals) - len(apart)))
    return lines


def _counts(slots: Sequence[Slot], first: float, step: int, count: int) -> list[int]:
    found = [0] * count
    for slot in slots:
        at = int((slot.time - first) // step)
        if 0 <= at < count:
            found[at] += slot.count
    return found
