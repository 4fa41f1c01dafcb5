"""The pages: each module holds the handlers of one subject and lists them as `ROUTES`."""

from __future__ import annotations

from typing import Any

from ringfence.web.pages import (
    address,
    attacks,
    audit,
    ban,
    bans,
    diagnostics,
    keys,
    lockdown,
    login,
    mine,
    outbox,
    overview,
    people,
    policy,
    policy_history,
    policy_more,
    policy_review,
    shell,
    trials,
    warning_settings,
    warnings,
    warnings_file,
    whitelist,
)

SUBJECTS = (
    login, shell, overview, attacks, address, bans, ban, whitelist, lockdown, trials, mine, warnings, warnings_file,
    outbox, warning_settings, diagnostics, audit, people, keys, policy, policy_more, policy_review, policy_history,
)  # fmt: skip
ROUTES: list[Any] = [route for subject in SUBJECTS for route in subject.ROUTES]
