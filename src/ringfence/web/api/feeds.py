"""For programs that fetch: lists of bans, numbers for Prometheus, and whether everything is guarded."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.response import Stream
from msgspec import Struct

from ringfence.errors import NotFoundError, RingfenceError
from ringfence.web.access import Permission, needs
from ringfence.web.api.answering import Service, problems, read
from ringfence.web.feeding import FeedBody, Format, matches, takes_gzip
from ringfence.web.metrics import CONTENT, metrics_text
from ringfence.web.pages.showing import Asked, Parts, Who
from ringfence.web.web import Web

SEE: Final = Permission.SEE
UNCHANGED: Final = {304: ResponseSpec(None, description="The list is still the one of If-None-Match.")}
KnownTag = Annotated[str, HeaderParameter(name="If-None-Match", max_length=1_000)]


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether everything is guarded. `problems`: how many; `details` only with a token that may see them."""

    status: Literal["guarded", "not guarded", "unreachable"]
    problems: int = 0
    details: list[str] = []


@read(
    "/feed/bans.txt", SEE, tag="feeds", media_type="text/plain", sync_to_thread=None,
    responses={**UNCHANGED, **problems(400, 401, 403, 404, 429, 503)},
)  # fmt: skip
async def bans_text(request: Asked, web: Parts, service: Service = "", if_none_match: KnownTag = "") -> Response[Any]:
    """The running bans, one address or network a line; with `service` those of it and those of all services."""
    return await _feed(request, web, "txt", service, if_none_match)


@read(
    "/feed/bans.json", SEE, tag="feeds", sync_to_thread=None,
    responses={
        200: ResponseSpec(FeedBody, generate_examples=False, description="The list."), **UNCHANGED,
        **problems(400, 401, 403, 404, 429, 503),
    },
)  # fmt: skip
async def bans_json(request: Asked, web: Parts, service: Service = "", if_none_match: KnownTag = "") -> Response[Any]:
    """The same as JSON, with the service of each ban and its end."""
    return await _feed(request, web, "json", service, if_none_match)


async def _feed(request: Asked, web: Web, form: Format, service: str, known: str) -> Response[Any]:
    if service and service != "*":
        await asyncio.to_thread(_check_service, web, service)
    feed = await web.aside(web.feeds.get, form, service)
    headers = {"etag": feed.tag, "cache-control": "private, no-cache", "vary": "Accept-Encoding"}
    kind = "text/plain; charset=utf-8" if form == "txt" else "application/json"
    if known and matches(known, feed.tag):
        return Response(b"", status_code=304, headers=headers, media_type=kind)
    if takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(feed.packed, headers={**headers, "content-encoding": "gzip"}, media_type=kind)
    return Stream(feed.pieces(), headers=headers, media_type=kind)


def _check_service(web: Web, service: str) -> None:
    """Raise NotFoundError for a service that there is not: an empty list would open another firewall."""
    try:
        known = web.guard.pulse().services
    except RingfenceError:
        return
    if service not in known:
        raise NotFoundError(f"there is no service {service!r}; known: {', '.join(known)}")


@read(
    "/metrics", SEE, tag="feeds", media_type="text/plain", sync_to_thread=None,
    responses=problems(400, 401, 403, 429, 503),
)  # fmt: skip
async def metrics(web: Parts) -> Response[bytes]:
    """Numbers for Prometheus: attempts, bans, how long enforcing takes, lag of sources, queues, the page itself."""
    return Response(await web.aside(metrics_text, web), media_type=CONTENT)


@get(
    "/healthz", opt=needs(Permission.OPEN), tags=["feeds"], sync_to_thread=True, security=[],
    responses={
        503: ResponseSpec(Health, generate_examples=False, description="Something is not guarded."), **problems(429),
    },
)  # fmt: skip
def healthz(web: Parts, visitor: Who) -> Response[Health]:
    """200 only when everything is guarded, else 503. Needs no token; what is wrong is told with one that may see it."""
    try:
        pulse = web.guard.pulse()
    except RingfenceError as error:
        details = [str(error)] if visitor.may(SEE) else []
        return Response(Health(status="unreachable", problems=1, details=details), status_code=503)
    if pulse.guarded:
        return Response(Health(status="guarded"))
    details = pulse.problems if visitor.may(SEE) else []
    return Response(Health(status="not guarded", problems=len(pulse.problems), details=details), status_code=503)


ROUTES: list[Any] = [bans_text, bans_json, metrics, healthz]
