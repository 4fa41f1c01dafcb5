"""`ringfence scan`: who attacked in these logs, and whom the policy would have banned. No guard, no root, no state."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
import typer
from msgspec import Struct

from ringfence.answers import stamp
from ringfence.assemble import read_applied, zone_of
from ringfence.cli import tables
from ringfence.cli.app import app, settings
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.model import EVERY, Attacker, Event, Policy
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.policy import default_policy_text, load_policy
from ringfence.render import duration, moment, plural, safe, size
from ringfence.scan import ScanBan, ScanResult, Source
from ringfence.scan import scan as read_logs
from ringfence.settings import Settings

SHOWN_SHAPES = 5
SHOWN_BANS = 3
"""Bans of one address that the table names."""


class BanJson(Struct, frozen=True, rename={"since": "from"}):
    """A ban that the policy would have given; `service` "*" is all of them, `until` may be "forever"."""

    rule: str
    service: str
    since: str
    until: str


class AttackerJson(Struct, frozen=True):
    """One line of the attack list."""

    address: str
    attempts: int
    level: str
    services: tuple[str, ...]
    accounts: tuple[str, ...]
    first_seen: str
    last_seen: str
    bans: list[BanJson]


class UnknownJson(Struct, frozen=True):
    """Lines of one form that sound like failed logins and that no pattern takes."""

    file: str
    lines: int
    shape: str


class ScanJson(Struct, frozen=True):
    """What `--format json` prints."""

    lines: int
    bytes: int
    seconds: float
    unreadable_times: int
    attackers: list[AttackerJson]
    unknown: list[UnknownJson]


class EventJson(Struct, frozen=True):
    """One line of `--format events`."""

    file: str
    line: int
    time: str
    service: str
    address: str
    account: str
    outcome: str
    cause: str
    detail: str
    pattern: str


@app.command()
def scan(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG…", help="Logs: plain, .gz, .xz or .zst; - reads standard input.")
    ],
    form: Annotated[
        Literal["table", "json", "events"], typer.Option("--format", help="events: JSON Lines, one counted event each.")
    ] = "table",
    service: Annotated[
        list[str] | None, typer.Option("--service", metavar="NAME", help="Look for this service only (repeatable).")
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="Judge by this policy.")] = None,
    year: Annotated[int | None, typer.Option("--year", min=1970, max=9999, help="Of stamps without a year.")] = None,
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Of stamps without a zone.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows of the table; 0: all.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Read logs and tell who attacked, and whom the policy would have banned, by which rule, when and for how long."""
    found = settings()
    catalogue = load_catalogue(found.catalogue.directories)
    for problem in catalogue.problems:
        typer.echo("ringfence: " + safe(problem), err=True)
    judged_by = _policy(policy, found, catalogue)
    services = _services(service or [], catalogue)
    zone = _zone(timezone) if timezone else zone_of(found)
    sources: list[Source] = ["-" if log == "-" else Path(log) for log in logs]
    form = "json" if json else form
    begun = time.perf_counter()
    with _progress(sources, wanted=form != "events" or not sys.stdout.isatty()) as progress:
        result = read_logs(
            sources, judged_by, catalogue, zone=zone, now=time.time(), services=services, year=year,
            cache=found.catalogue.cache, progress=progress, on_events=_write_events if form == "events" else None,
        )  # fmt: skip
    seconds = time.perf_counter() - begun
    if form == "json":
        _write(msgspec.json.encode(_as_json(result, seconds)) + b"\n")
    elif form == "table":
        _table(result, seconds, limit)


def _policy(file: Path | None, found: Settings, catalogue: Catalogue) -> Policy:
    """The policy of the option, else of the settings, else the built-in one."""
    chosen = file or found.policy.file
    if chosen is None:
        return load_policy(default_policy_text(os.environ), "built-in policy")
    return load_policy(read_applied(chosen), str(chosen), services={**catalogue.services, **found.services})


def _services(names: Sequence[str], catalogue: Catalogue) -> list[str] | None:
    for name in names:
        if name not in catalogue.services:
            raise NotFoundError(f"there is no service {name!r}; known: {', '.join(sorted(catalogue.services))}")
    return list(names) or None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise RingfenceError(f'{name}: there is no such time zone; write one such as "Europe/Rome" or "UTC"') from error


class Progress:
    """A bar on standard error that knows how much there is to read; silent where that is no terminal."""

    def __init__(self, sources: Sequence[Source]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        files = [Path(source) for source in sources if source != "-"]
        sizes = [file.stat().st_size for file in files if file.is_file()]
        packed = any(str(source).endswith((".gz", ".xz", ".zst", ".bz2")) for source in sources)
        total = None if "-" in sources or packed else sum(sizes)
        columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._task = self.bar.add_task("reading", total=total)

    def __call__(self, count: int) -> None:
        """So many more bytes were read."""
        self.bar.advance(self._task, count)


@contextmanager
def _progress(sources: Sequence[Source], *, wanted: bool) -> Iterator[Progress | None]:
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    progress = Progress(sources)
    with progress.bar:
        yield progress


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def _write_events(events: Sequence[Event]) -> None:
    rows = (
        EventJson(
            event.source, event.line, stamp(event.time), event.service, event.address, event.account,
            "failed" if event.failed else "succeeded", event.cause, event.detail, event.pattern,
        )
        for event in events
    )  # fmt: skip
    _write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def _as_json(result: ScanResult, seconds: float) -> ScanJson:
    return ScanJson(
        lines=result.lines, bytes=result.bytes, seconds=round(seconds, 3), unreadable_times=result.unreadable_times,
        attackers=[_attacker(row, result.bans.get(row.address, ())) for row in result.attackers],
        unknown=[UnknownJson(source, shape.count, shape.text) for source, shape in result.unknown],
    )  # fmt: skip


def _attacker(row: Attacker, bans: Sequence[ScanBan]) -> AttackerJson:
    return AttackerJson(
        address=row.address, attempts=row.attempts, level=_level(row, bans), services=row.services,
        accounts=row.accounts, first_seen=stamp(row.first_seen), last_seen=stamp(row.last_seen),
        bans=[BanJson(ban.rule, ban.service, stamp(ban.since), stamp(ban.until)) for ban in bans],
    )  # fmt: skip


def _level(row: Attacker, bans: Sequence[ScanBan]) -> str:
    """Whom a rule would have banned is threatening, however few attempts that took."""
    return "threatening" if bans else row.level


def _table(result: ScanResult, seconds: float, limit: int) -> None:
    shown = result.attackers[:limit] if limit else result.attackers
    if shown:
        tables.show(
            ["ADDRESS", "LEVEL", ">ATTEMPTS", "SERVICES", "FIRST SEEN", "LAST SEEN", "WOULD BE BANNED", "ACCOUNTS"],
            [
                [
                    row.address, tables.level(_level(row, result.bans.get(row.address, ()))),
                    f"{row.attempts:,}", " ".join(map(safe, row.services)),
                    moment(stamp(row.first_seen)), moment(stamp(row.last_seen)),
                    _bans(result.bans.get(row.address, ())), tables.accounts(row.accounts),
                ]
                for row in shown
            ],
        )  # fmt: skip
    if len(shown) < len(result.attackers):
        left = plural(len(result.attackers) - len(shown), "more address", "more addresses")
        tables.line(f"… and {left}; all with --limit 0", "dim")
    bans = sum(map(len, result.bans.values()))
    tables.line(
        f"{plural(result.lines, 'line')}, {size(result.bytes)} in {seconds:.2f} s: "
        f"{plural(len(result.attackers), 'attacker')}, {plural(bans, 'ban')}"
    )
    for count, what in (
        (result.unreadable_times, "with a time that can't be read"),
        (result.unbelieved, "not believed, because a client could have written them"),
        (result.named, "with a host name instead of an address, not counted"),
        (result.cut_lines, "cut at 64 KiB"),
    ):
        if count:
            tables.line(f"{plural(count, 'line')} {what}", "yellow")
    for source, shape in result.unknown[:SHOWN_SHAPES]:
        told = f"{plural(shape.count, 'line')} like a failed login, but of no known form, in {safe(source)}: "
        tables.line(told + safe(shape.text), "yellow")
    if len(result.unknown) > SHOWN_SHAPES:
        tables.line(f"… and {len(result.unknown) - SHOWN_SHAPES} more such forms", "dim")


def _bans(bans: Sequence[ScanBan]) -> str:
    """The bans of one address: by which rule, from when, for how long."""
    words = [
        f"{ban.rule} ({'all' if ban.service == EVERY else safe(ban.service)}) {moment(stamp(ban.since))} "
        f"{'forever' if ban.until == float('inf') else 'for ' + duration(ban.until - ban.since)}"
        for ban in bans[:SHOWN_BANS]
    ]
    return "\n".join(words) + (f"\n+{len(bans) - SHOWN_BANS}" if len(bans) > SHOWN_BANS else "") if bans else "no"
