"""How handlers answer: a page for the one who asks, in their language and colours, or a way on to another page."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.response import Redirect

from ringfence.answers import TrialRow
from ringfence.phrases import in_words
from ringfence.translating import Words
from ringfence.web.access import Visitor, own_path
from ringfence.web.frame import frame
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
    body = web.render(template, request.user, {**frame(request), **values})
    return Response(body, status_code=status, media_type="text/html")


def go(path: str) -> Redirect:
    """On to another page, after a change (RFC 9110, 15.4.4)."""
    return Redirect(path, status_code=303)


def back(form: Form, otherwise: str) -> Redirect:
    """Back to where the form stood."""
    return go(own_path(form["back"]) if form["back"] else otherwise)


def on_trial(text: str, trial: TrialRow | None, _: Words) -> str:
    """What was done, and that it has to be kept where it is on trial."""
    if trial is None:
        return text
    return f"{text}. " + _(
        "Keep it on top of the page, or it is undone in %(time)s", time=_.duration(round(trial.left))
    )


def done(visitor: Visitor, text: str, why: str = "") -> None:
    """Tell on the next page what was done; `why` says what of it is not in force.

    Either may be what the guard said: it is told in the reader's language as far as that can be.
    """
    text, why = in_words(text, visitor.words), in_words(why, visitor.words)
    if visitor.session is not None:
        visitor.session.tell("note" if why else "good", f"{text}; {why}" if why else text)
