"""The pages: each module holds the handlers of one subject and lists them as `ROUTES`."""

from __future__ import annotations

from typing import Any

from ringfence.web.pages import (
    audit,
    ban,
    bans,
    diagnostics,
    keys,
    lockdown,
    login,
    mine,
    people,
    policy,
    policy_history,
    policy_more,
    policy_review,
    shell,
    trials,
    warnings,
    whitelist,
)

ROUTES: list[Any] = [
    *login.ROUTES, *shell.ROUTES, *bans.ROUTES, *ban.ROUTES, *whitelist.ROUTES, *lockdown.ROUTES, *trials.ROUTES,
    *mine.ROUTES, *warnings.ROUTES, *diagnostics.ROUTES, *audit.ROUTES, *people.ROUTES, *keys.ROUTES,
    *policy.ROUTES, *policy_more.ROUTES, *policy_review.ROUTES, *policy_history.ROUTES,
]  # fmt: skip
