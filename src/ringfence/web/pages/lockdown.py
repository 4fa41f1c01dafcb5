"""Lockdown: all telephone traffic interrupted, for a time or until switched off; what stays open meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import AllowRow, LockdownRow
from ringfence.errors import RefusedError, RingfenceError
from ringfence.model import EVERY
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.pages.fields import forced, length_of
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, on_trial, show
from ringfence.web.pages.whitelist import covers, entries
from ringfence.web.web import Web

MOST_SHOWN: Final = 200
OWN: Final = "web"
"""The service that this page itself is."""


@get("/lockdown", opt=needs(Permission.SEE), sync_to_thread=True)
def lockdown_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """How it is now, the switch, and what stays open."""
    usual = web.settings.lockdown.services
    try:
        pulse = web.guard.pulse()
        now, names, watching = pulse.lockdown, pulse.services, not pulse.blocks
    except RingfenceError:
        now, names, watching = LockdownRow(on=False), [], False
    rows = entries(web)[0]
    open_ = [row for row in rows if row.service in (EVERY, *(now.services if now.on else usual))]
    return show(
        request, "lockdown", lockdown=now, usual=[name for name in usual if name in names],
        others=[name for name in names if name not in usual and name != OWN], watching=watching,
        open=open_[:MOST_SHOWN], hidden=max(0, len(open_) - MOST_SHOWN), settings=web.settings,
        mine=any(covers(row, visitor) for row in open_),
    )  # fmt: skip


@post("/lockdown/on", opt={**needs(Permission.ACT), "forceable": True}, sync_to_thread=True)
def begin(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Interrupt the traffic of the chosen services."""
    _ = visitor.words
    if not form["sure"]:
        raise RingfenceError(_("nothing was interrupted: tick the box that says that you know what it means"))
    services, seconds = list(dict.fromkeys(form.all("service"))), length_of(form, _)
    if not services:
        raise RingfenceError(_("nothing was interrupted: choose at least one service"))
    _spare_ourselves(web, visitor, services, forced(form))
    answer = web.guard.ask(
        LockdownRow, visitor, "lock_down", services=services, seconds=seconds, trial=web.settings.web.undo
    )
    web.guard.changed()
    names = _.services(answer.services)
    if seconds is None:
        text = _("Lockdown: %(services)s interrupted until it is switched off", services=names)
    else:
        text = _("Lockdown: %(services)s interrupted for %(length)s", services=names, length=_.duration(seconds))
    _tell(visitor, answer, text, answer.enforced)
    return go("/lockdown")


@post("/lockdown/off", opt=needs(Permission.ACT), sync_to_thread=True)
def end(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Let the traffic flow again."""
    answer = web.guard.ask(LockdownRow, visitor, "end_lockdown", trial=web.settings.web.undo)
    web.guard.changed()
    _ = visitor.words
    _tell(visitor, answer, _("The lockdown is over"), True)
    return go("/lockdown")


def _spare_ourselves(web: Web, visitor: Visitor, services: Collection[str], sure: bool) -> None:
    """Refuse to close this page to the one who asks for it, unless that is wanted: raises RefusedError."""
    closed = {OWN, EVERY} & set(services)
    if sure or not closed or any(_protects(row, visitor) for row in entries(web)[0]):
        return
    _ = visitor.words
    raise RefusedError(
        _("the lockdown would close this page to you: %(address)s is not on the whitelist", address=visitor.address)
        if visitor.address
        else _("the lockdown would close this page to you: your address is not on the whitelist")
    )


def _protects(row: AllowRow, visitor: Visitor) -> bool:
    return row.service in (EVERY, OWN) and covers(row, visitor)


def _tell(visitor: Visitor, answer: LockdownRow, text: str, enforced: bool) -> None:
    _ = visitor.words
    text = on_trial(text, answer.trial, _)
    done(visitor, text, answer.why or ("" if enforced else _("it is not in force yet")))


ROUTES: list[Any] = [lockdown_page, begin, end]
