"""The first page: is everything guarded, what is going on, who attacks; and the data of its chart."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.response import Redirect
from msgspec import structs

from ringfence.alert.wording import title
from ringfence.ledger.listed import TopAccounts
from ringfence.model import Alert
from ringfence.web.access import Permission, needs
from ringfence.web.charts import LONGEST, RANGES, Chart, chart_between, chart_of, rows_of
from ringfence.web.pages.showing import Asked, Parts, Who, go, show
from ringfence.web.texts import line_name
from ringfence.web.web import Web

TOP: Final = 10
MOST_GRAVE: Final = 5
AGES: Final = {"hour": (60.0, 60.0), "day": (5.0, 120.0), "month": (60.0, 3600.0)}
"""How old what is told of each range may be, and how old it may be while it is made anew; see `Kept`.

The hour is told anew with every change: an attack that has just begun must not wait."""
SHORTEST: Final = 300.0
"""Seconds that one can look at with a chart at least."""


@get("/", opt=needs(Permission.SEE, Permission.OWN), sync_to_thread=True)
def overview(request: Asked, web: Parts, visitor: Who) -> Response[str] | Redirect:
    """Where everybody arrives; whoever may only see what concerns them is sent on to that."""
    if not visitor.may(Permission.SEE):
        return go("/mine")
    name = _range(request)
    ledger, now = web.readers.ledger(), web.clock()
    chart = _chart(web, name)
    harmless = web.in_force.harmless(ledger)
    packets = ledger.packets_dropped()
    return show(
        request, "overview", range=name, ranges=list(RANGES), chart=chart, table=rows_of(chart, RANGES[name].rows),
        attackers=ledger.top_attackers(now - RANGES[name].span, TOP, harmless=harmless),
        accounts=_accounts(web, name), bans=ledger.newest_bans(TOP), packets=packets,
        running=sum(ledger.service_counts().values()), countries=web.countries.trouble, grave=_grave(request, web),
    )  # fmt: skip


@get("/chart", opt=needs(Permission.SEE), sync_to_thread=True)
def chart_data(request: Asked, web: Parts) -> Response[bytes]:
    """Attempts by service and bans, as the chart draws them: a range until now, or from `since` to `until`."""
    since, until = _number(request, "since"), _number(request, "until")
    if since is None or until is None:
        chart = _chart(web, _range(request))
    else:
        until = min(max(until, since + SHORTEST), web.clock())
        since = max(since, web.clock() - LONGEST)
        chart = chart_between(web.readers.ledger(), min(since, until - SHORTEST), until)
    lines = [structs.replace(line, name=line_name(line, request.user.words)) for line in chart.services]
    return Response(msgspec.json.encode(structs.replace(chart, services=lines)), media_type="application/json")


def _range(request: Asked) -> str:
    name = request.query_params.get("range", "")
    return name if name in RANGES else "hour"


def _number(request: Asked, name: str) -> float | None:
    try:
        value = float(request.query_params.get(name, "")[:30])
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e11 else None


def _known_by(web: Web, name: str) -> tuple[object, ...]:
    if name != "hour":
        return (name,)
    now = web.readers.ledger().versions()
    return name, now.events, now.bans, int(web.clock() // 60)


def _chart(web: Web, name: str) -> Chart:
    def make() -> Chart:
        return chart_of(web.readers.ledger(), name, web.clock())

    return web.kept.get(("chart", *_known_by(web, name)), make, *AGES[name])


def _grave(request: Asked, web: Web) -> list[tuple[Alert, str]]:
    """The newest grave warnings that nobody acknowledged, in words; looked for anew when there is something new."""
    now, _ = web.readers.ledger().versions(), request.user.words
    found = web.kept.get(
        ("grave", now.warnings, now.audit), lambda: web.readers.ledger().grave_warnings(MOST_GRAVE), 60.0, 120.0
    )
    return [(alert, title(alert, _)) for alert in found]


def _accounts(web: Web, name: str) -> TopAccounts:
    def make(name: str) -> TopAccounts:
        return web.readers.ledger().top_accounts(web.clock() - RANGES[name].span, TOP)

    return web.kept.get(("accounts", *_known_by(web, name)), functools.partial(make, name), *AGES[name])


ROUTES: list[Any] = [overview, chart_data]
