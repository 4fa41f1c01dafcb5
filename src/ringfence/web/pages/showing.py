"""How handlers answer: a page for the one who asks, in their language and colours, or a way on to another page."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.response import Redirect

from ringfence.web.access import Visitor, own_path
from ringfence.web.frame import frame, language_of
from ringfence.web.web import Form, Web

Asked = Request[Visitor, Any, Any]
Parts = NamedDependency[Web]
"""A handler's argument `web`: the parts of the process."""
Who = NamedDependency[Visitor]
"""A handler's argument `visitor`: who asks."""
Sent = NamedDependency[Form]
"""A handler's argument `form`: the fields that were sent, checked to come from a form of ours."""


def show(request: Asked, template: str, status: int = 200, /, **values: Any) -> Response[str]:
    """The page `template` with `values`."""
    web: Web = request.app.state.web
    body = web.render(template, request.user, {**frame(request), **values}, language_of(request))
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
