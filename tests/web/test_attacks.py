"""The attack list: found, sorted, paged, exported, and one click bans who is on it."""

from __future__ import annotations

import csv
import io
import re
import time
from typing import Any

import pytest

from guard_process import failure
from ringfence.answers import Bans, Done
from ringfence.web.exporting import cell
from web_site import Site

LINK = re.compile(r'<tr id="a-([^"]+)">')


def attack(site: Site, *addresses: str, count: int = 2, account: str = "100") -> None:
    """`count` attempts of each, counted when this returns."""
    for address in addresses:
        text = "".join(failure(address, f"{address}-{time.monotonic_ns()}", account=account) for _ in range(count))
        site.guard.write(text)
    for address in addresses:
        site.guard.wait_for(lambda address=address: site.seen(address) >= count, f"{address} was not counted")  # type: ignore[misc]


def rows(page: str) -> list[str]:
    return LINK.findall(page)


def bans_of(site: Site, target: str) -> list[Any]:
    return [row for row in site.guard.ask(Bans, "bans", match=target).rows if row.target == target]


def test_the_list_is_found_by_a_part_of_an_address_a_network_and_an_account(site: Site) -> None:
    attack(site, "198.18.2.11", "198.18.2.12", account="finder77")
    browser = site.browser("viewer")
    assert rows(browser.get("/attacks?q=198.18.2.11").text) == ["198.18.2.11"]
    assert set(rows(browser.get("/attacks?q=198.18.2.8/29").text)) >= {"198.18.2.11", "198.18.2.12"}
    assert set(rows(browser.get("/attacks?account=INDER77").text)) == {"198.18.2.11", "198.18.2.12"}


def test_the_count_is_that_of_the_question_that_was_asked(site: Site) -> None:
    attack(site, *[f"198.18.5.{number}" for number in range(30)], count=1, account="198.18.5.")
    browser = site.browser("viewer")
    assert "25 of 30 attackers that fit" in browser.get("/attacks?q=198.18.5.&show=25").text
    attack(site, "198.18.6.1", count=1, account="198.18.5.")
    assert "25 of 31 attackers that fit" in browser.get("/attacks?account=198.18.5.&show=25").text


def test_level_service_period_and_ban_filter(site: Site) -> None:
    attack(site, "198.18.2.21", count=8)
    attack(site, "198.18.2.22")
    browser = site.browser("viewer")

    def found(query: str) -> list[str]:
        return rows(browser.get(f"/attacks?q=198.18.2.2&{query}").text)

    assert "198.18.2.21" in found("level=threatening") and "198.18.2.22" not in found("level=threatening")
    assert "198.18.2.22" in found("level=harmless") and "198.18.2.21" not in found("level=harmless")
    assert "198.18.2.21" in found("banned=yes") and "198.18.2.22" not in found("banned=yes")
    assert "198.18.2.22" in found("service=sip&period=1h") and found("service=ssh") == []
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert "198.18.2.22" in found(f"from={day}&to={day}") and found("to=2001-01-01") == []


def test_sorting_goes_both_ways_and_says_so_to_screen_readers(site: Site) -> None:
    attack(site, "198.18.2.31", "198.18.2.32", "198.18.2.33")
    browser = site.browser("viewer")
    up = browser.get("/attacks?q=198.18.2.3&sort=address").text
    down = browser.get("/attacks?q=198.18.2.3&sort=address&order=down").text
    assert rows(up) == sorted(rows(up)) and rows(down) == rows(up)[::-1]
    assert 'aria-sort="ascending"' in up and 'aria-sort="descending"' in down


@pytest.mark.parametrize("sort", ["attempts", "last_seen", "first_seen", "address"])
def test_pages_follow_each_other_without_gap_or_repetition(site: Site, sort: str) -> None:
    addresses = [f"198.18.3.{number}" for number in range(60)]
    if not site.seen("198.18.3.59"):
        attack(site, *addresses, count=1)
    browser = site.browser("viewer")
    path, seen = f"/attacks?q=198.18.3.&show=25&sort={sort}", []
    while path:
        page = browser.get(path).text
        seen += rows(page)
        more = re.search(r'<a href="([^"]+)" rel="next">', page)
        path = more[1].replace("&amp;", "&") if more else ""
    assert sorted(seen) == sorted(addresses)


@pytest.mark.parametrize(
    "query",
    ["q=300.1.1.1/99", "level=evil", "period=1y", "banned=maybe", "sort=name", "show=1000000", "from=yesterday",
     "cursor=AAAA", "cursor=WzFlOTk5LCJhIl0", "cursor=%00", "q=%ED%A0%80", "q=fe80::%25eth0/64",
     "account=%00", "service=nothing", "from=9999-12-31&to=0001-01-01"],
)  # fmt: skip
def test_what_makes_no_sense_is_passed_over(site: Site, query: str) -> None:
    assert site.browser("viewer").get(f"/attacks?{query}").status_code == 200


def test_one_click_bans_for_the_usual_times(site: Site) -> None:
    attack(site, "198.18.2.41")
    browser = site.browser("operator")
    for length, least, most in [("1h", 3500, 3600), ("1d", 86_000, 86_400), ("365d", 31_000_000, 31_536_000)]:
        page = browser.post("/attacks/ban", target="198.18.2.41", length=length, back="/attacks?q=198.18.2.41").text
        assert "198.18.2.41 is banned from all services" in page
        assert rows(page) == ["198.18.2.41"]
        (ban,) = bans_of(site, "198.18.2.41")
        from datetime import datetime

        left = datetime.fromisoformat(ban.until).timestamp() - time.time()
        assert least < left <= most and ban.author == f"user:{browser.name}@web"
    browser.post("/attacks/ban", target="198.18.2.41", length="forever")
    assert bans_of(site, "198.18.2.41")[0].until == "forever"


def test_any_other_length_and_one_service_may_be_typed(site: Site) -> None:
    browser = site.browser("operator")
    page = browser.post("/attacks/ban", target="198.18.2.42", length="custom", custom="90m", service="sip", note="n1")
    assert "198.18.2.42 is banned from sip for 1h 30m" in page.text
    assert [(ban.service, ban.note) for ban in bans_of(site, "198.18.2.42")] == [("sip", "n1")]
    refused = browser.post("/attacks/ban", target="198.18.2.43", length="custom", custom="soon").text
    assert "the length of time must be a duration" in refused and bans_of(site, "198.18.2.43") == []


def test_banning_where_one_looks_from_asks_for_a_typed_word(site: Site) -> None:
    here = "198.18.2.44"
    browser = site.browser("operator", here)
    asked = browser.post("/attacks/ban", target=here, length="1h")
    assert asked.status_code == 409 and "where you are looking from" in asked.text and bans_of(site, here) == []
    browser.post("/attacks/ban", target=here, length="1h", word="wrong")
    assert bans_of(site, here) == []
    browser.post("/attacks/ban", target=here, length="1h", word="lockout")
    assert len(bans_of(site, here)) == 1


def test_the_whitelist_lifts_a_ban_and_says_so(site: Site) -> None:
    browser = site.browser("operator")
    browser.post("/attacks/ban", target="198.18.2.45", length="1d")
    page = browser.post("/attacks/allow", target="198.18.2.45", note="the office").text
    assert "198.18.2.45 is on the whitelist for all services; it was banned: 1 ban lifted" in page
    assert bans_of(site, "198.18.2.45") == []
    site.guard.ask(Done, "disallow", target="198.18.2.45")


def test_a_viewer_sees_no_buttons_and_can_do_nothing(site: Site) -> None:
    attack(site, "198.18.2.46")
    viewer = site.browser("viewer")
    page = viewer.get("/attacks?q=198.18.2.46").text
    assert rows(page) == ["198.18.2.46"] and "/attacks/ban" not in page
    for path in ("/attacks/ban", "/attacks/allow", "/attacks/unban", "/attacks/note"):
        assert viewer.post(path, target="198.18.2.46", length="1h", id="1").status_code == 403
        assert site.browser("holder").post(path, target="198.18.2.46", length="1h", id="1").status_code == 403
    assert bans_of(site, "198.18.2.46") == []


@pytest.mark.parametrize("path", ["/attacks", "/attacks.csv", "/attacks.json", "/attacks/198.18.2.1"])
def test_the_list_is_for_who_may_see_the_server(site: Site, path: str) -> None:
    assert site.browser("holder").client.get(path).status_code == 403
    assert site.client().get(path).status_code == 303
    assert site.browser("viewer").client.get(path).status_code == 200


def test_csv_holds_what_the_filter_keeps_and_no_formula(site: Site) -> None:
    attack(site, "198.18.2.51", account="=1+1|calc", count=1)
    attack(site, "198.18.2.52", account="\x1b[31mred", count=1)
    attack(site, "198.18.2.53", account="-2+3|calc", count=1)
    answer = site.browser("viewer").get("/attacks.csv?q=198.18.2.5&sort=address")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["address"] for row in table if row["address"] < "198.18.2.54"] == [f"198.18.2.5{n}" for n in (1, 2, 3)]
    accounts = {row["address"]: row["accounts"] for row in table}
    assert accounts["198.18.2.51"] == "'=1+1|calc" and accounts["198.18.2.53"] == "'-2+3|calc"
    assert accounts["198.18.2.52"] == "\\x1b[31mred" and "\x1b" not in answer.text


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "\u00a0@x", "'=1", "a=1", ""]
)
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    shown = cell(text)
    assert not shown.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert text.strip("\t\r\n ") in shown
    assert not {"\t", "\r", "\n"} & set(shown)


def test_json_is_whole_over_several_pages_and_plain_ascii(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.web.pages.attacks.AT_ONCE", 7)
    attack(site, *[f"198.18.4.{number}" for number in range(20)], count=1, account="\u202ename")
    answer = site.browser("viewer").get("/attacks.json?q=198.18.4.")
    found = answer.json()
    assert len(found) == 20 and {row["address"] for row in found} == {f"198.18.4.{number}" for number in range(20)}
    assert found[0]["accounts"] == ["\u202ename"] and answer.content.isascii()


def test_an_empty_export_is_an_empty_list(site: Site) -> None:
    browser = site.browser("viewer")
    assert browser.get("/attacks.json?account=nobody-tried-this").json() == []
    assert len(browser.get("/attacks.csv?account=nobody-tried-this").text.splitlines()) == 1


def test_the_boundary_of_levels_is_that_of_the_policy(site: Site) -> None:
    text = site.guard.ask(dict, "policy")["text"]
    attack(site, "198.18.2.61", count=3)
    browser = site.browser("viewer")
    assert "198.18.2.61" in rows(browser.get("/attacks?q=198.18.2.61&level=harmless").text)
    site.guard.ask(dict, "apply_policy", text=text + "\n[limits]\nharmless = 2\n")
    try:
        page = browser.get("/attacks?q=198.18.2.61&level=threatening").text
        assert "198.18.2.61" in rows(page) and "above 2 attempts" in page
    finally:
        site.guard.ask(dict, "apply_policy", text=text)


def test_a_form_of_another_page_bans_nobody(site: Site) -> None:
    browser = site.browser("operator")
    assert browser.client.post("/attacks/ban", data={"target": "198.18.2.62", "length": "1h"}).status_code == 403
    assert bans_of(site, "198.18.2.62") == []
