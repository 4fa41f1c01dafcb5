"""Time stamps as logs write them -> seconds since 1970 UTC.

Many forms lack the year or the zone; both are arguments, never read from a clock. Parsing a stamp costs about a
microsecond; equal stamps come in runs, so results are remembered.

Forms: RFC 3164 `Nov  1 20:34:50[.123]`, ISO 8601 / RFC 3339 `2026-11-21[T ]20:34:50[.,123][Z|+01:00|+0100]`,
`2026/11/21 20:34:50` (nginx), `Sat Nov 21 20:34:50.123456 2026` (Apache), `21/Nov/2026:20:34:50 +0000` (access logs),
`21-Nov-2026 20:34:50[ +0000| UTC]` and `2026-Nov-21 20:34:50` (PHP), `261121 20:34:50`
(MySQL 5.5), and seconds since 1970 `1795290863[.5]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

# Loose for speed: `Stamps` decides what is a time.
ISO = r"\d{4}-[\d-]{5}[T ][\d :][\d:]{7}(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
BSD = r"[A-Z][a-z]{2} [\d :]{11}(?:\.\d{1,9})?"
SLASHED = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"
CTIME = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})? \d{4}"
ACCESS = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
DASHED = r"(?:\d\d-[A-Z][a-z]{2}-\d{4}|\d{4}-[A-Z][a-z]{2}-\d\d) \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: (?:[+-]\d{4}|UTC))?"
COMPACT = r"\d{6} [ \d]\d:\d\d:\d\d"
EPOCH = r"\d{9,11}(?:\.\d{1,9})?"
ANY = "|".join((ISO, BSD, SLASHED, ACCESS, DASHED, COMPACT, EPOCH))
"""Every form that can stand anywhere in a line; the one of Apache's error log has an envelope of its own."""

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: number for number, name in enumerate(_NAMES, start=1)}
DAY = 86400.0
REMEMBERED = 4096

_DATE_FIRST = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ]([ \d]\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?\Z"
)
_BSD = re.compile(r"(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: (\d{4}))?\Z")
_ACCESS = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\Z")
_DASHED = re.compile(r"(\d+)-([A-Z][a-z]{2})-(\d+) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ([+-]\d{4}|UTC))?\Z")
_COMPACT = re.compile(r"(\d\d)(\d\d)(\d\d) ([ \d]\d):(\d\d):(\d\d)\Z")
_EPOCH = re.compile("(" + EPOCH + r")\Z")


class Stamps:
    """Reads the stamps of one log.

    zone: of stamps that name none. reference: a time (seconds UTC) that the log was written before, such as when its
    line arrived or its file was last changed: a stamp without a year gets the year that puts it at most one day
    after it. year: overrules that.
    """

    def __init__(self, zone: tzinfo, reference: float, year: int | None = None) -> None:
        self.zone = zone
        self.year = year
        self._reference = reference
        self.known: dict[str, float | None] = {}
        """Stamps read before; the reader's loop looks here first."""

    def refer_to(self, reference: float) -> None:
        """Move the reference on, as live lines arrive; what was remembered for another day is forgotten."""
        if reference - self._reference > DAY / 2:
            self._reference = reference
            self.known.clear()

    def read(self, stamp: str) -> float | None:
        """Seconds UTC, or None when this is no time (31 February, hour 25)."""
        try:
            return self.known[stamp]
        except KeyError:
            pass
        if len(self.known) >= REMEMBERED:
            self.known.clear()
        try:
            time = self._parse(stamp)
        except (ValueError, OverflowError, KeyError):
            time = None
        self.known[stamp] = time
        return time

    def _parse(self, stamp: str) -> float | None:
        forms: tuple[tuple[re.Pattern[str], Callable[..., float]], ...] = (
            (_BSD, self._bsd),
            (_DATE_FIRST, self._date_first),
            (_ACCESS, self._access),
            (_DASHED, self._dashed),
            (_COMPACT, self._compact),
            (_EPOCH, float),
        )
        for form, reader in forms:
            found = form.match(stamp)
            if found:
                return reader(*found.groups())
        return None

    def _date_first(
        self, year: str, month: str, day: str, hour: str, minute: str, second: str, part: str | None, zone: str | None
    ) -> float:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), _seconds(second))
        return self._utc(moment, zone) + _fraction(part)

    def _bsd(
        self, month: str, day: str, hour: str, minute: str, second: str, part: str | None, year: str | None
    ) -> float:
        number, clock = MONTHS[month], (int(day), int(hour), int(minute), _seconds(second))
        if year:
            return self._utc(datetime(int(year), number, *clock), None) + _fraction(part)
        if self.year:
            return self._utc(datetime(self.year, number, *clock), None) + _fraction(part)
        return self._without_year(number, clock) + _fraction(part)

    def _without_year(self, month: int, clock: tuple[int, int, int, int]) -> float:
        """The newest year that puts the stamp no later than a day after the reference (29 February: a leap year)."""
        last = datetime.fromtimestamp(self._reference, UTC).year + 1
        for year in range(last, last - 9, -1):
            try:
                time = self._utc(datetime(year, month, *clock), None)
            except ValueError:
                continue
            if time <= self._reference + DAY:
                return time
        raise ValueError(month)

    def _access(self, day: str, month: str, year: str, hour: str, minute: str, second: str, zone: str) -> float:
        moment = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), _seconds(second))
        return self._utc(moment, zone)

    def _dashed(
        self, first: str, month: str, last: str, hour: str, minute: str, second: str, part: str | None, zone: str | None
    ) -> float:
        year, day = (first, last) if len(first) == 4 else (last, first)
        moment = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), _seconds(second))
        return self._utc(moment, "Z" if zone == "UTC" else zone) + _fraction(part)

    def _compact(self, year: str, month: str, day: str, hour: str, minute: str, second: str) -> float:
        return self._utc(
            datetime(2000 + int(year), int(month), int(day), int(hour), int(minute), _seconds(second)), None
        )

    def _utc(self, moment: datetime, zone: str | None) -> float:
        return moment.replace(tzinfo=_offset(zone) if zone else self.zone).timestamp()


def _seconds(text: str) -> int:
    """A leap second counts as the one before it."""
    return 59 if text == "60" else int(text)


def _fraction(digits: str | None) -> float:
    return float("0." + digits) if digits else 0.0


def _offset(zone: str) -> tzinfo:
    if zone == "Z":
        return UTC
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
