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
    overview,
    people,
    shell,
    trials,
    warnings,
    whitelist,
)

SUBJECTS = (
    login, shell, overview, attacks, address, bans, ban, whitelist, lockdown, trials, mine, warnings, diagnostics,
    audit, people, keys,
)  # fmt: skip
ROUTES: list[Any] = [route for subject in SUBJECTS for route in subject.ROUTES]
