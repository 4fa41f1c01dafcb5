"""The bans: who looks sees who is kept out and why; who may act lifts, changes and makes bans."""

from __future__ import annotations

import html
import re

import pytest

from guard_process import failure, failures
from ringfence.answers import Banned, Bans
from web_site import HERE, Browser, Site


@pytest.fixture
def boss(site: Site) -> Browser:
    return site.browser()


def bans_of(site: Site, target: str) -> list[str]:
    """The services from which `target` is banned now."""
    return [row.service for row in site.guard.ask(Bans, "bans", match=target).rows if row.target == target]


def number_of(site: Site, target: str) -> int:
    found = site.guard.ask(Bans, "bans", match=target, history=True).rows
    return next(row.id for row in found if row.target == target)


def attack(site: Site, address: str, text: str = "") -> None:
    """`address` earns itself a ban by the rule."""
    site.guard.write(text or failures(address, 6))
    site.guard.wait_for(lambda: bans_of(site, address), f"{address} is not banned")


def row_of(page: str, number: int) -> str:
    """The row of a ban, its marks taken away."""
    found = re.search(rf'<tr id="ban-{number}">(.*?)</tr>', page, re.DOTALL)
    assert found is not None, page
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[1])))


def test_a_ban_by_a_rule_shows_address_service_cause_account_state_and_rule(site: Site, boss: Browser) -> None:
    attack(site, "198.51.100.11")
    row = row_of(boss.get("/bans?q=198.51.100.11").text, number_of(site, "198.51.100.11"))
    for told in ("198.51.100.11", "sip", "wrong password", "100", "rule standard", "wanted", "until"):
        assert told in row, told


def test_what_an_attacker_writes_is_shown_inert(site: Site, boss: Browser) -> None:
    evil = "<script>alert(1)</script>"
    lines = "".join(failure("198.51.100.12", f"evil-{n}", account=f"{evil}\u202e{n}") for n in range(6))
    attack(site, "198.51.100.12", lines)
    for path in ("/bans?q=198.51.100.12", f"/bans/{number_of(site, '198.51.100.12')}"):
        page = boss.get(path).text
        assert evil not in page and "\u202e" not in page
        assert "&lt;script&gt;" in page and "\\u202e" in page


def test_a_ban_by_hand_with_its_length_and_note(site: Site, boss: Browser) -> None:
    answer = boss.post(
        "/bans", target="198.51.100.13", service="sip", length="1h", note="called at night", back="/bans"
    )
    assert "198.51.100.13 is banned from sip for 1h" in answer.text
    row = row_of(answer.text, number_of(site, "198.51.100.13"))
    assert "called at night" in row and f"{boss.name} (page)" in row


def test_a_length_as_it_is_typed_goes_before_the_one_that_is_chosen(site: Site, boss: Browser) -> None:
    answer = boss.post("/bans", target="198.51.100.14", service="*", length="1h", custom="3d", back="/bans")
    assert "198.51.100.14 is banned from all services for 3d" in answer.text


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"target": "nonsense", "length": "1h"}, "nonsense"),
        ({"target": "198.51.100.15", "length": "soon"}, "the length of time must be a duration"),
        ({"target": "198.51.100.15", "length": "1h", "service": "no-such"}, "there is no service"),
        ({"target": "198.51.100.15", "length": "1h", "note": "x" * 1001}, "a note has at most"),
    ],
)
def test_what_can_not_be_banned_is_told_on_the_page(
    site: Site, boss: Browser, fields: dict[str, str], why: str
) -> None:
    answer = boss.post("/bans", **fields, back="/bans?show=all")
    assert answer.status_code == 200 and why in html.unescape(answer.text)
    assert str(answer.url).endswith("/bans?show=all")
    assert not bans_of(site, "198.51.100.15")


def test_banning_the_address_where_one_looks_from_needs_the_typed_word(site: Site, boss: Browser) -> None:
    fields = {"target": HERE, "service": "imap", "length": "1h", "back": "/bans"}
    refused = boss.post("/bans", **fields)
    assert refused.status_code == 409 and "where you are looking from" in refused.text
    assert boss.post("/bans", **fields, word="yes").status_code == 200 and not bans_of(site, HERE)
    assert "is banned from imap" in boss.post("/bans", **fields, word="lockout").text
    number = number_of(site, HERE)
    assert "you are here" in row_of(boss.get(f"/bans?q={HERE}").text, number)
    longer = {"length": "7d", "back": f"/bans/{number}"}
    assert boss.post(f"/bans/{number}/change", **longer).status_code == 409
    assert "for 7d" in boss.post(f"/bans/{number}/change", **longer, word="lockout").text
    boss.post("/bans/unban", one=str(number))
    assert not bans_of(site, HERE)


def test_a_large_network_is_on_trial_and_is_undone_or_kept(site: Site, boss: Browser) -> None:
    answer = boss.post("/bans", target="192.88.0.0/16", service="sip", length="1d", back="/bans")
    assert "It is a large network" in answer.text and "ban of 192.88.0.0/16" in answer.text
    trial = re.search(r"/trials/(\d+)/undo", answer.text)
    assert trial is not None
    assert "was undone" in boss.post(f"/trials/{trial[1]}/undo", back="/bans").text
    assert not bans_of(site, "192.88.0.0/16")
    answer = boss.post("/bans", target="192.88.0.0/24", service="sip", length="1d", back="/bans")
    assert "is banned" in answer.text and "/trials/" not in answer.text


def test_one_and_the_selected_bans_are_lifted_and_no_other(site: Site, boss: Browser) -> None:
    targets = [f"198.51.100.{number}" for number in range(21, 25)]
    for target in targets:
        site.guard.ask(Banned, "ban", target=target, service="sip")
    numbers = [number_of(site, target) for target in targets]
    assert "1 ban lifted: 198.51.100.21 (sip)" in boss.post("/bans/unban", one=str(numbers[0])).text
    assert "2 bans lifted" in boss.post("/bans/unban", ban=[str(number) for number in numbers[1:3]]).text
    assert [bool(bans_of(site, target)) for target in targets] == [False, False, False, True]
    assert "had ended already" in boss.post("/bans/unban", one=str(numbers[0])).text
    assert "no ban is selected" in boss.post("/bans/unban", back="/bans").text


def test_all_bans_are_lifted_only_by_who_says_that_it_is_meant(site: Site, boss: Browser) -> None:
    for service in ("ftp", "pop3"):
        site.guard.ask(Banned, "ban", target="198.51.100.31", service=service)
    assert "bans run now" in boss.get("/bans/unban-all").text
    assert "tick the box" in boss.post("/bans/unban-all", service="ftp", back="/bans/unban-all").text
    assert sorted(bans_of(site, "198.51.100.31")) == ["ftp", "pop3"]
    assert "1 ban from ftp lifted" in boss.post("/bans/unban-all", service="ftp", sure="yes").text
    assert bans_of(site, "198.51.100.31") == ["pop3"]
    boss.post("/bans/unban-all", service="any", sure="yes")
    assert site.guard.ask(Bans, "bans").total == 0


def test_more_bans_than_one_command_lifts_are_all_lifted(
    site: Site, boss: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.web.pages.bans.AT_ONCE", 3)
    for number in range(8):
        site.guard.ask(Banned, "ban", target=f"198.51.100.{40 + number}", service="ldap")
    assert "8 bans from ldap lifted" in boss.post("/bans/unban-all", service="ldap", sure="yes").text


def test_the_page_of_one_ban_tells_its_whole_story(site: Site, boss: Browser) -> None:
    attack(site, "198.51.100.51")
    number = number_of(site, "198.51.100.51")
    path = f"/bans/{number}"
    assert "for 7d" in boss.post(f"{path}/change", length="7d", back=path).text
    assert "is written" in boss.post(f"{path}/note", note="a customer", back=path).text
    boss.post("/bans/unban", one=str(number))
    page = boss.get(path).text
    for told in (
        "made",
        "another end",
        "lifted",
        "rule standard",
        f"{boss.name} (page)",
        "a customer",
        "messages, line",
    ):
        assert told in page, told
    assert "Unban" not in page
    assert "198.51.100.51" in boss.get("/bans?show=ended&q=198.51.100.51").text
    assert f'id="ban-{number}"' not in boss.get("/bans?q=198.51.100.51").text


@pytest.mark.parametrize("path", ["/bans/0", "/bans/99999999999999999999", "/bans/x", "/bans/-1"])
def test_a_ban_that_there_is_not(boss: Browser, path: str) -> None:
    assert boss.get(path).status_code == 404


def test_filters_sorts_and_parts_of_the_list(site: Site, boss: Browser) -> None:
    for number in range(60):
        site.guard.ask(Banned, "ban", target=f"203.0.112.{number}", service="smtp", seconds=3600 + number)
    for sort in ("since", "until", "target", "service"):
        for order in ("asc", "desc"):
            page = boss.get(f"/bans?service=smtp&sort={sort}&order={order}").text
            more = re.search(r'href="([^"]+)" rel="next"', page)
            assert more is not None and "50 of 60" in page
            rest = boss.get(html.unescape(more[1])).text
            rows = re.findall(r'<tr id="(ban-\d+)">', page) + re.findall(r'<tr id="(ban-\d+)">', rest)
            assert len(rows) == len(set(rows)) == 60, (sort, order)
    assert "1 of 1" in boss.get("/bans?q=203.0.112.59").text
    assert "16 of 16" in boss.get("/bans?q=203.0.112.16/28").text
    assert "No ban fits" in boss.get("/bans?service=smtp&state=enforced").text
    assert "No ban fits" in boss.get("/bans?service=smtp&rule=standard").text


@pytest.mark.parametrize(
    "query",
    [
        "cursor=AAAA", "cursor=W10=", "cursor=WzEsMl0=", "cursor=WyJhIiwiYiJd", "sort=evil;--&order=up", "show=../x",
        "q=%ED%A0%80%00%1b", "q=1.2.3.4/99", "service=%27&state=%00&rule=%22&account=%25", "cursor=WzFlOTk5LDFd",
        "q=a&q=b", "cursor=%F0%9F%98%80",
    ],
)  # fmt: skip
def test_an_address_that_was_typed_in_wrongly_still_shows_a_page(boss: Browser, query: str) -> None:
    assert boss.get(f"/bans?{query}").status_code == 200


def test_who_only_looks_changes_nothing(site: Site) -> None:
    site.guard.ask(Banned, "ban", target="198.51.100.61", service="sip")
    number, viewer = number_of(site, "198.51.100.61"), site.browser("viewer")
    page = viewer.get("/bans?q=198.51.100.61").text
    assert "198.51.100.61" in page and "Unban" not in page and "Ban by hand" not in page
    for path, fields in (
        ("/bans", {"target": "198.51.100.62", "length": "1h"}), ("/bans/unban", {"one": str(number)}),
        ("/bans/unban-all", {"sure": "yes"}), (f"/bans/{number}/change", {"length": "1h"}),
        (f"/bans/{number}/note", {"note": "x"}), ("/requests/1/grant", {}), ("/requests/1/refuse", {}),
        ("/trials/1/keep", {}), ("/trials/1/undo", {}),
    ):  # fmt: skip
        assert viewer.post(path, **fields).status_code == 403, path
    assert bans_of(site, "198.51.100.61") == ["sip"]
    operator = site.browser("operator")
    assert "1 ban lifted" in operator.post("/bans/unban", one=str(number)).text
