"""Coming in: who knows name, password and code gets a session of their own, and nobody else does."""

from __future__ import annotations

import time

import httpx
import pyotp
import pytest

from ringfence.people_answers import Invited, UserRow
from web_site import CSRF, PASSWORD, Site


def form_of(client: httpx.Client, path: str = "/login") -> str:
    """The secret of the form at `path`, opened as a browser does."""
    found = CSRF.search(client.get(path).text)
    assert found is not None
    return found[1]


def log_in(client: httpx.Client, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    fields = {"csrf": form_of(client), "name": name, "password": password, **more}
    return client.post("/login", data=fields)


def test_name_and_password_open_a_session_whose_cookie_no_script_can_read(site: Site) -> None:
    client = site.client()
    answer = log_in(client, site.user("viewer"))
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("ringfence="))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert "viewer" in client.get("/me").text


@pytest.mark.parametrize(("number", "wrong"), enumerate(["another password", "", PASSWORD + " "]))
def test_a_wrong_password_opens_nothing_and_does_not_tell_who_exists(site: Site, number: int, wrong: str) -> None:
    address = f"203.0.113.{220 + number}"
    known = log_in(site.client(address), site.user("viewer"), wrong)
    unknown = log_in(site.client(address), "nobody-of-this-name", wrong)
    assert known.status_code == unknown.status_code == 401
    assert (
        "Name, password or code are not right" in known.text and "Name, password or code are not right" in unknown.text
    )


def test_the_session_after_the_login_is_never_one_that_was_known_before(site: Site) -> None:
    """Fixation: whoever plants a cookie in somebody's browser gains nothing by it."""
    client = site.client()
    client.cookies.set(site.web.cookie, "planted-by-somebody-else-0123456789abcdef")
    answer = log_in(client, site.user("viewer"))
    assert "planted" not in "".join(answer.headers.get_list("set-cookie"))
    attacker = site.client()
    attacker.cookies.set(site.web.cookie, "planted-by-somebody-else-0123456789abcdef")
    assert attacker.get("/me").status_code == 303


def test_logging_out_ends_the_session_for_a_copy_of_the_cookie_too(site: Site) -> None:
    browser = site.browser("viewer")
    copy = dict(browser.client.cookies)
    assert browser.send("/logout").status_code == 303
    other = site.client()
    other.cookies.update(copy)
    assert other.get("/me").status_code == 303


def test_a_second_factor_is_asked_for_and_a_code_works_once(site: Site) -> None:
    name, secret = site.user("viewer"), pyotp.random_base32()
    site.guard.ask(UserRow, "change_user", name=name, totp=secret)
    assert log_in(site.client("203.0.113.32"), name).status_code == 401
    code = pyotp.TOTP(secret).now()
    assert log_in(site.client("203.0.113.32"), name, code=code).status_code == 303
    assert log_in(site.client("203.0.113.32"), name, code=code).status_code == 401


def test_a_one_time_link_makes_an_administrator_once(site: Site) -> None:
    invited = site.guard.ask(Invited, "invite", role="administrator")
    client, path = site.client(), f"/welcome/{invited.secret}"
    fields = {"csrf": form_of(client, path), "name": "Founder", "password": PASSWORD, "again": PASSWORD}
    answer = client.post(path, data=fields)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "founder" in client.get("/me").text
    assert site.client().get(path).status_code == 404


def test_a_weak_password_is_refused_with_what_to_do_and_the_link_stays_good(site: Site) -> None:
    invited = site.guard.ask(Invited, "invite", role="viewer")
    client, path = site.client(), f"/welcome/{invited.secret}"
    fields = {"csrf": form_of(client, path), "name": "weak", "password": "short", "again": "short"}
    answer = client.post(path, data=fields)
    assert answer.status_code == 400 and "12 characters" in answer.text
    assert client.get(path).status_code == 200


def test_a_changed_password_ends_the_other_sessions(site: Site) -> None:
    browser = site.browser("viewer")
    other = site.client()
    secret, _ = site.web.sessions.open(browser.name, "203.0.113.33", site.web.clock())
    other.cookies.set(site.web.cookie, secret)
    new = "another four words here"
    answer = browser.post("/me/password", old=PASSWORD, password=new, again=new)
    assert "is changed" in answer.text
    assert browser.get("/me").status_code == 200
    assert other.get("/me").status_code == 303
    assert log_in(site.client("203.0.113.33"), browser.name, new).status_code == 303


def test_a_disabled_user_is_out_at_once(site: Site) -> None:
    browser = site.browser("viewer")
    site.guard.ask(UserRow, "change_user", name=browser.name, disabled=True)
    assert browser.client.get("/me").status_code == 303
    assert log_in(site.client("203.0.113.34"), browser.name).status_code == 401


def test_the_way_on_after_the_login_stays_on_this_server(site: Site) -> None:
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        client = site.client()
        fields = {"csrf": form_of(client), "name": site.user("viewer"), "password": PASSWORD, "next": evil}
        assert client.post("/login", data=fields).headers["location"] == "/"


def test_guessing_from_one_address_is_stopped_even_where_the_kernel_blocks_nobody(site: Site) -> None:
    client = site.client("203.0.113.35")
    csrf = form_of(client)
    answers = [
        client.post("/login", data={"csrf": csrf, "name": "root", "password": f"guess number {n}"}) for n in range(22)
    ]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) > 0
    assert site.client("203.0.113.36").get("/login").status_code == 200


def test_a_session_ends_after_its_time(site: Site) -> None:
    name = site.user("viewer")
    longest = site.settings.web.longest
    secret, session = site.web.sessions.open(name, "203.0.113.37", time.time() - longest - 1)
    session.seen = time.time()
    client = site.client()
    client.cookies.set(site.web.cookie, secret)
    assert client.get("/me").status_code == 303
