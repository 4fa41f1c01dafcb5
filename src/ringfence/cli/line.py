"""`ringfence explain-line`: what takes a line of a log, with every field, or how near the nearest patterns came."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from msgspec import Struct

from ringfence.answers import stamp
from ringfence.assemble import zone_of
from ringfence.cli import tables
from ringfence.cli.app import Json, app, print_json, settings
from ringfence.errors import RingfenceError
from ringfence.parse.addresses import AddressSet
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.near import Near, Reading, read_line, told
from ringfence.parse.parser import Parser
from ringfence.parse.reader import NAMED
from ringfence.render import plural, safe

LONGEST = 100


class LineJson(Struct, frozen=True):
    """One line as `--json` tells it; `pattern` is "" when none took it."""

    line: str
    envelopes: tuple[str, ...]
    pattern: str
    meaning: str
    fields: dict[str, str]
    event: dict[str, str]
    others: tuple[str, ...]
    nearest: tuple[Near, ...]


@app.command("explain-line")
def explain_line(
    line: Annotated[
        list[str] | None, typer.Argument(metavar="LINE", help="A line of a log, in quotes; without: standard input.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Only patterns of this kind of server.")] = "",
    json: Json = False,
) -> None:
    """Tell which envelope and pattern take a line, with every field, or how far the nearest patterns came.

    Several lines on standard input are read one by one. Exit code 1 when no pattern takes a line.
    """
    found = settings()
    catalogue = _catalogue(load_catalogue(found.catalogue.directories), kind)
    parser = Parser(
        catalogue, zone=zone_of(found), proxies=AddressSet(found.logs.proxies), names=True, cache=found.catalogue.cache
    )
    now = time.time()
    untaken = 0
    for number, each in enumerate(_lines(line)):
        reading = read_line(each, parser, catalogue, now=now)
        untaken += reading.event is None
        if json:
            print_json(_as_json(reading))
        else:
            _show(reading, first=number == 0)
    raise typer.Exit(1 if untaken else 0)


def _catalogue(catalogue: Catalogue, kind: str) -> Catalogue:
    for problem in catalogue.problems:
        typer.echo("ringfence: " + safe(problem), err=True)
    if not kind:
        return catalogue
    if kind not in catalogue.kinds:
        raise RingfenceError(f"there is no kind {kind!r}; known: {', '.join(sorted(catalogue.kinds))}")
    return Catalogue(kinds={kind: catalogue.kinds[kind]}, services=catalogue.services, problems=())


def _lines(given: list[str] | None) -> Iterator[bytes]:
    if given:
        yield " ".join(given).encode("utf-8", "surrogateescape")
        return
    if sys.stdin.isatty():
        typer.echo("paste lines of a log, end with Ctrl-D", err=True)
    for line in sys.stdin.buffer:
        if line.strip():
            yield line.rstrip(b"\r\n")


def _show(reading: Reading, *, first: bool) -> None:
    if not first:
        tables.line("")
    tables.line(safe(reading.line, 2000), "dim")
    envelopes = ", ".join(reading.envelopes) or "none of those known"
    if reading.event is None or reading.pattern is None:
        tables.line("no pattern takes this line", "bold yellow")
        tables.line(f"  envelope  {envelopes}")
        for near in reading.nearest:
            _show_near(near)
        if not reading.nearest:
            tables.line("  none comes near; docs/catalogue.md tells how to write one")
        return
    event, pattern = reading.event, reading.pattern
    tables.line(f"taken by {pattern.id}", "bold green")
    tables.line(f"  meaning   {told(pattern)}")
    tables.line(f"  envelope  {pattern.envelope}")
    rows = {"time": stamp(event.time), **_facts(reading)}
    rows |= {f"{{{name}}}": value for name, value in reading.fields.items() if name not in ("stamp", "stamp2")}
    for name, value in rows.items():
        tables.line(f"  {name:9} {safe(value, 400)}")
    if reading.others:
        tables.line(f"  {plural(len(reading.others), 'other pattern')} would take it too: {', '.join(reading.others)}")


def _facts(reading: Reading) -> dict[str, str]:
    """What the guard makes of the line, in its own words; without what says nothing."""
    event = reading.event
    if event is None:
        return {}
    address = event.address or "that of its connection"
    if address.startswith(NAMED):
        address = f"none, only the host name {address.removeprefix(NAMED)} (see [logs] names)"
    facts = {
        "service": event.service, "address": address, "proven": "yes" if event.proven else "no",
        "account": event.account, "cause": event.cause, "detail": event.detail, "session": event.session,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value}


def _show_near(near: Near) -> None:
    tables.line(f"  near: {near.pattern}", "bold")
    if near.envelope:
        tables.line(f"    the line is not {near.envelope}")
        return
    tables.line(f"    takes       {_tail(near.begun) or '(nothing)'}")
    tables.line(f"    then wants  {safe(near.missing, LONGEST)}")
    tables.line(f"    but finds   {safe(near.found, LONGEST) or '(the end of the line)'}")


def _tail(text: str) -> str:
    return safe(text if len(text) <= LONGEST else "…" + text[-LONGEST:])


def _as_json(reading: Reading) -> LineJson:
    return LineJson(
        line=reading.line, envelopes=reading.envelopes, pattern=reading.pattern.id if reading.pattern else "",
        meaning=told(reading.pattern) if reading.pattern else "", fields=reading.fields, event=_facts(reading),
        others=reading.others, nearest=reading.nearest,
    )  # fmt: skip
