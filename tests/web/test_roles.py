"""Every route for everybody: who may use it is written here once more, and each request gets just that.

A route that is missing in `NEEDS` fails, and so does a line without a route. The requests are real: cookie or token
are recognised and the one guard of the application decides; what it lets through is answered with 418, and nothing is
done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers.base import BaseRouteHandler

from guard_process import GuardProcess
from ringfence.people_answers import NewToken
from ringfence.settings import load_settings
from ringfence.web import access
from ringfence.web import app as application
from ringfence.web.access import OF_ROLE, Permission
from ringfence.web.app import handlers_of
from ringfence.web.recognise import PROGRAMS
from web_site import Site, free_port

NEEDS: Final = """
GET  /static/{stamp:str}/{file:path}   OPEN
GET  /favicon.ico                      OPEN
POST /theme                            OPEN
GET  /login                            OPEN
POST /login                            OPEN
GET  /welcome/{secret:str}             OPEN
POST /welcome/{secret:str}             OPEN
POST /logout                           SELF
GET  /me                               SELF
POST /me/password                      SELF
POST /me/code                          SELF
GET  /live                             SEE OWN
GET  /bans                             SEE
POST /bans                             ACT
POST /bans/unban                       ACT
GET  /bans/unban-all                   ACT
POST /bans/unban-all                   ACT
GET  /bans/{number:str}                SEE
POST /bans/{number:str}/change         ACT
POST /bans/{number:str}/note           ACT
POST /requests/{number:str}/grant      ACT
POST /requests/{number:str}/refuse     ACT
GET  /whitelist                        SEE
POST /whitelist                        ACT
POST /whitelist/remove                 ACT
GET  /lockdown                         SEE
POST /lockdown/on                      ACT
POST /lockdown/off                     ACT
POST /trials/{number:str}/keep         ACT
POST /trials/{number:str}/undo         ACT
GET  /mine                             OWN
POST /mine/ask                         OWN
GET  /warnings                         SEE
GET  /diagnostics                      SEE
POST /diagnostics/reset                ACT
GET  /audit                            SEE
GET  /audit.csv                        SEE
GET  /users                            GOVERN
GET  /users/one                        GOVERN
POST /users/add                        GOVERN
POST /users/change                     GOVERN
POST /users/disable                    GOVERN
POST /users/second-factor              GOVERN
POST /users/link                       GOVERN
POST /users/password                   GOVERN
POST /users/remove                     GOVERN
POST /users/withdraw                   GOVERN
POST /tokens/add                       GOVERN
POST /tokens/revoke                    GOVERN
"""
TABLE: Final = {(line.split()[0], line.split()[1]): set(line.split()[2:]) for line in NEEDS.strip().splitlines()}
MAY: Final = {
    "administrator": {"SELF", "SEE", "ACT", "GOVERN"},
    "operator": {"SELF", "SEE", "ACT"},
    "viewer": {"SELF", "SEE"},
    "holder": {"SELF", "OWN"},
    "nobody": set[str](),
    "administrator/write": {"SEE", "ACT", "GOVERN"},
    "administrator/read": {"SEE"},
    "administrator/report": {"REPORT"},
    "operator/write": {"SEE", "ACT"},
    "operator/read": {"SEE"},
    "operator/report": {"REPORT"},
    "viewer/read": {"SEE"},
    "holder/read": {"OWN"},
}
"""What each may; "role/scope" are tokens."""
PASSED: Final = 418


class Passed(HTTPException):
    """The guard of the application let this request through."""

    status_code = PASSED


@pytest.fixture(scope="module")
def gate(guard: GuardProcess) -> Iterator[Site]:
    """The application, which answers whatever its guard lets through with 418."""

    async def enforced(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        await access.enforce(connection, handler)
        raise Passed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "enforce", enforced)
        found = Site(guard, free_port(load_settings(Path(guard.config), {}, is_root=True)))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def clients(gate: Site) -> dict[str, httpx.Client]:
    """A client for each of `MAY`."""
    found = {"nobody": gate.client()}
    for role in OF_ROLE:
        found[role] = gate.browser(role).client
    for who in MAY:
        role, _, scope = who.partition("/")
        if scope:
            more = {"service": "sip"} if scope == "report" else {}
            found[who] = gate.token(role, scope, **more)
    return found


def routes(site: Site) -> dict[tuple[str, str], set[str]]:
    """Method and path of every route, with the names of what it says it needs."""
    return {
        (method, path): {permission.name for permission in handler.opt["needs"]}
        for path, handler in handlers_of(site.app)
        for method in handler.http_methods
        if handler.opt.get("needs")
    }


def address(path: str) -> str:
    """`path` with something in place of its parameters."""
    return re.sub(r"\{[^:}]*(?::(\w+))?\}", lambda found: "1" if found[1] in ("int", "float") else "x", path)


def expected(who: str, path: str, needed: set[str]) -> bool:
    """Whether `who` may pass. Pages know no tokens, programs no cookies."""
    for_programs = path.startswith(PROGRAMS)
    known = who != "nobody" and ("/" in who) == for_programs
    return "OPEN" in needed or (known and bool(MAY[who] & needed))


def test_every_route_says_what_is_written_here(gate: Site) -> None:
    found = routes(gate)
    lines = [f"{method:4} {path:34} {' '.join(sorted(needed))}" for (method, path), needed in found.items()]
    new = [line for line in lines if (line.split()[0], line.split()[1]) not in TABLE]
    assert not new, "say in NEEDS who may use these:\n" + "\n".join(new)
    assert found == TABLE


@pytest.mark.parametrize("who", MAY)
def test_everybody_gets_just_what_their_role_and_scope_give(
    gate: Site, clients: dict[str, httpx.Client], who: str
) -> None:
    wrong = []
    for (method, path), needed in routes(gate).items():
        answer = clients[who].request(method, address(path))
        if expected(who, path, needed):
            right = answer.status_code == PASSED
        elif path.startswith(PROGRAMS):
            right = answer.status_code == (401 if who == "nobody" or "/" not in who else 403)
        elif who == "nobody" or "/" in who:
            right = answer.status_code == 303 and answer.headers["location"].startswith("/login")
        else:
            right = answer.status_code == 403
        if not right:
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert wrong == []


def test_roles_and_scopes_are_what_is_documented() -> None:
    """The table above and the one of the application, compared in both directions."""
    for who, names in MAY.items():
        role, _, scope = who.partition("/")
        assert {one.name for one in access.permissions_of(role, scope or None)} == names, who
    assert set(OF_ROLE) == {who for who in MAY if "/" not in who} - {"nobody"}
    assert all(Permission.GOVERN not in OF_ROLE[role] for role in ("operator", "viewer", "holder"))


def test_a_route_that_does_not_say_who_may_use_it_stops_the_program(site: Site) -> None:
    from litestar import get

    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "open to everybody"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "PAGES", [forgotten])
        with pytest.raises(ValueError, match="/forgotten"):
            application.make_app(site.web)


def test_a_token_that_was_revoked_or_whose_user_is_disabled_opens_nothing(gate: Site) -> None:
    """Asked with the recogniser alone, since no route for programs may be there yet."""
    from ringfence.answers import Done
    from ringfence.people_answers import UserRow
    from ringfence.web.recognise import _by_token

    name = gate.user("operator")
    made = gate.guard.ask(NewToken, "add_token", user=name, label="x", scope="read")
    bearer = f"Bearer {made.secret}"
    assert _by_token(gate.web, bearer, "192.0.2.1").name == name
    gate.guard.ask(UserRow, "change_user", name=name, disabled=True)
    assert _by_token(gate.web, bearer, "192.0.2.1").name == ""
    gate.guard.ask(UserRow, "change_user", name=name, disabled=False)
    gate.guard.ask(Done, "revoke_token", id=made.id)
    assert _by_token(gate.web, bearer, "192.0.2.1").name == ""
