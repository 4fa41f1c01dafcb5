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
from ringfence.phrases import in_words
from ringfence.render import safe
from ringfence.translating import ENGLISH, Words
from ringfence.web.access import SAFE, Visitor, login_path, own_path
from ringfence.web.frame import frame
from ringfence.web.recognise import FOR_PEOPLE, PROGRAMS
from ringfence.web.web import Form, Web

PROBLEM = "application/problem+json"


class Problem(Struct, frozen=True, kw_only=True):
    """An error as programs get it (RFC 9457); `status` is the HTTP status."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def title_of(status: int, _: Words = ENGLISH) -> str:
    """What an HTTP status means, in a few words."""
    return {
        400: _("The request can't be understood"), 401: _("Log in first"), 403: _("Not permitted"),
        404: _("Not found"), 405: _("Not possible here"), 409: _("Refused"), 413: _("Too large"),
        429: _("Too many requests"), 500: _("Something failed here"), 503: _("Not available just now"),
    }.get(status) or _("Not possible")  # fmt: skip


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


def detail_of(error: Exception, _: Words = ENGLISH) -> str:
    """What to say of it; of faults of ours only that there was one."""
    if isinstance(error, HTTPException):
        extra = error.extra if isinstance(error.extra, list) else []
        fields = "; ".join(f"{one.get('key', '')}: {one.get('message', '')}" for one in extra if isinstance(one, dict))
        return safe(f"{error.detail}: {fields}" if fields else in_words(error.detail, _))
    if isinstance(error, RingfenceError):
        return safe(in_words(str(error), _))
    return _("this is a fault of the page, written to its log; what you asked for may not have been done")


def answer(request: Request[Visitor, Any, Any], error: Exception) -> Response[Any]:
    """The answer to a request that failed."""
    status = status_of(error)
    if status == 500:
        print(f"web: {safe(request.method)} {safe(request.url.path)} failed", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)
    path, accepted = request.scope["path"], request.headers.get("accept", "")
    if path.startswith(PROGRAMS) and not (path in FOR_PEOPLE and "text/html" in accepted):
        return problem(status, detail_of(error), getattr(error, "headers", None))
    try:
        return _page(request, error, status)
    except Exception as fault:  # the page about the fault is faulty too: say it in plain words
        traceback.print_exception(fault, file=sys.stderr)
        return Response(
            f"{title_of(500)}: {detail_of(error)}\n", status_code=500, media_type="text/plain; charset=utf-8"
        )


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response[bytes]:
    """An error for programs."""
    title = title_of(status)
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = 'Bearer realm="ringfence"'
    body = msgspec.json.encode(Problem(title=title, status=status, detail=detail))
    return Response(body, status_code=status, media_type=PROBLEM, headers=more)


def _visitor(request: Request[Visitor, Any, Any]) -> Visitor:
    """Who asks; where that is not known, for the request failed before, somebody who reads its language."""
    web: Web = request.app.state.web
    words = web.pages.words(request.headers.get("accept-language", ""))
    return request.scope.get("user") or Visitor(address="", words=words)


def _page(request: Request[Visitor, Any, Any], error: Exception, status: int) -> Response[Any]:
    visitor = _visitor(request)
    _ = visitor.words
    detail = detail_of(error, _)
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
    page = _html(request, "error", {"title": title_of(status, _), "detail": detail}, status)
    page.headers.update(getattr(error, "headers", None) or {})
    return page


def _may_be_forced(request: Request[Visitor, Any, Any]) -> bool:
    """Whether what was refused may be done all the same, by who types a word."""
    handler = request.scope.get("route_handler")
    return handler is not None and bool(handler.opt.get("forceable"))


def _html(request: Request[Visitor, Any, Any], name: str, values: dict[str, Any], status: int) -> Response[str]:
    web: Web = request.app.state.web
    visitor = _visitor(request)
    # In the loop: nothing here may wait for anybody.
    body = web.render(name, visitor, {**frame(request), **values}, ask=False)
    return Response(body, status_code=status, media_type="text/html")
