"""Coming in and leaving: login with an optional second factor, one-time links, one's own password."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyotp
import segno
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.exceptions import ServiceUnavailableException, TooManyRequestsException
from litestar.params import FromPath
from litestar.response import Redirect
from markupsafe import Markup

from ringfence import passwords
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.ledger.facts import User
from ringfence.model import EVERY
from ringfence.people_answers import UserRow
from ringfence.phrases import in_words
from ringfence.translating import Words
from ringfence.web.access import Permission, Visitor, needs, own_path
from ringfence.web.frame import FORM_COOKIE
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, show
from ringfence.web.web import Form, Web, whole

ONE_AT_A_TIME: Final = threading.BoundedSemaphore(1)
"""A password takes 19 MiB and a core for a moment: a crowd of logins must not take them from everything else."""
WAIT: Final = 5.0
LOGINS: Final = ThreadPoolExecutor(1, "logins")
MOST_WAITING: Final = 50
"""Logins that may wait for their turn: some three seconds' worth."""
STEP: Final = 30
"""Seconds of one code (RFC 6238)."""

_used: dict[str, int] = {}
_using = threading.Lock()


def _with_form_cookie(request: Asked, web: Web, response: Response[str], secret: str) -> Response[str]:
    if request.cookies.get(FORM_COOKIE) != secret:
        response.set_cookie(
            Cookie(FORM_COOKIE, value=secret, httponly=True, secure=web.secure, samesite="strict", path="/")
        )
    return response


def _form_secret(request: Asked) -> str:
    known = request.cookies.get(FORM_COOKIE, "")
    return known if len(known) >= 32 else secrets.token_urlsafe(32)


@get("/login", opt=needs(Permission.OPEN), sync_to_thread=True)
def login_page(request: Asked, web: Parts, visitor: Who) -> Response[str] | Redirect:
    """The form to log in."""
    onward = own_path(request.query_params.get("next", "/"))
    if visitor.name:
        return go(onward)
    secret = _form_secret(request)
    first = not web.readers.ledger().users()
    return _with_form_cookie(
        request, web, show(request, "login", csrf=secret, onward=onward, wrong="", name="", first=first), secret
    )


@post("/login", opt=needs(Permission.OPEN))
async def login(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Open a session for who knows name, password and, where one is set up, the code."""
    if request.app.state.get("logins", 0) >= MOST_WAITING:
        _ = visitor.words
        raise ServiceUnavailableException(_("too many logins at once; try again in a moment"))
    request.app.state.logins = request.app.state.get("logins", 0) + 1
    try:
        # In a thread of their own: a crowd of logins must not keep readers from their pages.
        return await asyncio.get_running_loop().run_in_executor(LOGINS, _log_in, request, web, visitor, form)
    finally:
        request.app.state.logins -= 1


def _log_in(request: Asked, web: Web, visitor: Visitor, form: Form) -> Response[str] | Redirect:
    now = web.clock()
    _ = visitor.words
    _check_patience(web, visitor, now)
    name, onward = form["name"].lower()[:64], own_path(form["next"] or "/")
    user = web.readers.ledger().user(name)
    cause = _refused(user, form, _)
    if cause or user is None:
        web.tries.failed(visitor.address, now)
        web.report(visitor.address, cause, "/login", name)
        wrong = _("Name, password or code are not right.")
        return show(
            request, "login", 401, csrf=_form_secret(request), onward=onward, wrong=wrong, name=form["name"][:64],
            first=False,
        )  # fmt: skip
    web.tries.forget(visitor.address)
    web.report(visitor.address, "", "/login", name)
    secret, session = web.sessions.open(user.name, visitor.address, now)
    if visitor.session is not None:
        web.sessions.close(visitor.session)
    session.tell("note", _("You are logged in from %(address)s.", address=visitor.address))
    return Redirect(onward, status_code=303, cookies=[_session_cookie(web, secret)])


def _session_cookie(web: Web, secret: str) -> Cookie:
    return Cookie(web.cookie, value=secret, httponly=True, secure=web.secure, samesite="lax", path="/")


def _check_patience(web: Web, visitor: Visitor, now: float) -> None:
    """Refuse who failed too often, or is banned from the page where the kernel does not keep it out."""
    address, _ = visitor.address, visitor.words
    wait = web.tries.wait(address, now)
    ledger = web.readers.ledger()
    targets = {address, whole(address)} if address else set()
    for ban in [ban for target in sorted(targets) for ban in ledger.bans(active=True, target=target)]:
        if ban.service in ("web", EVERY) and ban.until > now:
            wait = max(wait, min(ban.until - now, 86_400.0))
    if wait:
        raise TooManyRequestsException(
            _("too many failed logins from %(address)s: try again in %(time)s", address=address, time=_.duration(wait)),
            headers={"Retry-After": f"{wait:.0f}"},
        )


def _refused(user: User | None, form: Form, _: Words) -> str:
    """Why the login is refused, as the cause of a failed attempt; empty when it is right."""
    if not ONE_AT_A_TIME.acquire(timeout=WAIT):
        raise ServiceUnavailableException(_("too many logins at once; try again in a moment"))
    try:
        right = passwords.verify(user.password if user is not None else "", form.raw("password"))
    finally:
        ONE_AT_A_TIME.release()
    if user is None or not user.password:
        return "unknown account"
    if not right:
        return "wrong password"
    if user.disabled:
        return "account disabled"
    if user.totp and not _code_fits(user, form["code"].replace(" ", "")):
        return "wrong code"
    return ""


def _code_fits(user: User, code: str) -> bool:
    """Whether `code` is the one of now (or the one before or after), not used before (RFC 6238, 5.2)."""
    import time

    totp = pyotp.TOTP(user.totp)
    now = time.time()
    for step in (-1, 0, 1):
        number = int(now // STEP) + step
        if secrets.compare_digest(totp.at(number * STEP).encode(), code.encode()):
            with _using:  # two logins at once with one code: only one of them
                if _used.get(user.name, 0) >= number:
                    return False
                _used[user.name] = number
                return True
    return False


@post("/logout", opt=needs(Permission.SELF), sync_to_thread=False)
def logout(web: Parts, visitor: Who) -> Redirect:
    """End this session."""
    if visitor.session is not None:
        web.sessions.close(visitor.session)
    gone = Cookie(web.cookie, value="", max_age=0, httponly=True, secure=web.secure, samesite="lax", path="/")
    return Redirect("/login", status_code=303, cookies=[gone])


@get("/welcome/{secret:str}", opt=needs(Permission.OPEN), sync_to_thread=True)
def welcome_page(request: Asked, web: Parts, visitor: Who, secret: FromPath[str]) -> Response[str]:
    """Where a one-time link leads: choose a name and a password."""
    _ = visitor.words
    invitation = web.readers.ledger().invitation(_hash(secret))
    if invitation is None or invitation.expires <= web.clock():
        raise NotFoundError(_("this link was used already, or its time is over; ask for a new one"))
    token = _form_secret(request)
    page = show(request, "welcome", csrf=token, invitation=invitation, wrong="", name=invitation.name)
    return _with_form_cookie(request, web, page, token)


@post("/welcome/{secret:str}", opt=needs(Permission.OPEN), sync_to_thread=True)
def welcome(request: Asked, web: Parts, visitor: Who, form: Sent, secret: FromPath[str]) -> Response[str] | Redirect:
    """Make the user of a one-time link, or set the password of the one it is for."""
    _ = visitor.words
    invitation = web.readers.ledger().invitation(_hash(secret))
    if invitation is None or invitation.expires <= web.clock():
        raise NotFoundError(_("this link was used already, or its time is over; ask for a new one"))
    name = invitation.name or form["name"].lower()
    try:
        hashed = new_password(name, form, _)
        row = web.guard.ask_for_page(
            UserRow, "accept_invitation", secret_hash=_hash(secret), name=name, password_hash=hashed
        )
    except RingfenceError as error:
        return show(
            request, "welcome", 400, csrf=_form_secret(request), invitation=invitation, wrong=in_words(str(error), _),
            name=name,
        )  # fmt: skip
    key, session = web.sessions.open(row.name, visitor.address, web.clock() + 0.001)
    session.tell("good", _("Welcome, %(user)s.", user=row.name))
    return Redirect("/", status_code=303, cookies=[_session_cookie(web, key)])


def new_password(name: str, form: Form, _: Words) -> str:
    """The hash of the password that was typed twice into a form, for user `name`. Raises RingfenceError."""
    if form.raw("password") != form.raw("again"):
        raise RingfenceError(_("the two passwords are not the same"))
    passwords.check_strength(form.raw("password"), name)
    return passwords.hash_password(form.raw("password"))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@get("/me", opt=needs(Permission.SELF), sync_to_thread=True)
def me_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """One's own login: password and second factor."""
    user = _own(web, visitor)
    secret = pyotp.random_base32()
    label = pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name="Ringfence")
    picture = segno.make(label, error="m").svg_data_uri(scale=4, border=2, dark="#000", light="#fff")
    return show(request, "me", user=user, secret=secret, picture=Markup(picture), label=label)  # noqa: S704


@post("/me/password", opt=needs(Permission.SELF), sync_to_thread=True)
def change_password(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """A new password; every other session of this user ends."""
    user, _ = _own(web, visitor), visitor.words
    _check_old(web, visitor, user, form, _("the old password is not right"))
    _change_own(web, visitor, password_hash=new_password(user.name, form, _))
    done(visitor, _("Your password is changed; your other logins have ended"))
    return go("/me")


@post("/me/code", opt=needs(Permission.SELF), sync_to_thread=True)
def change_code(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Set up the second factor, or remove it; both ask for the password."""
    user, _ = _own(web, visitor), visitor.words
    _check_old(web, visitor, user, form, _("the password is not right"))
    if form["remove"]:
        _change_own(web, visitor, totp="")
        done(visitor, _("The second factor is removed"))
    elif not _verified(form["secret"], form["code"].replace(" ", "")):
        raise RefusedError(_("this code does not fit: scan the picture again, and look at the clock of your telephone"))
    else:
        _change_own(web, visitor, totp=form["secret"])
        done(visitor, _("From now on the login asks for a code, too"))
    return go("/me")


def _verified(secret: str, code: str) -> bool:
    """Whether `code` belongs to a secret that came with a form, which may be anything."""
    try:
        return bool(pyotp.TOTP(secret).verify(code, valid_window=1))
    except ValueError:  # no base32
        return False


def _check_old(web: Web, visitor: Visitor, user: User, form: Form, wrong: str) -> None:
    """Ask for the password again: whoever found an open page must not guess it there without end."""
    now = web.clock()
    _check_patience(web, visitor, now)
    if not passwords.verify(user.password, form.raw("old")):
        web.tries.failed(visitor.address, now)
        raise RefusedError(wrong)


def _own(web: Web, visitor: Visitor) -> User:
    user = web.readers.ledger().user(visitor.name)
    if user is None:
        _ = visitor.words
        raise NotFoundError(_("your user is gone"))
    return user


def _change_own(web: Web, visitor: Visitor, **change: str) -> None:
    """Change one's own user and stay logged in: sessions from before the change end."""
    web.guard.ask(UserRow, visitor, "change_user", name=visitor.name, **change)
    if visitor.session is not None:
        web.sessions.close_all(visitor.name, but=visitor.session)
        changed = web.readers.ledger().user(visitor.name)
        visitor.session.began = max(visitor.session.began, changed.changed if changed is not None else 0.0)


ROUTES: list[Any] = [
    login_page, login, logout, welcome_page, welcome, me_page, change_password, change_code,
]  # fmt: skip
