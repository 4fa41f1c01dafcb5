"""The description of the API, for programs and for people: any token opens it, and so does any login of the page."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get

from ringfence.web.access import Permission, needs
from ringfence.web.description import ROOT
from ringfence.web.pages.showing import Asked, Parts, show

WHO: Final = (Permission.SEE, Permission.OWN, Permission.REPORT)


@get(f"{ROOT}/openapi.json", opt=needs(*WHO), sync_to_thread=True, include_in_schema=False)
def openapi_json(request: Asked, web: Parts) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(web.description.json(request.app), media_type="application/json")


@get(f"{ROOT}/docs", opt=needs(*WHO), sync_to_thread=True, include_in_schema=False)
def docs(request: Asked, web: Parts) -> Response[str]:
    """The documentation of the API, as a page without scripts."""
    told = web.description.page(request.app, web.pages, request.user.words.language)
    return show(request, "docs", told=told, root=ROOT, base=web.settings.web.base)


ROUTES: list[Any] = [openapi_json, docs]
