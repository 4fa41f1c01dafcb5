"""The warnings as a file, CSV or JSON: the filter of the list holds for it, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import get
from litestar.response import Stream

from ringfence.alert.wording import title
from ringfence.answers import stamp
from ringfence.model import Alert
from ringfence.web.access import Permission, needs
from ringfence.web.exporting import csv_lines
from ringfence.web.pages.fields import Query
from ringfence.web.pages.showing import Asked, Parts
from ringfence.web.pages.warnings import Wanted, wanted_of
from ringfence.web.web import Web

AT_ONCE: Final = 500
"""Warnings that are read at once."""
COLUMNS: Final = (
    "number", "time", "grave", "kind", "phase", "service", "subject", "warning", "nobody told", "acknowledged", "by",
)  # fmt: skip


@get("/warnings.csv", opt=needs(Permission.SEE))
async def warnings_csv(request: Asked, web: Parts) -> Stream:
    """The list, whole, for spreadsheets."""
    return Stream(
        _csv(web, wanted_of(Query(request))), media_type="text/csv; charset=utf-8; header=present",
        headers=_named("csv"),
    )  # fmt: skip


@get("/warnings.json", opt=needs(Permission.SEE))
async def warnings_json(request: Asked, web: Parts) -> Stream:
    """The same with all facts, for programs."""
    return Stream(_json(web, wanted_of(Query(request))), media_type="application/json", headers=_named("json"))


def _named(ending: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="ringfence-warnings.{ending}"'}


def record_of(alert: Alert) -> dict[str, Any]:
    """A warning as programs get it."""
    return {
        "id": alert.id, "time": stamp(alert.time), "kind": alert.kind, "subject": alert.subject,
        "service": alert.service, "phase": alert.phase, "grave": alert.grave, "title": title(alert),
        "facts": alert.facts, "muted": alert.muted,
        "acknowledged": None if alert.acknowledged is None else stamp(alert.acknowledged),
        "acknowledger": alert.acknowledger,
    }  # fmt: skip


async def _csv(web: Web, wanted: Wanted) -> AsyncIterator[str]:
    yield csv_lines([COLUMNS])
    async for alerts in _all(web, wanted):
        yield csv_lines(_cells(alert) for alert in alerts)


def _cells(alert: Alert) -> tuple[object, ...]:
    return (
        alert.id, stamp(alert.time), "yes" if alert.grave else "no", alert.kind, alert.phase, alert.service,
        alert.subject, title(alert), "yes" if alert.muted else "no",
        "" if alert.acknowledged is None else stamp(alert.acknowledged), alert.acknowledger,
    )  # fmt: skip


async def _json(web: Web, wanted: Wanted) -> AsyncIterator[str]:
    yield "["
    between = "\n"
    async for alerts in _all(web, wanted):
        yield between + ",\n".join(json.dumps(record_of(alert)) for alert in alerts)
        between = ",\n"
    yield "\n]\n"


async def _all(web: Web, wanted: Wanted) -> AsyncIterator[list[Alert]]:
    """Part by part, each read in a thread of its own: a long list holds nobody up."""
    before: int | None = None
    while found := await asyncio.to_thread(_part, web, wanted, before):
        yield found
        before = found[-1].id


def _part(web: Web, wanted: Wanted, before: int | None) -> list[Alert]:
    return wanted.of(web.readers.ledger(), before, AT_ONCE)


ROUTES: list[Any] = [warnings_csv, warnings_json]
