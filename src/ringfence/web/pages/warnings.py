"""Warnings: what was noticed, newest first; acknowledged, or kept back for a while; and what is wrong just now."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

from ringfence.alert.details import Line, lines
from ringfence.alert.kinds import KINDS
from ringfence.alert.tried import accounts_tried
from ringfence.alert.wording import kind_title, title
from ringfence.errors import RingfenceError
from ringfence.ledger import Ledger, Mute
from ringfence.model import Alert
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.pages.fields import Query, number_of, whole
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show

ROWS: Final = 50
EVENTS: Final = 30
"""Attempts of an address that are looked through for the accounts it tried; there may be many warnings on a page."""
SHOWN: Final = ("new", "all")
LENGTHS: Final = {"1h": 3_600.0, "1d": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}
"""For how long one may not want to be told."""


class Row(Struct, frozen=True):
    """A warning in words. `address`: whom it is about, where that has a page of its own."""

    alert: Alert
    kind: str
    title: str
    lines: list[Line]
    address: str


class Muted(Struct, frozen=True):
    """What nobody is told of now; `kind` in words."""

    mute: Mute
    kind: str


class Wanted(Struct, frozen=True):
    """Which warnings are to be listed; None and empty: any."""

    kind: str | None
    service: str
    new: bool

    def of(self, ledger: Ledger, before: int | None, limit: int) -> list[Alert]:
        """The warnings before number `before`, newest first."""
        return ledger.warnings(
            kind=self.kind, service=self.service or None, unacknowledged=self.new, before=before, limit=limit
        )


@get("/warnings", opt=needs(Permission.SEE), sync_to_thread=True)
def warnings_page(request: Asked, web: Parts) -> Response[str]:
    """The list, what nobody is told of, and the present problems, for which the frame of every page asked the guard."""
    query, ledger, _ = Query(request), web.readers.ledger(), request.user.words
    wanted = wanted_of(query)
    cursor = query.cursor(1)
    before = int(cursor[0]) if cursor is not None and isinstance(cursor[0], int) else None
    found = wanted.of(ledger, before, ROWS + 1)
    part = found[:ROWS]
    return show(
        request, "warnings", query=query, wanted=wanted, rows=_rows(ledger, part, _), here=whole(request),
        kinds=[(kind, kind_title(kind, _)) for kind in KINDS], lengths=list(LENGTHS),
        more=query.more((part[-1].id,) if len(found) > ROWS else None), first=query.first(),
        mutes=[Muted(one, kind_title(one.kind, _)) for one in ledger.mutes(web.clock())],
        filtered=bool(wanted.kind or wanted.service), revision=getattr(ledger.alerting(), "revision", 0),
    )  # fmt: skip


def wanted_of(query: Query) -> Wanted:
    """The filter in an address: without one, what nobody has acknowledged."""
    return Wanted(
        kind=query.choice("kind", KINDS) or None, service=query.text("service"),
        new=query.choice("show", SHOWN, "new") == "new",
    )  # fmt: skip


def _rows(ledger: Ledger, alerts: Sequence[Alert], _: Words) -> list[Row]:
    return [
        Row(
            alert, kind_title(alert.kind, _), title(alert, _),
            lines(alert, accounts_tried(ledger, alert, events=EVENTS), _), address_in(alert),
        )
        for alert in alerts
    ]  # fmt: skip


def address_in(alert: Alert) -> str:
    """The address or network that a warning is about; empty where it is about something else."""
    text = alert.facts.get("address") if alert.kind == "login" else alert.subject
    try:
        return text if isinstance(text, str) and ipaddress.ip_network(text) else ""
    except ValueError:
        return ""


@post("/warnings/acknowledge", opt=needs(Permission.ACT), sync_to_thread=True)
def acknowledge(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """One (its own button), those that are ticked, or all up to the newest that was shown."""
    upto, _ = form.numbers("upto"), visitor.words
    numbers = form.numbers("one") or form.numbers("warning")
    if upto:
        count = web.guard.ask(int, visitor, "acknowledge", upto=upto[0])
    elif numbers:
        count = web.guard.ask(int, visitor, "acknowledge", ids=numbers)
    else:
        raise RingfenceError(_("no warning is selected: tick those that you have seen"))
    done(visitor, _.ngettext("%(count)s warning acknowledged", "%(count)s warnings acknowledged", count))
    return back(form, "/warnings")


@post("/warnings/mute", opt=needs(Permission.ACT), sync_to_thread=True)
def mute(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Tell nobody of warnings like this one for a while."""
    _ = visitor.words
    alert = web.readers.ledger().warning(number_of(form["of"], _))
    about = {
        "subject": {"subject": alert.subject}, "service": {"service": alert.service}, "kind": dict[str, str](),
    }  # fmt: skip
    if form["what"] not in about or not all(about[form["what"]].values()):
        raise RingfenceError(_("say of which warnings nobody is to be told"))
    if form["length"] not in LENGTHS:
        raise RingfenceError(_("say for how long nobody is to be told"))
    made = web.guard.ask(
        Mute, visitor, "mute", kind=alert.kind, seconds=LENGTHS[form["length"]], **about[form["what"]]
    )  # fmt: skip
    length = _.duration(LENGTHS[form["length"]])
    done(
        visitor,
        _("For %(length)s nobody is told of %(what)s; such warnings are still listed", length=length,
          what=kept_back(made, _)),
    )  # fmt: skip
    return back(form, "/warnings")


@post("/warnings/unmute", opt=needs(Permission.ACT), sync_to_thread=True)
def unmute(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Tell of such warnings again."""
    _ = visitor.words
    gone = web.guard.ask(Mute, visitor, "unmute", id=number_of(form["mute"], _))
    done(visitor, _("%(what)s: told again", what=kept_back(gone, _)))
    return back(form, "/warnings")


def kept_back(mute: Mute, _: Words) -> str:
    """What nobody is told of, for a sentence."""
    kind = kind_title(mute.kind, _)
    text = (
        _("“%(kind)s” about %(subject)s", kind=kind, subject=mute.subject)
        if mute.subject
        else _("“%(kind)s”", kind=kind)
    )
    return text + (f" ({mute.service})" if mute.service else "")


ROUTES: list[Any] = [warnings_page, acknowledge, mute, unmute]
