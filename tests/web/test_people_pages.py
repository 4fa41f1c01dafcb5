"""Users and tokens on the page: what an administrator can do, and what is refused with a clear word."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from guard_process import GuardProcess, running
from ringfence.answers import Done
from ringfence.people_answers import InvitationRow, UserRow
from ringfence.settings import load_settings
from web_site import CSRF, HASH, PASSWORD, Browser, Site

LINK = re.compile(r"http://[^<\s]+(/welcome/[\w-]+)")


@pytest.fixture
def admin(site: Site) -> Browser:
    return site.browser("administrator")


def user_of(site: Site, name: str) -> UserRow | None:
    return next((row for row in site.guard.ask(list[UserRow], "users") if row.name == name), None)


def test_a_user_with_a_link_shown_once_chooses_a_password_and_is_in(site: Site, admin: Browser) -> None:
    answer = admin.post("/users/add", name="Carol", role="holder", by="link", accounts="100\nc@example.org, 101",
                        may_ask="yes", holds="1h")  # fmt: skip
    found = LINK.search(answer.text)
    assert answer.status_code == 200 and found is not None and "carol" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert found[1].removeprefix("/welcome/") not in admin.get("/users").text + admin.get("/users/one?name=carol").text
    row = user_of(site, "carol")
    assert row is not None and row.accounts == ("100", "c@example.org", "101") and row.may_ask and not row.has_password
    guest = site.client("203.0.113.60")
    form = CSRF.search(guest.get(found[1]).text)
    assert form is not None
    fields = {"csrf": form[1], "name": "carol", "password": PASSWORD, "again": PASSWORD}
    assert guest.post(found[1], data=fields).status_code == 303
    assert "carol" in guest.get("/me").text


def test_a_link_without_a_name_makes_whoever_opens_it_a_user_of_that_role(site: Site, admin: Browser) -> None:
    answer = admin.post("/users/add", name="", role="viewer", by="link", holds="7d")
    assert LINK.search(answer.text) and "viewer" in answer.text
    waiting = [row for row in site.guard.ask(list[InvitationRow], "invitations") if row.role == "viewer"]
    page = admin.get("/users").text
    assert waiting and all(row.id in page for row in waiting)
    assert "is withdrawn" in admin.post("/users/withdraw", id=waiting[0].id, back="/users").text
    assert waiting[0].id not in {row.id for row in site.guard.ask(list[InvitationRow], "invitations")}


def test_a_user_with_a_password_can_log_in(site: Site, admin: Browser) -> None:
    fields: dict[str, Any] = {
        "name": "dave",
        "role": "viewer",
        "by": "password",
        "password": PASSWORD,
        "again": PASSWORD,
    }
    assert "dave can log in now" in admin.post("/users/add", **fields).text
    client = site.client("203.0.113.61")
    form = CSRF.search(client.get("/login").text)
    assert form is not None
    assert client.post("/login", data={"csrf": form[1], "name": "dave", "password": PASSWORD}).status_code == 303


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "eve", "by": "password", "password": "short", "again": "short"}, "12 characters"),
        ({"name": "eve", "by": "password", "password": PASSWORD, "again": "other"}, "not the same"),
        ({"name": "e v e", "by": "link"}, "1 to 64 of a-z"),
        ({"name": "<script>", "by": "link"}, "1 to 64 of a-z"),
        ({"name": "eve", "role": "king", "by": "link"}, "choose a role"),
        ({"name": "eve", "by": "link", "accounts": "a" * 300}, "1 to 256 printable"),
    ],
)
def test_what_is_wrong_is_said_and_nobody_is_made(
    site: Site, admin: Browser, fields: dict[str, Any], said: str
) -> None:
    answer = admin.post("/users/add", **{"role": "viewer", "back": "/users", **fields})
    assert said in answer.text and answer.url.path == "/users"
    assert user_of(site, "eve") is None


def test_role_accounts_and_the_right_to_ask_are_changed(site: Site, admin: Browser) -> None:
    name = site.user("viewer")
    answer = admin.post("/users/change", name=name, role="holder", accounts="200", may_ask="yes", back="/users")
    assert f"{name} is changed" in answer.text
    row = user_of(site, name)
    assert row is not None and (row.role, row.accounts, row.may_ask) == ("holder", ("200",), True)
    again = admin.post("/users/change", name=name, role="holder", accounts="200", may_ask="yes", back="/users")
    assert "was to be changed" in again.text


def test_disabling_ends_logins_and_enabling_lets_in_again(site: Site, admin: Browser) -> None:
    other = site.browser("viewer")
    assert "is disabled" in admin.post("/users/disable", name=other.name, on="no", back="/users").text
    assert other.client.get("/me").status_code == 303
    assert "disabled" in admin.get(f"/users/one?name={other.name}").text
    assert "may log in again" in admin.post("/users/disable", name=other.name, on="yes", back="/users").text


def test_a_lost_second_factor_is_removed(site: Site, admin: Browser) -> None:
    name = site.user("viewer")
    site.guard.ask(UserRow, "change_user", name=name, totp="JBSWY3DPEHPK3PXP")
    assert "Remove the second factor" in admin.get(f"/users/one?name={name}").text
    admin.post("/users/second-factor", name=name, back="/users")
    row = user_of(site, name)
    assert row is not None and not row.has_totp


def test_a_new_link_and_a_new_password_for_who_forgot_theirs(site: Site, admin: Browser) -> None:
    name = site.user("viewer")
    assert LINK.search(admin.post("/users/link", name=name, holds="1h").text)
    new = "some other four words"
    assert "new password" in admin.post("/users/password", name=name, password=new, again=new, back="/users").text


def test_removing_needs_a_tick(site: Site, admin: Browser) -> None:
    name = site.user("viewer")
    assert "tick the box" in admin.post("/users/remove", name=name, back="/users").text
    assert user_of(site, name) is not None
    assert "is removed" in admin.post("/users/remove", name=name, sure="yes", back="/users").text
    assert user_of(site, name) is None


def test_a_token_is_shown_once_and_ends_when_it_is_revoked(site: Site, admin: Browser) -> None:
    answer = admin.post("/tokens/add", user=admin.name, label="<b>branch</b>", scope="read", holds="30d")
    found = re.search(r"rf_[\w-]{40,}", answer.text)
    assert answer.status_code == 200 and found is not None and answer.headers["cache-control"] == "no-store"
    page = admin.get("/users").text
    assert found[0] not in page and "&lt;b&gt;branch&lt;/b&gt;" in page
    number = re.search(r"Token (\d+) of", answer.text)
    assert number is not None
    assert "is revoked" in admin.post("/tokens/revoke", id=number[1], back="/users").text
    assert f'id="t-{number[1]}"' not in admin.get("/users").text
    assert f'id="t-{number[1]}"' in admin.get("/users?ended=yes").text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scope": "report", "service": "no-such"}, "scope report needs the service"),
        ({"scope": "everything"}, "choose a scope"),
        ({"scope": "read", "holds": "1000y"}, "how long the token holds"),
        ({"scope": "read", "user": "nobody-there"}, "there is no user"),
        ({"scope": "read", "label": ""}, "a label is 1 to 100"),
    ],
)
def test_a_token_that_can_not_be_is_refused_with_the_reason(admin: Browser, fields: dict[str, Any], said: str) -> None:
    answer = admin.post("/tokens/add", **{"user": "", "label": "x", "holds": "1d", "back": "/users", **fields})
    assert said in answer.text and answer.url.path == "/users"


def test_a_reporting_token_is_bound_to_its_service(admin: Browser) -> None:
    answer = admin.post("/tokens/add", user="", label="shop", scope="report", service="sip", holds="1d")
    assert "rf_" in answer.text and "report events of one service: sip" in admin.get("/users").text


def test_many_users_come_page_by_page(site: Site, admin: Browser) -> None:
    names = [f"many{number:03}" for number in range(105)]
    for name in names:
        site.guard.ask(UserRow, "add_user", name=name, role="viewer", password_hash=HASH)
    first = admin.get("/users?q=many").text
    more = re.search(r'href="([^"]+)" rel="next"', first)
    assert more is not None
    second = admin.get(more[1].replace("&amp;", "&")).text
    assert all((f'id="p-{name}"' in first) != (f'id="p-{name}"' in second) for name in names)
    for name in names:
        site.guard.ask(Done, "remove_user", name=name)


def test_the_last_administrator_can_not_be_lost_on_the_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = '[web]\nstart = false\nlisten = "127.0.0.1:8470"\nproxies = ["127.0.0.1"]\n'
    with running(GuardProcess(tmp_path_factory.mktemp("last"), settings=settings)) as guard:
        from web_site import free_port

        site = Site(guard, free_port(load_settings(guard.config, {}, is_root=True)))
        try:
            admin = site.browser("administrator")
            back = f"/users/one?name={admin.name}"
            changes: dict[str, dict[str, Any]] = {
                "/users/disable": {"on": "no"}, "/users/change": {"role": "viewer"}, "/users/remove": {"sure": "yes"},
            }  # fmt: skip
            for path, fields in changes.items():
                answer = admin.post(path, name=admin.name, back=back, **fields)
                assert "is the last administrator who can log in" in answer.text, path
                assert httpx.URL(str(answer.url)).path == "/users/one"
        finally:
            site.stop()
