"""The audit: who did what, when and from where, newest first; searched, page by page, and as a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.response import Stream

from ringfence.answers import stamp
from ringfence.ledger.facts import AuditEntry
from ringfence.ledger.listed import Page
from ringfence.translating import ENGLISH, Words
from ringfence.web.access import Permission, needs
from ringfence.web.exporting import csv_lines
from ringfence.web.pages.showing import Asked, Parts, show
from ringfence.web.web import Web

ROWS: Final = 100
ROWS_OF_A_PART: Final = 1_000
"""Rows of a file that are read at once."""
LONGEST_SEARCH: Final = 200
TIMES: Final = ("expires", "until", "since", "deadline")
COLUMNS: Final = ("number", "time", "who", "command", "arguments", "from")


@get("/audit", opt=needs(Permission.SEE), sync_to_thread=True)
def audit_page(request: Asked, web: Parts) -> Response[str]:
    """A page of the audit."""
    text = _search(request)
    cursor, beginning = _cursor(request.query_params.get("cursor", "")), ""
    found = web.readers.ledger().audit_page(text, limit=ROWS, cursor=cursor)
    if cursor is not None:
        beginning = _address(text)
    return show(
        request, "audit", entries=[(entry, words(entry, request.user.words)) for entry in found.rows], text=text,
        beginning=beginning, more=_address(text, found.next[0]) if found.next else "",
    )  # fmt: skip


@get("/audit.csv", opt=needs(Permission.SEE))
async def audit_file(request: Asked, web: Parts) -> Stream:
    """Everything that was found, as a file."""
    headers = {"content-disposition": 'attachment; filename="ringfence-audit.csv"'}
    return Stream(_lines(web, _search(request)), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(web: Web, text: str) -> AsyncIterator[str]:
    """The file part by part, each read in a thread of its own: a long audit holds nobody up."""
    yield csv_lines([COLUMNS])
    cursor: tuple[Any, ...] | None = None
    while True:
        found = await asyncio.to_thread(_part, web, text, cursor)
        yield csv_lines(
            (entry.id, stamp(entry.time), entry.author, entry.command, words(entry), entry.origin)
            for entry in found.rows
        )
        if found.next is None:
            return
        cursor = found.next


def _part(web: Web, text: str, cursor: tuple[Any, ...] | None) -> Page[AuditEntry]:
    return web.readers.ledger().audit_page(text, limit=ROWS_OF_A_PART, cursor=cursor)


def words(entry: AuditEntry, _: Words = ENGLISH) -> str:
    """The arguments of a command as "name: value"; those that were not given are left out."""
    given = {name: value for name, value in entry.arguments.items() if value not in (None, "", [], {})}
    return "; ".join(f"{name}: {_word(name, value, _)}" for name, value in given.items())


def _word(name: str, value: Any, _: Words) -> str:
    """One argument as people read it; points in time are kept as seconds."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float) and name in TIMES:
        return stamp(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _search(request: Asked) -> str:
    return request.query_params.get("q", "").strip()[:LONGEST_SEARCH]


def _cursor(text: str) -> tuple[int] | None:
    """Where a page begins; what is no cursor of ours begins at the beginning."""
    return (int(text),) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _address(text: str, cursor: int | None = None) -> str:
    query = {name: value for name, value in (("q", text), ("cursor", cursor)) if value}
    return "/audit" + (f"?{urlencode(query)}" if query else "")


ROUTES: list[Any] = [audit_page, audit_file]
