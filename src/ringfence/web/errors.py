"""What went wrong, for who asked: a page for people, problem+json (RFC 9457) for programs; never a traceback."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.response import Redirect
from msgspec import Struct

from ringfence.errors import LedgerError, NotFoundError, RefusedError, RingfenceError, UnreachableError
from ringfence.render import safe
from ringfence.web.access import SAFE, Visitor, login_path, own_path
from ringfence.web.frame import frame, language_of
from ringfence.web.recognise import FOR_PEOPLE, PROGRAMS
from ringfence.web.web import Form, Web

PROBLEM = "application/problem+json"
TITLES = {
    400: "The request can't be understood", 401: "Log in first", 403: "Not permitted", 404: "Not found",
    405: "Not possible here", 409: "Refused", 413: "Too large", 429: "Too many requests", 500: "Something failed here",
    503: "Not available just now",
}  # fmt: skip


class Problem(Struct, frozen=True, kw_only=True):
    """An error as programs get it (RFC 9457); `status` is the HTTP status."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def status_of(error: Exception) -> int:
    """The HTTP status that tells what kind of error it is."""
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, RefusedError):
        return 409
    if isinstance(error, UnreachableError | LedgerError):
        return 503
    return 400 if isinstance(error, RingfenceError) else 500


def detail_of(error: Exception) -> str:
    """What to say of it; of faults of ours only that there was one."""
    if isinstance(error, HTTPException):
        extra = error.extra if isinstance(error.extra, list) else []
        fields = "; ".join(f"{one.get('key', '')}: {one.get('message', '')}" for one in extra if isinstance(one, dict))
        return safe(f"{error.detail}: {fields}" if fields else error.detail)
    if isinstance(error, RingfenceError):
        return safe(str(error))
    return "this is a fault of the page, written to its log; what you asked for may not have been done"


def answer(request: Request[Visitor, Any, Any], error: Exception) -> Response[Any]:
    """The answer to a request that failed."""
    status, detail = status_of(error), detail_of(error)
    if status == 500:
        print(f"web: {safe(request.method)} {safe(request.url.path)} failed", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)
    path, accepted = request.scope["path"], request.headers.get("accept", "")
    if path.startswith(PROGRAMS) and not (path in FOR_PEOPLE and "text/html" in accepted):
        return problem(status, detail, getattr(error, "headers", None))
    try:
        return _page(request, error, status, detail)
    except Exception as fault:  # the page about the fault is faulty too: say it in plain words
        traceback.print_exception(fault, file=sys.stderr)
        return Response(f"{TITLES[500]}: {detail}\n", status_code=500, media_type="text/plain; charset=utf-8")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """An error for programs."""
    title = TITLES.get(status, "Not possible")
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = 'Bearer realm="ringfence"'
    body = msgspec.json.encode(Problem(title=title, status=status, detail=detail))
    return Response(body, status_code=status, media_type=PROBLEM, headers=more)


def _page(request: Request[Visitor, Any, Any], error: Exception, status: int, detail: str) -> Response[Any]:
    visitor: Visitor = request.scope.get("user") or Visitor(address="")
    if isinstance(error, NotAuthorizedException):
        return Redirect(
            login_path(request.url.path if request.method in SAFE else "/", request.url.query), status_code=303
        )
    form: Form | None = request.state.get("form")
    if form is not None and visitor.session is not None and isinstance(error, RingfenceError):
        onward = own_path(form["back"] or "/")
        if isinstance(error, RefusedError) and _may_be_forced(request) and "word" not in form:
            values = {"detail": detail, "fields": form.items(), "action": request.url.path, "back": onward}
            return _html(request, "confirm", values, 409)
        visitor.session.tell("bad", detail)
        return Redirect(onward, status_code=303)
    page = _html(request, "error", {"title": TITLES.get(status, "Not possible"), "detail": detail}, status)
    page.headers.update(getattr(error, "headers", None) or {})
    return page


def _may_be_forced(request: Request[Visitor, Any, Any]) -> bool:
    """Whether what was refused may be done all the same, by who types a word."""
    handler = request.scope.get("route_handler")
    return handler is not None and bool(handler.opt.get("forceable"))


def _html(request: Request[Visitor, Any, Any], name: str, values: dict[str, Any], status: int) -> Response[str]:
    web: Web = request.app.state.web
    visitor: Visitor = request.scope.get("user") or Visitor(address="")
    # In the loop: nothing here may wait for anybody.
    body = web.render(name, visitor, {**frame(request), **values}, language_of(request), ask=False)
    return Response(body, status_code=status, media_type="text/html")
