"""What each kind of server's log looks like: catalogue files (TOML) -> compiled kinds.

A file that can't be used is a problem to be told (file, line, reason); the other files go on working.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec
from msgspec import Struct

from ringfence.errors import CatalogueError
from ringfence.model import Service
from ringfence.parse import envelope
from ringfence.parse.entries import Attempt, Example, KindFile, PatternEntry
from ringfence.parse.fields import DECODERS
from ringfence.parse.linear import READS_TWO_WAYS, Linear, Searched
from ringfence.parse.template import SHORTEST_FRAGMENT, Template, compile_template

CONTACT = 15.0
"""Seconds that a client has to begin a login before its connection is called a mere contact."""
BUILT_IN = "catalogue/"
"""How the origins of our own files begin; those of others are absolute paths."""
CONNECTION = 600.0
"""Seconds for which an opening line tells whose connection it is, and a process's lines belong together."""


class Pattern(Struct, frozen=True, kw_only=True, gc=False):
    """A pattern ready for use: `expression` takes a whole line, the `fragments` are what it is found by.
    linear: in place of `expression`. host: a host name may stand for the address.
    addressed: the line names one itself, not its connection's opening.
    """

    id: str
    kind: str
    service: str
    failed: bool
    cause: str
    proven: bool
    envelope: str
    expression: str
    linear: Searched | None
    template: str
    types: dict[str, str]
    programs: tuple[str, ...]
    fragments: tuple[str, ...]
    ambiguous: str
    encoded: dict[str, str]
    attempt: Attempt
    repeats: str
    lines: int
    raw: bool
    yields_to: frozenset[str]
    open_end: bool
    join: tuple[str, ...]
    within: float
    host: bool
    addressed: bool
    examples: tuple[Example, ...]
    counter_examples: tuple[str, ...]


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of server: where it logs and the patterns that its lines follow."""

    name: str
    title: str
    service: str
    logs: tuple[str, ...]
    units: tuple[str, ...]
    identifiers: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    origin: str
    note: str
    blind: str
    tested: str


class Catalogue(Struct, frozen=True, kw_only=True):
    """All kinds by name, the services they watch, and what could not be used."""

    kinds: dict[str, Kind]
    services: dict[str, Service]
    problems: tuple[str, ...]

    def patterns(self) -> list[Pattern]:
        """Every pattern of every kind, those of other files than ours first: where both take a line, theirs do."""
        kinds = sorted(self.kinds.values(), key=lambda kind: kind.origin.startswith(BUILT_IN))
        return [pattern for kind in kinds for pattern in kind.patterns]


def load_catalogue(directories: Sequence[Path] = ()) -> Catalogue:
    """The built-in kinds, then those of `directories` (a file of the same kind replaces a built-in one)."""
    kinds: dict[str, Kind] = {}
    ports: dict[str, tuple[tuple[str, int, int], ...]] = {}
    problems: list[str] = []
    for file, origin in _files(directories, problems):
        try:
            entry = _read(file, origin)
            kind = _kind(entry, origin, file)
            given = entry.services.items()
            for name, texts in given:
                own = tuple(_port(port, origin, file) for port in texts)
                ports[name] = tuple(dict.fromkeys((*ports.get(name, ()), *own)))
            kinds[entry.kind] = kind
        except CatalogueError as error:
            problems.append(str(error))
    used = {pattern.service for kind in kinds.values() for pattern in kind.patterns} | set(ports)
    services = {name: Service(name=name, title=name.upper(), ports=ports.get(name, ())) for name in sorted(used - {""})}
    return Catalogue(kinds=kinds, services=services, problems=tuple(problems))


def _files(directories: Sequence[Path], problems: list[str]) -> list[tuple[Traversable, str]]:
    built_in = resources.files("ringfence.catalogue")
    files: list[tuple[Traversable, str]] = [
        (file, f"{BUILT_IN}{file.name}")
        for file in sorted(built_in.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    ]
    for directory in directories:
        try:
            files += [(path, str(path)) for path in sorted(directory.glob("*.toml"))] if directory.exists() else []
        except OSError as error:
            problems.append(f"{directory}: can't be listed ({error.strerror}); its catalogue files are not in use")
    return files


def _read(file: Traversable, origin: str) -> KindFile:
    text = ""
    try:
        text = file.read_text(encoding="utf-8")
        return msgspec.convert(tomllib.loads(text), KindFile)
    except OSError as error:
        raise CatalogueError(f"{origin}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{origin}: is not UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int((found and found[1]) or text.count("\n") + 1)
        reason = str(error)[: found.start()] if found else str(error)
        raise CatalogueError(f"{origin}:{line}: no valid TOML: {reason}") from error
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{origin}:{_line_of_error(str(error), text)}: {error}") from error


def _kind(entry: KindFile, origin: str, file: Traversable) -> Kind:
    text = file.read_text(encoding="utf-8")
    if entry.envelope not in envelope.ENVELOPES:
        where = f"{origin}:{_line_of('envelope', entry.envelope, text)}"
        known = ", ".join(envelope.ENVELOPES)
        raise CatalogueError(f"{where}: envelope {entry.envelope!r} is unknown; known are: {known}")
    patterns: list[Pattern] = []
    for pattern in entry.pattern:
        try:
            if any(pattern.name == known.id.partition("/")[2] for known in patterns):
                raise CatalogueError("the name stands twice")
            patterns.append(make_pattern(entry, pattern, built_in=origin.startswith(BUILT_IN)))
        except CatalogueError as error:
            where = f"{origin}:{_line_of('name', pattern.name, text)}: pattern {pattern.name!r}"
            raise CatalogueError(f"{where}: {error}") from error
    _check_connections(patterns, origin, text)
    return Kind(
        name=entry.kind,
        title=entry.title,
        service=entry.service,
        logs=entry.logs,
        units=entry.units,
        identifiers=entry.identifiers,
        patterns=tuple(patterns),
        origin=origin,
        note=entry.note,
        blind=entry.blind,
        tested=entry.tested,
    )


def _check_connections(patterns: Sequence[Pattern], origin: str, text: str) -> None:
    """A line without an address is of use only where another one opened its session with one."""
    opened = {pattern.join for pattern in patterns if pattern.attempt == "opens"}
    for pattern in patterns:
        wrong = ""
        if pattern.attempt == "opens" and (not pattern.addressed or "address" in pattern.join):
            wrong = "opens a connection, so it needs {address}, and `join` without it"
        elif not pattern.addressed and pattern.join not in opened:
            wrong = "names no {address}, and no pattern with this `join` opens its session"
        if wrong:
            name = pattern.id.partition("/")[2]
            raise CatalogueError(f"{origin}:{_line_of('name', name, text)}: pattern {name!r}: {wrong}")


def _line_of(key: str, value: str, text: str) -> int:
    """The line of `key = "value"`, 1 when it is not written that way."""
    found = re.search(rf"^\s*{key}\s*=\s*[\"']{re.escape(value)}[\"']", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _line_of_error(told: str, text: str) -> int:
    """The line of what the validation names: an unknown key, or a value as `$.pattern[2].lines`; else the nearest."""
    key = re.search(r"unknown field `([^`]*)`", told)
    path = re.search(r"`\$(?:\.pattern\[(\d+)\])?([^`]*)`$", told)
    start = 0
    if path and path[1]:
        tables = [found.start() for found in re.finditer(r"^\s*\[\[\s*pattern\s*\]\]", text, re.MULTILINE)]
        start = tables[int(path[1])] if int(path[1]) < len(tables) else 0
    name = key[1] if key else next(iter(re.findall(r"\w+", path[2] if path else "")), "")
    key_or_table = re.compile(rf"^[^#\n]*?\b{re.escape(name)}\b[\"']?\s*[=\]]", re.MULTILINE)
    found = key_or_table.search(text, start) if name else None
    return text.count("\n", 0, found.start() if found else start) + 1


def make_pattern(kind: KindFile, entry: PatternEntry, *, built_in: bool) -> Pattern:
    """A pattern of `kind`, ready for use. Raises CatalogueError when it can't be used.

    `built_in`: its expression is known to be one, so that a start need not compile what may never be used.
    """
    if not entry.examples:
        raise CatalogueError("has no examples; give at least one line and what it must give")
    surrounding = entry.envelope or kind.envelope
    if surrounding not in envelope.ENVELOPES:
        raise CatalogueError(f"envelope {surrounding!r} is unknown")
    programs = kind.programs if entry.programs is None else entry.programs
    linear = _searched(entry, surrounding)
    expression = ""
    if linear is not None:
        template = Template("", "", {}, READS_TWO_WAYS, False)
        groups = set(Linear(linear).groupindex)
    else:
        template = compile_template(entry.template, kind.types, hinted=bool(entry.hints))
        begun, ended = envelope.beginning(surrounding, programs), envelope.end(surrounding)
        expression = _bytewise(begun + template.expression + ended)
        if not built_in:
            try:
                re.compile(expression, re.MULTILINE | re.ASCII)
            except re.error as error:
                raise CatalogueError(f"gives no valid regular expression: {error}") from error
        groups = set(re.findall(r"\(\?P<(\w+)>", expression))
    join = _join(entry, groups)
    short = next((hint for hint in entry.hints if len(hint) < SHORTEST_FRAGMENT and (linear is None or not hint)), None)
    if short is not None:
        raise CatalogueError(f"the hint {short!r} is shorter than {SHORTEST_FRAGMENT} characters")
    return Pattern(
        id=f"{kind.kind}/{entry.name}",
        kind=kind.kind,
        service=entry.service or kind.service,
        failed=entry.outcome == "failed",
        cause=entry.cause,
        proven=kind.proven if entry.proven is None else entry.proven,
        envelope=surrounding,
        expression=expression,
        linear=linear,
        template=entry.template,
        types=kind.types,
        programs=programs,
        fragments=entry.hints or (template.fragment,),
        ambiguous=_bytewise(template.ambiguous),
        encoded={name: kind for name, kind in template.fields.items() if kind in DECODERS},
        attempt=entry.attempt,
        repeats=entry.repeats,
        lines=entry.lines,
        raw=entry.raw,
        yields_to=frozenset(f"{kind.kind}/{name}" for name in entry.yields_to),
        open_end=entry.raw and template.open_end,
        join=join,
        within=entry.within or _within(entry.attempt, join),
        host="{address:host}" in entry.template or any("<HOST>" in text for text in (linear.regex if linear else ())),
        addressed=bool(groups & {"address", "json"}),
        examples=entry.examples,
        counter_examples=entry.counter_examples,
    )


def _searched(entry: PatternEntry, surrounding: str) -> Searched | None:
    """The regular expressions of a pattern; None if it has a template."""
    regex = (entry.regex,) if isinstance(entry.regex, str) else entry.regex
    if bool(regex) == bool(entry.template):
        raise CatalogueError("needs one of template and regex, and only one")
    if not regex:
        if entry.prefix or entry.unless or entry.stamp != ("",):
            raise CatalogueError("prefix, unless and stamp belong to regex; a template has no use for them")
        return None
    if surrounding != "none":
        raise CatalogueError('regex looks at the whole line: envelope must be "none"')
    if not entry.hints:
        raise CatalogueError("regex needs hints: pieces of text of which every such line holds one")
    return Searched(regex, entry.prefix, entry.unless, entry.stamp)


def _within(attempt: Attempt, join: tuple[str, ...]) -> float:
    if attempt == "contact":
        return CONTACT
    return CONNECTION if "origin" in join or attempt == "opens" else 3.0


def _bytewise(text: str) -> str:
    """As the reader sees text: each byte of its UTF-8 as one character."""
    return text.encode().decode("latin-1")


def _join(entry: PatternEntry, groups: set[str]) -> tuple[str, ...]:
    if not groups & {"stamp", "json"}:
        raise CatalogueError('names no {stamp}, which the envelope "none" leaves to the template')
    if entry.join is not None:
        unknown = set(entry.join) - groups
        if unknown:
            raise CatalogueError(f"join names {unknown.pop()!r}, which the template has no field for")
        return entry.join
    if "origin" in groups:
        return ("origin",)
    return tuple(name for name in ("address", "port") if name in groups)


def _port(text: str, origin: str, file: Traversable) -> tuple[str, int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if found and 0 < first <= last < 65536:
        return (found[3] or "tcp", first, last)
    before = file.read_text(encoding="utf-8").partition(f'"{text}"')[0]
    reason = "lies outside of 1-65535" if found else "is no port; write 5060/udp, 10000-20000/udp or 22 (tcp)"
    raise CatalogueError(f"{origin}:{before.count(chr(10)) + 1}: {text!r} {reason}")


def check_examples(catalogue: Catalogue) -> list[str]:
    """Run every example and counter-example of every pattern; what does not come out as told, in one sentence each."""
    from ringfence.parse.examples import failures

    return failures(catalogue)
