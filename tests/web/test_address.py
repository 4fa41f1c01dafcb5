"""The page of an address: everything it did, why it is banned or not, and what one can do about it."""

from __future__ import annotations

import re
import time

import pytest

from guard_process import failure
from ringfence.answers import Banned, Bans
from web_site import Site


def attack(site: Site, address: str, count: int, account: str = "100") -> None:
    """`count` attempts, counted when this returns."""
    site.guard.write(
        "".join(failure(address, f"{address}-{time.monotonic_ns()}", account=account) for _ in range(count))
    )
    site.guard.wait_for(lambda: site.seen(address) >= count, f"{address} was not counted")


def test_an_address_that_is_not_banned_tells_how_near_the_rules_are(site: Site) -> None:
    attack(site, "198.18.15.1", 3)
    page = site.browser("viewer").get("/attacks/198.18.15.1").text
    assert "Why it is not banned" in page and "3 of 5 attempts" in page
    assert page.count('<tr id="e-') == 3
    assert 'class="bars"' in page


def test_a_banned_address_tells_the_rule_and_what_led_to_it(site: Site) -> None:
    attack(site, "198.18.15.2", 6, account="victim")
    page = site.browser("viewer").get("/attacks/198.18.15.2").text
    assert "Why it is banned" in page and "rule standard fired" in page
    assert "The attempts that led to it" in page and "<bdi>victim</bdi>" in page


def test_an_address_nobody_saw_has_a_page_too(site: Site) -> None:
    page = site.browser("viewer").get("/attacks/198.18.15.3").text
    assert "has never failed to log in" in page and "It was never banned" in page


def test_a_network_shows_what_its_addresses_did(site: Site) -> None:
    attack(site, "198.18.16.1", 2)
    attack(site, "198.18.16.9", 6)
    page = site.browser("viewer").get("/attacks/198.18.16.0/24").text
    assert "<dt>Attempts</dt><dd>8</dd>" in page and "<dt>Addresses seen</dt><dd>2</dd>" in page
    assert page.count('<tr id="e-') == 8
    assert re.search(r'<tr id="b-\d+">.{1,200}198\.18\.16\.9', page, re.DOTALL)
    assert "198.18.16.0/24 is not banned" in page and "never failed" not in page


def test_every_event_is_found_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.web.pages.address.EVENTS", 3)
    attack(site, "198.18.15.4", 8)
    attack(site, "198.18.17.1", 4)
    attack(site, "198.18.17.2", 4)
    browser = site.browser("viewer")
    for target, count in (("198.18.15.4", 8), ("198.18.17.0/24", 8)):
        path, seen = f"/attacks/{target}", []
        while path:
            page = browser.get(path).text
            seen += re.findall(r'<tr id="e-(\d+)">', page)
            more = re.search(r'<a href="([^"]+)" rel="next">', page)
            path = more[1].replace("&amp;", "&") if more else ""
        assert len(seen) == len(set(seen)) == count


def test_events_are_filtered_by_account_and_outcome(site: Site) -> None:
    attack(site, "198.18.15.5", 2, account="first")
    attack(site, "198.18.15.5", 2, account="second")
    site.guard.wait_for(lambda: site.seen("198.18.15.5") >= 4, "not counted")
    browser = site.browser("viewer")
    assert browser.get("/attacks/198.18.15.5?account=SECO").text.count('<tr id="e-') == 2
    assert browser.get("/attacks/198.18.15.5?outcome=succeeded").text.count('<tr id="e-') == 0
    assert browser.get("/attacks/198.18.15.5?outcome=odd&service=none").status_code == 200


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [("2001:DB8:0::1", "2001:db8::1"), ("198.18.15.77/24", "198.18.15.0/24"), ("::ffff:198.18.15.8", "198.18.15.8")],
)
def test_other_spellings_lead_to_the_same_page(site: Site, typed: str, canonical: str) -> None:
    answer = site.browser("viewer").get(f"/attacks/{typed}")
    assert answer.url.path == f"/attacks/{canonical}" and answer.status_code == 200


@pytest.mark.parametrize("path", ["nothing", "..%2f..%2fetc%2fpasswd", "1.2.3", "fe80::1%25eth0", "%00", "a" * 3000])
def test_what_is_no_address_is_not_found(site: Site, path: str) -> None:
    assert site.browser("viewer").get(f"/attacks/{path}").status_code in (404, 400)


def test_a_note_is_kept_with_the_ban_and_a_ban_is_lifted(site: Site) -> None:
    made = site.guard.ask(Banned, "ban", target="198.18.15.9", seconds=600)
    browser, here = site.browser("operator"), "/attacks/198.18.15.9"
    page = browser.post("/attacks/note", id=str(made.ban.id), note="called <b>Bob</b>", back=here).text
    assert "The note on the ban of 198.18.15.9 is kept" in page and "called &lt;b&gt;Bob" in page
    page = browser.post("/attacks/unban", id=str(made.ban.id), back=here).text
    assert "1 ban lifted: 198.18.15.9" in page and "Why it is not banned" in page
    assert site.guard.ask(Bans, "bans", match="198.18.15.9").rows == []
    assert "No ban was running any more" in browser.post("/attacks/unban", id=str(made.ban.id), back=here).text


def test_a_ban_of_a_network_around_it_is_told_on_the_page_of_the_address(site: Site) -> None:
    site.guard.ask(Banned, "ban", target="198.18.18.0/23", seconds=600)
    page = site.browser("viewer").get("/attacks/198.18.19.7").text
    assert "198.18.19.7 is banned from all services" in page and 'href="/attacks/198.18.18.0%2F23"' in page


def test_one_is_marked_on_ones_own_page_and_in_ones_own_network(site: Site) -> None:
    browser = site.browser("viewer", "198.18.15.10")
    for path, mine in (
        ("198.18.15.10", True),
        ("198.18.15.0/24", True),
        ("198.18.15.11", False),
        ("198.18.16.0/24", False),
    ):
        assert ("you are here" in browser.get(f"/attacks/{path}").text) is mine


def test_hostile_names_are_inert(site: Site) -> None:
    for name in ("\u202egnp.exe", "\x1b[31mroot", "'-'><img/src=x>"):
        site.guard.write(failure("198.18.15.12", f"h{time.monotonic_ns()}", account=name))
    site.guard.wait_for(lambda: site.seen("198.18.15.12") >= 2, "not counted")
    page = site.browser("viewer").get("/attacks/198.18.15.12").text
    assert "\u202e" not in page and "\x1b" not in page and "<img" not in page


def test_a_large_network_is_banned_on_trial(site: Site) -> None:
    browser = site.browser("operator")
    page = browser.post("/attacks/ban", target="192.10.0.0/16", length="1h").text
    assert "192.10.0.0/16 is banned" in page
    (trial,) = re.findall(r"/trials/(\d+)/undo", page)
    browser.post(f"/trials/{trial}/undo")
    assert site.guard.ask(Bans, "bans", match="192.10.0.0").rows == []
