"""Who may use which route of the API: every route, every role and every scope, and nothing by a cookie."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx
import pytest

from ringfence.settings import parse_settings
from ringfence.web.access import Permission, permissions_of
from ringfence.web.app import handlers_of, make_app
from ringfence.web.recognise import FOR_PEOPLE, PROGRAMS
from ringfence.web.web import Web
from web_site import Site

KEYS: Final = [
    ("administrator", "write"), ("administrator", "read"), ("administrator", "report"), ("operator", "write"),
    ("operator", "read"), ("viewer", "read"), ("holder", "read"),
]  # fmt: skip


def routes() -> list[tuple[str, str, frozenset[Permission]]]:
    """Method, path and permissions (any of which opens it) of every route for programs."""
    app = make_app(Web(parse_settings("", "test", {}, is_root=True)))
    return sorted(
        (
            (str(method), path, frozenset(handler.opt["needs"]))
            for path, handler in handlers_of(app)
            if path.startswith(PROGRAMS)
            for method in handler.http_methods
            if method != "OPTIONS"
        ),
        key=lambda one: (one[1], one[0]),
    )  # fmt: skip


ROUTES: Final = routes()


@pytest.fixture(scope="module")
def programs(site: Site) -> dict[tuple[str, str], httpx.Client]:
    """A program for each role and scope; each may be refused, and what it sends is too little to change anything."""
    found = {}
    for role, scope in KEYS:
        more = {"service": "sip"} if scope == "report" else {}
        found[role, scope] = site.token(role, scope, **more)
    return found


def send(client: httpx.Client, method: str, path: str) -> int:
    """The status of the answer to a request that names nothing that there is."""
    where = re.sub(r"\{[a-z]+:int\}", "999999", path)
    where = re.sub(r"\{[a-z]+:str\}", "nobody", where)
    with client.stream(
        method, where, json={"nonsense": True} if method in ("POST", "PUT", "PATCH") else None
    ) as answer:
        return answer.status_code


ANSWERED = [route for route in ROUTES if not route[1].endswith("/stream")]
"""Those whose answers end; the stream has tests of its own."""


def test_there_are_routes_and_none_is_open_but_the_state_of_health() -> None:
    assert len(ROUTES) > 55
    assert [path for _, path, needed in ROUTES if Permission.OPEN in needed] == ["/healthz"]
    changes = [one for one in ROUTES if one[0] not in ("GET", "HEAD")]
    assert all(needed <= {Permission.ACT, Permission.GOVERN, Permission.REPORT} for _, _, needed in changes)


@pytest.mark.parametrize(("method", "path", "needed"), ANSWERED, ids=[f"{one[0]} {one[1]}" for one in ANSWERED])
def test_a_route_opens_for_the_permissions_it_asks_for_and_for_no_others(
    site: Site, programs: dict[tuple[str, str], httpx.Client], method: str, path: str, needed: frozenset[Permission]
) -> None:
    for (role, scope), client in programs.items():
        opens = Permission.OPEN in needed or bool(needed & permissions_of(role, scope))
        if opens and (method, path) in (("DELETE", "/api/v1/lockdown"),):
            continue  # would do something
        status = send(client, method, path)
        assert (status not in (401, 403)) == opens, f"{role} {scope}: {status}"
    if Permission.OPEN not in needed:
        with site.client() as nobody:
            assert send(nobody, method, path) == 401


def test_a_login_of_the_page_opens_no_route_for_programs_but_the_description(site: Site) -> None:
    """So that no page of another site can use a reader's cookie there."""
    browser = site.browser("administrator")
    for method, path, needed in ROUTES:
        if Permission.OPEN in needed or path in FOR_PEOPLE:
            continue
        assert send(browser.client, method, path) == 401, path
    assert all(browser.client.get(path).status_code == 200 for path in FOR_PEOPLE)


def test_the_documentation_is_a_page_without_scripts_of_others_for_any_token_or_login(site: Site) -> None:
    with site.token("administrator", "report", service="sip") as program:
        page = program.get("/api/v1/docs")
        assert page.status_code == 200 and program.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")
    assert "script-src 'self'" in page.headers["content-security-policy"] and "https://" not in page.text
    assert "/api/v1/bans/{number}/length" in page.text and "Keep" not in page.headers
    with site.client() as nobody:
        sent = nobody.get("/api/v1/docs", headers={"accept": "text/html"})
        assert sent.status_code == 303 and sent.headers["location"].startswith("/login")
        assert nobody.get("/api/v1/openapi.json").status_code == 401


def test_a_token_works_as_bearer_and_as_password_until_it_is_revoked(site: Site) -> None:
    with site.token("viewer", "read") as client:
        secret = client.headers["authorization"].split()[1]
        number = client.get("/api/v1/me").json()["token"]
        del client.headers["authorization"]
        assert client.get("/api/v1/status", auth=("anything", secret)).status_code == 200
        assert client.get("/api/v1/status").status_code == 401
        assert client.get("/api/v1/status", headers={"authorization": "Basic !!"}).status_code == 401
        site.guard.ask(dict, "revoke_token", id=number)
        refused = client.get("/api/v1/status", auth=("anything", secret))
        assert refused.status_code == 401 and "Bearer" in refused.headers["www-authenticate"]


def test_tokens_that_never_were_are_attempts_on_the_page_and_soon_have_to_wait(site: Site) -> None:
    with site.client("198.51.100.140") as guesser:
        answers = [guesser.get("/api/v1/status", headers={"authorization": f"Bearer rf_{n}"}) for n in range(22)]
        assert answers[0].status_code == 401 and answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert answers[-1].headers["content-type"] == "application/problem+json"
    with site.token("viewer", "read") as other:
        other.headers["x-forwarded-for"] = "198.51.100.140"
        rows = other.get("/api/v1/attacks/198.51.100.140/events").json()["rows"]
        assert {(row["service"], row["cause"]) for row in rows} == {("web", "unknown token")}
        assert len(rows) == 20, "what has to wait is not reported again"


def test_an_operator_may_not_keep_or_undo_a_change_of_the_policy(site: Site) -> None:
    with site.token() as admin, site.token("operator", "write") as operator:
        text = admin.get("/api/v1/policy").json()["text"]
        changed: Any = admin.post("/api/v1/policy", json={"text": text + "\n# again\n", "trial_seconds": 60}).json()
        number = changed["trial"]["id"]
        assert operator.post(f"/api/v1/trials/{number}/keep").status_code == 403
        assert operator.post(f"/api/v1/trials/{number}/undo").status_code == 403
        assert admin.post(f"/api/v1/trials/{number}/undo").status_code == 200
