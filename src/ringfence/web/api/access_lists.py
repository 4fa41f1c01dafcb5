"""The whitelist, the lockdown, changes on trial, and requests for an unban."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from ringfence.answers import Allowed, AllowRow, Done, LockdownRow, TrialRow
from ringfence.errors import NotFoundError
from ringfence.ledger.trials import PolicyUndo
from ringfence.model import EVERY
from ringfence.people_answers import Decided, RequestRow
from ringfence.web.access import Permission, Visitor, require
from ringfence.web.api.answering import (
    Continued,
    Forced,
    Limit,
    Note,
    Number,
    Seconds,
    ServiceName,
    Text,
    Trial,
    TrialSeconds,
    make,
    read,
    remove,
    set_,
    trial_of,
)
from ringfence.web.api.paging import TEXT, WHOLE, Listing, paged
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web

SEE, ACT = Permission.SEE, Permission.ACT
PLACES: Final = (WHOLE, TEXT, TEXT)
MOST_REQUESTS: Final = 10_000

Host = Annotated[str, Meta(min_length=1, max_length=300, description="An address, a network or a host name.")]


class NewEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the whitelist; one for the same target and service is replaced."""

    target: Host
    service: ServiceName = EVERY
    seconds: Seconds = None
    note: Note = ""


class NewLockdown(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lockdown of these services; none named: telephony, as the setting [lockdown] services says."""

    services: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=100)] = []
    seconds: Seconds = None
    trial_seconds: TrialSeconds = None


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to a request; granted, the ban is lifted at once."""

    grant: bool


# ---- whitelist


@read("/whitelist", SEE, tag="whitelist")
def whitelist(
    web: Parts, visitor: Who, text: Text = "", limit: Limit = 100, cursor: Continued = ""
) -> Listing[AllowRow]:
    """Every entry of the whitelist, those of the policy (`fixed`) first. `text` is a part of target, note or author."""
    part = text.lower()
    rows = [
        row for row in web.guard.ask(list[AllowRow], visitor, "whitelist")
        if any(part in one.lower() for one in (row.target, row.note, row.author, *row.addresses))
    ]  # fmt: skip
    found, next_ = paged(
        rows, lambda row: (0 if row.fixed else 1, row.target, row.service), "whitelist", PLACES, limit, cursor
    )
    return Listing(rows=found, next=next_, total=len(rows))


@make("/whitelist", ACT, tag="whitelist", status=201)
def allow(web: Parts, visitor: Who, data: JSONBody[NewEntry]) -> Allowed:
    """Put an address, a network or a host name on the whitelist; bans that it covers are lifted."""
    answer = web.guard.ask(
        Allowed, visitor, "allow", target=data.target, service=data.service, seconds=data.seconds, note=data.note
    )
    web.guard.changed()
    return answer


@remove("/whitelist", ACT, tag="whitelist")
def disallow(
    web: Parts, visitor: Who, target: Annotated[str, QueryParameter(min_length=1, max_length=300)],
    service: Annotated[str, QueryParameter(max_length=64)] = EVERY, trial_seconds: Trial = None, force: Forced = False,
) -> Done:  # fmt: skip
    """Take an entry off the whitelist, on trial.

    Refused (409) where it protects the address that you come from, unless `force` is true.
    """
    answer = web.guard.ask(
        Done, visitor, "disallow", target=target, service=service, force=force,
        trial=trial_of(trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


# ---- lockdown


@read("/lockdown", SEE, tag="lockdown")
def lockdown(web: Parts, visitor: Who) -> LockdownRow:
    """Whether telephone traffic is interrupted."""
    return web.guard.ask(LockdownRow, visitor, "lockdown")


@set_("/lockdown", ACT, tag="lockdown")
def lock_down(web: Parts, visitor: Who, data: JSONBody[NewLockdown]) -> LockdownRow:
    """Interrupt all traffic to these services except from the whitelist, on trial."""
    answer = web.guard.ask(
        LockdownRow, visitor, "lock_down", services=data.services, seconds=data.seconds,
        trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@remove("/lockdown", ACT, tag="lockdown")
def end_lockdown(web: Parts, visitor: Who, trial_seconds: Trial = None) -> LockdownRow:
    """Let the traffic flow again, on trial."""
    trial = trial_of(trial_seconds, web.settings.web.undo)
    answer = web.guard.ask(LockdownRow, visitor, "end_lockdown", trial=trial)
    web.guard.changed()
    return answer


# ---- trials


@read("/trials", SEE, tag="trials")
def trials(web: Parts, visitor: Who, limit: Limit = 100, cursor: Continued = "") -> Listing[TrialRow]:
    """The changes that undo themselves unless somebody confirms them."""
    rows = web.guard.ask(list[TrialRow], visitor, "trials")
    found, next_ = paged(rows, lambda row: (row.id,), "trials", (WHOLE,), limit, cursor)
    return Listing(rows=found, next=next_, total=len(rows))


@make("/trials/{number:int}/keep", ACT, tag="trials")
def keep(web: Parts, visitor: Who, number: Number) -> Done:
    """Confirm a change: it stays. One of the policy takes the rights to change that."""
    return _end_trial(web, visitor, "keep_trial", number)


@make("/trials/{number:int}/undo", ACT, tag="trials")
def undo(web: Parts, visitor: Who, number: Number) -> Done:
    """Take a change back at once."""
    return _end_trial(web, visitor, "undo_trial", number)


def _end_trial(web: Web, visitor: Visitor, command: str, number: int) -> Done:
    found = [trial for trial in web.readers.ledger().open_trials() if trial.id == number]
    if found and isinstance(found[0].undo, PolicyUndo):
        require(visitor, Permission.GOVERN)
    answer = web.guard.ask(Done, visitor, command, id=number)
    web.guard.changed()
    return answer


# ---- requests for an unban


@read("/requests", SEE, Permission.OWN, tag="requests")
def requests(
    web: Parts, visitor: Who, open_only: FromQuery[bool] = True, limit: Limit = 100, cursor: Continued = ""
) -> Listing[RequestRow]:
    """Who asks for an unban; account holders see their own requests. With `open_only` those that wait for an answer."""
    user = None if visitor.may(SEE) else visitor.name
    found = web.readers.ledger().requests(open_only, user, limit=MOST_REQUESTS)
    part, next_ = paged(found, lambda one: (-one.id,), "requests", (WHOLE,), limit, cursor)
    return Listing(rows=[RequestRow.of(one) for one in part], next=next_, total=len(found))


@make("/requests/{number:int}/decision", ACT, tag="requests")
def decide(web: Parts, visitor: Who, number: Number, data: JSONBody[Decision]) -> Decided:
    """Grant or refuse a request."""
    if web.readers.ledger().request(number) is None:
        raise NotFoundError(f"there is no request {number}")
    answer = web.guard.ask(Decided, visitor, "decide_request", id=number, grant=data.grant)
    web.guard.changed()
    return answer


ROUTES: list[Any] = [
    whitelist, allow, disallow, lockdown, lock_down, end_lockdown, trials, keep, undo, requests, decide,
]  # fmt: skip
