"""One message of one warning, or of many of one kind: subject, plain text, HTML, one short line, and JSON. Pure.

Many warnings are told completely in number, by what and where, and the newest of them each; what others wrote is
harmless everywhere (see `harmless`) but in `facts`, which programs read and which hold it as it was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from msgspec import structs

from ringfence.alert.details import Line, lines
from ringfence.alert.harmless import columns, fitted, ours, short_line, shortened, wrapped
from ringfence.alert.message import Message
from ringfence.alert.rendering import page_link, rendered, tag
from ringfence.alert.wording import accounts_text, headline, kind_title, said, title
from ringfence.answers import stamp
from ringfence.model import Alert
from ringfence.translating import ENGLISH, Words

LONGEST_SUBJECT: Final = 150
MOST_SUMS: Final = 25
MOST_TOLD: Final = 200
"""Warnings that are told one by one; of more only the sums."""
ACCOUNTS_EACH: Final = 6
ACCOUNTS_WIDTH: Final = 120
TIMES: Final = frozenset({"since", "until", "expires"})
Counts = Mapping[tuple[str, str], int]
"""(what, service) → how many of all; what: the rule's name, or empty for other kinds."""
Sum = tuple[int, str]
LACKING: Final = 0.25
"""The part of a short line that may be "?" before it is told in English instead."""


class Entry(NamedTuple):
    """One of many, as it stands in a list."""

    clock: str
    head: str
    rest: str
    accounts: str


def compose(
    alerts: Sequence[Alert], *, total: int, counts: Counts, accounts: Mapping[int, Sequence[str]], body: str, host: str,
    link: str, zone: tzinfo, language: str, suppressed: int = 0,
) -> Message:  # fmt: skip
    """What is sent of `alerts`, the newest first, all of one kind; at least one.

    total: how many there are altogether, of which `alerts` are the newest; counts: how many of them by rule and
    service; accounts: what was tried, by the warning's id; body: "standard" or "short"; host: this machine's name;
    link: the page's address, or empty; suppressed: how many more somebody did not want to be told of.
    """
    alerts = alerts[:MOST_TOLD]
    total = max(total, len(alerts))
    _ = Words.of(language, zone)
    host = ours(host, 60)
    facts = _facts(alerts, total, counts, accounts, host, suppressed)
    subject = subject_line(host, _subject(alerts, total, counts, _))
    told = Message(
        subject=subject, text="", facts=facts, grave=any(one.grave for one in alerts), language=tag(language)
    )
    if body == "short":
        return _with(told, short_text(lambda words: f"ringfence {host}: {_short(alerts, total, counts, words)}", _))
    notes = [_("%(count)s more were not to be told.", count=_.number(suppressed))] if suppressed else []
    link = page_link(link)
    if total == 1:
        return _with(told, *_single(alerts[0], accounts.get(alerts[0].id, ()), notes, host, link, _))
    return _with(told, *_gathered(alerts, total, counts, accounts, notes, host, link, _))


def _with(message: Message, text: str, html: str = "") -> Message:
    return structs.replace(message, text=text, html=html)


# ---- subjects and short lines


def subject_line(host: str, text: str) -> str:
    """The subject of a mail of ours: one line, which says who writes; both are harmless already."""
    return shortened(f"[ringfence {host}] {text}", LONGEST_SUBJECT)


def _subject(alerts: Sequence[Alert], total: int, counts: Counts, _: Words) -> str:
    if total > 1:
        return many(alerts, total, counts, _)
    return headline(alerts[0], _) if alerts[0].kind == "rule" else title(alerts[0], _)


def many(alerts: Sequence[Alert], total: int, counts: Counts, _: Words = ENGLISH) -> str:
    """Several warnings of one kind in a few words: "10,000 × rule fired: sip, ssh"."""  # noqa: RUF002
    head = f"{_.number(total)} × {kind_title(alerts[0].kind, _)}"  # noqa: RUF001
    where: Counter[str] = Counter()
    for (_what, service), count in _complete(alerts, total, counts).items():
        where[service] += count
    services = [ours(_.service(name), 40) for name, _count in where.most_common() if name]
    return f"{head}: {_.few(services)}" if services else head


def short_text(say: Callable[[Words], str], _: Words) -> str:
    """What `say` says as one short line; in English where the alphabet of short messages lacks the language."""
    told = say(_)
    line = short_line(told)
    lacking = line.count("?") - told.count("?")
    return short_line(say(Words(zone=_.zone))) if lacking > len(line) * LACKING else line


def _short(alerts: Sequence[Alert], total: int, counts: Counts, _: Words) -> str:
    if total == 1:
        return title(alerts[0], _)
    told = ", ".join(f"{_.number(count)} {text}" for count, text in _sums(alerts, total, counts, _))
    return f"{_.number(total)} × {kind_title(alerts[0].kind, _)}" + (f": {told}" if told else "")  # noqa: RUF001


# ---- one warning


def _single(
    alert: Alert, accounts: Sequence[str], notes: Sequence[str], host: str, link: str, _: Words
) -> tuple[str, str]:
    head, after = said(alert, _)
    details = lines(alert, accounts, _)
    text = [*wrapped(title(alert, _)), "", *_columns(details), "", *foot(host, link, notes, _)]
    html = rendered(
        "warning", _, heading=head, after=after.removeprefix(": ").removeprefix(", ").strip(), details=details,
        **_frame([alert], notes, host, link, _),
    )  # fmt: skip
    return "\n".join(text) + "\n", html


def _columns(details: Sequence[Line]) -> list[str]:
    wide = min(22, max(columns(label) for label, _text in details)) + 2
    found = []
    for label, text in details:
        first = "  " + fitted(label, 22)
        first += " " * max(1, 2 + wide - columns(first))
        for place, line in enumerate(text.split("\n")):
            found += wrapped(line, first=first if not place else " " * (wide + 2), rest=" " * (wide + 2))
    return found


def foot(host: str, link: str, notes: Sequence[str], _: Words) -> list[str]:
    """The end of every plain mail: what else is to be said, who writes, and where to go; the link is never broken."""
    said_too = [line for note in notes for line in wrapped(note)]
    return [*said_too, *wrapped(_("Ringfence on %(host)s", host=host)), *([link] if link else [])]


def _frame(alerts: Sequence[Alert], notes: Sequence[str], host: str, link: str, _: Words) -> dict[str, Any]:
    ended = all(one.phase == "ended" for one in alerts)
    grave = any(one.grave for one in alerts) and not ended
    tone = "good" if ended else "grave" if grave else "warn"
    word = _("Grave warning") if grave else _("All well again") if ended else _("Warning")
    return {"tone": tone, "word": word, "notes": notes, "host": host, "link": link}


# ---- many warnings


def _gathered(
    alerts: Sequence[Alert], total: int, counts: Counts, accounts: Mapping[int, Sequence[str]], notes: Sequence[str],
    host: str, link: str, _: Words,
) -> tuple[str, str]:  # fmt: skip
    heading = many(alerts, total, counts, _)
    sums = [(_.number(count), text) for count, text in _sums(alerts, total, counts, _)]
    entries = [_entry(alert, accounts.get(alert.id, ()), _) for alert in alerts]
    shown = (
        _("All of them, the newest first")
        if len(alerts) == total
        else _("The newest %(shown)s of %(total)s", shown=_.number(len(alerts)), total=_.number(total))
    )
    wide = max((len(count) for count, _text in sums), default=0)
    text = [*wrapped(heading), ""]
    for count, what in sums:
        text += wrapped(what, first=f"  {count:>{wide}}  ", rest=" " * (wide + 4))
    text += ["", *wrapped(f"{shown}:"), ""]
    for one in entries:
        text += [one.clock, *wrapped(one.head + one.rest, first="  ", rest="  ")]
        text += wrapped(one.accounts, first="  ", rest="  ") if one.accounts else []
    text += ["", *foot(host, link, notes, _)]
    html = rendered(
        "gathered", _, heading=heading, after="", sums=sums, entries=entries, shown=shown,
        **_frame(alerts, notes, host, link, _),
    )  # fmt: skip
    return "\n".join(text) + "\n", html


def _entry(alert: Alert, accounts: Sequence[str], _: Words) -> Entry:
    head, rest = said(alert, _)
    names = shortened(accounts_text(accounts, _, ACCOUNTS_EACH), ACCOUNTS_WIDTH)
    tried = _("tried: %(accounts)s", accounts=names) if names else ""
    return Entry(_.clock(alert.time), head, rest, tried)


def _complete(alerts: Sequence[Alert], total: int, counts: Counts) -> dict[tuple[str, str], int]:
    """`counts`, or the same counted here where nobody did and all are known."""
    if counts or len(alerts) < total:
        return {key: count for key, count in counts.items() if count > 0}
    return Counter((str(one.facts.get("rule") or ""), one.service) for one in alerts)


def _sums(alerts: Sequence[Alert], total: int, counts: Counts, _: Words) -> list[Sum]:
    """How many by what and where, the most first; together they are `total`."""
    found = sorted(_complete(alerts, total, counts).items(), key=lambda one: (-one[1], one[0]))
    told = [(count, text) for (what, service), count in found[:MOST_SUMS] if (text := _by(what, service, _))]
    others = total - sum(count for count, _text in told)
    return [*told, (others, _("others"))] if told and others > 0 else told


def _by(what: str, service: str, _: Words) -> str:
    what, service = ours(what, 60), ours(_.service(service), 40)
    if what and service:
        return _("by %(rule)s on %(service)s", rule=what, service=service)
    return _("by %(rule)s", rule=what) if what else _("on %(service)s", service=service) if service else ""


# ---- for programs


def _facts(
    alerts: Sequence[Alert], total: int, counts: Counts, accounts: Mapping[int, Sequence[str]], host: str,
    suppressed: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "version": 1, "host": host, "kind": alerts[0].kind, "total": total, "suppressed": suppressed,
        "counts": [
            {"rule": plain(what), "service": plain(service), "count": count}
            for (what, service), count in _complete(alerts, total, counts).items()
        ],
        "warnings": [_told(alert, accounts.get(alert.id, ())) for alert in alerts],
    }  # fmt: skip


def _told(alert: Alert, accounts: Sequence[str]) -> dict[str, Any]:
    return {
        "id": alert.id, "time": stamp(alert.time), "kind": plain(alert.kind), "subject": plain(alert.subject),
        "service": plain(alert.service), "phase": alert.phase, "grave": alert.grave, "title": title(alert),
        "accounts": [plain(one) for one in accounts],
        "facts": {plain(key): iso(key, value) for key, value in alert.facts.items()},
    }  # fmt: skip


def iso(key: str, value: Any) -> Any:
    """A fact as programs get it: times in ISO 8601 (UTC), an end that never comes as null."""
    if key in TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return stamp(value) if math.isfinite(value) else None
    return plain(value)


def plain(value: Any) -> Any:
    """`value` without what JSON and UTF-8 have no words for: NaN, infinities and halves of characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
