"""Statistics and diagnostics: what happened to each service since the last reset, and how guard and page are."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import psutil
from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

import ringfence
from ringfence.answers import Stats, StoreRow
from ringfence.errors import RingfenceError
from ringfence.ledger.facts import Size
from ringfence.live import Vitals
from ringfence.model import EVERY
from ringfence.phrases import in_words
from ringfence.web.access import Permission, needs
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, show
from ringfence.web.web import Web

ALL: Final = "all"
"""What the form sends for the statistics of every service, since "*" means the bans of all services."""
PACKAGES: Final = ("litestar", "uvicorn", "msgspec", "hyperscan")


class PageState(Struct, frozen=True, kw_only=True):
    """How the page's own process is."""

    resident: int
    cpu_seconds: float
    uptime: float
    streams: int


@get("/diagnostics", opt=needs(Permission.SEE), sync_to_thread=True)
def diagnostics_page(request: Asked, web: Parts) -> Response[str]:
    """Everything that is counted; the guard is only asked for what it knows without counting."""
    trouble, vitals = "", None
    try:
        vitals = web.guard.ask_for_page(Vitals, "vitals")
    except RingfenceError as error:
        trouble = in_words(str(error), request.user.words)
    rows, size = web.counts.statistics(), web.counts.size()
    return show(
        request, "diagnostics", rows=rows, vitals=vitals, size=size, stores=stores(vitals, size, web), page=page(web),
        missing=trouble, versions=VERSIONS, own_version=ringfence.__version__, every=EVERY, all_services=ALL,
    )  # fmt: skip


@post("/diagnostics/reset", opt=needs(Permission.ACT), sync_to_thread=True)
def reset(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Begin to count anew, for one service or for all."""
    service, _ = form["service"], visitor.words
    if form["sure"] != "yes":
        raise RingfenceError(_("nothing was reset: tick the box that says you are sure"))
    web.guard.ask(Stats, visitor, "reset_statistics", service="" if service in ("", ALL) else service)
    web.guard.changed()
    what = _("every service") if service in ("", ALL) else _.service(service)
    done(visitor, _("The statistics of %(service)s begin anew", service=what))
    return go("/diagnostics")


def stores(vitals: Vitals | None, size: Size, web: Web) -> list[StoreRow]:
    """How full the bounded lists are: the ledger's are read here, the guard's memory is told by it."""
    settings = web.settings
    bans, most = settings.bans.capacity, settings.ledger.max_size
    found = [
        StoreRow(
            name="bans", capacity=bans, used=size.bans_now, free=max(0, bans - size.bans_now), peak=size.bans_peak,
            overflows=size.bans_overflow, bytes_per_item=-1,
        )
    ]  # fmt: skip
    if vitals is not None:
        found.append(vitals.tracked)
    found.append(
        StoreRow(
            name="ledger (bytes)", capacity=most, used=size.used, free=max(0, most - size.used), peak=size.bytes,
            overflows=size.forgotten, bytes_per_item=size.used // size.events if size.events else 0,
        )
    )  # fmt: skip
    return found


def page(web: Web) -> PageState:
    """How this process is."""
    process = psutil.Process()
    times = process.cpu_times()
    return PageState(
        resident=process.memory_info().rss, cpu_seconds=times.user + times.system, uptime=web.clock() - web.started,
        streams=web.live.streams,
    )  # fmt: skip


def _versions() -> list[tuple[str, str]]:
    found = [
        ("Python", platform.python_version()),
        ("SQLite", sqlite3.sqlite_version), ("Linux", os.uname().release),
    ]  # fmt: skip
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


VERSIONS: Final = _versions()
"""Read when the page starts: later its files may be another version's, or closed to it."""
ROUTES: list[Any] = [diagnostics_page, reset]
