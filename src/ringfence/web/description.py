"""The description of the API: OpenAPI 3.1 made from the handlers, and what the page of its documentation shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, Final

import msgspec
from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from markupsafe import Markup
from msgspec import Struct

import ringfence
from ringfence.web.described import described
from ringfence.web.templating import Pages

ROOT: Final = "/api/v1"
METHODS: Final = ("get", "post", "put", "patch", "delete")
ABOUT: Final = """\
Everything that the administrator's page does, for programs. A token comes with each request, as bearer or as the
password of basic authentication; a token of scope `read` reads, one of scope `write` does what the role of its user
permits, one of scope `report` tells login events of one service.

Lists come page by page: `next` of an answer is the `cursor` of the next request. Errors are problem details (RFC 9457).
Times are ISO 8601 in UTC, an end that never comes is "forever", durations are seconds."""

GOOD: Final = {"200": "The answer.", "201": "It is made.", "202": "It has begun."}
TAGS: Final = {
    "guard": "How the guard is, and who you are.",
    "attacks": "The attack list and what is known of one address.",
    "events": "Every counted login, streamed as it happens, and reported by applications.",
    "bans": "Who is kept out of what.",
    "whitelist": "Who is never banned.",
    "lockdown": "All telephone traffic interrupted.",
    "trials": "Risky changes that undo themselves unless somebody confirms them.",
    "policy": "What is judged by, and what another policy would have done.",
    "requests": "Account holders ask for an unban.",
    "statistics": "What is counted, and how guard and page are.",
    "warnings": "What was noticed, who is told of it and how.",
    "audit": "Who did what.",
    "users": "Who may use page and API.",
    "tokens": "Keys of the API.",
    "feeds": "For other firewalls, Prometheus and whoever watches over services.",
}


class Unserved(Router):
    """Takes the framework's own pages of documentation, which load scripts from elsewhere, and serves none of them."""

    def register(self, value: Any) -> list[Any]:
        """Serve nothing."""
        return []


def openapi_config() -> OpenAPIConfig:
    """How the framework describes our handlers."""
    return OpenAPIConfig(
        title="Ringfence", version=ringfence.__version__, summary="The API of a Ringfence server.", description=ABOUT,
        use_handler_docstrings=True, operation_id_creator=lambda handler, _, __: handler.handler_name,
        openapi_router=Unserved("/none", route_handlers=[]),
        tags=[Tag(name=name, description=words) for name, words in TAGS.items()],
        security=[{"bearer": []}, {"basic": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="The token."),
                "basic": SecurityScheme(type="http", scheme="basic", description="Any name, the token as password."),
            }
        ),
    )  # fmt: skip


class Description:
    """The description of one application, made when it is asked for first."""

    def __init__(self) -> None:
        self._bytes = b""
        self._pages: dict[str, Markup] = {}

    def json(self, app: Litestar) -> bytes:
        """The OpenAPI document."""
        if not self._bytes:
            self._bytes = msgspec.json.encode(document(app))
        return self._bytes

    def page(self, app: Litestar, pages: Pages, language: str) -> Markup:
        """The documentation as HTML, without the frame of a page; it is long, and the same for everybody."""
        if language not in self._pages:
            api = described(msgspec.json.decode(self.json(app)))
            self._pages[language] = Markup(pages.render("api", {"api": api, "root": ROOT}, language))  # noqa: S704
        return self._pages[language]


def document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI document: what the framework says, with rights and better words."""
    schema = app.openapi_schema.to_schema()
    rights = {
        (path, str(method)): _rights(handler) for path, handler in _handlers(app) for method in handler.http_methods
    }
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                _better(item[method], rights.get((path, method.upper()), ()))
    told = _docstrings()
    for name, model in schema["components"]["schemas"].items():
        model.pop("title", None)
        if "description" not in model and (words := told.get(name.partition("_")[0])):
            model["description"] = words
    return schema


def _docstrings() -> dict[str, str]:
    """What our values say of themselves, by name; nothing where two have the same."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    waiting: list[type[Struct]] = [Struct]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("ringfence."):
                twice |= {kind.__name__} & found.keys()
                found[kind.__name__] = cleandoc(kind.__doc__ or "")
    return {name: words for name, words in found.items() if name not in twice}


def _handlers(app: Litestar) -> list[tuple[str, HTTPRouteHandler]]:
    return [
        (route.path_format, handler) for route in app.routes for handler in getattr(route, "route_handlers", [])
        if isinstance(handler, HTTPRouteHandler)
    ]  # fmt: skip


def _rights(handler: HTTPRouteHandler) -> tuple[str, ...]:
    return tuple(permission.name.lower() for permission in handler.opt.get("needs", ()))


def _better(operation: dict[str, Any], rights: Sequence[str]) -> None:
    """The first sentence of the docstring as the summary, the rest as the description, and whose tokens open it."""
    first, _, rest = operation.pop("description", "").partition("\n\n")
    one, _, more = first.partition(". ")
    operation["summary"] = " ".join(one.split()).rstrip(".")
    words = re.sub(r"(?<!\n)\n(?!\n)", " ", "\n\n".join(filter(None, (more.strip(), rest.strip()))))
    if words:
        operation["description"] = words
    operation["x-permissions"] = list(rights)
    for parameter in operation.get("parameters", ()):
        for key in ("allowEmptyValue", "allowReserved", "deprecated"):
            parameter.pop(key, None)
    for status, response in operation["responses"].items():
        response["description"] = GOOD.get(status, response["description"])
        if not response.get("headers"):
            response.pop("headers", None)
    operation.pop("deprecated", None)
