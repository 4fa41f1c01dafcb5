"""A filter of fail2ban's -> a kind of ours: a catalogue file whose pattern is a regular expression.

Every expression proves itself: a line is made that it takes, with the whole address in it, and becomes an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from ringfence.errors import CatalogueError
from ringfence.importing.datepatterns import USUAL, Stamp, translate_dates
from ringfence.importing.expressions import CannotTake, Expression, fragments, translate
from ringfence.importing.jails import Jail
from ringfence.importing.samples import ADDRESS, samples
from ringfence.parse.linear import Linear, Searched, compile_expression
from ringfence.values import quote, show_key

LONG_ENOUGH: Final = 5
"""Characters of a fragment from which on looking for it costs nothing."""
_MOST_EXAMPLES: Final = 8
_ADDRESSES: Final = (ADDRESS, "2001:db8::7")
_PROBES: Final = re.compile(
    r"bot|noscript|overflow|nohome|shellshock|modsec|limit-req|bad-request|url-fopen|suhosin|scan|portsentry|404|probe|rbl|spam"
)
_UNIT: Final = re.compile(r"_SYSTEMD_UNIT=([\w:.@\\*-]+)")
_IDENTIFIER: Final = re.compile(r"(?:SYSLOG_IDENTIFIER|_COMM)=([\w.-]+)")


class Carried(Struct, frozen=True):
    """A filter carried over. `searched` is what its pattern says; `refused` are expressions left, with the reason."""

    searched: Searched
    hints: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


def carry_over(jail: Jail, only: tuple[str, ...] | None = None) -> Carried:
    """The jail's filter (or `only` these of its expressions). Raises CannotTake if nothing of it can be."""
    found = jail.filter
    written = found.failregex if only is None else only
    if not written:
        raise CannotTake("it has no failregex")
    if found.maxlines > 1 and "\\n" in "".join(written):
        raise CannotTake(f"it reads {found.maxlines} lines as one (maxlines); lines are read one by one here")
    usedns, known = found.usedns != "no", "<F-MLFID>" in found.prefregex
    stamps, remarks = translate_dates(found.datepattern)
    if not stamps:
        raise CannotTake(remarks[0])
    prefix = _around("prefregex", found.prefregex, usedns, known) if found.prefregex else None
    unless = tuple(_around("ignoreregex", text, usedns, False).text for text in found.ignoreregex)
    if prefix and unless and len(unless) < len(found.failregex) - 2:
        remarks = (*remarks, "ignoreregex looks at the message only, where fail2ban looks at the whole line as well")
    begun = Searched((), prefix.text if prefix else "", unless, tuple(stamp.expression for stamp in stamps))
    good: list[Expression] = []
    lines: list[str] = []
    refused: list[tuple[str, str]] = []
    for text in written:
        try:
            expression = translate(text, usedns=usedns, session=known or "<F-MLFID>" in text)
            _check_address(expression, prefix)
            lines.append(_example(begun, expression, prefix, stamps))
            good.append(expression)
        except (CannotTake, CatalogueError) as error:
            refused.append((text, str(error)))
    if not good:
        raise CannotTake(_all_the_same([reason for _, reason in refused]))
    searched = Searched(tuple(each.text for each in good), begun.prefix, unless, begun.stamp)
    hints = _hints(good, prefix)
    return Carried(searched, hints, _examples(searched, lines, hints), tuple(refused), (*remarks, *_slow(hints)))


def _around(key: str, text: str, usedns: bool, session: bool) -> Expression:
    """What is looked at besides failregex. Raises CannotTake with the key in front."""
    try:
        expression = translate(text, usedns=usedns, session=session)
        compile_expression(expression.text)
    except (CannotTake, CatalogueError) as error:
        raise CannotTake(f"{key}: {error}") from error
    return expression


def _examples(searched: Searched, lines: list[str], hints: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Those of `lines` that all expressions together take, with the address; not those that tell of nothing."""
    linear = Linear(searched)
    taken = tuple((line, address) for line in dict.fromkeys(lines) if (address := linear.takes(line)) in _ADDRESSES)
    examples = tuple(each for each in taken if any(hint in each[0] for hint in hints))
    if not examples:
        raise CannotTake("no line could be made that it takes")
    return examples[:_MOST_EXAMPLES]


def _check_address(expression: Expression, prefix: Expression | None) -> None:
    if not expression.has_address and not (prefix and prefix.has_address):
        raise CannotTake("it names no address (fail2ban takes it from another line of the connection)")


def _all_the_same(reasons: list[str]) -> str:
    return reasons[0] if len(set(reasons)) == 1 else "; ".join(dict.fromkeys(reasons))


def _hints(good: list[Expression], prefix: Expression | None) -> tuple[str, ...]:
    """Texts of which each line that is taken holds one."""
    common = fragments(prefix) if prefix else ()
    found: dict[str, None] = {}
    for expression in good:
        own = fragments(expression)
        best = max(own, common, key=lambda each: (min(map(len, each), default=0), -len(each)))
        if not best:
            raise CannotTake("it holds no fixed text by which its lines could be found")
        found |= dict.fromkeys(best)
    return tuple(found)


def _slow(hints: tuple[str, ...]) -> tuple[str, ...]:
    short = ", ".join(repr(hint) for hint in hints if len(hint) < LONG_ENOUGH)
    return (f"lines are found by {short} only, so each line with that costs time",) if short else ()


def _example(begun: Searched, expression: Expression, prefix: Expression | None, stamps: tuple[Stamp, ...]) -> str:
    """A line that this expression takes with a whole address. Raises CannotTake if none could be made."""
    # One that only passes lines over is kept too: it takes them from those after it.
    text, begin = (each.replace("(?P<nofail", "(?P<passed") for each in (expression.text, begun.prefix))
    linear = Linear(Searched((text,), begin, begun.unless, begun.stamp))
    for text in samples(expression):
        for rest in samples(prefix, text) if prefix else [text]:
            for line in _dated(rest, stamps):
                if "\n" not in line and linear.takes(line) in _ADDRESSES:
                    return line
    raise CannotTake("no line could be made that it takes with a whole address")


def _dated(rest: str, stamps: tuple[Stamp, ...]) -> Iterator[str]:
    """`rest` with a time put in where it may have been cut out."""
    if '"' in rest:  # as access logs have it
        head, tail = rest.split('"', 1)
        yield f'{head.rstrip("- ")} - - [{USUAL[2]}] "{tail}'
    for stamp in stamps:
        if stamp.expression:
            yield from (text + rest for text in stamp.samples)
            yield from (f"{text} {rest}" for text in stamp.samples)
        for text in USUAL:
            yield from (f"{text} {rest}", text + rest)
            yield from (f"{rest[: at + 1]}{text}{rest[at + 1 :]}" for at in _brackets(rest))


def _brackets(rest: str) -> list[int]:
    return [found.start() for found in re.finditer(r"\[\]|\(\)|\(:\d", rest)]


def kind_file(name: str, service: str, jails: list[Jail], carried: Carried, *, with_ports: bool) -> str:
    """The catalogue file, as TOML; with_ports: the service is a new one, whose ports it gives."""
    first = jails[0]
    searched = carried.searched
    logs = dict.fromkeys(path for jail in jails if not jail.systemd for path in jail.logpaths if path.startswith("/"))
    match = " ".join(jail.filter.journalmatch for jail in jails)
    where = {
        "logs": logs,
        "units": dict.fromkeys(_UNIT.findall(match)),
        "identifiers": dict.fromkeys(_IDENTIFIER.findall(match)),
    }
    ports = dict.fromkeys(port for jail in jails for port in jail.ports)
    proven = bool(ports) and all(port.endswith("/tcp") for port in ports)
    jail_names = ", ".join(jail.name for jail in jails)
    lines = [
        f"# Taken over from fail2ban: filter {first.filter.name}, jail {jail_names}.",
        '# Regular expressions instead of a template: docs/catalogue.md, "Regular expressions".',
        "",
        f"kind = {quote(name)}",
        f"title = {quote(f'{first.filter.name} (fail2ban)')}",
        f"service = {quote(service)}",
        'envelope = "none"',
        f"proven = {'true' if proven else 'false'}",
        *(f"{key} = {_listed(texts)}" for key, texts in where.items() if texts),
        "",
        *(["[services]", f"{show_key(service)} = {_listed(ports)}", ""] if with_ports else []),
        "[[pattern]]",
        'name = "failregex"',
        f"cause = {quote(cause_of(first))}",
        'join = ["address"]',
        *([f"stamp = {_block(searched.stamp)}"] if searched.stamp != ("",) else []),
        *([f"prefix = {literal(searched.prefix)}"] if searched.prefix else []),
        f"regex = {_block(searched.regex)}",
        *([f"unless = {_block(searched.unless)}"] if searched.unless else []),
        f"hints = {_listed(dict.fromkeys(carried.hints))}",
        "examples = [",
        *(f"  {{ line = {literal(line)}, address = {quote(address)} }}," for line, address in carried.examples),
        "]",
    ]
    return "\n".join(lines) + "\n"


def cause_of(jail: Jail) -> str:
    """What its lines most likely tell of."""
    return "probe" if _PROBES.search(f"{jail.filter.name} {jail.mode}") else "wrong password"


def literal(text: str) -> str:
    """A TOML string in which a backslash is a backslash, as far as that can be."""
    if "\n" in text or "\r" in text or any(not character.isprintable() and character != "\t" for character in text):
        return quote(text)
    if "'" not in text:
        return f"'{text}'"
    return f"'''{text}'''" if "'''" not in text and not text.endswith("'") and not text.startswith("'") else quote(text)


def _listed(texts: dict[str, None]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def _block(texts: tuple[str, ...]) -> str:
    return "[\n" + "".join(f"  {literal(text)},\n" for text in texts) + "]"
