"""Answers as tables and lines for a terminal. Every text that may come from outside passes `render.safe`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ringfence.answers import (
    AllowRow,
    AttackRow,
    Attacks,
    BanRow,
    Diag,
    EventRow,
    Explanation,
    LockdownRow,
    ServiceRow,
    SourceRow,
    Stats,
    Status,
    UnknownRow,
    WindowRow,
)
from ringfence.model import EVERY
from ringfence.render import ago, duration, few, moment, plural, remaining, safe, size

PIPE_WIDTH = 1_000_000
"""Columns when the output is no terminal: wide enough that nothing is folded on its way to grep."""
FOLDED = frozenset({
    "ACCOUNT", "ACCOUNTS", "ADDRESSES", "CAUSE", "DETAIL", "KIND", "LOG", "NOTE", "PORTS", "REASON", "RESULT", "RULES",
    "SERVICES", "SOURCE", "TROUBLE", "WOULD BE BANNED",
})  # fmt: skip
"""Columns that fold on a terminal that is too narrow, down to `LEAST` characters."""
TIMES = frozenset({"FIRST SEEN", "LAST SEEN", "OLDEST", "SINCE", "TIME", "UNTIL"})
"""Columns of date, time and zone: they fold down to the width of a date."""
DISPENSABLE = ("FIRST SEEN", "SUCCEEDED", "LINES/S", "LEFT", "SINCE", "KIND", "PORTS", "BY", "CAUSE", "OUTCOME")
"""Columns that are left out, in this order, where even folded not everything fits."""
LEAST, DATE, GAP = 8, 10, 2

SEE = "see 'ringfence status'"

Cell = str | Text


def console() -> Console:
    """A console on standard output; colours only on a terminal and where NO_COLOR is not set."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def show(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print `rows` under `headings`; a heading that starts with ">" is a column of numbers.

    On a terminal long columns fold; where that is not enough some are left out, and that is said.
    """
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    names = [heading.lstrip(">") for heading in headings]
    out = console()
    least = _least(names, cells)
    left_out = _left_out(names, least, out.width) if sys.stdout.isatty() else []
    shown = [at for at, name in enumerate(names) if name not in left_out]
    fits = sum(least[at] for at in shown) + GAP * (len(shown) - 1) <= out.width
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for at in shown:
        table.add_column(
            Text(names[at]), justify="right" if headings[at].startswith(">") else "left", overflow="fold",
            no_wrap=fits and names[at] not in FOLDED | TIMES, min_width=least[at] if fits else None,
        )  # fmt: skip
    for row in cells:
        table.add_row(*[row[at] for at in shown])
    out.print(table)
    if left_out:
        line(f"left out on this narrow terminal: {', '.join(left_out)} (--json has everything)", "dim")


def _least(names: Sequence[str], cells: Sequence[Sequence[Text]]) -> list[int]:
    """The width that each column needs at least."""
    widths = [
        max([cell_len(name), *(cell_len(part) for row in cells for part in row[at].plain.split("\n"))])
        for at, name in enumerate(names)
    ]
    return [
        max(min(width, DATE if name in TIMES else LEAST if name in FOLDED else width), cell_len(name))
        for name, width in zip(names, widths, strict=True)
    ]


def _left_out(names: Sequence[str], least: Sequence[int], width: int) -> list[str]:
    """Which columns have to go so that the others fit into `width`."""
    needed = sum(least) + GAP * (len(names) - 1)
    gone: list[str] = []
    for name in DISPENSABLE:
        if needed <= width:
            break
        if name in names:
            needed -= least[names.index(name)] + GAP
            gone.append(name)
    return gone


def line(text: Cell, style: str = "") -> None:
    """Print one line."""
    console().print(text if isinstance(text, Text) else Text(text, style=style))


def service_name(name: str) -> str:
    """A service as people read it."""
    return "all" if name == EVERY else safe(name)


def bans(rows: Sequence[BanRow]) -> None:
    """Print a list of bans."""
    now = time.time()
    show(
        ["TARGET", "SERVICE", "STATE", "SINCE", "UNTIL", ">LEFT", ">PACKETS", "BY", "REASON"],
        [
            [
                row.target, service_name(row.service), _state(row.state), moment(row.since), moment(row.until),
                remaining(row.until, now) if row.state in ("wanted", "enforced") else "-",
                "-" if row.packets is None else f"{row.packets:,}", safe(row.author),
                safe("; ".join(filter(None, (row.reason, row.note))), 80),
            ]
            for row in rows
        ],
    )  # fmt: skip


def in_words(name: str) -> str:
    """A service within a sentence."""
    return "all services" if name == EVERY else safe(name)


def _state(state: str) -> Text:
    styles = {"enforced": "green", "wanted": "yellow", "expired": "dim", "lifted": "dim"}
    return Text(state, style=styles.get(state, ""))


def attacks(answer: Attacks, offset: int) -> None:
    """Print a page of the attack list."""
    attack_rows(answer.rows)
    if answer.total > offset + len(answer.rows):
        shown = f"{offset + 1}-{offset + len(answer.rows)}"
        line(f"{shown} of {plural(answer.total, 'address', 'addresses')}; more with --page or --limit", "dim")


def attack_rows(rows: Sequence[AttackRow]) -> None:
    """Print lines of the attack list."""
    show(
        ["ADDRESS", "LEVEL", ">ATTEMPTS", ">SUCCEEDED", "SERVICES", "FIRST SEEN", "LAST SEEN", "BANNED", "ACCOUNTS"],
        [
            [
                row.address, level(row.level), f"{row.attempts:,}",
                f"{row.successes:,}", " ".join(map(safe, row.services)), moment(row.first_seen), moment(row.last_seen),
                "yes" if row.banned else "no", accounts(row.accounts),
            ]
            for row in rows
        ],
    )  # fmt: skip


def level(name: str) -> Text:
    """An attacker's level, the threatening one in red."""
    return Text(name, style="red" if name == "threatening" else "")


def accounts(names: Sequence[str], most: int = 5) -> str:
    """The first account names, and how many more there are."""
    shown = " ".join(safe(name, 40) or '""' for name in names[:most])
    return shown if len(names) <= most else f"{shown} +{len(names) - most}"


def events(rows: Sequence[EventRow]) -> None:
    """Print counted events."""
    show(
        ["TIME", "SERVICE", "OUTCOME", "ACCOUNT", "CAUSE", "DETAIL", "SOURCE"],
        [
            [
                moment(row.time), safe(row.service), row.outcome, safe(row.account, 60), safe(row.cause),
                safe(row.detail, 60), f"{safe(row.source)}:{row.line}" if row.line else safe(row.source),
            ]
            for row in rows
        ],
    )  # fmt: skip


def whitelist(rows: Sequence[AllowRow]) -> None:
    """Print the whitelist."""
    show(
        ["TARGET", "SERVICE", "UNTIL", "BY", "ADDRESSES", "NOTE"],
        [
            [
                safe(row.target), service_name(row.service), moment(row.expires), safe(row.author),
                "" if row.addresses == (row.target,) else " ".join(row.addresses) or "(does not resolve)",
                safe(row.note, 80),
            ]
            for row in rows
        ],
    )  # fmt: skip


def lockdown(row: LockdownRow) -> None:
    """Print whether telephone traffic is interrupted."""
    if not row.on:
        line("No lockdown: telephone traffic flows.")
        return
    line(
        f"Lockdown of {', '.join(map(safe, row.services))} since {moment(row.since)} until {moment(row.until)} "
        f"by {safe(row.author)}" + ("" if row.enforced else f" (NOT in force: {safe(row.why) or SEE})"),
        "bold red",
    )


def status(answer: Status) -> None:
    """Print how the guard is; the first line says whether everything is guarded."""
    line(answer.headline, "bold green" if answer.guarded else "bold red")
    for problem in answer.problems:
        line("  problem: " + safe(problem), "red")
    for notice in answer.notices:
        line("  note: " + safe(notice), "yellow")
    line(
        f"ringfence {answer.version}, pid {answer.pid}, since {moment(answer.started)}; {answer.mode}; "
        f"policy revision {answer.policy_revision}; ledger {safe(answer.ledger)}"
    )
    line(
        f"{plural(answer.bans_enforced, 'ban')} in force, {answer.bans_wanted:,} wanted only; "
        f"{plural(answer.whitelisted, 'whitelist entry', 'whitelist entries')}"
    )
    if answer.lockdown.on:
        lockdown(answer.lockdown)
    line("")
    show(
        ["SERVICE", "STATE", ">BANS", ">LOGS", "PORTS", "RULES"],
        [
            [
                safe(row.name), "on" if row.enabled else "OFF", f"{row.bans:,}", str(row.sources),
                " ".join(row.ports) or "none known", ", ".join(map(safe, row.rules)),
            ]
            for row in answer.services
            if watched(row)
        ],
    )  # fmt: skip
    others = [row.name for row in answer.services if not watched(row)]
    if others:
        line(f"not found on this machine: {', '.join(map(safe, others))}", "dim")
    line("")
    sources(answer.sources)


def watched(row: ServiceRow) -> bool:
    """Whether there is something to tell of a service: a log, a ban, or that it is switched off."""
    return bool(row.sources or row.bans or not row.enabled)


def sources(rows: Sequence[SourceRow]) -> None:
    """Print the logs that are watched."""
    now = time.time()
    show(
        ["LOG", "KIND", ">LINES", ">MATCHED", ">LINES/S", ">UNREAD", "LAST LINE", "TROUBLE"],
        [
            [
                safe(row.source), few(row.kinds), f"{row.lines:,}", f"{row.events:,}",
                f"{row.lines_per_second:.1f}", size(row.lag), ago(row.last_line, now) if row.last_line else "-",
                Text(safe(row.trouble), style="red"),
            ]
            for row in rows
        ],
    )  # fmt: skip


def stats(answer: Stats) -> None:
    """Print the statistics of each service."""
    show(
        [
            "SERVICE", "SINCE", ">ATTEMPTS", ">ADDRESSES", ">BANS", ">PACKETS DROPPED", ">MAILS", ">UNSENT", ">UNTOLD",
        ],
        [
            [
                service_name(row.service), moment(row.since), f"{row.attempts:,}", f"{row.addresses:,}",
                f"{row.bans:,}", f"{row.packets:,}", f"{row.mails:,}", f"{row.unsent:,}", f"{row.untold:,}",
            ]
            for row in answer.rows
        ],
    )  # fmt: skip


def diag(answer: Diag) -> None:
    """Print memory, lists and sources."""
    line(
        f"memory {size(answer.resident)} resident; up {duration(answer.uptime)}, {answer.cpu_seconds:.1f} s of CPU; "
        f"ledger {size(answer.ledger_bytes)}"
    )
    if answer.unreadable_times:
        line(f"{plural(answer.unreadable_times, 'line')} with an unreadable or wrong time", "yellow")
    line("")
    show(
        ["LIST", ">CAPACITY", ">FREE", ">USED", ">PEAK", ">OVERFLOWS", ">BYTES/ITEM"],
        [
            [
                row.name, _count(row.capacity), _count(row.free), f"{row.used:,}", f"{row.peak:,}",
                f"{row.overflows:,}", _count(row.bytes_per_item),
            ]
            for row in answer.stores
        ],
    )  # fmt: skip
    line("")
    show(["SERVICE", ">ENTRIES"], [[service_name(name), f"{count:,}"] for name, count in answer.entries.items()])
    line("")
    sources(answer.sources)
    unknown(answer.unknown)


def unknown(rows: Sequence[UnknownRow]) -> None:
    """Print the forms of lines that sound like failed logins and that nobody understands."""
    if rows:
        line("")
        line("Lines like failed logins, but of no known form (ringfence explain-line says how near a pattern came):")
        show(
            ["LOG", ">LINES", "LAST", "FORM"],
            [[safe(row.source), f"{row.lines:,}", moment(row.last), safe(row.shape)] for row in rows],
        )


def _count(number: int) -> str:
    return "-" if number < 0 else f"{number:,}"


def windows(rows: Sequence[WindowRow]) -> None:
    """Print how near an address is to what each rule needs."""
    show(
        ["SERVICE", "RULE", ">COUNT", ">NEEDED", "OF", "WITHIN", "OLDEST"],
        [
            [
                service_name(row.service), safe(row.rule), f"{row.count:,}", f"{row.needed:,}", row.counted,
                duration(row.within), moment(row.since) if row.since else "-",
            ]
            for row in rows
        ],
    )  # fmt: skip


def explanation(answer: Explanation) -> None:
    """Print why an address is banned or why not, with everything that speaks for it."""
    line(safe(answer.verdict), "bold red" if answer.banned else "bold green")
    for reason in answer.reasons:
        line("  " + safe(reason))
    _part("Bans that hold", answer.bans, bans)
    _part("Evidence", answer.evidence, events)
    _part("Windows", answer.windows, windows)
    _part("Whitelist", answer.whitelist, whitelist)
    _part("Earlier bans", answer.earlier, bans)
    _part("Last events", answer.events, events)


def _part(title: str, rows: Sequence[object], printer: object) -> None:
    if rows and callable(printer):
        line("")
        line(title, "bold")
        printer(rows)
