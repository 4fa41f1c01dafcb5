"""The attack list as a file: written while it is read, page by page, so that its length does not matter.

CSV as `exporting` writes it; JSON holds the names as they are, with everything beyond ASCII escaped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from ringfence.answers import stamp
from ringfence.ledger.listed import Cursor, ListedAttacker, Page
from ringfence.web.countries import Place
from ringfence.web.exporting import csv_lines

AT_ONCE: Final = 500
"""Rows of one part of the file."""
COLUMNS: Final = (
    "address", "country", "network", "level", "banned", "attempts", "successes", "services", "accounts", "first_seen",
    "last_seen",
)  # fmt: skip
NextPage = Callable[[Cursor | None], Page[ListedAttacker]]
PlaceOf = Callable[[str], Place | None]


def record_of(row: ListedAttacker, place_of: PlaceOf) -> dict[str, Any]:
    """One attacker as programs get it."""
    place = place_of(row.address)
    return {
        "address": row.address, "country": place.code or place.country if place else "",
        "network": place.network if place else "", "level": row.level, "banned": row.banned, "attempts": row.attempts,
        "successes": row.successes, "services": list(row.services), "accounts": list(row.accounts),
        "first_seen": stamp(row.first_seen), "last_seen": stamp(row.last_seen),
    }  # fmt: skip


def _flat(value: object) -> object:
    if isinstance(value, list):
        # Each name by itself: the second one is a cell of its own for who splits it.
        return "; ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


async def csv_parts(pages: NextPage, place_of: PlaceOf) -> AsyncIterator[str]:
    """The attackers of all `pages` as CSV."""
    yield csv_lines([COLUMNS])
    async for rows in _all(pages):
        records = (record_of(row, place_of) for row in rows)
        yield csv_lines([_flat(record[name]) for name in COLUMNS] for record in records)


async def json_parts(pages: NextPage, place_of: PlaceOf) -> AsyncIterator[str]:
    """The attackers of all `pages` as one JSON array."""
    yield "["
    between = "\n"
    async for rows in _all(pages):
        lines = [json.dumps(record_of(row, place_of)) for row in rows]
        yield between + ",\n".join(lines)
        between = ",\n"
    yield "\n]\n"


async def _all(pages: NextPage) -> AsyncIterator[list[ListedAttacker]]:
    cursor: Cursor | None = None
    while True:
        # Each page in a thread, by that thread's own reader: the loop stays free for everybody else.
        page = await asyncio.to_thread(pages, cursor)
        if page.rows:
            yield page.rows
        cursor = page.next
        if cursor is None:
            return
