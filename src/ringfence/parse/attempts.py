"""Sightings -> counted events: one attempt counts once, however many lines and logs tell of it.

An attempt is known by its session (`Event.session`: the process, the call id, or address and port) and its address.
Each pattern tells of one attempt once (or `lines` times), so the attempts of a session are as many as the pattern
(in one log) that told most often says; the tellings of others are about the same ones. The order of the logs does not
matter. State is bounded and pure: time comes with the sightings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import structs

from ringfence.model import Event
from ringfence.parse.catalogue import Pattern
from ringfence.parse.challenges import Challenges, Held
from ringfence.parse.connections import Connections
from ringfence.parse.contacts import Contacts

SESSIONS_KEPT = 50_000
TOKEN_LIFE = 32.0
"""Seconds for which a SIP client may send a request again (RFC 3261 section 17.1.2.2, timer F)."""
SAME_TRY = 5.0
"""Seconds within which a repeated telling without a token is the same try, where the pattern says `repeats = same`."""
_SUMMED_AT_MOST = 1000
_FORGOTTEN_AT_ONCE = 100
_ROTATED = re.compile(r"(?:[.-]\d{1,8})*(?:\.(?:gz|xz|zst|bz2))?\Z")

Teller = tuple[str, str]
"""Who tells: a pattern, in a log. The same line written to two logs is two tellings of one attempt."""


class _Try:
    """One attempt of a session: when it was first told of, under which account, by which patterns how often."""

    __slots__ = ("account", "time", "token", "told")

    def __init__(self, event: Event, teller: Teller) -> None:
        self.time = event.time
        self.account = event.account
        self.told = {teller: 1}
        self.token = event.token

    def takes(self, event: Event, pattern: Pattern, teller: Teller) -> bool:
        """Whether `event` may be one more telling of this attempt."""
        if pattern.join == ("address",) and self.account and event.account and self.account != event.account:
            return False
        if pattern.repeats == "same":
            if event.token and self.token:
                return event.token == self.token
            return event.time - self.time <= SAME_TRY
        return teller not in self.told or self.told[teller] % pattern.lines != 0


class _Session:
    """The recent attempts of one session from one address: `tries` from `first` on."""

    __slots__ = ("address", "first", "last", "passed", "tries")

    def __init__(self, address: str, time: float) -> None:
        self.address = address
        self.last = time
        self.tries: list[_Try] = []
        self.first = 0
        # By teller and account, and by teller alone: the first attempt that may take another telling. Those before it
        # never will again.
        self.passed: dict[tuple[Teller, str | None], int] = {}

    def clear(self) -> None:
        """Forget the attempts."""
        self.tries.clear()
        self.passed.clear()
        self.first = 0

    def forget(self, oldest: float) -> None:
        """Forget the attempts before `oldest`."""
        while self.first < len(self.tries) and self.tries[self.first].time < oldest:
            self.first += 1
        if self.first > _FORGOTTEN_AT_ONCE:
            del self.tries[: self.first]
            self.passed.clear()
            self.first = 0

    def told(self, event: Event, pattern: Pattern, teller: Teller) -> bool:
        """Note one telling; True when it is the first of an attempt."""
        key = (teller, event.account)
        for number in range(self._start(key, pattern), len(self.tries)):
            known = self.tries[number]
            if known.takes(event, pattern, teller):
                if pattern.repeats == "new":
                    self.passed[key] = number
                known.told[teller] = known.told.get(teller, 0) + 1
                known.account = known.account or event.account
                known.token = known.token or event.token
                return False
        if pattern.repeats == "new":
            self.passed[key] = len(self.tries)
        self.tries.append(_Try(event, teller))
        return True

    def _start(self, key: tuple[Teller, str], pattern: Pattern) -> int:
        """The first attempt that may take what `key` tells: a flood makes thousands of them."""
        if pattern.repeats != "new":
            return self.first
        teller, start = key[0], max(self.first, self.passed.get((key[0], None), 0))
        while start < len(self.tries) and self.tries[start].told.get(teller, 0) >= pattern.lines:
            start += 1
        self.passed[teller, None] = start
        return max(start, self.passed.get(key, 0))


class Attempts:
    """Shared by all readers, so that an attempt written to two logs is found to be one."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = {pattern.id: pattern for pattern in patterns}
        # A session that only one line told of, as nearly all are, is that line's event: it costs nothing.
        self._sessions: dict[str, Event | _Session] = {}
        # Patterns that others yield to, and which of them were seen.
        self._better = frozenset(better for pattern in self._patterns.values() for better in pattern.yields_to)
        self._plain = frozenset(pattern.id for pattern in self._patterns.values() if _is_plain(pattern)) - self._better
        self._seen: set[str] = set()
        self._challenges = Challenges()
        self._connections = Connections(self._lives("opens"))
        self._contacts = Contacts(self._lives("contact"))
        self._logs: dict[str, str] = {}

    def _lives(self, attempt: str) -> dict[str, float]:
        return {pattern.id: pattern.within for pattern in self._patterns.values() if pattern.attempt == attempt}

    @property
    def _waiting(self) -> bool:
        """Whether anything is held back, so that each sighting has to be asked whether it changes that."""
        return self._challenges.waiting or bool(self._contacts)

    def waiting(self) -> int:
        """How many sightings are held back now for a later line."""
        return self._challenges.count() + self._contacts.count() + self._connections.count()

    def feed(self, sightings: Sequence[Event]) -> list[Event]:
        """The events that count, among `sightings` or held back before, in order of time."""
        counted: list[Event] = []
        plain, sessions, add = self._plain, self._sessions, counted.append
        waiting = self._waiting
        for event in sightings:
            known = sessions.get(event.session)
            if (known is None or known.address != event.address) and event.pattern in plain and not waiting:
                sessions[event.session] = event
                add(event)
            else:
                counted += self._judge(event)
                waiting = self._waiting
        if sightings:
            counted += self.finish(sightings[-1].time)
        if len(sessions) > SESSIONS_KEPT:
            for old in list(islice(sessions, len(sessions) - SESSIONS_KEPT)):
                del sessions[old]
        return counted

    def expect(self, sightings: Iterable[Event]) -> None:
        """These are still to be fed: let what yields to them know beforehand."""
        self._seen |= self._better.intersection(event.pattern for event in sightings)

    def finish(self, now: float) -> list[Event]:
        """What was held back for an answer that has not come by `now` (infinity: the logs are at their end)."""
        return self._challenges.unanswered(now) + self._contacts.alone(now)

    def held(self) -> Held:
        """What changed since the last call among sightings held back for a later line; commit it with the events."""
        held = self._challenges.changes()
        for added, dropped in (self._connections.changes(), self._contacts.changes()):
            if added or dropped:
                held = Held(added=held.added + added, dropped=held.dropped + dropped)
        return held

    def restore(self, events: Iterable[Event], held: Iterable[Event] = ()) -> None:
        """After a restart: attempts already counted, so that their later lines are not counted again.

        `held`: the sightings that were held back when the guard ended.
        """
        for event in events:
            pattern = self._patterns.get(event.pattern)
            if pattern is None:
                continue
            if not event.failed:
                self._count(_success(event), pattern)
            elif pattern.attempt == "challenge":
                self._challenges.counted_before(event)
            elif pattern.attempt == "contact":
                self._contacts.counted_before(event)
            else:
                self._count(event, pattern)
        for event in sorted(held, key=lambda event: event.time):
            pattern = self._patterns.get(event.pattern)
            if pattern is not None and (pattern.attempt == "opens" or not event.address):
                self._connections.restored(event)
            elif pattern is not None and pattern.attempt == "contact":
                self._contacts.restored(event)
            else:
                self._challenges.sent(event)
        self._challenges.changes()

    def _judge(self, event: Event) -> Sequence[Event]:
        pattern = self._patterns[event.pattern]
        if pattern.attempt == "opens":
            early = self._connections.opened(event)
            return () if early is None else self._judge(early)
        if not event.address:
            opening = self._connections.of(event)
            if opening is None:
                self._connections.waits(event)
                return ()
            event = structs.replace(event, address=opening.address, proven=opening.proven)
        if pattern.attempt == "contact":
            self._contacts.made(event)
            return ()
        if self._contacts and pattern.attempt != "none":
            self._contacts.followed(event)
        if event.pattern in self._better:
            self._seen.add(event.pattern)
        if not event.failed:
            return self._judge_success(event, pattern)
        if event.pattern in self._plain:
            self._challenges.answered(event)
            return (event,) if self._count(event, pattern) else ()
        return self._judge_special(event, pattern)

    def _judge_success(self, event: Event, pattern: Pattern) -> Sequence[Event]:
        self._challenges.succeeded(event)
        if pattern.attempt == "none":
            return ()
        return (event,) if self._count(_success(event), pattern) else ()

    def _judge_special(self, event: Event, pattern: Pattern) -> Sequence[Event]:
        if not self._seen.isdisjoint(pattern.yields_to):
            return ()
        match pattern.attempt:
            case "challenge":
                self._challenges.sent(event)
                return ()
            case "answer":
                if self._challenges.went_elsewhere(event):
                    return ()
            case "unchallenged":
                if self._challenges.knows(event):
                    return ()
            case "weak":
                if self._told(event, pattern):
                    return ()
            case "summary":
                return self._sum_up(event, pattern)
            case "none":
                return ()
        self._challenges.answered(event)
        return (event,) if self._count(event, pattern) else ()

    def _count(self, event: Event, pattern: Pattern) -> bool:
        """Note one telling; True when it is the first of an attempt."""
        if event.session not in self._sessions:
            self._sessions[event.session] = event
            return True
        session = self._session(event, pattern)
        return session.told(event, pattern, (pattern.id, self._log(event.source)))

    def _log(self, source: str) -> str:
        """The log that a file belongs to: rotation gives its parts names of their own."""
        log = self._logs.get(source)
        if log is None:
            log = self._logs[source] = _ROTATED.sub("", source)
        return log

    def _session(self, event: Event, pattern: Pattern) -> _Session:
        known = self._sessions.get(event.session)
        if isinstance(known, Event):
            session = self._sessions[event.session] = self._opened(known)
        elif known is None:
            session = self._sessions[event.session] = _Session(event.address, event.time)
        else:
            session = known
        if session.address != event.address:
            session.address = event.address
            session.clear()
        elif abs(event.time - session.last) > pattern.within:
            session.clear()
        elif len(session.tries) > 1:
            session.forget(event.time - max(pattern.within, TOKEN_LIFE))
        session.last = event.time
        return session

    def _opened(self, first: Event) -> _Session:
        """The session that `first` alone stood for."""
        session = _Session(first.address, first.time)
        session.tries.append(_Try(first, (first.pattern, self._log(first.source))))
        return session

    def _told(self, event: Event, pattern: Pattern) -> bool:
        """Whether anything told of this session within the pattern's time, a success too."""
        return any(self._was_told(event, session, pattern) for session in (event.session, _succeeded(event)))

    def _was_told(self, event: Event, session: str, pattern: Pattern) -> bool:
        known = self._sessions.get(session)
        if known is None or known.address != event.address:
            return False
        last = known.time if isinstance(known, Event) else known.last
        return abs(event.time - last) <= pattern.within

    def _sum_up(self, event: Event, pattern: Pattern) -> list[Event]:
        """A line that stands for a number of tries: those not told of before, each as an event."""
        session = self._session(event, pattern)
        told = sum(1 for known in session.tries[session.first :] if event.time - known.time <= pattern.within)
        missing = min(int(event.token or 1), _SUMMED_AT_MOST) - told
        for _ in range(missing):
            session.tries.append(_Try(event, (pattern.id, self._log(event.source))))
        return [structs.replace(event, token="")] * max(0, missing)


def _success(event: Event) -> Event:
    """As what a success is known: the failures of its session are attempts apart."""
    return structs.replace(event, session=_succeeded(event))


def _succeeded(event: Event) -> str:
    return f"{event.session} succeeded"


def _is_plain(pattern: Pattern) -> bool:
    """Whether a first line of a session counts without further thought."""
    counts = pattern.failed and pattern.attempt == "counts" and pattern.repeats == "new"
    return counts and pattern.addressed and not pattern.yields_to
