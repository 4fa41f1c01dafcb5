"""The application: its routes, who is recognised, what is enforced and which headers every answer has."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from litestar import Litestar, Request, Router
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.types import Message, Scope

from ringfence.errors import RingfenceError
from ringfence.web import errors
from ringfence.web.access import SAFE, Visitor, check_same_site, check_token, enforce
from ringfence.web.api import routers
from ringfence.web.description import openapi_config
from ringfence.web.frame import FORM_COOKIE
from ringfence.web.live import Live
from ringfence.web.measuring import Measure
from ringfence.web.owned import Owned
from ringfence.web.pages import ROUTES as PAGES
from ringfence.web.recognise import Recognise
from ringfence.web.web import Form, Web

LARGEST: Final = 2 << 20
"""Bytes of a request's body."""
AGAIN: Final = 10.0
"""Seconds after which what runs beside the requests begins anew when it met a fault of ours."""
THREADS: Final = 2
"""Threads that make pages: each has a reader of the ledger with some megabytes, and there are two cores as a rule."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
STRICT_TRANSPORT: Final = "max-age=31536000"


def provide_web(state: State) -> Web:
    """The parts of the process, for a handler's argument `web`."""
    found: Web = state.web
    return found


def provide_visitor(request: Request[Visitor, Any, Any]) -> Visitor:
    """Who asks, for a handler's argument `visitor`."""
    return request.user


async def provide_form(request: Request[Visitor, Any, Any]) -> Form:
    """The fields of the form that was sent, for a handler's argument `form`; they were checked before."""
    found: Form = request.state.get("form") or Form()
    return found


async def check_change(request: Request[Visitor, Any, Any]) -> None:
    """Before every page handler: a change must come from a form of ours, opened by whoever sends it."""
    if request.method in SAFE:
        return
    check_same_site(request)
    form = Form(await request.form())
    request.state.form = form
    session = request.user.session
    check_token(session.csrf if session is not None else request.cookies.get(FORM_COOKIE, ""), form["csrf"])


async def add_headers(message: Message, scope: Scope) -> None:
    """Before every answer is sent: the headers that protect it."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    web: Web = scope["litestar_app"].state.web
    if web.secure:
        headers["strict-transport-security"] = STRICT_TRANSPORT
    headers.setdefault("cache-control", "no-store")  # static files have said otherwise


@contextlib.asynccontextmanager
async def looking(app: Litestar) -> AsyncIterator[None]:
    """Look for changes as long as the application runs; pages are made by a few threads that have read ahead."""
    web: Web = app.state.web
    threads = ThreadPoolExecutor(THREADS, "page")
    asyncio.get_running_loop().set_default_executor(threads)
    threads.submit(web.readers.warm)
    tasks = [asyncio.create_task(_always(part)) for part in (web.live, web.owned)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        web.jobs.close()


async def _always(part: Live | Owned) -> None:
    """Run it until cancelled: a fault of ours is told, and does not end for good what open pages hear."""
    while True:
        try:
            await part.run()
        except Exception as fault:
            print(f"web: {type(part).__name__} failed; again in {AGAIN:.0f} s", file=sys.stderr)
            traceback.print_exception(fault, file=sys.stderr)
        await asyncio.sleep(AGAIN)


def make_app(web: Web) -> Litestar:
    """The application over the parts `web`. Raises ValueError when a route does not say who may use it."""
    pages = Router("/", route_handlers=PAGES, before_request=check_change, include_in_schema=False)
    app = Litestar(
        [pages, *routers()],
        state=State({"web": web}),
        guards=[enforce],
        middleware=[Measure(), DefineMiddleware(Recognise, exclude_http_methods=())],
        dependencies={
            "web": Provide(provide_web, sync_to_thread=False),
            "visitor": Provide(provide_visitor, sync_to_thread=False),
            "form": Provide(provide_form),
        },
        exception_handlers={RingfenceError: errors.answer, Exception: errors.answer},
        before_send=[add_headers],
        lifespan=[looking],
        request_max_body_size=LARGEST,
        openapi_config=openapi_config(),
        debug=False,
        logging_config=None,
    )
    check_needs(app)
    return app


def handlers_of(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    """Every handler with its path."""
    return [
        (route.path, handler)
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if isinstance(handler, HTTPRouteHandler)
    ]


def check_needs(app: Litestar) -> None:
    """Raise ValueError when a route does not say what it needs."""
    silent = [path for path, handler in handlers_of(app) if not handler.opt.get("needs") and not _automatic(handler)]
    if silent:
        raise ValueError(f"these routes don't say who may use them: {', '.join(silent)}")


def _automatic(handler: HTTPRouteHandler) -> bool:
    """Whether the framework made it by itself: answers to OPTIONS."""
    return handler.http_methods == {"OPTIONS"}
