"""Users: who may come in, with what role; made, changed and removed by administrators."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import Done
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.ledger import User
from ringfence.people_answers import InvitationRow, Invited, UserRow
from ringfence.people_commands import LINK_ID
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.pages.login import new_password
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, go, show
from ringfence.web.web import Form, Web

ROLES: Final = ("administrator", "operator", "viewer", "holder")
SCOPES: Final = ("read", "write", "report")
ROWS: Final = 100
LINK_HOLDS: Final = {"1h": 3_600.0, "1d": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}


@get("/users", opt=needs(Permission.GOVERN), sync_to_thread=True)
def users_page(request: Asked, web: Parts) -> Response[str]:
    """Users, links that wait, tokens; and the forms that make them."""
    text = request.query_params.get("q", "").strip().lower()[:64]
    after = request.query_params.get("cursor", "")[:64]
    ledger, now = web.readers.ledger(), web.clock()
    tokens = ledger.tokens()
    links = {hash: one for hash, one in ledger.invitations().items() if one.expires > now}
    holding = Counter(token.user for token in tokens if token.holds(now))
    waiting = {one.name: one for one in links.values() if one.name}
    found = [user for user in ledger.users() if text in user.name]
    left = [user for user in found if user.name > after]
    rows = [UserRow.of(user, holding[user.name], waiting.get(user.name)) for user in left[:ROWS]]
    more = _address(q=text, cursor=rows[-1].name) if len(left) > ROWS else ""
    ended = "ended" in request.query_params
    shown = [token for token in reversed(tokens) if ended or token.holds(now)]
    return show(
        request, "users", rows=rows, total=len(found), text=text, more=more, first=_address(q=text) if after else "",
        links=[InvitationRow.of(hash[:LINK_ID], one) for hash, one in links.items()],
        tokens=shown[: 5 * ROWS], tokens_total=len(shown), ended=ended, roles=ROLES, scopes=SCOPES,
        names=[user.name for user in found[: 2 * ROWS]], services=_services(web), holds=list(LINK_HOLDS),
    )  # fmt: skip


@get("/users/one", opt=needs(Permission.GOVERN), sync_to_thread=True)
def user_page(request: Asked, web: Parts) -> Response[str]:
    """One user, with everything that can be changed."""
    user = _user(web, request.query_params.get("name", ""), request.user.words)
    tokens = web.readers.ledger().tokens(user.name)
    return show(request, "user", user=user, roles=ROLES, tokens=tokens, holds=list(LINK_HOLDS))


@post("/users/add", opt=needs(Permission.GOVERN), sync_to_thread=True)
def add(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Make a user with a password, or with a one-time link by which they choose one; or a link without a name."""
    _ = visitor.words
    name, role = form["name"].lower(), _role(form, _)
    by_link = form["by"] != "password"
    if by_link and not name:
        invited = web.guard.ask(Invited, visitor, "invite", role=role, seconds=_holds(form))
        return _link(request, web, invited)
    hashed = "" if by_link else new_password(name, form, _)
    row = web.guard.ask(
        UserRow, visitor, "add_user", name=name, role=role, password_hash=hashed, accounts=accounts_in(form),
        may_ask=form["may_ask"] == "yes",
    )  # fmt: skip
    if by_link:
        return _link(request, web, web.guard.ask(Invited, visitor, "invite", name=row.name, seconds=_holds(form)))
    done(visitor, _("%(user)s can log in now", user=row.name))
    return go("/users")


@post("/users/change", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Another role, other accounts, the right to ask for an unban; only what differs is changed."""
    _ = visitor.words
    user = _user(web, form["name"], _)
    wanted = {"role": _role(form, _), "accounts": accounts_in(form), "may_ask": form["may_ask"] == "yes"}
    before = {"role": user.role, "accounts": list(user.accounts), "may_ask": user.may_ask}
    changes = {field: value for field, value in wanted.items() if value != before[field]}
    if changes:
        web.guard.ask(UserRow, visitor, "change_user", name=user.name, **changes)
    if changes:
        done(visitor, _("%(user)s is changed", user=user.name))
    else:
        done(visitor, _("nothing of %(user)s was to be changed", user=user.name))
    return back(form, "/users")


@post("/users/disable", opt=needs(Permission.GOVERN), sync_to_thread=True)
def disable(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Let a user in no more, or again."""
    off = form["on"] != "yes"
    row = web.guard.ask(UserRow, visitor, "change_user", name=form["name"], disabled=off)
    _ = visitor.words
    if off:
        done(visitor, _("%(user)s is disabled: their logins have ended", user=row.name))
    else:
        done(visitor, _("%(user)s may log in again", user=row.name))
    return back(form, "/users")


@post("/users/second-factor", opt=needs(Permission.GOVERN), sync_to_thread=True)
def second_factor(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Take the second factor from who lost it."""
    row = web.guard.ask(UserRow, visitor, "change_user", name=form["name"], totp="")
    _ = visitor.words
    done(visitor, _("%(user)s logs in without a code now; tell them to set up a new one", user=row.name))
    return back(form, "/users")


@post("/users/link", opt=needs(Permission.GOVERN), sync_to_thread=True)
def link(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str]:
    """A new one-time link, with which the user chooses a password."""
    user = _user(web, form["name"], visitor.words)
    return _link(request, web, web.guard.ask(Invited, visitor, "invite", name=user.name, seconds=_holds(form)))


@post("/users/password", opt=needs(Permission.GOVERN), sync_to_thread=True)
def password(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """A password that the administrator hands over."""
    _ = visitor.words
    user = _user(web, form["name"], _)
    web.guard.ask(UserRow, visitor, "change_user", name=user.name, password_hash=new_password(user.name, form, _))
    done(visitor, _("%(user)s has a new password; their logins have ended", user=user.name))
    return back(form, "/users")


@post("/users/remove", opt=needs(Permission.GOVERN), sync_to_thread=True)
def remove(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Forget a user, with tokens and links."""
    if form["sure"] != "yes":
        _ = visitor.words
        raise RingfenceError(_("nobody was removed: tick the box that says you are sure"))
    answer = web.guard.ask(Done, visitor, "remove_user", name=form["name"])
    done(visitor, answer.message)
    return go("/users")


@post("/users/withdraw", opt=needs(Permission.GOVERN), sync_to_thread=True)
def withdraw(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Take back a link that waits."""
    done(visitor, web.guard.ask(Done, visitor, "withdraw_invitation", id=form["id"]).message)
    return back(form, "/users")


def accounts_in(form: Form) -> list[str]:
    """The accounts of a text field: one on each line, or apart by commas."""
    return [name.strip() for line in form.raw("accounts").splitlines() for name in line.split(",") if name.strip()]


def _link(request: Asked, web: Web, invited: Invited) -> Response[str]:
    """The page with the link: shown as the answer to the form and kept nowhere."""
    address = f"{web.settings.web.base}/welcome/{invited.secret}"
    return show(request, "secret", path="/users", still=True, link=address, invited=invited, token=None)


def _user(web: Web, name: str, _: Words) -> User:
    user = web.readers.ledger().user(name.lower()[:64])
    if user is None:
        raise NotFoundError(_("there is no such user (any more)"))
    return user


def _role(form: Form, _: Words) -> str:
    if form["role"] not in ROLES:
        raise RingfenceError(_("choose a role: %(roles)s", roles=", ".join(ROLES)))
    return form["role"]


def _holds(form: Form) -> float:
    return LINK_HOLDS.get(form["holds"], LINK_HOLDS["1d"])


def _services(web: Web) -> list[str]:
    """Services to choose from: those that were seen; the guard knows more and says so."""
    return [row.service for row in web.readers.ledger().statistics_rows({}) if row.service != "*"]


def _address(**query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return "/users" + (f"?{urlencode(given)}" if given else "")


ROUTES: list[Any] = [
    users_page, user_page, add, change, disable, second_factor, link, password, remove, withdraw,
]  # fmt: skip
