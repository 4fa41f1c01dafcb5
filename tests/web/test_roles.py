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
from ringfence.web.recognise import FOR_PEOPLE, PROGRAMS
from web_site import Site, free_port

NEEDS: Final = """
POST   /login                                           OPEN
GET    /login                                           OPEN
POST   /logout                                          SELF
POST   /welcome/{secret:str}                            OPEN
GET    /welcome/{secret:str}                            OPEN
GET    /me                                              SELF
POST   /me/password                                     SELF
POST   /me/code                                         SELF
GET    /static/{stamp:str}/{file:path}                  OPEN
GET    /favicon.ico                                     OPEN
GET    /live                                            OWN SEE
POST   /theme                                           OPEN
GET    /                                                OWN SEE
GET    /chart                                           SEE
GET    /attacks                                         SEE
GET    /attacks.csv                                     SEE
GET    /attacks.json                                    SEE
POST   /attacks/ban                                     ACT
POST   /attacks/allow                                   ACT
GET    /attacks/{path:path}                             SEE
POST   /attacks/unban                                   ACT
POST   /attacks/note                                    ACT
POST   /bans                                            ACT
GET    /bans                                            SEE
POST   /bans/unban                                      ACT
GET    /bans/unban-all                                  ACT
POST   /bans/unban-all                                  ACT
GET    /bans/{number:str}                               SEE
POST   /bans/{number:str}/change                        ACT
POST   /bans/{number:str}/note                          ACT
POST   /requests/{number:str}/grant                     ACT
POST   /requests/{number:str}/refuse                    ACT
GET    /whitelist                                       SEE
POST   /whitelist                                       ACT
POST   /whitelist/remove                                ACT
GET    /lockdown                                        SEE
POST   /lockdown/on                                     ACT
POST   /lockdown/off                                    ACT
POST   /trials/{number:str}/keep                        ACT
POST   /trials/{number:str}/undo                        ACT
GET    /mine                                            OWN
POST   /mine/ask                                        OWN
GET    /warnings                                        SEE
POST   /warnings/acknowledge                            ACT
POST   /warnings/mute                                   ACT
POST   /warnings/unmute                                 ACT
GET    /warnings.csv                                    SEE
GET    /warnings.json                                   SEE
GET    /warnings/outbox                                 SEE
POST   /warnings/test                                   GOVERN
GET    /warnings/test                                   GOVERN
GET    /warnings/settings                               GOVERN
POST   /warnings/settings                               GOVERN
POST   /warnings/settings/text                          GOVERN
GET    /warnings/settings/history                       GOVERN
POST   /warnings/settings/again                         GOVERN
GET    /diagnostics                                     SEE
POST   /diagnostics/reset                               ACT
GET    /audit                                           SEE
GET    /audit.csv                                       SEE
GET    /users                                           GOVERN
GET    /users/one                                       GOVERN
POST   /users/add                                       GOVERN
POST   /users/change                                    GOVERN
POST   /users/disable                                   GOVERN
POST   /users/second-factor                             GOVERN
POST   /users/link                                      GOVERN
POST   /users/password                                  GOVERN
POST   /users/remove                                    GOVERN
POST   /users/withdraw                                  GOVERN
POST   /tokens/add                                      GOVERN
POST   /tokens/revoke                                   GOVERN
GET    /policy                                          SEE
POST   /policy/cell                                     GOVERN
GET    /policy/cell                                     SEE
POST   /policy/pick                                     GOVERN
POST   /policy/cell/remove                              GOVERN
POST   /policy/rule                                     GOVERN
GET    /policy/rule                                     GOVERN
POST   /policy/rule/remove                              GOVERN
POST   /policy/services                                 GOVERN
GET    /policy/services                                 SEE
POST   /policy/services/now                             GOVERN
GET    /policy/limits                                   SEE
POST   /policy/limits                                   GOVERN
POST   /policy/whitelist                                GOVERN
GET    /policy/text                                     SEE
POST   /policy/text                                     GOVERN
GET    /policy/check                                    GOVERN
GET    /policy/review                                   GOVERN
POST   /policy/whatif                                   GOVERN
GET    /policy/whatif                                   GOVERN
POST   /policy/whatif/cancel                            GOVERN
POST   /policy/save                                     GOVERN
POST   /policy/draft/drop                               GOVERN
POST   /policy/draft/anew                               GOVERN
GET    /policy/history                                  SEE
GET    /policy/history/{number:str}                     SEE
POST   /policy/rollback                                 GOVERN
POST   /policy/draft                                    GOVERN
GET    /api/v1/me                                       OWN REPORT SEE
GET    /api/v1/status                                   SEE
GET    /api/v1/attacks                                  SEE
GET    /api/v1/attacks/{address:str}                    SEE
GET    /api/v1/explain                                  SEE
GET    /api/v1/attacks/{address:str}/events             SEE
POST   /api/v1/events                                   REPORT
GET    /api/v1/events                                   OWN SEE
GET    /api/v1/events/stream                            OWN SEE
GET    /api/v1/bans                                     OWN SEE
POST   /api/v1/bans                                     ACT
GET    /api/v1/bans/{number:int}                        SEE
DELETE /api/v1/bans/{number:int}                        ACT
PUT    /api/v1/bans/{number:int}/length                 ACT
PUT    /api/v1/bans/{number:int}/note                   ACT
POST   /api/v1/bans/lift                                ACT
POST   /api/v1/whitelist                                ACT
DELETE /api/v1/whitelist                                ACT
GET    /api/v1/whitelist                                SEE
PUT    /api/v1/lockdown                                 ACT
DELETE /api/v1/lockdown                                 ACT
GET    /api/v1/lockdown                                 SEE
GET    /api/v1/trials                                   SEE
POST   /api/v1/trials/{number:int}/keep                 ACT
POST   /api/v1/trials/{number:int}/undo                 ACT
GET    /api/v1/requests                                 OWN SEE
POST   /api/v1/requests/{number:int}/decision           ACT
POST   /api/v1/policy                                   GOVERN
GET    /api/v1/policy                                   SEE
GET    /api/v1/policy/revisions                         SEE
GET    /api/v1/policy/revisions/{number:int}            SEE
POST   /api/v1/policy/compare                           GOVERN
POST   /api/v1/policy/rollback                          GOVERN
PUT    /api/v1/policy/services/{name:str}               GOVERN
POST   /api/v1/what-if                                  GOVERN
DELETE /api/v1/what-if/{number:str}                     GOVERN
GET    /api/v1/what-if/{number:str}                     GOVERN
GET    /api/v1/services                                 SEE
GET    /api/v1/warnings                                 SEE
POST   /api/v1/warnings/acknowledge                     ACT
GET    /api/v1/warnings/mutes                           SEE
POST   /api/v1/warnings/mutes                           ACT
DELETE /api/v1/warnings/mutes/{number:int}              ACT
GET    /api/v1/warnings/outbox                          SEE
GET    /api/v1/warnings/outbox/{number:int}             SEE
POST   /api/v1/warnings/test                            GOVERN
GET    /api/v1/warnings/settings                        GOVERN
PUT    /api/v1/warnings/settings                        GOVERN
GET    /api/v1/statistics                               SEE
POST   /api/v1/statistics/reset                         ACT
GET    /api/v1/diagnostics                              SEE
GET    /api/v1/audit                                    SEE
POST   /api/v1/users                                    GOVERN
GET    /api/v1/users                                    GOVERN
DELETE /api/v1/users/{name:str}                         GOVERN
PATCH  /api/v1/users/{name:str}                         GOVERN
GET    /api/v1/users/{name:str}                         GOVERN
POST   /api/v1/links                                    GOVERN
GET    /api/v1/links                                    GOVERN
DELETE /api/v1/links/{number:str}                       GOVERN
POST   /api/v1/tokens                                   GOVERN
GET    /api/v1/tokens                                   GOVERN
DELETE /api/v1/tokens/{number:int}                      GOVERN
GET    /feed/bans.txt                                   SEE
GET    /feed/bans.json                                  SEE
GET    /metrics                                         SEE
GET    /healthz                                         OPEN
GET    /api/v1/openapi.json                             OWN REPORT SEE
GET    /api/v1/docs                                     OWN REPORT SEE
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
    known = who != "nobody" and (("/" in who) == for_programs or path in FOR_PEOPLE)
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
    from ringfence.answers import Done
    from ringfence.people_answers import UserRow

    name = gate.user("operator")
    made = gate.guard.ask(NewToken, "add_token", user=name, label="x", scope="read")
    program = gate.client("203.0.113.240")
    program.headers["authorization"] = f"Bearer {made.secret}"
    assert program.get("/api/v1/status").status_code == 418
    gate.guard.ask(UserRow, "change_user", name=name, disabled=True)
    assert program.get("/api/v1/status").status_code == 401
    gate.guard.ask(UserRow, "change_user", name=name, disabled=False)
    assert program.get("/api/v1/status").status_code == 418
    gate.guard.ask(Done, "revoke_token", id=made.id)
    assert program.get("/api/v1/status").status_code == 401
