"""One ban: everything that happened to it and what led to it; another end, a note. And requests to lift one."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from ringfence.answers import Banned, BanRow
from ringfence.errors import NotFoundError
from ringfence.people_answers import Decided
from ringfence.render import plural
from ringfence.web.access import Permission, needs
from ringfence.web.pages.bans import lines_of, tell_banned
from ringfence.web.pages.fields import forced, length_of, number_of
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show

EARLIER: Final = 20
CHANGES: Final = {
    "made": "made", "past": "made, for a time already over", "extended": "lasts longer: a rule fired again",
    "set": "another end", "enforced": "in force", "expired": "expired", "lifted": "lifted",
    "evicted": "lifted: the list was full",
}  # fmt: skip
"""What can happen to a ban, in words."""


@get("/bans/{number:str}", opt=needs(Permission.SEE), sync_to_thread=True)
def ban_page(request: Asked, web: Parts, visitor: Who, number: FromPath[str]) -> Response[str]:
    """Everything about one ban."""
    ledger, wanted = web.readers.ledger(), number_of(number)
    found = ledger.ban_by_id(wanted)
    if found is None:
        raise NotFoundError(f"there is no ban {wanted} (any more)")
    others = ledger.bans(active=None, target=found.target, order="since", descending=True, limit=EARLIER + 1)
    line = lines_of(web, ledger.listed_bans([found]), visitor)[0]
    return show(
        request, "ban", ban=line.ban, packets=line.packets, here=line.here, changes=ledger.changes(wanted),
        words=CHANGES, evidence=ledger.evidence(wanted), others=[one for one in others if one.id != wanted][:EARLIER],
    )  # fmt: skip


@post("/bans/{number:str}/change", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def change(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Let a ban end at another time, counted from now."""
    seconds = length_of(form)
    answer = web.guard.ask(
        Banned, visitor, "change_ban", id=number_of(number), seconds=seconds, force=forced(form),
        trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    tell_banned(visitor, answer, seconds)
    return back(form, f"/bans/{answer.ban.id}")


@post("/bans/{number:str}/note", opt=needs(Permission.ACT), sync_to_thread=True)
def note(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Write a note beside a ban."""
    row = web.guard.ask(BanRow, visitor, "note_ban", id=number_of(number), note=form["note"])
    done(visitor, f"The note about the ban of {row.target} is {'written' if row.note else 'gone'}")
    return back(form, f"/bans/{row.id}")


@post("/requests/{number:str}/grant", opt=needs(Permission.ACT), sync_to_thread=True)
def grant(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Lift the ban that an account holder asked to be lifted."""
    answer = web.guard.ask(Decided, visitor, "decide_request", id=number_of(number), grant=True)
    web.guard.changed()
    about = f"The request of {answer.request.user} is granted: {plural(len(answer.lifted), 'ban')}"
    done(visitor, f"{about} of {answer.request.target} lifted", answer.why)
    return back(form, "/bans")


@post("/requests/{number:str}/refuse", opt=needs(Permission.ACT), sync_to_thread=True)
def refuse(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Leave the ban that an account holder asked to be lifted."""
    answer = web.guard.ask(Decided, visitor, "decide_request", id=number_of(number), grant=False)
    done(visitor, f"The request of {answer.request.user} is refused; {answer.request.target} stays banned")
    return back(form, "/bans")


ROUTES: list[Any] = [ban_page, change, note, grant, refuse]
