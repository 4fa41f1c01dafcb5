"""The whitelist: who is never banned; add an entry, take one off (on trial)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import Allowed, AllowRow, Done
from ringfence.errors import RingfenceError
from ringfence.model import EVERY
from ringfence.render import few, plural
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.pages.fields import Query, forced, holds, length_of, whole
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show
from ringfence.web.texts import service_name
from ringfence.web.web import Web

ROWS: Final = 100


@get("/whitelist", opt=needs(Permission.SEE), sync_to_thread=True)
def whitelist_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """Every entry, those of the policy among them."""
    query = Query(request)
    rows, trouble = entries(web)
    text, service = query.text("q").lower(), query.text("service")
    found = [row for row in rows if _has(row, text) and service in ("", row.service)]
    found.sort(key=_place)
    cursor = query.cursor(3)
    rest = [row for row in found if cursor is None or _place(row) > _as_place(cursor)]
    part = rest[:ROWS]
    return show(
        request, "whitelist", query=query, rows=part, total=f"{len(found):,}", trouble_here=trouble,
        more=query.more(_place(part[-1]) if len(rest) > ROWS else None), first=query.first(), here=whole(request),
        mine={_place(row) for row in part if covers(row, visitor)}, place=_place,
        protected=web.settings.protect.addresses, filtered=bool(text or service),
        add=query.text("add"), undo=web.settings.web.undo,
    )  # fmt: skip


def entries(web: Web) -> tuple[list[AllowRow], str]:
    """The whitelist as the guard knows it; while it does not answer, what the ledger holds, and why that is not all."""
    try:
        return web.guard.ask_for_page(list[AllowRow], "whitelist"), ""
    except RingfenceError as error:
        return [AllowRow.of(entry) for entry in web.readers.ledger().whitelist(web.clock())], str(error)


def covers(row: AllowRow, visitor: Visitor) -> bool:
    """Whether an entry protects the reader's own address."""
    return any(holds(address, visitor.address) for address in row.addresses)


def _has(row: AllowRow, text: str) -> bool:
    return not text or any(text in one.lower() for one in (row.target, row.note, row.author, *row.addresses))


def _place(row: AllowRow) -> tuple[int, str, str]:
    """Where an entry stands in the list: those of the policy first."""
    return (0 if row.fixed else 1, row.target, row.service)


def _as_place(cursor: tuple[Any, ...]) -> tuple[int, str, str]:
    first, target, service = cursor
    return (int(first == 1), str(target), str(service))


@post("/whitelist", opt=needs(Permission.ACT), sync_to_thread=True)
def allow(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Add an entry, and lift the bans that it covers."""
    answer = web.guard.ask(
        Allowed, visitor, "allow", target=form["target"], service=form["service"] or EVERY,
        seconds=length_of(form, otherwise="forever"), note=form["note"],
    )  # fmt: skip
    web.guard.changed()
    entry = answer.entry
    text = f"{entry.target} is on the whitelist for {service_name(entry.service)}"
    if answer.lifted:
        names = few([f"{row.target} ({service_name(row.service)})" for row in answer.lifted])
        text += f". It was banned: {plural(len(answer.lifted), 'ban')} lifted, {names}"
    done(visitor, text, answer.why)
    return back(form, "/whitelist")


@post("/whitelist/remove", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def disallow(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Take an entry off; it comes back by itself unless that is confirmed."""
    answer = web.guard.ask(
        Done, visitor, "disallow", target=form["target"], service=form["service"] or EVERY, force=forced(form),
        trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    back_again = "" if answer.trial is None else f"it comes back in {answer.trial.left:.0f} s unless you keep this"
    done(visitor, answer.message, back_again)
    return back(form, "/whitelist")


ROUTES: list[Any] = [whitelist_page, allow, disallow]
