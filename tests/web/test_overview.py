"""The first page: what is guarded, what is going on, and a chart whose numbers are those of the ledger."""

from __future__ import annotations

import time

import pytest

from guard_process import failure, failures
from ringfence.answers import Banned
from web_site import Site


def attack(site: Site, address: str, count: int) -> None:
    """`count` attempts of `address`, counted when this returns."""
    site.guard.write(failures(address, count))
    site.guard.wait_for(lambda: site.seen(address) >= count, f"{address} was not counted")


def test_the_overview_says_exactly_what_is_wrong(site: Site) -> None:
    page = site.browser("viewer").get("/").text
    assert "Not everything is guarded" in page and "nothing is blocked" in page


def test_an_attack_its_account_and_its_ban_stand_on_the_overview(site: Site) -> None:
    attack(site, "198.18.9.201", 6)
    page = site.browser("viewer").get("/").text
    assert 'href="/attacks/198.18.9.201"' in page
    assert "Top attackers" in page and "Most tried accounts" in page and "Newest bans" in page
    assert "rule standard" in page
    assert "on paper only" in page and ">banned<" not in page  # monitor mode: nothing is said that is not so


def test_without_javascript_the_numbers_of_the_chart_stand_in_an_open_table(site: Site) -> None:
    attack(site, "198.18.9.202", 3)
    page = site.browser("viewer").get("/").text
    assert '<details id="chart-table" open>' in page
    assert '<th scope="col" class="number">sip</th>' in page


@pytest.mark.parametrize("name", ["hour", "day", "month"])
def test_the_data_of_the_chart_add_up_to_what_was_counted(site: Site, name: str) -> None:
    attack(site, "198.18.9.203", 7)
    answer = site.browser("viewer").get(f"/chart?range={name}")
    chart = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert len({len(chart["times"]), len(chart["bans"]), *(len(line["counts"]) for line in chart["services"])}) == 1
    sip = next(line for line in chart["services"] if line["name"] == "sip")
    assert sum(sip["counts"]) == sip["total"] >= 7
    assert sum(chart["bans"]) >= 1
    assert chart["times"][-1] <= time.time() < chart["times"][-1] + chart["step"] + 60


def test_zooming_in_fetches_finer_slots(site: Site) -> None:
    browser, now = site.browser("viewer"), time.time()
    coarse = browser.get("/chart?range=day").json()
    fine = browser.get(f"/chart?since={now - 3600}&until={now}").json()
    assert fine["step"] < coarse["step"]
    assert fine["times"][0] >= now - 3600 - fine["step"]


@pytest.mark.parametrize(
    "query", ["range=year", "since=x&until=y", "since=nan&until=inf", "since=1e300&until=-1e300", "since=0&until=1"]
)
def test_whatever_is_asked_of_the_chart_it_answers(site: Site, query: str) -> None:
    assert site.browser("viewer").get(f"/chart?{query}").json()["times"]


def test_an_account_holder_is_sent_on_to_what_concerns_them(site: Site) -> None:
    holder = site.browser("holder")
    answer = holder.client.get("/")
    assert answer.status_code == 303 and answer.headers["location"] == "/mine"
    assert holder.client.get("/chart").status_code == 403


def test_hostile_accounts_stand_inert_on_the_overview(site: Site) -> None:
    for name in ("\u202egnp.exe", "\x1b[31mroot"):
        site.guard.write(failure("198.18.9.204", f"hostile-{name!r}", account=name) * 1)
    site.guard.wait_for(lambda: site.seen("198.18.9.204") >= 2, "not counted")
    page = site.browser("viewer").get("/").text
    assert "\u202e" not in page and "\x1b" not in page


def test_the_address_one_looks_from_is_marked(site: Site) -> None:
    here = "198.18.9.205"
    attack(site, here, 9)
    assert "you are here" in site.browser("viewer", here).get("/").text


def test_the_newest_bans_tell_who_made_them(site: Site) -> None:
    site.guard.ask(Banned, "ban", target="198.18.9.206", seconds=60, note="")
    page = site.browser("viewer").get("/").text
    assert page.index("198.18.9.206") > page.index("Newest bans")
