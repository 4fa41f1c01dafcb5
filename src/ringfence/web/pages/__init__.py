"""The pages: each module holds the handlers of one subject and lists them as `ROUTES`."""

from __future__ import annotations

from typing import Any

from ringfence.web.pages import address, attacks, login, overview, shell

ROUTES: list[Any] = [*login.ROUTES, *shell.ROUTES, *overview.ROUTES, *attacks.ROUTES, *address.ROUTES]
