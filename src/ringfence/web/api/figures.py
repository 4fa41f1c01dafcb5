"""What is counted and written down: statistics, diagnostics, the audit."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar.params import JSONBody
from msgspec import Meta, Struct

from ringfence.answers import StatRow, Stats, StoreRow, stamp
from ringfence.ledger.facts import ServiceStatistics
from ringfence.live import Vitals
from ringfence.web.access import Permission
from ringfence.web.api.answering import Continued, Limit, Text, make, read
from ringfence.web.api.paging import TEXT, Listing, continued, listing, paged
from ringfence.web.api.rows import AuditRow
from ringfence.web.api.state import NUMBERED
from ringfence.web.pages.diagnostics import VERSIONS, PageState, page, stores
from ringfence.web.pages.showing import Parts, Who

SEE: Final = Permission.SEE


class Reset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose statistics begin anew; empty: those of all services. "*" are the bans of all services."""

    service: Annotated[str, Meta(max_length=64)] = ""


class Diagnostics(Struct, frozen=True, kw_only=True):
    """How guard and page are: memory, lists, sources, versions."""

    guard: Vitals
    page: PageState
    stores: list[StoreRow]
    versions: dict[str, str]


@read("/statistics", SEE, tag="statistics")
def statistics(web: Parts, limit: Limit = 100, cursor: Continued = "") -> Listing[StatRow]:
    """What happened to each service since its statistics were reset; distinct addresses are some seconds old."""
    rows = web.counts.statistics()
    found, next_ = paged(rows, lambda row: (row.service,), "statistics", (TEXT,), limit, cursor)
    return Listing(rows=list(map(_row, found)), next=next_, total=len(rows))


def _row(row: ServiceStatistics) -> StatRow:
    return StatRow(
        service=row.service, since=stamp(row.since), attempts=row.attempts, addresses=row.addresses, bans=row.bans,
        packets=row.packets, mails=row.mails, unsent=row.unsent, untold=row.untold,
    )  # fmt: skip


@make("/statistics/reset", Permission.ACT, tag="statistics")
def reset(web: Parts, visitor: Who, data: JSONBody[Reset]) -> Stats:
    """Begin to count anew; the answer is what had been counted until then."""
    answer = web.guard.ask(Stats, visitor, "reset_statistics", service=data.service)
    web.guard.changed()
    return answer


@read("/diagnostics", SEE, tag="statistics")
def diagnostics(web: Parts, visitor: Who) -> Diagnostics:
    """Memory, capacity, peaks and overflows of lists, sources with their lag, versions."""
    vitals = web.guard.ask(Vitals, visitor, "vitals")
    return Diagnostics(
        guard=vitals, page=page(web), stores=stores(vitals, web.counts.size(), web), versions=dict(VERSIONS)
    )  # fmt: skip


@read("/audit", SEE, tag="audit")
def audit(web: Parts, text: Text = "", limit: Limit = 100, cursor: Continued = "") -> Listing[AuditRow]:
    """Who did what, when and where from, newest first. `text` is a part of any of it."""
    place = continued(cursor, "audit", NUMBERED)
    found = web.readers.ledger().audit_page(text, limit=limit, cursor=place)
    return listing(found.rows, AuditRow.from_, "audit", found.next)


ROUTES: list[Any] = [statistics, reset, diagnostics, audit]
