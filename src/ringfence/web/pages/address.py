"""The page of one address or network: what it did and when, how near the rules are, why it is banned or not."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct

from ringfence.answers import BanRow, Explanation, Lifted
from ringfence.errors import NotFoundError, RingfenceError, UnreachableError
from ringfence.ledger import Ledger
from ringfence.ledger.listed import (
    AttackFilter,
    BanFilter,
    Count,
    EventFilter,
    ListedAttacker,
    ListedEvent,
    NetworkSums,
    Page,
)
from ringfence.phrases import in_words
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.attackquery import target_in
from ringfence.web.charts import Bars, bars_of
from ringfence.web.cursors import cursor_of, cursor_text
from ringfence.web.pages.attacks import LENGTHS, services_seen
from ringfence.web.pages.ban import changes_in_words
from ringfence.web.pages.fields import counted, holds
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, go, show
from ringfence.web.web import Web

EVENTS: Final = 100
NEIGHBOURS: Final = 20
EVIDENCE: Final = 20
OUTCOMES: Final = {"failed": True, "succeeded": False}


class Seen(Struct, frozen=True, kw_only=True):
    """What the ledger knows of an address or network; `addresses` are the worst ones of a network.

    Services and accounts of a network are those of its worst addresses.
    """

    sums: NetworkSums
    services: list[str]
    accounts: list[str]
    addresses: list[ListedAttacker] = []


@get("/attacks/{path:path}", opt=needs(Permission.SEE), sync_to_thread=True)
def address(request: Asked, web: Parts, visitor: Who, path: FromPath[str]) -> Response[str] | Redirect:
    """Everything about one address or network."""
    asked = str(path).strip("/")
    target = target_in(asked)
    if target is None:
        _ = visitor.words
        raise NotFoundError(_("%(text)s is no address and no network (such as 203.0.113.0/24)", text=asked[:100]))
    if target != asked:
        return go(f"/attacks/{target}")
    ledger = web.readers.ledger()
    seen = _seen(ledger, target, web.in_force.harmless(ledger))
    explanation, silent = _explained(web, visitor, target)
    wanted, sent = _wanted_events(request)
    page = _events(ledger, target, wanted, request.query_params.get("cursor", ""))
    more = {**sent, "cursor": cursor_text(page.next)}
    return show(
        request, "address", target=target, network="/" in target, seen=seen, explanation=explanation, silent=silent,
        bars=_bars(ledger, target, seen), events=page.rows, sent=sent, lengths=LENGTHS,
        more=_path(target, more) if page.next else "",
        first=_path(target, sent) if "cursor" in request.query_params else "",
        here=holds(target, visitor.address), count=counted(seen.sums.addresses, visitor.words) if seen else "",
        services=services_seen(ledger),
        bans=_bans(ledger, target, explanation), histories=_histories(ledger, explanation),
        changes=changes_in_words(visitor.words),
    )  # fmt: skip


def _path(target: str, fields: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/attacks/{target}" + (f"?{query}" if query else "") + "#events"


def _seen(ledger: Ledger, target: str, harmless: int) -> Seen | None:
    if "/" not in target:
        row = ledger.listed_attacker(target, harmless=harmless)
        if row is None:
            return None
        sums = NetworkSums(Count(1), row.attempts, row.successes, row.first_seen, row.last_seen, row.level)
        return Seen(sums=sums, services=list(row.services), accounts=list(row.accounts))
    found = ledger.network_sums(target, harmless=harmless)
    if found is None:
        return None
    rows = ledger.attack_page(AttackFilter(network=target, harmless=harmless), "attempts", limit=NEIGHBOURS).rows
    accounts = dict.fromkeys(name for row in rows for name in row.accounts)
    services = sorted({name for row in rows for name in row.services})
    return Seen(sums=found, services=services, accounts=list(accounts)[:NEIGHBOURS], addresses=rows)


def _explained(web: Web, visitor: Visitor, target: str) -> tuple[Explanation | None, str]:
    """What the guard says, or why it says nothing."""
    try:
        return web.guard.ask(Explanation, visitor, "explain", address=target, limit=EVIDENCE), ""
    except UnreachableError as error:
        return None, in_words(str(error), visitor.words)
    except RingfenceError as error:
        _ = visitor.words
        return None, _("the guard can't tell: %(why)s", why=in_words(str(error), _))


def _wanted_events(request: Asked) -> tuple[EventFilter, dict[str, str]]:
    sent = {name: request.query_params.get(name, "").strip()[:200] for name in ("service", "outcome", "account")}
    if sent["outcome"] not in OUTCOMES:
        sent["outcome"] = ""
    return EventFilter(service=sent["service"], failed=OUTCOMES.get(sent["outcome"]), account=sent["account"]), sent


def _events(ledger: Ledger, target: str, wanted: EventFilter, cursor: str) -> Page[ListedEvent]:
    place = cursor_of(cursor, 1)
    if place is not None and not isinstance(place[0], int):
        place = None
    if "/" in target:
        return ledger.network_events(target, wanted, limit=EVENTS, cursor=place)
    return ledger.event_page(target, wanted, limit=EVENTS, cursor=place)


def _bars(ledger: Ledger, target: str, seen: Seen | None) -> Bars | None:
    return bars_of(ledger, target, seen.sums.first_seen, seen.sums.last_seen) if seen else None


def _bans(ledger: Ledger, target: str, explanation: Explanation | None) -> list[BanRow]:
    """The bans that hold it, running ones first; without the guard only those aimed at it exactly.

    Of a network also the newest ones of the addresses in it.
    """
    if explanation is not None:
        found = [*explanation.bans, *explanation.earlier]
    else:
        found = [BanRow.of(ban) for ban in reversed(ledger.history(target))][:NEIGHBOURS]
    if "/" in target:
        known = {row.id for row in found}
        inside = ledger.ban_page(BanFilter(network=target, show="all"), limit=NEIGHBOURS).rows
        found += [BanRow.of(ban) for ban in inside if ban.id not in known]
    return found


def _histories(ledger: Ledger, explanation: Explanation | None) -> dict[int, list[Any]]:
    """What happened to each ban that holds it now, by its number."""
    return {row.id: ledger.changes(row.id)[-NEIGHBOURS:] for row in explanation.bans} if explanation else {}


@post("/attacks/unban", opt=needs(Permission.ACT), sync_to_thread=True)
def unban(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Lift bans by their numbers."""
    lifted = web.guard.ask(Lifted, visitor, "unban_many", ids=form.numbers("id"))
    web.guard.changed()
    targets = ", ".join(dict.fromkeys(row.target for row in lifted.rows))
    _, count = visitor.words, len(lifted.rows)
    told = _.ngettext("%(count)s ban lifted: %(names)s", "%(count)s bans lifted: %(names)s", count, names=targets)
    done(visitor, told if count else _("No ban was running any more"), lifted.why)
    return back(form, "/attacks")


@post("/attacks/note", opt=needs(Permission.ACT), sync_to_thread=True)
def note(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Write a note beside a ban."""
    numbers, _ = form.numbers("id"), visitor.words
    if not numbers:
        raise RingfenceError(_("a note is kept with a ban, and none was named"))
    row = web.guard.ask(BanRow, visitor, "note_ban", id=numbers[0], note=form["note"])
    if row.note:
        done(visitor, _("The note on the ban of %(address)s is kept", address=row.target))
    else:
        done(visitor, _("The note on the ban of %(address)s is removed", address=row.target))
    return back(form, "/attacks")


ROUTES: list[Any] = [address, unban, note]
