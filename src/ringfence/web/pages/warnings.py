"""Warnings: what the guard finds wrong just now. Sending them by mail comes later; the page keeps their place."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from ringfence.web.access import Permission, needs
from ringfence.web.pages.showing import Asked, show


@get("/warnings", opt=needs(Permission.SEE), sync_to_thread=True)
def warnings_page(request: Asked) -> Response[str]:
    """The present problems and notices; the frame of every page has asked the guard for them."""
    return show(request, "warnings")


ROUTES: list[Any] = [warnings_page]
