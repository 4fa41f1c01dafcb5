"""The whitelist: who is never banned; add an entry, take one off (on trial)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import Allowed, AllowRow, Done
from ringfence.errors import RingfenceError
from ringfence.model import EVERY
from ringfence.translating import Words
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.pages.fields import Query, forced, holds, length_of, whole
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show
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
        request, "whitelist", query=query, rows=part, total=visitor.words.figures(len(found)), trouble_here=trouble,
        more=query.more(_place(part[-1]) if len(rest) > ROWS else None), first=query.first(), here=whole(request),
        mine={_place(row) for row in part if covers(row, visitor)}, place=_place,
        protected=web.settings.protect.addresses, filtered=bool(text or service),
        add=query.text("add"), undo=web.settings.web.undo,
    )  # fmt: skip


def allowed_text(entry: AllowRow, _: Words) -> str:
    """That somebody is on the whitelist from now on."""
    service = _.service(entry.service)
    return _("%(entry)s is on the whitelist for %(service)s", entry=entry.target, service=service)


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
        seconds=length_of(form, visitor.words, otherwise="forever"), note=form["note"],
    )  # fmt: skip
    web.guard.changed()
    _ = visitor.words
    text = allowed_text(answer.entry, _)
    if answer.lifted:
        names = _.few([f"{row.target} ({_.service(row.service)})" for row in answer.lifted])
        text += ". " + _.ngettext(
            "It was banned: %(count)s ban lifted, %(names)s", "It was banned: %(count)s bans lifted, %(names)s",
            len(answer.lifted), names=names,
        )  # fmt: skip
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
    _, again = visitor.words, ""
    if answer.trial is not None:
        again = _("it comes back in %(time)s unless you keep this", time=_.duration(round(answer.trial.left)))
    done(visitor, answer.message, again)
    return back(form, "/whitelist")


ROUTES: list[Any] = [whitelist_page, allow, disallow]
