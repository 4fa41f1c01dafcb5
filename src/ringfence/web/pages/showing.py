"""How handlers answer: a page for the one who asks, in their language and colours, or a way on to another page."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.response import Redirect

from ringfence.web.access import Visitor, own_path
from ringfence.web.pages.shell import THEMES, version
from ringfence.web.web import Form, Web

Asked = Request[Visitor, Any, Any]


def show(request: Asked, name: str, status: int = 200, **values: Any) -> Response[str]:
    """The page `name` with `values`."""
    web: Web = request.app.state.web
    language = web.pages.language(request.headers.get("accept-language", ""))
    theme = request.cookies.get("ringfence-theme", "auto")
    frame = {
        "path": request.url.path, "query": request.url.query, "version": version(),
        "theme": theme if theme in THEMES else "auto",
    }  # fmt: skip
    body = web.render(name, request.user, {**frame, **values}, language)
    return Response(body, status_code=status, media_type="text/html")


def go(path: str) -> Redirect:
    """On to another page, after a change (RFC 9110, 15.4.4)."""
    return Redirect(path, status_code=303)


def back(form: Form, otherwise: str) -> Redirect:
    """Back to where the form stood."""
    return go(own_path(form["back"]) if form["back"] else otherwise)


def done(visitor: Visitor, text: str, why: str = "") -> None:
    """Tell on the next page what was done; `why` says what of it is not in force."""
    if visitor.session is not None:
        visitor.session.tell("note" if why else "good", f"{text}; {why}" if why else text)
