"""What stands around every page: its address, its colours, and where its static files are."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, Final

from litestar import Request

from ringfence.web.templating import static_files

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "ringfence-theme"
FORM_COOKIE: Final = "ringfence-form"
"""Holds the secret of forms for who has no session yet."""


@cache
def version() -> str:
    """A name for all static files as they are: part of their address, so they may be kept for good."""
    digest = hashlib.blake2b(digest_size=6)
    for name, content in static_files().items():
        digest.update(name.encode() + content)
    return digest.hexdigest()


def frame(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The values that the template `base.html` needs of the request."""
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return {
        "path": request.url.path, "query": request.url.query, "version": version(),
        "theme": theme if theme in THEMES else "auto",
    }  # fmt: skip
