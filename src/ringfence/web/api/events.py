"""Events: listed, streamed as they happen, and reported by applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar.exceptions import ClientException, ServiceUnavailableException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from ringfence.ledger.holders import key_of, names_of
from ringfence.ledger.listed import ListedEvent
from ringfence.report_commands import LONGEST_KEY, MOST_EVENTS, Reported
from ringfence.web.access import Permission, Visitor
from ringfence.web.api.answering import (
    LARGEST_NUMBER,
    Continued,
    Limit,
    Service,
    Text,
    make,
    problems,
    read,
)
from ringfence.web.api.paging import Listing, continued, listing
from ringfence.web.api.rows import NumberedEvent
from ringfence.web.api.state import NUMBERED, Moment, address_of, event_filter, network_of
from ringfence.web.live import MOST
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web

OWN_EVENTS: Final = "own events"
STEP: Final = 500
"""Events that are read and sent at a time."""
MOST_RESUMED: Final = 100_000
"""Events back that a stream is resumed from; who was away for longer is told that some are missing."""


class ReportedEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One login as an application tells it. `time`: seconds since 1970 UTC, null: now. `proven`: can't be forged.

    Texts that are longer than what is kept (account 256, cause 64, detail 1,024, session 128 characters) are cut.
    """

    outcome: Literal["failed", "succeeded"]
    address: Annotated[str, Meta(max_length=100)]
    account: str = ""
    cause: str = ""
    detail: str = ""
    proven: bool = True
    time: float | None = None
    session: str = ""


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events of the service that the token is bound to."""

    events: Annotated[list[ReportedEvent], Meta(min_length=1, max_length=MOST_EVENTS)]


@read("/events", Permission.SEE, Permission.OWN, tag="events")
def events(
    web: Parts, visitor: Who, address: Text = "", service: Service = "", failed: FromQuery[bool | None] = None,
    account: Text = "", since: Moment = None, limit: Limit = 100, cursor: Continued = "",
) -> Listing[NumberedEvent]:  # fmt: skip
    """Events, newest first: of all addresses, of one, or of a network.

    Account holders get those that concern their accounts, and can't filter.
    """
    if not visitor.may(Permission.SEE):
        if address or service or failed is not None or account or since is not None:
            raise ClientException("account holders can't filter this list")
        place = continued(cursor, OWN_EVENTS, NUMBERED)
        own = web.owned.events(visitor.accounts, limit, place)
        return listing(own.rows, NumberedEvent.from_, OWN_EVENTS, own.next)
    wanted, ledger = event_filter(service, failed, account, since), web.readers.ledger()
    if "/" in address:
        place = continued(cursor, "network events", NUMBERED)
        page = ledger.network_events(network_of(address), wanted, limit=limit, cursor=place)
        return listing(page.rows, NumberedEvent.from_, "network events", page.next)
    name = "timeline" if address else "events"
    place = continued(cursor, name, NUMBERED)
    page = ledger.event_page(address_of(address) if address else None, wanted, limit=limit, cursor=place)
    return listing(page.rows, NumberedEvent.from_, name, page.next)


@make(
    "/events", Permission.REPORT, tag="events", responses=problems(400, 401, 403, 404, 409, 413, 429, 503),
)  # fmt: skip
def report(
    web: Parts, visitor: Who, data: JSONBody[Report],
    idempotency_key: Annotated[str, HeaderParameter(name="Idempotency-Key", max_length=LONGEST_KEY)] = "",
) -> Reported:  # fmt: skip
    """Tell logins of the application that the token is for; they are counted and judged like lines of a log.

    With the same Idempotency-Key of the same token a batch counts once within a day. An event that can't be used is
    told in `refused`, and the others are taken.
    """
    told = [{"service": visitor.service, **msgspec.to_builtins(event)} for event in data.events]
    return web.guard.ask(
        Reported, visitor, "report_events", events=told, token=visitor.token, key=idempotency_key
    )  # fmt: skip


@read(
    "/events/stream", Permission.SEE, Permission.OWN, tag="events", media_type="text/event-stream",
    sync_to_thread=None,
    responses={
        200: ResponseSpec(
            str, generate_examples=False, media_type="text/event-stream",
            description="Server-sent events: `id` is the number of the event, `data` the event as JSON.",
        ),
        **problems(400, 401, 403, 429, 503),
    },
)  # fmt: skip
async def stream(
    web: Parts, visitor: Who, service: Service = "",
    last_event_id: Annotated[
        int | None, HeaderParameter(name="Last-Event-ID", ge=0, le=LARGEST_NUMBER)
    ] = None,
    after: Annotated[int | None, QueryParameter(ge=0, le=LARGEST_NUMBER, description="Instead of the header.")] = None,
) -> Stream:  # fmt: skip
    """Events as they are recorded, as server-sent events; with Last-Event-ID from the one after that on.

    A line that begins with a colon is sent at least every 15 seconds. The stream ends when the token is revoked.
    An event `missed` says that more happened meanwhile than is sent again. Account holders get what concerns their
    accounts.
    """
    if web.live.streams >= MOST:
        raise ServiceUnavailableException("too many streams are open; try again later")
    resumed = last_event_id if last_event_id is not None else after
    chosen = chooser(visitor, service)

    async def text() -> AsyncIterator[bytes]:
        async for part in told(web, visitor, chosen, resumed):
            yield part

    return Stream(
        text, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )


def chooser(visitor: Visitor, service: str) -> Callable[[ListedEvent], bool]:
    """Which events a visitor gets."""
    wanted = None if visitor.may(Permission.SEE) else {key_of(account) for account in visitor.accounts} - {""}

    def chosen(one: ListedEvent) -> bool:
        mine = wanted is None or not wanted.isdisjoint(names_of(one.event.account))
        return mine and (not service or one.event.service == service)

    return chosen


async def told(
    web: Web, visitor: Visitor, chosen: Callable[[ListedEvent], bool], resumed: int | None
) -> AsyncIterator[bytes]:
    """The text of the stream (HTML Living Standard, 9.2), as long as the token holds."""
    yield b"retry: 3000\n\n"
    with web.live.listening():
        seen = web.live.versions()
        newest = await web.aside(lambda: web.readers.ledger().events_recorded())
        at = newest if resumed is None else min(resumed, newest)
        if at < newest - MOST_RESUMED:
            at = newest - MOST_RESUMED
            yield b"event: missed\ndata: " + msgspec.json.encode({"resumed_after": at}) + b"\n\n"
        while await web.aside(holds, web, visitor):
            found = await web.aside(lambda: web.readers.ledger().events_after(at, limit=STEP))  # noqa: B023
            if found:
                at = found[-1].id
                yield b"".join(_block(one) for one in found if chosen(one)) or b": nothing of yours\n\n"
            if len(found) < STEP:
                again = await web.live.next(seen)
                if again == seen:
                    yield b": still here\n\n"
                seen = again
        yield b"event: ended\ndata: \n\n"


def _block(one: ListedEvent) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (one.id, msgspec.json.encode(NumberedEvent.from_(one)))


def holds(web: Web, visitor: Visitor) -> bool:
    """Whether the token of a stream still opens what it did, for the same accounts."""
    ledger = web.readers.ledger()
    token, user = ledger.token(visitor.token), ledger.user(visitor.name)
    if token is None or user is None or user.disabled or not token.holds(web.clock()):
        return False
    return (user.role, user.accounts) == (visitor.role, visitor.accounts)


ROUTES: list[Any] = [events, report, stream]
