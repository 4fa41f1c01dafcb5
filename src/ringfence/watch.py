"""Which logs are watched, who reads each of them, and how each is doing.

Joins the sensors (bytes) to the readers (sightings): a log's path or journal decides which kinds of server are believed
there. Errors of a log stay with that log: they are told once and shown until they are over.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, Protocol

from ringfence.answers import SourceRow, UnknownRow, stamp
from ringfence.errors import SensorError
from ringfence.heard import Heard
from ringfence.model import Event, Position
from ringfence.parse import canary
from ringfence.parse.catalogue import Catalogue
from ringfence.parse.parser import Parser
from ringfence.parse.reader import Reader
from ringfence.sense.chunk import Chunk, SourceStatus
from ringfence.sense.files import FileSensor
from ringfence.sense.journal import JournalSensor
from ringfence.settings import Settings

JOURNAL = "journal"
LINE_BREAK = b"\n"
JOURNAL_FOLDERS = (Path("/run/log/journal"), Path("/var/log/journal"))


class Fault(NamedTuple):
    """A log that is `unreadable`, `silent` or `changed`, and what that means in words."""

    source: str
    what: str
    words: str


class Plan:
    """What to watch: files by pattern and the journal by unit and identifier, each with the kinds believed there."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.files: dict[str, frozenset[str]] = {}
        self.units: set[str] = set()
        self.identifiers: set[str] = set()
        self.journal_kinds: set[str] = set()
        self.problems: list[str] = []
        self._kinds: dict[str, tuple[str, ...]] = {}
        journal = _journal_wanted(settings)
        named: set[str] = set()
        for source in settings.source:
            kinds = {kind for kind in source.kind if self._known(kind, catalogue)}
            named |= kinds
            for path in source.files:
                self._add(str(path), kinds)
            if source.units:
                self.units.update(source.units)
                self.journal_kinds |= kinds
        for kind in catalogue.kinds.values():
            if not settings.logs.find or kind.name in named:
                continue
            for pattern in kind.logs:
                self._add(as_glob(pattern), {kind.name})
            if journal and (kind.units or kind.identifiers):
                self.units.update(kind.units)
                self.identifiers.update(kind.identifiers)
                self.journal_kinds.add(kind.name)
        if self.units or self.identifiers:
            self.identifiers.add(canary.PROGRAM)

    def _known(self, kind: str, catalogue: Catalogue) -> bool:
        if kind not in catalogue.kinds:
            self.problems.append(f"[[source]] names kind {kind!r}, known are {', '.join(sorted(catalogue.kinds))}")
        return kind in catalogue.kinds

    def _add(self, pattern: str, kinds: set[str]) -> None:
        if kinds:
            self.files[pattern] = self.files.get(pattern, frozenset()) | kinds

    def kinds_of(self, source: str) -> tuple[str, ...]:
        """The kinds believed in a source: a path, or the journal."""
        if source == JOURNAL:
            return tuple(sorted(self.journal_kinds))
        found = self._kinds.get(source)
        if found is None:
            kinds = {kind for pattern, kinds in self.files.items() if fnmatchcase(source, pattern) for kind in kinds}
            found = self._kinds[source] = tuple(sorted(kinds))
        return found


class Told:
    """Which services the kinds of a log tell of; "" stands for any. `syslog`: the kinds that syslog may write."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._services = {
            kind.name: frozenset(pattern.service for pattern in kind.patterns) for kind in catalogue.kinds.values()
        }
        self._known: dict[tuple[str, ...], frozenset[str]] = {}
        self.syslog = frozenset(
            kind.name for kind in catalogue.kinds.values() if any(one.envelope == "syslog" for one in kind.patterns)
        )

    def told(self, kinds: tuple[str, ...]) -> frozenset[str]:
        """The services that logs of these kinds tell of."""
        found = self._known.get(kinds)
        if found is None:
            found = self._known[kinds] = frozenset(name for kind in kinds for name in self._services[kind])
        return found


def as_glob(pattern: str) -> str:
    """The same files as a glob: a log that is only usual, not asked for, may be missing without a word."""
    return pattern if glob.has_magic(pattern) else f"{pattern[:-1]}[{pattern[-1]}]"


def _journal_wanted(settings: Settings) -> bool:
    """As the settings say; `auto`: where there is journalctl and a folder with journals."""
    if settings.logs.journal == "auto":
        return shutil.which("journalctl") is not None and any(map(_has_files, JOURNAL_FOLDERS))
    return bool(settings.logs.journal)


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


class Probing(Protocol):
    """Looks for test lines of the guard's own while a test is under way, see `ringfence.canary_work`."""

    def look(self, chunk: Chunk) -> None:
        """`chunk` was read and will be parsed now."""

    def sift(self, source: str, events: list[Event]) -> list[Event]:
        """What was made of it: without what test lines told."""


class Watch:
    """All sensors and readers of the guard. `probing` is there only while the guard tests itself."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, parser: Parser, positions: Iterable[Position],
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.plan = Plan(settings, catalogue)
        self.tells_names = settings.logs.names
        self.probing: Probing | None = None
        self._told = Told(catalogue)
        self._parser = parser
        self._clock = clock
        known = {position.source: position for position in positions}
        self._known = frozenset(known)
        self._oldest = clock() - settings.logs.catch_up
        self._readers: dict[str, Reader] = {}
        self._heard: dict[str, Heard] = {}
        self._said: list[str] = []
        files = {source: position for source, position in known.items() if source != JOURNAL}
        self.files = FileSensor(sorted(self.plan.files), files)
        self.journal: JournalSensor | None = None
        if self.plan.units or self.plan.identifiers:
            try:
                self.journal = JournalSensor(sorted(self.plan.units), sorted(self.plan.identifiers), known.get(JOURNAL))
            except SensorError as error:
                self.plan.problems.append(str(error))

    @property
    def sensors(self) -> list[FileSensor | JournalSensor]:
        """The sensors that there are."""
        return [self.files] if self.journal is None else [self.files, self.journal]

    def next(self) -> Chunk | None:
        """The next chunk of any log; None when everything is read."""
        now = self._clock()
        for sensor in self.sensors:
            chunk = sensor.read(now)
            if chunk is not None:
                return chunk
        return None

    def sightings(self, chunk: Chunk) -> list[Event]:
        """What the lines of `chunk` tell."""
        try:
            return self._sightings(chunk)
        except Exception as error:  # one log that we can't make sense of must not end the guarding of all others
            self._readers.pop(chunk.source, None)
            fault = f"{type(error).__name__}: {error}"
            self._said.append(
                f"{chunk.source}: {chunk.data.count(LINE_BREAK)} lines from line {chunk.first_line} on were not "
                f"understood ({fault}); please report it"
            )
            return []

    def _sightings(self, chunk: Chunk) -> list[Event]:
        reader = self._readers.get(chunk.source)
        if reader is None:
            journal = chunk.source == JOURNAL
            kinds = (*self.plan.kinds_of(chunk.source), canary.KIND)
            reader = self._parser.reader(chunk.source, reference=self._clock(), kinds=kinds, journal=journal)
            self._readers[chunk.source] = reader
        probing = self.probing
        if probing is not None:
            probing.look(chunk)
        events = reader.read(chunk.data, chunk.first_line, chunk.arrival if chunk.live else None)
        heard = self._heard.get(chunk.source)
        if heard is None:
            heard = self._heard[chunk.source] = Heard(chunk.source, journal=chunk.source == JOURNAL)
        heard.take(chunk, events, reader.statistics.lines)
        if probing is not None:
            told, events = len(events), probing.sift(chunk.source, events)
            heard.events -= told - len(events)
        heard.named = 0 if self.tells_names else reader.statistics.named
        if not chunk.live and chunk.source not in self._known:
            # What lay in a log before it was first read counts only if it is recent (a setting).
            events = [event for event in events if event.time >= self._oldest]
        return events

    def rescan(self) -> None:
        """Look again for files that appeared, vanished or can be read now."""
        now = self._clock()
        for sensor in self.sensors:
            sensor.rescan(now)

    def sample(self) -> None:
        """Take the counts of lines for the rates that `rows` shows."""
        now = self._clock()
        for heard in self._heard.values():
            heard.sample(now)

    def troubles(self) -> list[str]:
        """What went wrong with logs since the last call, each thing once."""
        said, self._said = self._said, []
        said += [trouble for sensor in self.sensors for trouble in sensor.troubles()]
        return said + [trouble for reader in self._readers.values() for trouble in reader.troubles()]

    def standing(self) -> list[str]:
        """The logs that can't be read now, and why."""
        return [f"{one.path}: {one.trouble}" for one in self._statuses() if one.trouble]

    def notices(self) -> list[str]:
        """What is worth knowing about logs: lines of no known form, unusual silence, names in place of addresses."""
        now = self._clock()
        watched = {status.path for status in self._statuses()}
        return [
            notice
            for source, heard in sorted(self._heard.items())
            if source in watched
            for notice in heard.notices(now)
        ]

    def faults(self) -> list[Fault]:
        """What is wrong with logs, each with its kind: what `standing` and `notices` tell, and a log that is silent."""
        now = self._clock()
        found = []
        for status in self._statuses():
            heard = self._heard.get(status.path)
            if status.trouble:
                found.append(Fault(status.path, "unreadable", status.trouble))
            elif heard is not None:
                found += [Fault(status.path, what, words) for what, words in heard.faults(now)]
        return found

    def spoke_since(self, source: str, since: float) -> bool:
        """Whether a log had a line after `since`."""
        heard = self._heard.get(source)
        return heard is not None and heard.last_line > since

    def unknown(self) -> list[UnknownRow]:
        """The forms of lines that sound like failed logins and that no pattern takes, log by log."""
        now = self._clock()
        return [
            UnknownRow(source=source, lines=shape.count, shape=shape.text, last=stamp(shape.last))
            for source, heard in sorted(self._heard.items())
            for shape in heard.drift.known(now)
        ]

    def _statuses(self) -> list[SourceStatus]:
        return [status for sensor in self.sensors for status in sensor.status()]

    def rows(self) -> list[SourceRow]:
        """Every log that is watched and how it is doing."""
        rows = []
        for status in sorted(self._statuses(), key=lambda one: one.path):
            heard = self._heard.get(status.path) or Heard(status.path)
            last = heard.last_line or status.last_read
            rows.append(
                SourceRow(
                    source=status.path, kinds=self.plan.kinds_of(status.path), lines=status.lines,
                    events=heard.events, lines_per_second=round(heard.rate, 1), lag=status.lag,
                    last_line=stamp(last) if last else "", trouble=status.trouble,
                )
            )  # fmt: skip
        return rows

    def found(self) -> list[tuple[str, tuple[str, ...]]]:
        """The logs that exist, each with its kinds."""
        return [(status.path, self.plan.kinds_of(status.path)) for status in self._statuses() if not status.trouble]

    def sources_of(self, services: Iterable[str]) -> dict[str, int]:
        """How many logs may tell of each of `services`."""
        logs = [self._told.told(kinds) for _, kinds in self.found()]
        return {name: sum(1 for told in logs if name in told or "" in told) for name in services}

    def services_told(self, source: str) -> frozenset[str]:
        """The services that a log tells of; "" stands for any."""
        return self._told.told(self.plan.kinds_of(source))

    def is_fed_by_syslog(self, source: str) -> bool:
        """Whether what is said to syslog may come here: the journal, and files of servers that log through syslog."""
        return source == JOURNAL or not self._told.syslog.isdisjoint(self.plan.kinds_of(source))

    def unreadable_times(self) -> int:
        """How many lines had a time that can't be read."""
        return sum(reader.statistics.unreadable_times for reader in self._readers.values())

    def close(self) -> None:
        """Close every file and end journalctl."""
        for sensor in self.sensors:
            sensor.close()
