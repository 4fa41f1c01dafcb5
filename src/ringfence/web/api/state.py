"""How the guard is, who asks, and who attacks."""

from __future__ import annotations

import ipaddress
import math
from datetime import datetime
from typing import Annotated, Any, Final

from litestar.exceptions import ClientException
from litestar.params import FromQuery, PathParameter, QueryParameter
from msgspec import Struct

from ringfence.answers import Explanation
from ringfence.ledger.listed import AttackFilter, AttackSort, EventFilter
from ringfence.live import Pulse
from ringfence.model import Level
from ringfence.own import canonical
from ringfence.render import rule_in_brief
from ringfence.web.access import Permission
from ringfence.web.api.answering import Ascending, Continued, Limit, Service, Text, read
from ringfence.web.api.paging import NUMBER, TEXT, WHOLE, Listing, continued, listing, paged
from ringfence.web.api.rows import AttackerRow, NumberedEvent, seconds
from ringfence.web.pages.showing import Parts, Who

SEE: Final = Permission.SEE
Moment = Annotated[datetime | None, QueryParameter(description="ISO 8601, or seconds since 1970; UTC without a zone.")]
Address = Annotated[str, PathParameter(min_length=2, max_length=64, description="An address, IPv4 or IPv6.")]
NUMBERED: Final = (WHOLE,)
"""What a cursor of a list by number holds."""


class Myself(Struct, frozen=True, kw_only=True):
    """Who asks. `permissions`: what the token opens; `service`: whose events a token of scope report tells."""

    user: str
    role: str
    accounts: tuple[str, ...]
    permissions: tuple[str, ...]
    address: str
    token: int
    service: str


class ServiceState(Struct, frozen=True, kw_only=True):
    """A service. `rules` have their name and numbers in short: "standard 10/10m→10m"."""

    name: str
    enabled: bool
    bans: int
    rules: tuple[str, ...]


@read("/me", SEE, Permission.OWN, Permission.REPORT, tag="guard")
def me(visitor: Who) -> Myself:
    """Who you are: the user and the rights behind your token, and where you come from."""
    names = tuple(sorted(permission.name.lower() for permission in visitor.permissions))
    return Myself(
        user=visitor.name, role=visitor.role, accounts=visitor.accounts, permissions=names, address=visitor.address,
        token=visitor.token, service=visitor.service,
    )  # fmt: skip


@read("/status", SEE, tag="guard")
def status(web: Parts) -> Pulse:
    """How the guard is.

    `guarded` is true only when nothing at all is in `problems`. At most two seconds old; cheap to ask for.
    """
    return web.guard.pulse()


@read("/services", SEE, tag="guard")
def services(web: Parts, limit: Limit = 100, cursor: Continued = "") -> Listing[ServiceState]:
    """Every service: whether it is judged at all, by which rules, and how many bans run."""
    ledger = web.readers.ledger()
    policy, bans = web.in_force.policy(ledger), ledger.service_counts()
    rows = [
        ServiceState(
            name=name, enabled=name not in policy.disabled, bans=bans.get(name, 0),
            rules=tuple(rule_in_brief(rule) for rule in policy.rules_for(name)),
        )
        for name in web.guard.pulse().services
    ]  # fmt: skip
    found, next_ = paged(rows, lambda row: (row.name,), "services", (TEXT,), limit, cursor)
    return Listing(rows=found, next=next_, total=len(rows))


@read("/attacks", SEE, tag="attacks")
def attacks(
    web: Parts, address: Text = "", network: Text = "", account: Text = "", service: Service = "",
    level: FromQuery[Level | None] = None, banned: FromQuery[bool | None] = None, since: Moment = None,
    until: Moment = None, sort: FromQuery[AttackSort] = "attempts", ascending: Ascending = False,
    count: FromQuery[bool] = False, limit: Limit = 50, cursor: Continued = "",
) -> Listing[AttackerRow]:  # fmt: skip
    """The attack list.

    `address` and `account` are parts of names, `network` is one such as 203.0.113.0/24; `since` and `until` keep those
    seen at some time between. With `count` the answer tells how many there are.
    """
    ledger = web.readers.ledger()
    first, last = seconds(since), seconds(until)
    wanted = AttackFilter(
        text=address, network=network_of(network), account=account, service=service, level=level, banned=banned,
        since=-math.inf if first is None else first, until=math.inf if last is None else last,
        harmless=web.in_force.harmless(ledger),
    )  # fmt: skip
    name = f"attacks {sort} {ascending}"
    place = continued(cursor, name, ATTACK_PLACES[sort])
    page = ledger.attack_page(wanted, sort, descending=not ascending, limit=limit, cursor=place)
    total = ledger.attack_count(wanted) if count else None
    return listing(page.rows, AttackerRow.from_, name, page.next, total)


ATTACK_PLACES: Final = {
    "attempts": (WHOLE, NUMBER, TEXT), "last_seen": (NUMBER, TEXT), "first_seen": (NUMBER, TEXT), "address": (TEXT,),
}  # fmt: skip


@read("/attacks/{address:str}", SEE, tag="attacks")
def attacker(web: Parts, visitor: Who, address: Address, limit: Limit = 20) -> Explanation:
    """One address: why it is banned or why not, its attempts, and how near it is to what each rule needs.

    `limit`: events at most.
    """
    return web.guard.ask(Explanation, visitor, "explain", address=address_of(address), limit=limit)


@read("/explain", SEE, tag="attacks")
def explain(
    web: Parts, visitor: Who, target: Annotated[str, QueryParameter(min_length=2, max_length=64)], limit: Limit = 20
) -> Explanation:
    """The same for an address or a network (203.0.113.0/24)."""
    return web.guard.ask(Explanation, visitor, "explain", address=target, limit=limit)


@read("/attacks/{address:str}/events", SEE, tag="attacks")
def attacker_events(
    web: Parts, address: Address, service: Service = "", failed: FromQuery[bool | None] = None, account: Text = "",
    since: Moment = None, limit: Limit = 100, cursor: Continued = "",
) -> Listing[NumberedEvent]:  # fmt: skip
    """Every recorded event of one address, newest first."""
    wanted = event_filter(service, failed, account, since)
    place = continued(cursor, "timeline", NUMBERED)
    page = web.readers.ledger().event_page(address_of(address), wanted, limit=limit, cursor=place)
    return listing(page.rows, NumberedEvent.from_, "timeline", page.next)


def event_filter(service: str, failed: bool | None, account: str, since: datetime | None) -> EventFilter:
    """The filter of a list of events."""
    first = seconds(since)
    return EventFilter(service=service, failed=failed, account=account, since=-math.inf if first is None else first)


def address_of(text: str) -> str:
    """`text` in canonical spelling. Raises ClientException where it is no address."""
    found = canonical(text)
    if found is None:
        raise ClientException(f"{text!r} is not an address")
    return found


def network_of(text: str) -> str:
    """`text` as a network, empty for none. Raises ClientException where it is neither network nor address."""
    if not text:
        return ""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ClientException(f"{text!r} is not a network such as 203.0.113.0/24") from error


ROUTES: list[Any] = [me, status, services, attacks, attacker, explain, attacker_events]
