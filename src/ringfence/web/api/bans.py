"""The bans: listed, made, changed, noted and lifted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar.exceptions import ClientException
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct, structs

from ringfence.answers import Banned, BanRow, EventRow, Lifted
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.ledger.listed import BanFilter, BanSort, ListedBan, Running
from ringfence.model import EVERY, BanState
from ringfence.web.access import Permission
from ringfence.web.api.answering import (
    LARGEST_NUMBER,
    Ascending,
    Continued,
    Force,
    Limit,
    Note,
    Number,
    Seconds,
    Service,
    ServiceName,
    Target,
    Text,
    TrialSeconds,
    make,
    read,
    remove,
    set_,
    trial_of,
)
from ringfence.web.api.paging import END, NUMBER, TEXT, WHOLE, Listing, continued, listing
from ringfence.web.api.rows import BanChangeRow, ListedBanRow
from ringfence.web.api.state import NUMBERED, network_of
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web

MOST_PACKETS: Final = 200
"""Running bans whose packets are told; the rest of a longer page has null."""
BAN_PLACES: Final = {
    "since": (NUMBER, WHOLE), "until": (END, WHOLE), "target": (TEXT, WHOLE), "service": (TEXT, WHOLE),
}  # fmt: skip


StateOfBan = Annotated[BanState | None, QueryParameter(name="state")]


class NewBan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ban by hand."""

    target: Target
    service: ServiceName = EVERY
    seconds: Seconds = None
    note: Note = ""
    trial_seconds: TrialSeconds = None
    force: Force = False


class BanLength(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another end for a running ban, and another note where one is given."""

    seconds: Seconds
    note: Note | None = None
    trial_seconds: TrialSeconds = None
    force: Force = False


class BanNote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands beside a ban; empty: nothing."""

    note: Note


class Lifting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bans are to be lifted: just one of `ids`, `target` and `all`.

    `service` narrows `target` and `all` to the bans of one service.
    """

    ids: Annotated[list[Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]], Meta(max_length=1_000)] = []
    target: Annotated[str, Meta(max_length=300)] = ""
    all: bool = False
    service: Annotated[str, Meta(max_length=64)] = ""


class BanDetail(Struct, frozen=True, kw_only=True):
    """A ban with everything that happened to it and the events that led to it."""

    ban: ListedBanRow
    changes: list[BanChangeRow]
    evidence: list[EventRow]


@read("/bans", Permission.SEE, Permission.OWN, tag="bans")
def bans(
    web: Parts, visitor: Who, show: FromQuery[Running] = "running", target: Text = "", network: Text = "",
    service: Service = "", ban_state: StateOfBan = None, rule: Text = "", author: Text = "", account: Text = "",
    sort: FromQuery[BanSort] = "since", ascending: Ascending = False, count: FromQuery[bool] = False,
    limit: Limit = 50, cursor: Continued = "",
) -> Listing[ListedBanRow]:  # fmt: skip
    """The list of bans: those that run, those that ended, or all.

    `target` and `account` are parts of names, `network` keeps what lies in it. `packets` is what a running ban has
    dropped, null where that was not asked (more than 200 rows) or the guard does not answer. Account holders get what
    concerns their accounts, newest first; they can only choose between running bans and all.
    """
    if not visitor.may(Permission.SEE):
        if (target, network, service, ban_state, rule, author, account, sort, ascending) != ("",) * 3 + (
            None, "", "", "", "since", False,
        ):  # fmt: skip
            raise ClientException("account holders can't filter or sort this list")
        place = continued(cursor, "own bans", NUMBERED)
        own = web.owned.bans(visitor.accounts, running=show == "running", limit=limit, cursor=place)
        return listing(own.rows, _for_holder, "own bans", own.next)
    wanted = BanFilter(
        text=target, network=network_of(network), service=service, state=ban_state, rule=rule, author=author,
        account=account, show=show,
    )  # fmt: skip
    ledger, name = web.readers.ledger(), f"bans {sort} {ascending}"
    place = continued(cursor, name, BAN_PLACES[sort])
    page = ledger.ban_page(wanted, sort, descending=not ascending, limit=limit, cursor=place)
    packets = packets_of(web, page.rows)
    total = ledger.ban_count(wanted) if count else None
    return listing(page.rows, lambda ban: ListedBanRow.from_(ban, packets.get(ban.id)), name, page.next, total)


def _for_holder(ban: ListedBan) -> ListedBanRow:
    """A ban without who of the administrators made it."""
    row = ListedBanRow.from_(ban)
    return row if row.author.startswith("rule:") else structs.replace(row, author="")


def packets_of(web: Web, found: Sequence[ListedBan]) -> dict[int, int]:
    """What the running ones among these have dropped, as far as the guard can tell."""
    running = [ban.id for ban in found if ban.ended is None][:MOST_PACKETS]
    with contextlib.suppress(RingfenceError):
        return web.guard.ask_for_page(dict[int, int], "packets", ids=running) if running else {}
    return {}


@make("/bans", Permission.ACT, tag="bans", status=201)
def ban(web: Parts, visitor: Who, data: JSONBody[NewBan]) -> Banned:
    """Ban an address or network by hand.

    A network larger than /24 (IPv4) or /48 (IPv6) is banned on trial: `trial` says which one to keep, and until when.
    Refused (409) where it would shut out the address that you come from, unless `force` is true.
    """
    answer = web.guard.ask(
        Banned, visitor, "ban", target=data.target, service=data.service, seconds=data.seconds, note=data.note,
        force=data.force, trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@read("/bans/{number:int}", Permission.SEE, tag="bans")
def one_ban(web: Parts, number: Number) -> BanDetail:
    """One ban, running or ended, with its history and its evidence."""
    ledger = web.readers.ledger()
    found = ledger.ban_by_id(number)
    if found is None:
        raise NotFoundError(f"there is no ban {number} (any more)")
    listed = ledger.listed_bans([found])
    row = ListedBanRow.from_(listed[0], packets_of(web, listed).get(number))
    return BanDetail(
        ban=row, changes=[BanChangeRow.from_(one) for one in ledger.changes(number)],
        evidence=[EventRow.of(event) for event in ledger.evidence(number)],
    )  # fmt: skip


@set_("/bans/{number:int}/length", Permission.ACT, tag="bans")
def length(web: Parts, visitor: Who, number: Number, data: JSONBody[BanLength]) -> Banned:
    """Let a running ban end at another time, counted from now."""
    answer = web.guard.ask(
        Banned, visitor, "change_ban", id=number, seconds=data.seconds, note=data.note, force=data.force,
        trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@set_("/bans/{number:int}/note", Permission.ACT, tag="bans")
def note(web: Parts, visitor: Who, number: Number, data: JSONBody[BanNote]) -> BanRow:
    """Write a note beside a ban, running or ended."""
    return web.guard.ask(BanRow, visitor, "note_ban", id=number, note=data.note)


@remove("/bans/{number:int}", Permission.ACT, tag="bans")
def lift_one(web: Parts, visitor: Who, number: Number) -> Lifted:
    """Lift one running ban."""
    answer = web.guard.ask(Lifted, visitor, "unban_many", ids=[number])
    web.guard.changed()
    if not answer.rows:
        raise NotFoundError(f"no ban {number} runs")
    return answer


@make("/bans/lift", Permission.ACT, tag="bans")
def lift(web: Parts, visitor: Who, data: JSONBody[Lifting]) -> Lifted:
    """Lift bans by their numbers, all of an address or network, or all there are.

    Numbers of bans that have ended already are passed over.
    """
    if [bool(data.ids), bool(data.target), data.all].count(True) != 1 or (data.ids and data.service):
        raise ClientException("name just one of ids, target and all; a service only with target or all")
    if data.ids:
        answer = web.guard.ask(Lifted, visitor, "unban_many", ids=data.ids)
    else:
        answer = web.guard.ask(Lifted, visitor, "unban", target=data.target or None, service=data.service)
    web.guard.changed()
    return answer


ROUTES: list[Any] = [bans, ban, one_ban, length, note, lift_one, lift]
