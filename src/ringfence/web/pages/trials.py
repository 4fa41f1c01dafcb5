"""Changes on trial: confirmed from a page that still loads, or taken back at once."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.params import FromPath
from litestar.response import Redirect

from ringfence.answers import Done
from ringfence.ledger.trials import PolicyUndo
from ringfence.web.access import Permission, Visitor, needs, require
from ringfence.web.pages.fields import number_of
from ringfence.web.pages.showing import Parts, Sent, Who, back, done
from ringfence.web.web import Web


@post("/trials/{number:str}/keep", opt=needs(Permission.ACT), sync_to_thread=True)
def keep(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Confirm a change: it stays."""
    return _decide(web, visitor, form, "keep_trial", number)


@post("/trials/{number:str}/undo", opt=needs(Permission.ACT), sync_to_thread=True)
def undo(web: Parts, visitor: Who, form: Sent, number: FromPath[str]) -> Redirect:
    """Take a change back at once."""
    return _decide(web, visitor, form, "undo_trial", number)


def _decide(web: Web, visitor: Visitor, form: Sent, command: str, number: str) -> Redirect:
    trial = number_of(number, visitor.words)
    for one in web.readers.ledger().open_trials():
        if one.id == trial and isinstance(one.undo, PolicyUndo):
            require(visitor, Permission.GOVERN)
    answer = web.guard.ask(Done, visitor, command, id=trial)
    web.guard.changed()
    done(visitor, answer.message)
    return back(form, "/")


ROUTES: list[Any] = [keep, undo]
