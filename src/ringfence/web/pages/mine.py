"""The account holder's page: attempts and bans that concern their accounts, and the request to lift such a ban.

Whatever is shown comes from `web.owned` alone, which knows nothing of other accounts; what a ban tells of them is left
out, and so is who of the administrators did what.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.errors import NotFoundError, RefusedError
from ringfence.people_answers import RequestRow
from ringfence.web.access import Permission, needs
from ringfence.web.pages.fields import Query
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, show

ROWS: Final = 50
MOST_BANS: Final = 100
LOOKED_AT: Final = 1_000
MOST_REQUESTS: Final = 20


@get("/mine", opt=needs(Permission.OWN), sync_to_thread=True)
def mine_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """What concerns the accounts of the one who looks."""
    query = Query(request)
    running = query.choice("show", ("running", "all"), "running") == "running"
    events = web.owned.events(visitor.accounts, ROWS, query.cursor(1))
    bans = web.owned.bans(visitor.accounts, running=running, limit=MOST_BANS)
    asked = web.readers.ledger().requests(False, visitor.name, limit=MOST_REQUESTS)
    return show(
        request, "mine", query=query, events=events.rows, more=query.more(events.next), first=query.first(),
        bans=bans.rows, cut=bans.next is not None, running=running, requests=asked, behind=web.owned.behind,
        waiting={(one.target, one.service) for one in asked if one.decided is None},
    )  # fmt: skip


@post("/mine/ask", opt=needs(Permission.OWN), sync_to_thread=True)
def ask(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Ask for a ban to be lifted that concerns one's own accounts."""
    _ = visitor.words
    if not visitor.may_ask:
        raise RefusedError(_("you may not ask for an unban here; talk to whoever administers this server"))
    numbers = form.numbers("ban")
    bans = web.owned.bans(visitor.accounts, running=True, limit=LOOKED_AT).rows
    found = next((ban for ban in bans if ban.id in numbers), None)
    if found is None:
        raise NotFoundError(_("there is no such ban of your accounts; it may have ended already"))
    web.guard.ask(RequestRow, visitor, "ask_unban", target=found.target, service=found.service, reason=form["reason"])
    target = found.target
    done(visitor, _("You have asked for %(address)s to be let in again; the answer will stand here", address=target))
    return go("/mine")


ROUTES: list[Any] = [mine_page, ask]
