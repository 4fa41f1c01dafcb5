"""Blocks of a log -> sightings: every line that tells of an authentication, as an Event of its own.

Several lines may tell of one attempt; `attempts.py` makes one of them. Everything here is pure: the arrival time of
live lines is an argument. The fields that a client controls can't move the address: the expressions are anchored at
both ends, a line with two readings is not believed, and `forgery.py` looks after line breaks inside of fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container
from datetime import tzinfo

from msgspec import Struct, structs

from ringfence.model import Event
from ringfence.parse.addresses import canonical
from ringfence.parse.compiled import Compiled
from ringfence.parse.envelope import PREFIX, journal_lines
from ringfence.parse.fields import DECODERS, forwarded_for, read_report
from ringfence.parse.forgery import Find, Forgery
from ringfence.parse.matcher import Matcher
from ringfence.parse.timestamps import Stamps

CLOCK_TOLERANCE = 300.0
"""Seconds by which a live line's stamp may differ from its arrival before its clock is called wrong."""

STREAMS = frozenset({"tcp", "tls", "ws", "wss", "sctp"})
"""Transports on which nobody can speak under a foreign address."""

NAMED = "name:"
"""What stands before a host name in place of an address."""

_REMEMBERED = 65536
_REPEATED_AT_MOST = 1000


class ReaderStatistics(Struct, kw_only=True):
    """What a reader has seen. `unreadable_times`: matched lines whose stamp is no time; `unbelieved`: lines that had
    two readings or were forged by line breaks in a client's field; `named`: lines that told of a host by its name only;
    `last_time`: stamp of the newest matched line."""

    lines: int = 0
    bytes: int = 0
    matched: int = 0
    unreadable_times: int = 0
    unbelieved: int = 0
    named: int = 0
    last_time: float = 0.0


class Reader:
    """Reads one log. `kinds` limits whose lines are believed here, `services` which are looked for; None: any.

    zone, reference, year: see `Stamps`. journal: the data are journal entries in JSON. proxies: addresses whose word is
    taken for whom they speak for (X-Forwarded-For). names: a host name is told as an event whose address is `NAMED`
    and the name, for the caller to resolve.
    """

    def __init__(
        self,
        source: str,
        matcher: Matcher,
        *,
        zone: tzinfo,
        reference: float,
        kinds: Collection[str] | None = None,
        services: Collection[str] | None = None,
        year: int | None = None,
        journal: bool = False,
        proxies: Container[str] = (),
        names: bool = False,
    ) -> None:
        self.source = source
        self.statistics = ReaderStatistics()
        self._matcher = matcher
        self._services = frozenset(services) if services else None
        self._candidates = matcher.candidates(kinds)
        self._stamps = Stamps(zone, reference, year)
        self._reference = reference
        self._addresses: dict[str, str | None] = {}
        self._journal = journal
        self._proxies = proxies
        self._names = names
        self._forgery = Forgery()
        self._troubles: list[str] = []
        self._clock_is_wrong = False

    def troubles(self) -> list[str]:
        """What was noticed since the last call; each thing is said once."""
        troubles, self._troubles = self._troubles, []
        return troubles

    def read(self, data: bytes, first_line: int, arrival: float | None = None) -> list[Event]:
        """The sightings in `data` (whole lines, each with its line break), in order.

        first_line: 1-based number of its first line. arrival: seconds UTC when the lines are live; None while
        catching up, where the line's own time is all there is.
        """
        statistics = self.statistics
        statistics.bytes += len(data)
        if self._journal:
            data = journal_lines(data)
        statistics.lines += data.count(b"\n")
        hits = self._matcher.find(data)
        if not hits:
            self._forgery.passed(len(data))
            return []
        if arrival is not None:
            self._stamps.refer_to(arrival)
        events = self._sightings(data.decode("latin-1"), hits, first_line)
        if events:
            statistics.matched += len(events)
            statistics.last_time = events[-1].time
            if arrival is not None:
                events = self._by_right_clock(events, arrival)
            if self._services:
                events = [event for event in events if event.service in self._services]
        return events

    # The hot path: every line of an attack passes through this loop, hence its length and its local names.
    def _sightings(self, text: str, hits: list[tuple[int, int]], first_line: int) -> list[Event]:
        events: list[Event] = []
        finds: list[Find] = []
        add, line_start, count, source = events.append, text.rfind, text.count, self.source
        candidates, times, addresses = self._candidates, self._stamps.known, self._addresses
        taken = counted_to = 0
        torn_at, torn = -1, set[int]()  # a line full of fragments is tried once for each, not once for each place
        line = first_line
        for end, index in hits:
            if end <= taken:
                continue
            start = line_start("\n", 0, end) + 1
            if start == torn_at and index in torn:
                continue
            for compiled in candidates[index]:
                match = compiled.match(text, start)
                if match is not None:
                    break
            else:
                self._note_torn(text, start, candidates[index], finds)
                torn = {*torn, index} if start == torn_at else {index}
                torn_at = start
                continue
            taken = match.end()
            line += count("\n", counted_to, start)
            counted_to = start
            if compiled.plain:
                stamp, session, repeated, account, written = match.group(*compiled.plain)
                time = times.get(stamp)
                address = addresses.get(written)
                if time is not None and address is not None and repeated is None and account and account.isascii():
                    kind = compiled.pattern
                    add(
                        Event(
                            time,
                            address,
                            kind.service,
                            account,
                            kind.failed,
                            kind.cause,
                            "",
                            kind.proven,
                            kind.id,
                            source,
                            line,
                            session,
                        )
                    )
                    continue
            self._add(compiled, match, line, events, finds)
        if finds:
            return self._believed(text, events, finds)
        self._forgery.passed(len(text))
        return events

    def _add(self, compiled: Compiled, match: re.Match[str], line: int, events: list[Event], finds: list[Find]) -> None:
        """What is out of the ordinary: fields of other kinds, an address or time not seen before, a repeated line."""
        start, end = match.span()
        if compiled.ambiguous and match.string.count(compiled.ambiguous, start, end) > 1:
            self.statistics.unbelieved += 1
            return
        values = match.groups("")
        event = self._event(compiled, values, line)
        if event is None:
            return
        if compiled.thread >= 0 and values[compiled.stamp]:
            pattern = compiled.pattern
            finds.append(
                Find(start, end, values[compiled.thread], (compiled,), len(events), pattern.raw, pattern.open_end)
            )
        events.append(event)
        if compiled.repeated >= 0 and values[compiled.repeated]:
            events.extend([event] * (min(int(values[compiled.repeated]), _REPEATED_AT_MOST) - 1))

    def _event(self, compiled: Compiled, values: tuple[str, ...], line: int) -> Event | None:
        """The sighting that a matched line gives; None when what stands for the address is none."""
        if compiled.json >= 0:
            return self._reported(compiled, values, line)
        pattern = compiled.pattern
        address = self._address(compiled, values)
        if address is None:
            return None
        stamp = values[compiled.stamp]
        time = self._stamps.known.get(stamp)
        if time is None:
            time = self._time(stamp or values[compiled.second_stamp])
        account = values[compiled.account] if compiled.account >= 0 else ""
        if not account.isascii():
            account = _decoded(account)
        only = compiled.only_join
        if only >= 0:
            session = values[only]
        else:  # with the address in its one spelling: two logs may spell it differently
            place = compiled.address
            parts = [address if number == place else values[number] for number in compiled.join]
            session = "/".join([pattern.service, *parts])
        event = Event(
            time,
            address,
            pattern.service,
            account,
            pattern.failed,
            pattern.cause,
            _decoded(values[compiled.detail]) if compiled.detail >= 0 else "",
            pattern.proven and not address.startswith(NAMED),
            pattern.id,
            self.source,
            line,
            session,
        )
        return _with_extras(event, values, compiled) if compiled.extras or compiled.encoded else event

    def _reported(self, compiled: Compiled, values: tuple[str, ...], line: int) -> Event | None:
        """An event that an application reports itself, as a JSON object."""
        report = read_report(values[compiled.json])
        address = canonical(report.address) if report else None
        if report is None or address is None:
            self.statistics.unbelieved += 1
            return None
        stamp = values[compiled.stamp] if compiled.stamp >= 0 else str(report.time)
        return Event(
            self._time(stamp),
            address,
            report.service,
            report.account,
            report.outcome == "failed",
            report.cause,
            report.detail,
            report.proven,
            compiled.pattern.id,
            self.source,
            line,
            f"{report.service}/{address}/{report.session}",
        )

    def _address(self, compiled: Compiled, values: tuple[str, ...]) -> str | None:
        """Who a matched line tells of: "" where its connection's opening does, None where it can't be known."""
        if compiled.address < 0:
            return ""
        written = values[compiled.address]
        try:
            address = self._addresses[written]
        except KeyError:
            address = self._canonical(written)
        if address is None and compiled.pattern.host:
            self.statistics.named += 1
            return NAMED + written.lower().rstrip(".") if self._names else None
        if compiled.forwarded >= 0 and address is not None and address in self._proxies:
            return forwarded_for(values[compiled.forwarded], self._proxies)
        return address

    def _canonical(self, written: str) -> str | None:
        if len(self._addresses) >= _REMEMBERED:
            self._addresses.clear()
        address = self._addresses[written] = canonical(written)
        return address

    def _time(self, stamp: str) -> float:
        time = self._stamps.read(stamp)
        if time is None:
            self.statistics.unreadable_times += 1
            return self.statistics.last_time or self._reference
        return time

    def _note_torn(self, text: str, start: int, candidates: tuple[Compiled, ...], finds: list[Find]) -> None:
        """A line that holds a fragment but no whole message may have been torn by a line break in a client's text."""
        raw = tuple(compiled for compiled in candidates if compiled.pattern.raw)
        prefix = PREFIX.match(text, start) if raw else None
        if prefix and prefix["stamp"]:
            finds.append(Find(start, prefix.end(), prefix["thread"], raw, -1, True, False))

    def _believed(self, text: str, events: list[Event], finds: list[Find]) -> list[Event]:
        judgement = self._forgery.judge(text, finds)
        if not judgement.dropped and not judgement.joined:
            return events
        self.statistics.unbelieved += len(judgement.dropped)
        kept = [event for index, event in enumerate(events) if index not in judgement.dropped]
        for find, record in judgement.joined:
            for compiled in find.candidates:
                match = compiled.match(record)
                event = self._event(compiled, match.groups(""), 0) if match else None
                if event is not None:
                    line = events[find.index].line if find.index >= 0 else 0
                    kept.append(structs.replace(event, line=line))
                    break
        kept.sort(key=lambda event: event.time)
        return kept

    def _by_right_clock(self, events: list[Event], arrival: float) -> list[Event]:
        """Live lines were written just now: a stamp far from their arrival means a wrong clock or zone."""
        off = events[-1].time - arrival
        if abs(off) <= CLOCK_TOLERANCE:
            self._clock_is_wrong = False
            return events
        if not self._clock_is_wrong:
            self._clock_is_wrong = True
            side = "ahead of" if off > 0 else "behind"
            self._troubles.append(
                f"{self.source}: its time stamps are {abs(off):.0f} s {side} this machine's clock (a wrong clock or "
                "time zone there?); the time of arrival is used instead. Set logs.timezone if the zone is to blame."
            )
        return [structs.replace(event, time=arrival) for event in events]


def _decoded(field: str) -> str:
    """Undo the one-byte reading of a field: UTF-8 where it is, backslash escapes for what is not."""
    return field if field.isascii() else field.encode("latin-1").decode("utf-8", "backslashreplace")


def _with_extras(event: Event, values: tuple[str, ...], compiled: Compiled) -> Event:
    """Fields that only some patterns have: the transport proves an address, our own formats name service and cause."""
    given = {name: values[number] for name, number in compiled.extras.items()}
    changes: dict[str, object] = {name: DECODERS[form](getattr(event, name)) for name, form in compiled.encoded.items()}
    if "proven" in given:
        changes["proven"] = given["proven"] == "yes"
    if given.get("transport", "").lower() in STREAMS:
        changes["proven"] = True
    if "outcome" in given:
        changes["failed"] = given["outcome"] == "failed"
    if given.get("cause"):
        changes["cause"] = _decoded(given["cause"]).replace("-", " ")
    if given.get("service"):
        changes["service"] = given["service"]
    changes["token"] = given.get("token", "") or given.get("tries", "")
    return structs.replace(event, **changes)
