"""A summary of a day or a week: its numbers, read from the ledger, and the mail that tells them (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from msgspec import Struct

from ringfence.alert.chart import bars
from ringfence.alert.compose import foot, plain, short_text, subject_line
from ringfence.alert.harmless import WIDTH, columns, fitted, harmless, ours, wrapped
from ringfence.alert.message import Message, Picture
from ringfence.alert.rendering import page_link, rendered, tag
from ringfence.alert.wording import kind_title, title
from ringfence.answers import stamp
from ringfence.ledger import Ledger
from ringfence.model import Alert
from ringfence.translating import ENGLISH, Words

HOUR: Final = 3600.0
DAY: Final = 86_400.0
MOST_SERVICES: Final = 15
MOST_NEWEST: Final = 10
ACCOUNTS: Final = 8
BLOCKS: Final = " ▁▂▃▄▅▆▇█"
CHART: Final = "chart"


class ServiceNumbers(Struct, frozen=True, kw_only=True):
    """One service; `before` is the period of the same length before, None where nobody knows."""

    service: str
    attempts: int = 0
    attempts_before: int | None = None
    bans: int = 0
    bans_before: int | None = None


class DigestNumbers(Struct, frozen=True, kw_only=True):
    """What happened from `since` until before `until` (seconds UTC, whole hours).

    `before` is the period of the same length before, None where nobody knows. series: attempts in each `step` seconds;
    accounts: those tried most, counted from accounts_since on; warnings: how many by kind; newest: the last of them.
    """

    since: float
    until: float
    attempts: int = 0
    attempts_before: int | None = None
    attackers: int | None = 0
    attackers_before: int | None = None
    bans: int = 0
    bans_before: int | None = None
    services: tuple[ServiceNumbers, ...] = ()
    accounts: tuple[tuple[str, int], ...] = ()
    accounts_since: float = 0.0
    step: float = HOUR
    series: tuple[int, ...] = ()
    warnings: dict[str, int] = {}
    newest: tuple[Alert, ...] = ()


def numbers(
    ledger: Ledger, since: float, until: float, *, warnings: Mapping[str, int] | None = None,
    newest: Sequence[Alert] = (),
) -> DigestNumbers:  # fmt: skip
    """The numbers of a period, whose ends become whole hours (UTC), and of the one before it.

    Reads a few hundred rows and, for the attackers, the events of both periods. warnings, newest: as in DigestNumbers.
    """
    since, until = since // HOUR * HOUR, until // HOUR * HOUR
    length = until - since
    earlier = since - length
    first = ledger.first_hour()
    known = first is not None and first <= earlier
    step = HOUR if length <= 2 * DAY else 6 * HOUR
    slots = ledger.attempts_by_minute(earlier, until, int(HOUR))
    attempts, attempts_before, series = Counter[str](), Counter[str](), [0] * max(1, round(length / step))
    for slot in slots:
        if slot.time >= since:
            attempts[slot.service] += slot.count
            series[min(len(series) - 1, int((slot.time - since) // step))] += slot.count
        else:
            attempts_before[slot.service] += slot.count
    bans, bans_before = Counter[str](), Counter[str]()
    for slot in ledger.bans_by_slot(earlier, until, int(HOUR)):
        (bans if slot.time >= since else bans_before)[slot.service] += slot.count
    names = sorted(attempts | bans | attempts_before | bans_before, key=lambda name: (-attempts[name], name))
    top = ledger.top_accounts(since, ACCOUNTS)
    return DigestNumbers(
        since=since, until=until, attempts=attempts.total(), attempts_before=attempts_before.total() if known else None,
        attackers=ledger.attackers_in(since, until),
        attackers_before=ledger.attackers_in(earlier, since) if known else None,
        bans=bans.total(), bans_before=bans_before.total() if known else None,
        services=tuple(
            ServiceNumbers(
                service=name, attempts=attempts[name], attempts_before=attempts_before[name] if known else None,
                bans=bans[name], bans_before=bans_before[name] if known else None,
            )
            for name in names
        ),
        accounts=tuple((one.account, one.attempts) for one in top.rows), accounts_since=top.since, step=step,
        series=tuple(series), warnings=dict(warnings or {}), newest=tuple(newest[:MOST_NEWEST]),
    )  # fmt: skip


def compose_digest(
    told: DigestNumbers, *, body: str, host: str, link: str, zone: tzinfo, language: str
) -> Message:  # fmt: skip
    """The summary as a message; body: "standard" or "short", the rest as for `compose`."""
    _ = Words.of(language, zone)
    host, link = ours(host, 60), page_link(link)
    heading = _heading(told, _)
    subject = subject_line(host, f"{heading}: {_summary(told, _)}")
    facts = _facts(told, host)
    if body == "short":
        text = short_text(lambda words: f"ringfence {host}: {_heading(told, words)}: {_summary(told, words)}", _)
        return Message(subject=subject, text=text, facts=facts, language=tag(language))
    picture = Picture(name=CHART, data=bars(told.series), text=_chart_text(told, _))
    return Message(
        subject=subject, text="\n".join([*_text(told, heading, _), *foot(host, link, (), _)]) + "\n",
        html=_html(told, heading, host, link, picture, _), pictures=(picture,), facts=facts, language=tag(language),
    )  # fmt: skip


def _heading(told: DigestNumbers, _: Words) -> str:
    days = round((told.until - told.since) / DAY)
    return {1: _("Summary of the day"), 7: _("Summary of the week")}.get(days) or _("Summary")


def _summary(told: DigestNumbers, _: Words) -> str:
    attackers = told.attackers
    parts = [
        _.ngettext("%(count)s attempt", "%(count)s attempts", told.attempts),
        "" if attackers is None else _.ngettext("%(count)s attacker", "%(count)s attackers", attackers),
        _.ngettext("%(count)s ban", "%(count)s bans", told.bans),
    ]
    if warned := sum(told.warnings.values()):
        parts.append(_.ngettext("%(count)s warning", "%(count)s warnings", warned))
    return ", ".join(filter(None, parts))


def _period(told: DigestNumbers, _: Words) -> str:
    return _("%(since)s to %(until)s", since=_.minute(told.since), until=_.minute(told.until))


def change(now: int | None, before: int | None, _: Words = ENGLISH) -> str:
    """How a number changed: "+25%", "-3%", "=", "×12"; empty where one of them is not known or was none."""  # noqa: RUF002
    if now is None or before is None or not before:
        return "=" if now == before == 0 else ""
    if now >= 10 * before:
        return f"×{_.figures(round(now / before))}"  # noqa: RUF001
    percent = round((now - before) / before * 100)
    return f"{percent:+d}%" if percent else "="


def _shown(value: int | None, _: Words) -> str:
    return "-" if value is None else _.number(value)


def _overall(told: DigestNumbers, _: Words) -> list[tuple[str, str, str, str]]:
    rows = [
        (_("Attempts"), told.attempts, told.attempts_before),
        (_("Attackers"), told.attackers, told.attackers_before),
        (_("Bans"), told.bans, told.bans_before),
    ]
    return [(label, _shown(now, _), _shown(before, _), change(now, before, _)) for label, now, before in rows]


def _services(told: DigestNumbers, _: Words) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            ours(_.service(one.service), 40), _shown(one.attempts, _), _shown(one.attempts_before, _),
            change(one.attempts, one.attempts_before, _), _shown(one.bans, _),
        )
        for one in told.services[:MOST_SERVICES]
    ]  # fmt: skip


def _chart_text(told: DigestNumbers, _: Words) -> str:
    """What the chart shows, for who does not see it."""
    if not told.series or not max(told.series):
        return _("Attempts over time: none")
    most = max(told.series)
    when = told.since + told.series.index(most) * told.step
    each = _("an hour") if told.step == HOUR else _("in six hours") if told.step == 6 * HOUR else _("a day")
    return _(
        "Attempts over time: at most %(count)s %(each)s, from %(time)s on", count=_.number(most), each=each,
        time=_.minute(when),
    )  # fmt: skip


def spark(series: Sequence[int], most: int = 60) -> str:
    """A line of block characters, as high as the numbers: "▁▃█▂"."""
    step = -(-len(series) // most) if series else 1
    values = [max(series[start : start + step]) for start in range(0, len(series), step)]
    top = max(values, default=0)
    return "".join(BLOCKS[0 if not value else max(1, round(value / top * 8))] for value in values)


# ---- plain text


def _text(told: DigestNumbers, heading: str, _: Words) -> list[str]:
    text = [*wrapped(heading), *wrapped(_period(told, _)), ""]
    head = ["", _("now"), _("before"), _("change")]
    text += [*_table([head, *map(list, _overall(told, _))]), ""]
    if any(told.series):
        line = spark(told.series)
        text += ["  " + line, "  " + "▔" * len(line)]
    text += [*wrapped(_chart_text(told, _), first="  ", rest="  "), ""]
    if told.services:
        head = [_("Service"), _("attempts"), _("before"), _("change"), _("bans")]
        text += [*_table([head, *map(list, _services(told, _))]), *_left_out(told, _), ""]
    if told.accounts:
        rows = [[harmless(account, 40), _.number(count)] for account, count in told.accounts]
        text += [*wrapped(_accounts_heading(told, _)), *_table(rows), ""]
    if told.warnings:
        rows = [[kind_title(kind, _), _.number(count)] for kind, count in _by_number(told.warnings)]
        text += [*wrapped(_("Warnings")), *_table(rows), ""]
        for alert in told.newest:
            text += [f"  {_.clock(alert.time)}", *wrapped(title(alert, _), first="    ", rest="    ")]
        text += [""] if told.newest else []
    return text


def _left_out(told: DigestNumbers, _: Words) -> list[str]:
    more = len(told.services) - MOST_SERVICES
    return [f"  {_('and %(count)s more', count=_.number(more))}"] if more > 0 else []


def _accounts_heading(told: DigestNumbers, _: Words) -> str:
    if told.accounts_since > told.since:
        return _("Accounts tried most since %(time)s", time=_.minute(told.accounts_since))
    return _("Accounts tried most")


def _by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, the first to the left, the others to the right; within the width of a mail."""
    wide = [max(columns(row[place]) for row in rows) for place in range(len(rows[0]))]
    first = min(wide[0], max(8, WIDTH - sum(wide[1:]) - 2 * len(wide)))
    found = []
    for row in rows:
        name = fitted(row[0], first)
        cells = [" " * (size - columns(text)) + text for text, size in zip(row[1:], wide[1:], strict=True)]
        found.append(("  " + "  ".join([name + " " * (first - columns(name)), *cells])).rstrip())
    return found


# ---- HTML and JSON


def _html(told: DigestNumbers, heading: str, host: str, link: str, picture: Picture, _: Words) -> str:
    return rendered(
        "digest", _, heading=heading, period=(_.minute(told.since), _.minute(told.until)), tone="good", word="",
        host=host, link=link, notes=(),
        overall=_overall(told, _), services=_services(told, _), left_out=" ".join(_left_out(told, _)).strip(),
        picture=picture, accounts=[(harmless(account, 60), _.number(count)) for account, count in told.accounts],
        accounts_heading=_accounts_heading(told, _),
        warnings=[(kind_title(kind, _), _.number(count)) for kind, count in _by_number(told.warnings)],
        newest=[(_.clock(alert.time), title(alert, _)) for alert in told.newest],
    )  # fmt: skip


def _facts(told: DigestNumbers, host: str) -> dict[str, Any]:
    return {
        "version": 1, "host": host, "kind": "digest", "total": 1,
        "since": stamp(told.since), "until": stamp(told.until),
        "attempts": told.attempts, "attempts_before": told.attempts_before, "attackers": told.attackers,
        "attackers_before": told.attackers_before, "bans": told.bans, "bans_before": told.bans_before,
        "services": [
            {
                "service": plain(one.service), "attempts": one.attempts, "attempts_before": one.attempts_before,
                "bans": one.bans, "bans_before": one.bans_before,
            }
            for one in told.services
        ],
        "accounts": [{"account": plain(account), "attempts": count} for account, count in told.accounts],
        "accounts_since": stamp(told.accounts_since), "step": told.step, "series": list(told.series),
        "by_kind": {plain(kind): count for kind, count in told.warnings.items()}, "warnings": [],
    }  # fmt: skip
