"""The bans: who is kept out of what, why, by whom and until when; ban by hand, unban one, some or all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

from ringfence.answers import Banned, BanRow, Lifted
from ringfence.errors import RingfenceError
from ringfence.ledger.listed import BanFilter, ListedBan
from ringfence.model import EVERY
from ringfence.translating import Words
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.pages.fields import Query, counted, forced, holds, length_of, network_in, whole
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, go, show
from ringfence.web.web import Web

ROWS: Final = 50
AT_ONCE: Final = 1_000
"""Bans that are lifted by one command: more would hold the guard for long."""
SORTS: Final = ("since", "until", "target", "service")
SHOWN: Final = ("running", "ended", "all")
STATES: Final = {"running": ("wanted", "enforced"), "ended": ("expired", "lifted")}
MOST_REQUESTS: Final = 100


class BanLine(Struct, frozen=True):
    """A line of the list. packets: None where they are not known; here: it holds the reader's own address."""

    ban: ListedBan
    packets: int | None
    here: bool


@get("/bans", opt=needs(Permission.SEE), sync_to_thread=True)
def bans_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """The list of bans, or its history."""
    query, ledger = Query(request), web.readers.ledger()
    shown = query.choice("show", SHOWN, "running")
    wanted = _filter(query, shown)
    sort = query.choice("sort", SORTS, "since")
    descending = query.choice("order", ("asc", "desc"), "asc" if sort in ("target", "service") else "desc") == "desc"
    page = ledger.ban_page(
        wanted, sort, descending=descending, limit=ROWS, cursor=query.cursor(2),  # type: ignore[arg-type]
    )  # fmt: skip
    count = ledger.ban_count(wanted)
    return show(
        request, "bans", query=query, shown=shown, wanted=wanted, sort=sort, descending=descending,
        lines=lines_of(web, page.rows, visitor), total=counted(count, visitor.words), more=query.more(page.next),
        first=query.first(), here=whole(request), states=STATES.get(shown, ()),
        filtered=wanted != BanFilter(show=wanted.show), undo=web.settings.web.undo,
        requests=ledger.requests(limit=MOST_REQUESTS),
    )  # fmt: skip


def _filter(query: Query, shown: Any) -> BanFilter:
    text = query.text("q")
    network = network_in(text)
    return BanFilter(
        text="" if network else text, network=network, service=query.text("service"),
        state=query.choice("state", STATES.get(shown, ())) or None,  # type: ignore[arg-type]
        rule=query.text("rule"), account=query.text("account"), show=shown,
    )  # fmt: skip


def lines_of(web: Web, bans: Sequence[ListedBan], visitor: Visitor) -> list[BanLine]:
    """The bans with the packets that those running have dropped, as far as the guard can tell."""
    running = [ban.id for ban in bans if ban.ended is None]
    packets: dict[int, int] = {}
    if running:
        with contextlib.suppress(RingfenceError):  # the top of the page says that the guard does not answer
            packets = web.guard.ask_for_page(dict[int, int], "packets", ids=running)
    return [BanLine(ban, packets.get(ban.id), holds(ban.target, visitor.address)) for ban in bans]


@post("/bans", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def ban(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Ban an address or network by hand."""
    seconds = length_of(form, visitor.words)
    answer = web.guard.ask(
        Banned, visitor, "ban", target=form["target"], service=form["service"] or EVERY, seconds=seconds,
        note=form["note"], force=forced(form), trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    tell_banned(visitor, answer, seconds)
    return back(form, "/bans")


def tell_banned(visitor: Visitor, answer: Banned, seconds: float | None) -> None:
    """Tell what came of a ban by hand."""
    _, made = visitor.words, answer.ban
    text = banned_text(made, seconds, _)
    if answer.trial is not None:
        text += ". " + _(
            "It is a large network: keep it on top of the page, or it is undone in %(time)s",
            time=_.duration(round(answer.trial.left)),
        )
    done(visitor, text, answer.why or ("" if answer.enforced else _("it is not in force yet")))


def banned_text(made: BanRow, seconds: float | None, _: Words) -> str:
    """That somebody is banned from now on, for so many seconds (None: for good)."""
    service = _.service(made.service)
    if seconds is None:
        return _("%(address)s is banned from %(service)s for good", address=made.target, service=service)
    return _(
        "%(address)s is banned from %(service)s for %(length)s", address=made.target, service=service,
        length=_.duration(seconds),
    )  # fmt: skip


@post("/bans/unban", opt=needs(Permission.ACT), sync_to_thread=True)
def unban(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Lift one ban (its own button), or those whose boxes are ticked."""
    numbers = form.numbers("one") or form.numbers("ban")
    if not numbers:
        _ = visitor.words
        raise RingfenceError(_("no ban is selected: tick those that are to be lifted"))
    answer = web.guard.ask(Lifted, visitor, "unban_many", ids=numbers)
    web.guard.changed()
    _tell_lifted(visitor, answer.rows, answer.why)
    return back(form, "/bans")


def _tell_lifted(visitor: Visitor, rows: Sequence[BanRow], why: str) -> None:
    _ = visitor.words
    if not rows:
        done(visitor, _("Nothing was lifted"), _("what was selected had ended already"))
        return
    names = _.few([f"{row.target} ({_.service(row.service)})" for row in rows])
    done(
        visitor,
        _.ngettext("%(count)s ban lifted: %(names)s", "%(count)s bans lifted: %(names)s", len(rows), names=names),
        why,
    )


@get("/bans/unban-all", opt=needs(Permission.ACT), sync_to_thread=True)
def unban_all_page(request: Asked, web: Parts) -> Response[str]:
    """Ask once more before everybody is let in again."""
    service = Query(request).text("service")
    count = web.readers.ledger().ban_count(BanFilter(service=service), most=-1)
    return show(request, "unban_all", count=count.rows, service=service)


@post("/bans/unban-all", opt=needs(Permission.ACT), sync_to_thread=True)
def unban_all(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Lift every ban that runs now, of one service or of all."""
    _ = visitor.words
    if not form["sure"]:
        raise RingfenceError(_("nothing was lifted: tick the box that says that you mean it"))
    service = "" if form["service"] in ("", "any") else form["service"]
    count, why = _lift_all(web, visitor, service)
    web.guard.changed()
    if not service:
        done(visitor, _.ngettext("%(count)s ban lifted", "%(count)s bans lifted", count), why)
        return go("/bans")
    text = _.ngettext(
        "%(count)s ban from %(service)s lifted", "%(count)s bans from %(service)s lifted", count,
        service=_.service(service),
    )  # fmt: skip
    done(visitor, text, why)
    return go("/bans")


def _lift_all(web: Web, visitor: Visitor, service: str) -> tuple[int, str]:
    """Lift the bans that run now; returns how many, and what the kernel did not take. Bans made meanwhile stay."""
    ledger = web.readers.ledger()
    if ledger.ban_count(BanFilter(service=service)).rows <= AT_ONCE:
        answer = web.guard.ask(Lifted, visitor, "unban", service=service)
        return len(answer.rows), answer.why
    newest = ledger.newest_bans(1)[0].id
    lifted = 0
    whys: dict[str, None] = {}
    while True:
        running = ledger.bans(service=service or None, limit=AT_ONCE)
        ids = [ban.id for ban in running if ban.id <= newest]
        answer = web.guard.ask(Lifted, visitor, "unban_many", ids=ids)
        if not answer.rows:
            return lifted, "; ".join(filter(None, whys))
        lifted += len(answer.rows)
        whys[answer.why] = None


ROUTES: list[Any] = [bans_page, ban, unban, unban_all_page, unban_all]
