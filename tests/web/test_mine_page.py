"""The account holder's page: what concerns the own accounts, and nothing else at all."""

from __future__ import annotations

import re

from guard_process import failure
from ringfence.answers import Allowed, Banned, BanRow, Bans, Done
from ringfence.people_answers import RequestRow, UserRow
from web_site import Browser, Site


def tried(site: Site, address: str, *accounts: str) -> None:
    """`address` tries each account in vain, and the guard has counted it."""
    site.guard.write("".join(failure(address, f"{address}-{n}-{a}", account=a) for n, a in enumerate(accounts)))


def banned(site: Site, address: str) -> int:
    def look() -> list[int]:
        return [row.id for row in site.guard.ask(Bans, "bans", match=address).rows if row.target == address]

    return site.guard.wait_for(look, f"{address} is not banned")[0]


def holder(site: Site, *accounts: str, may_ask: bool = True) -> Browser:
    return site.browser("holder", accounts=list(accounts), may_ask=may_ask)


def page_of(site: Site, browser: Browser, until: str = "") -> str:
    """The page, once all events are looked through and `until` stands on it."""

    def look() -> str:
        text = browser.get("/mine").text
        return text if until in text and 'id="behind"' not in text else ""

    return site.guard.wait_for(look, f"{until} does not appear")


def test_a_holder_sees_the_attempts_on_their_accounts_and_nobody_elses(site: Site) -> None:
    tried(site, "198.51.99.1", "7001", "7002", "sip:7001", "secret-name")
    tried(site, "198.51.99.2", "7002")
    page = page_of(site, holder(site, "7001"), "198.51.99.1")
    assert page.count("198.51.99.1") == 2 and "sip:7001" in page
    for foreign in ("7002", "secret-name", "198.51.99.2"):
        assert foreign not in page, foreign


def test_a_ban_is_shown_without_what_it_tells_of_others(site: Site) -> None:
    tried(site, "198.51.99.3", "7011", "7012", "7012", "7012", "7012", "7012")
    tried(site, "198.51.99.4", *["7012"] * 6)
    number = banned(site, "198.51.99.3")
    other = banned(site, "198.51.99.4")
    site.guard.ask(BanRow, "note_ban", id=number, note="a note of the administrators")
    browser = holder(site, "7011")
    page = page_of(site, browser, f'id="ban-{number}"')
    for foreign in ("7012", "a note of", "rule standard", f'id="ban-{other}"', "198.51.99.4"):
        assert foreign not in page, foreign


def test_nothing_on_top_of_the_page_tells_a_holder_of_others(site: Site) -> None:
    site.guard.ask(Allowed, "allow", target="198.51.99.77")
    trial = site.guard.ask(Done, "disallow", target="198.51.99.77", trial=60).trial
    assert trial is not None
    site.web.guard.changed()
    browser = holder(site, "7021")
    for path in ("/mine", "/me"):
        page = browser.get(path).text
        assert "198.51.99.77" not in page and "guarded" not in page.lower(), path
    assert "198.51.99.77" in site.browser("viewer").get("/bans").text
    site.guard.ask(Done, "keep_trial", id=trial.id)
    site.web.guard.changed()


def test_a_holder_asks_and_an_operator_grants(site: Site) -> None:
    tried(site, "198.51.99.5", *["7031"] * 6)
    number, browser, operator = banned(site, "198.51.99.5"), holder(site, "7031"), site.browser("operator")
    page_of(site, browser, f'id="ban-{number}"')
    asked = browser.post("/mine/ask", ban=str(number), reason="that is <b>my</b> telephone").text
    assert "You have asked for 198.51.99.5" in asked and "no answer yet" in asked
    listed = operator.get("/bans").text
    assert browser.name in listed and "that is &lt;b&gt;my&lt;/b&gt; telephone" in listed
    request = re.search(r'<tr id="request-(\d+)">', listed)
    assert request is not None
    assert "is granted: 1 ban of 198.51.99.5 lifted" in operator.post(f"/requests/{request[1]}/grant").text
    assert not site.guard.ask(Bans, "bans", match="198.51.99.5").rows
    answered = browser.get("/mine").text
    assert "granted" in answered and operator.name not in answered


def test_a_refused_request_leaves_the_ban(site: Site) -> None:
    tried(site, "198.51.99.6", *["7041"] * 6)
    number, browser = banned(site, "198.51.99.6"), holder(site, "7041")
    page_of(site, browser, f'id="ban-{number}"')
    browser.post("/mine/ask", ban=str(number), reason="please")
    request = next(one for one in site.guard.ask(list[RequestRow], "requests") if one.user == browser.name)
    site.browser("operator").post(f"/requests/{request.id}/refuse")
    assert "refused" in browser.get("/mine").text and banned(site, "198.51.99.6") == number


def test_nobody_asks_about_a_ban_that_does_not_concern_them(site: Site) -> None:
    """Not even whether there is one can be found out."""
    tried(site, "198.51.99.7", *["7051"] * 6)
    number, browser = banned(site, "198.51.99.7"), holder(site, "7052")
    by_hand = site.guard.ask(Banned, "ban", target="198.51.99.8", service="sip").ban.id
    answers = {
        browser.post("/mine/ask", ban=str(one), reason="x", back="/mine").text for one in (number, by_hand, 999_999_999)
    }
    for answer in answers:
        assert "there is no such ban of your accounts" in answer
    assert not [one for one in site.guard.ask(list[RequestRow], "requests") if one.user == browser.name]


def test_who_may_not_ask_sees_no_form_and_is_refused(site: Site) -> None:
    tried(site, "198.51.99.9", *["7061"] * 6)
    number, browser = banned(site, "198.51.99.9"), holder(site, "7061", may_ask=False)
    page = page_of(site, browser, f'id="ban-{number}"')
    assert "/mine/ask" not in page
    assert "you may not ask" in browser.post("/mine/ask", ban=str(number), reason="x", back="/mine").text


def test_accounts_that_are_assigned_or_taken_later_count_from_then_on(site: Site) -> None:
    tried(site, "198.51.99.10", "7071", "7072")
    browser = holder(site, "7071")
    assert "7072" not in page_of(site, browser, "198.51.99.10")
    site.guard.ask(UserRow, "change_user", name=browser.name, accounts=["7072"])
    page = page_of(site, browser, "7072")
    assert "7071" not in page


def test_the_parts_of_a_long_list_hold_every_attempt_once(site: Site) -> None:
    for number in range(60):
        tried(site, f"198.51.98.{number}", "7081")
    browser = holder(site, "7081")
    page = page_of(site, browser, "198.51.98.59")
    more = re.search(r'href="([^"]+)" rel="next"', page)
    assert more is not None
    rest = browser.get(more[1].replace("&amp;", "&")).text
    rows = re.findall(r'<tr id="event-(\d+)">', page) + re.findall(r'<tr id="event-(\d+)">', rest)
    assert len(rows) == len(set(rows)) == 60


def test_only_holders_have_the_page(site: Site) -> None:
    for role in ("administrator", "operator", "viewer"):
        assert site.browser(role).get("/mine").status_code == 403
