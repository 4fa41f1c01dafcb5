"""The API: JSON for programs, by token; the same commands and roles as the pages.

Each module holds the handlers of one subject and lists them as `ROUTES`; `web.description` makes the OpenAPI document
and its page from them.
"""

from __future__ import annotations

from litestar import Router

from ringfence.web.api import access_lists, bans, docs, events, feeds, figures, people, policy, state, warnings
from ringfence.web.api.answering import LARGEST
from ringfence.web.description import ROOT


def routers() -> list[Router]:
    """Everything that programs ask for."""
    subjects = (state, events, bans, access_lists, policy, warnings, figures, people)
    api = Router(
        ROOT, route_handlers=[route for subject in subjects for route in subject.ROUTES],
        request_max_body_size=LARGEST,
    )  # fmt: skip
    return [api, Router("/", route_handlers=[*feeds.ROUTES, *docs.ROUTES], request_max_body_size=LARGEST)]
