"""One ban: everything that happened to it and what led to it; another end, a note. And requests to lift one."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from ringfence.answers import Banned, BanRow
from ringfence.errors import NotFoundError
from ringfence.people_answers import Decided
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.pages.bans import lines_of, tell_banned
from ringfence.web.pages.fields import forced, length_of, number_of
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show

EARLIER: Final = 20


def changes_in_words(_: Words) -> dict[str, str]:
    """What can happen to a ban, in words."""
    return {
        "made": _("made"), "past": _("made, for a time already over"),
        "extended": _("lasts longer: a rule fired again"), "set": _("another end"), "enforced": _("in force"),
        "expired": _("expired"), "lifted": _("lifted"), "evicted": _("lifted: the list was full"),
    }  # fmt: skip


@get("/bans/{number:str}", opt=needs(Permission.SEE), sync_to_thread=True)
def ban_page(request: Asked, web: Parts, visitor: Who, number: FromPath[str]) -> Response[str]:
    """Everything about one ban."""
    _ = visitor.words
    ledger, wanted = web.readers.ledger(), number_of(number, _)
    found = ledger.ban_by_id(wanted)
    if found is None:
        raise NotFoundError(_("there is no ban %(number)s (any more)", number=wanted))
    others = ledger.bans(active=None, target=found.target, order="since", descending=True, limit=EARLIER + 1)
    line = lines_of(web, ledger.listed_bans([found]), visitor)[0]
    return show(
        request, "ban", ban=line.ban, packets=line.packets, here=line.here, changes=ledger.changes(wanted),
        words=changes_in_words(_), evidence=ledger.evidence(wanted),
        others=[one for one in others if one.id != wanted][:EARLIER],
    )  # fmt: skip


@post("/bans/{number:str}/change", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def change(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Let a ban end at another time, counted from now."""
    seconds = length_of(form, visitor.words)
    answer = web.guard.ask(
        Banned, visitor, "change_ban", id=number_of(number, visitor.words), seconds=seconds, force=forced(form),
        trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    tell_banned(visitor, answer, seconds)
    return back(form, f"/bans/{answer.ban.id}")


@post("/bans/{number:str}/note", opt=needs(Permission.ACT), sync_to_thread=True)
def note(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Write a note beside a ban."""
    row = web.guard.ask(BanRow, visitor, "note_ban", id=number_of(number, visitor.words), note=form["note"])
    _ = visitor.words
    if row.note:
        done(visitor, _("The note about the ban of %(address)s is written", address=row.target))
    else:
        done(visitor, _("The note about the ban of %(address)s is gone", address=row.target))
    return back(form, f"/bans/{row.id}")


@post("/requests/{number:str}/grant", opt=needs(Permission.ACT), sync_to_thread=True)
def grant(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Lift the ban that an account holder asked to be lifted."""
    answer = web.guard.ask(Decided, visitor, "decide_request", id=number_of(number, visitor.words), grant=True)
    web.guard.changed()
    text = visitor.words.ngettext(
        "The request of %(user)s is granted: %(count)s ban of %(address)s lifted",
        "The request of %(user)s is granted: %(count)s bans of %(address)s lifted",
        len(answer.lifted), user=answer.request.user, address=answer.request.target,
    )  # fmt: skip
    done(visitor, text, answer.why)
    return back(form, "/bans")


@post("/requests/{number:str}/refuse", opt=needs(Permission.ACT), sync_to_thread=True)
def refuse(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Leave the ban that an account holder asked to be lifted."""
    answer = web.guard.ask(Decided, visitor, "decide_request", id=number_of(number, visitor.words), grant=False)
    _ = visitor.words
    user, target = answer.request.user, answer.request.target
    done(visitor, _("The request of %(user)s is refused; %(address)s stays banned", user=user, address=target))
    return back(form, "/bans")


ROUTES: list[Any] = [ban_page, change, note, grant, refuse]
