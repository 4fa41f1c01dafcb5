"""Tokens: keys of the API, made for a user and revoked by administrators."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, post
from litestar.response import Redirect

from ringfence.answers import Done
from ringfence.errors import RingfenceError
from ringfence.people_answers import NewToken
from ringfence.web.access import Permission, needs
from ringfence.web.pages.people import SCOPES
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, show

HOLDS: Final[dict[str, float | None]] = {
    "1d": 86_400.0, "30d": 2_592_000.0, "90d": 7_776_000.0, "365d": 31_536_000.0, "forever": None,
}  # fmt: skip


@post("/tokens/add", opt=needs(Permission.GOVERN), sync_to_thread=True)
def add_token(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str]:
    """Make a token; its secret stands in this answer and nowhere else."""
    _ = visitor.words
    if form["scope"] not in SCOPES:
        raise RingfenceError(_("choose a scope: %(scopes)s", scopes=", ".join(SCOPES)))
    if form["holds"] not in HOLDS:
        raise RingfenceError(_("choose how long the token holds"))
    made = web.guard.ask(
        NewToken, visitor, "add_token", user=form["user"] or visitor.name, label=form["label"], scope=form["scope"],
        service=form["service"] if form["scope"] == "report" else "", seconds=HOLDS[form["holds"]],
    )  # fmt: skip
    return show(request, "secret", path="/users", still=True, link="", invited=None, token=made)


@post("/tokens/revoke", opt=needs(Permission.GOVERN), sync_to_thread=True)
def revoke_token(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """End a token for good."""
    number = next(iter(form.numbers("id")), 0)
    done(visitor, web.guard.ask(Done, visitor, "revoke_token", id=number).message)
    return back(form, "/users")


ROUTES: list[Any] = [add_token, revoke_token]
