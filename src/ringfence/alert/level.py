"""When an attack begins and when it is over: attempts a minute against what this server is used to. Pure.

An attack on a service *begins* when the mean of the last 3 whole minutes reaches HIGH, the greater of a floor and
`factor` times the usual: a burst of one minute that is three times HIGH begins it at once, a steady rate of HIGH after
three minutes. It is *over* when the mean of the last 10 minutes is below a quarter of HIGH, and not within its first
10 minutes. Between the two lies so much that neither a steady rate nor the tail of a burst makes it begin and end in
turns: what ends it leaves at most 2.5 times HIGH in ten minutes, and to begin again takes 3 times HIGH in three.

The *usual* is the interquartile mean of the attempts in the hours of the last 7 days that belonged to no attack: it
follows what grows over days and is not moved by some wild hours. Where an attack left less than a day of other hours,
all hours count; what lasts for a week is what this server is used to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct, structs

BEGIN_MINUTES: Final = 3
END_MINUTES: Final = 10
END_PART: Final = 4
"""An attack is over below this part of what begins one."""
USUAL_HOURS: Final = 7 * 24
FEWEST_HOURS: Final = 24

Change = Literal["began", "ended"]


class LevelState(Struct, frozen=True, kw_only=True):
    """What has to be kept across a restart; times are seconds UTC, minutes are numbered from 1970 on.

    since: when the attack began that is `on`; told: the minute after which it was told; minute: the last one that was
    looked at.
    """

    on: bool = False
    since: float = 0.0
    told: int = 0
    minute: int = -1


class Level:
    """Whether one service is under attack; `state` is all that it knows."""

    def __init__(self, state: LevelState | None = None, *, factor: float = 8, floor: float = 30) -> None:
        self.state = state or LevelState()
        self._factor, self._floor = factor, floor

    def feed(self, now: float, per_minute: Sequence[int], usual: float) -> Change | None:
        """What changed with the whole minutes before `now`.

        per_minute: attempts in each of the last minutes, the newest last, END_MINUTES or more of them; usual: attempts
        a minute. To be fed once a minute; more often does no harm.
        """
        before, last = self.state, int(now // 60) - 1
        if last == before.minute:
            return None
        self.state = structs.replace(before, minute=last, told=min(before.told, last))
        if before.on:
            if last - self.state.told < END_MINUTES or mean(per_minute, END_MINUTES) >= self.high(usual) / END_PART:
                return None
            self.state = structs.replace(self.state, on=False)
            return "ended"
        if mean(per_minute, BEGIN_MINUTES) < self.high(usual):
            return None
        length = _run(per_minute, self.high(usual) / END_PART)
        self.state = LevelState(on=True, since=(last + 1 - length) * 60.0, told=last, minute=last)
        return "began"

    def high(self, usual: float) -> float:
        """Attempts a minute from which on it is an attack."""
        return max(self._floor, self._factor * usual)


def mean(per_minute: Sequence[int], minutes: int) -> float:
    """Attempts a minute in the last `minutes`; what is not told had none."""
    return sum(per_minute[-minutes:]) / minutes


def _run(per_minute: Sequence[int], low: float) -> int:
    """How many of the last minutes, without a break, were not quiet; at least those that were judged by."""
    length = 0
    for count in reversed(per_minute):
        if count < low:
            break
        length += 1
    while length < min(BEGIN_MINUTES, len(per_minute)) and any(per_minute[-BEGIN_MINUTES : len(per_minute) - length]):
        length += 1
    return max(1, length)


def usual_rate(hours: Mapping[int, int], now: float, attacks: Sequence[tuple[float, float]] = ()) -> float:
    """Attempts a minute that a service is used to at `now`.

    hours: attempts by hour (seconds UTC / 3600), as the ledger keeps them: hours without any may be missing, but time
    before the first one is not known and does not count; attacks: since and until of those of the last 7 days, seconds
    UTC, an end that is yet to come as infinity.
    """
    current = int(now // 3600)
    known = [hour for hour in hours if current - USUAL_HOURS <= hour < current]
    if not known:
        return 0.0
    start = min(known) if min(hours) >= current - USUAL_HOURS else current - USUAL_HOURS
    every = range(start, current)
    calm = [
        hour for hour in every if not any(since < (hour + 1) * 3600 and until > hour * 3600 for since, until in attacks)
    ]
    chosen = calm if len(calm) >= FEWEST_HOURS else every
    return _middle(sorted(hours.get(hour, 0) for hour in chosen)) / 60


def _middle(values: Sequence[int]) -> float:
    """The interquartile mean: a quarter left out at each end."""
    cut = len(values) // 4
    kept = values[cut : len(values) - cut]
    return sum(kept) / len(kept)
