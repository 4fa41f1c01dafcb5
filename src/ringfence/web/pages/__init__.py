"""The pages: each module holds the handlers of one subject and lists them as `ROUTES`."""

from __future__ import annotations

from typing import Any

from ringfence.web.pages import ban, bans, lockdown, login, mine, shell, trials, whitelist

ROUTES: list[Any] = [
    *login.ROUTES, *shell.ROUTES, *bans.ROUTES, *ban.ROUTES, *whitelist.ROUTES, *lockdown.ROUTES, *trials.ROUTES,
    *mine.ROUTES,
]  # fmt: skip
