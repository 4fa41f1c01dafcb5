"""The pages: each module holds the handlers of one subject and lists them as `ROUTES`."""

from __future__ import annotations

from typing import Any

from ringfence.web.pages import audit, diagnostics, keys, login, people, shell, warnings

ROUTES: list[Any] = [
    *login.ROUTES, *shell.ROUTES, *warnings.ROUTES, *diagnostics.ROUTES, *audit.ROUTES, *people.ROUTES, *keys.ROUTES,
]  # fmt: skip
