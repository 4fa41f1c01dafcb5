"""The attack list: filtered, sorted, page by page, as a file; and what one does to those on it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect, Stream

from ringfence.answers import Allowed, Banned
from ringfence.ledger import Ledger
from ringfence.ledger.listed import Count, Cursor, ListedAttacker, Page
from ringfence.model import EVERY
from ringfence.orders import is_large
from ringfence.values import parse_address
from ringfence.web.access import Permission, needs
from ringfence.web.attackquery import PERIODS, SHOWN, SORTS, AttackQuery, attack_query
from ringfence.web.cursors import cursor_text
from ringfence.web.exports import AT_ONCE, csv_parts, json_parts
from ringfence.web.pages.bans import banned_text
from ringfence.web.pages.fields import counted, forced, length_of
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show
from ringfence.web.pages.whitelist import allowed_text
from ringfence.web.web import Web

LENGTHS: Final = ("1h", "1d", "365d", "forever")
"""What one click bans for."""
FRESH: Final = (2.0, 30.0)
"""How old a count may be, and how old while it is made anew; see `Kept`."""


@get("/attacks", opt=needs(Permission.SEE), sync_to_thread=True)
def attacks(request: Asked, web: Parts) -> Response[str]:
    """The list."""
    ledger = web.readers.ledger()
    query = _query(request, web, ledger)
    page = ledger.attack_page(
        query.wanted, query.sort, descending=query.descending, limit=query.limit, cursor=query.cursor
    )
    return show(
        request, "attacks", query=query, rows=page.rows, total=counted(_count(web, query, page), request.user.words),
        more=query.path(cursor=cursor_text(page.next)) if page.next else "",
        first=query.path() if query.cursor else "", services=services_seen(ledger),
        periods=list(PERIODS), sorts=SORTS, shown=SHOWN, lengths=LENGTHS,
    )  # fmt: skip


def _query(request: Asked, web: Web, ledger: Ledger) -> AttackQuery:
    sent = {name: request.query_params.get(name, "") for name in request.query_params}
    return attack_query(sent, web.in_force.harmless(ledger), web.clock(), request.user.words)


def _count(web: Web, query: AttackQuery, page: Page[ListedAttacker]) -> Count:
    if query.cursor is None and page.next is None:
        return Count(len(page.rows))
    # A period moves on with the clock, and yet it is the same question.
    key = ("attacks", query.wanted.harmless, *(field for field in query.fields.items() if field[0] not in _ORDER))
    count = web.kept.get(key, lambda: web.readers.ledger().attack_count(query.wanted), *FRESH)
    # What was counted a moment ago must not be less than what is seen.
    return count if count.rows >= len(page.rows) else Count(len(page.rows) + 1, False)


_ORDER: Final = ("sort", "order", "show")


def services_seen(ledger: Ledger) -> list[str]:
    """The services that anything was ever seen of."""
    return sorted(ledger.service_names())


# ---- as a file


@get("/attacks.csv", opt=needs(Permission.SEE))
async def attacks_csv(request: Asked, web: Parts) -> Stream:
    """The same list, whole, for spreadsheets."""
    pages = await _pages(request, web)
    parts = csv_parts(pages, web.countries.of)
    return Stream(parts, media_type="text/csv; charset=utf-8; header=present", headers=_named("csv"))


@get("/attacks.json", opt=needs(Permission.SEE))
async def attacks_json(request: Asked, web: Parts) -> Stream:
    """The same list, whole, for programs."""
    pages = await _pages(request, web)
    return Stream(json_parts(pages, web.countries.of), media_type="application/json", headers=_named("json"))


async def _pages(request: Asked, web: Web) -> Any:
    """What gives one page of the list after the other."""
    query = await asyncio.to_thread(lambda: _query(request, web, web.readers.ledger()))

    def page(cursor: Cursor | None) -> Page[ListedAttacker]:
        return web.readers.ledger().attack_page(
            query.wanted, query.sort, descending=query.descending, limit=AT_ONCE, cursor=cursor
        )

    return page


def _named(ending: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="ringfence-attacks.{ending}"'}


# ---- bans and whitelist


@post("/attacks/ban", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def ban(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Ban an address or network: for one of the usual times, or as long as was typed."""
    seconds = length_of(form, visitor.words)
    trial = {"trial": web.settings.web.undo} if _risky(form["target"]) else {}
    made = web.guard.ask(
        Banned, visitor, "ban", target=form["target"], service=form["service"] or EVERY, seconds=seconds,
        note=form["note"], force=forced(form), **trial,
    )  # fmt: skip
    web.guard.changed()
    done(visitor, banned_text(made.ban, seconds, visitor.words), made.why)
    return back(form, "/attacks")


def _risky(target: str) -> bool:
    try:
        found = parse_address(target)
    except ValueError:
        return False
    return found is not None and is_large(found)


@post("/attacks/allow", opt=needs(Permission.ACT), sync_to_thread=True)
def allow(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Put an address or network on the whitelist; whatever bans it is lifted."""
    seconds = length_of(form, visitor.words, otherwise="forever")
    made = web.guard.ask(
        Allowed, visitor, "allow", target=form["target"], service=form["service"] or EVERY, seconds=seconds,
        note=form["note"],
    )  # fmt: skip
    web.guard.changed()
    _, count = visitor.words, len(made.lifted)
    text = allowed_text(made.entry, _)
    if count:
        text += "; " + _.ngettext(
            "it was banned: %(count)s ban lifted", "it was banned: %(count)s bans lifted", count
        )  # fmt: skip
    done(visitor, text, made.why)
    return back(form, "/attacks")


ROUTES: list[Any] = [attacks, attacks_csv, attacks_json, ban, allow]
