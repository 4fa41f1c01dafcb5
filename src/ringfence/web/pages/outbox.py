"""The outbox: the messages that tell of warnings and how far they are; and the one that is sent to see it arrive."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

from ringfence.alert.kinds import KINDS
from ringfence.alert.wording import kind_title
from ringfence.ledger import Delivery
from ringfence.ledger.outbox import TEST
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.pages.fields import Query, whole
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, go, show

ROWS: Final = 100
MOST_TESTS: Final = 50
"""Messages that one page of results shows."""


class Row(Struct, frozen=True):
    """A message; `kind` in words, empty for one that tells of nothing."""

    delivery: Delivery
    kind: str


@get("/warnings/outbox", opt=needs(Permission.SEE), sync_to_thread=True)
def outbox_page(request: Asked, web: Parts) -> Response[str]:
    """The messages, newest first."""
    query, _ = Query(request), request.user.words
    cursor = query.cursor(1)
    before = int(cursor[0]) if cursor is not None and isinstance(cursor[0], int) else None
    found = web.readers.ledger().deliveries(before=before, limit=ROWS + 1)
    part = found[:ROWS]
    return show(
        request, "outbox", rows=[Row(one, _kind(one, _)) for one in part], first=query.first(), here=whole(request),
        more=query.more((part[-1].id,) if len(found) > ROWS else None),
    )  # fmt: skip


def _kind(delivery: Delivery, _: Words) -> str:
    return "" if delivery.kind == TEST else kind_title(delivery.kind, _) if delivery.kind in KINDS else delivery.kind


@post("/warnings/test", opt=needs(Permission.GOVERN), sync_to_thread=True)
def send_test(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Send a message that tells of nothing: to one recipient, to all of [mail], or by another channel."""
    made = web.guard.ask(
        list[Delivery], visitor, "mail_test", channel=form["channel"] or "mail", recipient=form["recipient"]
    )
    return go("/warnings/test?" + urlencode([("id", one.id) for one in made[:MOST_TESTS]]))


@get("/warnings/test", opt=needs(Permission.GOVERN), sync_to_thread=True)
def test_page(request: Asked, web: Parts) -> Response[str]:
    """How far these messages are, and exactly what the other side answered."""
    ledger = web.readers.ledger()
    given: list[str] = request.query_params.getall("id", [])
    numbers = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) < 19]
    rows = [Row(one, "") for one in map(ledger.delivery, numbers[:MOST_TESTS]) if one is not None]
    under_way = any(row.delivery.ended is None for row in rows)
    return show(request, "warning_test", rows=rows, under_way=under_way, here=whole(request))


ROUTES: list[Any] = [outbox_page, send_test, test_page]
