"""What can be warned of: each kind with its name for people, whether it is grave, and the facts that it brings.

Times among the facts are seconds UTC, an end that never comes is None (JSON has no infinity).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Kind(Struct, frozen=True, kw_only=True):
    """`title` in a word or two; `grave`: told in quiet hours too; `facts`: key → meaning."""

    name: str
    title: str
    grave: bool = False
    facts: dict[str, str] = {}


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name="rule",
            title="rule fired",
            facts={
                "rule": "its name",
                "address": "the address of the deciding event",
                "count": "how many were counted",
                "counted": "what: attempts, accounts or bans",
                "since": "time of the oldest of them",
                "until": "end of the ban that the rule gives",
                "scope": "service or all",
                "done": "banned, longer (a running ban ends later), running (a ban holds as long already), "
                "past (the ban would be over already), mail (the rule only warns), full (there was no room)",
                "cause": "of the deciding attempt",
                "detail": "of the deciding attempt, such as the SIP URI",
            },
        ),
        Kind(
            name="attack",
            title="attack",
            grave=True,
            facts={
                "rate": "attempts a minute",
                "usual": "attempts a minute that this server is used to",
                "since": "when it began",
                "attempts": "attempts since it began (phase ended)",
            },
        ),
        Kind(
            name="full",
            title="list of bans",
            grave=True,
            facts={"capacity": "how many bans the list holds", "bans": "how many run"},
        ),
        Kind(name="enforcement", title="enforcement", grave=True, facts={"problem": "what is not in force, and why"}),
        Kind(
            name="source",
            title="log",
            grave=True,
            facts={"trouble": "silent, unreadable or changed", "problem": "in words"},
        ),
        Kind(
            name="lockdown",
            title="lockdown",
            grave=True,
            facts={"services": "a list", "until": "its end", "author": "who began it", "ended_by": "who ended it"},
        ),
        Kind(name="login", title="administrator's login", facts={"address": "where from, for the first time"}),
        Kind(
            name="policy",
            title="policy",
            facts={
                "revision": "its number",
                "author": "who changed it",
                "note": "why",
                "changes": "a list of changed lines, each beginning with + or -",
                "more": "how many more lines changed",
            },
        ),
        Kind(
            name="expiry",
            title="expiry",
            facts={"what": "certificate or whitelist", "expires": "when", "problem": "why a certificate can't be read"},
        ),
        Kind(
            name="canary",
            title="canary",
            grave=True,
            facts={"step": "the step that failed: source, parse, detect, ledger or kernel", "problem": "in words"},
        ),
        Kind(
            name="delivery",
            title="delivery",
            facts={"channel": "mail, or the channel's name", "answer": "why it was given up", "of": "kind of warning"},
        ),
        Kind(
            name="digest",
            title="digest",
            facts={"period": "daily or weekly", "since": "its beginning", "until": "its end"},
        ),
    )
}
"""Name → kind. `delivery` tells that others could not be told: it is shown, and sent to nobody."""
