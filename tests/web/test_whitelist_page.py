"""The whitelist, lockdown and changes on trial, as the page does them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from ringfence.answers import Allowed, AllowRow, Applied, Banned, LockdownRow, PolicyAnswer, TrialRow
from web_site import HERE, Browser, Site


@pytest.fixture
def boss(site: Site) -> Browser:
    return site.browser()


@pytest.fixture
def flowing(site: Site) -> Iterator[None]:
    """Whatever the test did: no lockdown outlives it."""
    yield
    if site.guard.ask(LockdownRow, "lockdown").on:
        site.guard.ask(LockdownRow, "end_lockdown")
        site.web.guard.changed()


def listed(site: Site) -> set[str]:
    return {row.target for row in site.guard.ask(list[AllowRow], "whitelist")}


def trial_of(page: str) -> str:
    found = re.search(r"/trials/(\d+)/keep", page)
    assert found is not None
    return found[1]


def test_an_entry_has_service_note_expiry_and_author(site: Site, boss: Browser) -> None:
    answer = boss.post("/whitelist", target="10.20.0.0/16", service="sip", length="7d", note="the <b>office</b>")
    row = re.search(r'<tr id="entry-10.20.0.0/16-sip-own">(.*?)</tr>', answer.text, re.DOTALL)
    assert row is not None
    for told in ("10.20.0.0/16", "sip", "the &lt;b&gt;office&lt;/b&gt;", "<time", f"{boss.name} (page)"):
        assert told in row[1], told
    assert "10.20.0.0/16" in boss.get("/whitelist?q=office").text
    assert "No entry fits" in boss.get("/whitelist?q=nobody-of-that-name").text


def test_an_address_that_is_banned_is_let_in_and_that_is_said(site: Site, boss: Browser) -> None:
    site.guard.ask(Banned, "ban", target="10.21.0.1", service="sip")
    answer = boss.post("/whitelist", target="10.21.0.1", service="*", back="/whitelist")
    assert "It was banned: 1 ban lifted, 10.21.0.1 (sip)" in answer.text


def test_what_is_told_waits_for_a_reader_while_the_page_renews_itself(boss: Browser) -> None:
    """The answer to a click is shown where it leads, even if the page before fetches itself once more meanwhile."""
    boss.send("/whitelist", target="10.23.0.1", service="*", back="/whitelist")
    renewed = boss.get("/whitelist", headers={"Ringfence-Renewing": "1"})
    assert 'class="flashes"' not in renewed.text
    assert 'class="flashes"' in boss.get("/whitelist").text
    assert 'class="flashes"' not in boss.get("/whitelist").text


def test_what_a_host_name_stands_for_is_shown(site: Site, boss: Browser) -> None:
    boss.post("/whitelist", target="localhost", service="*")
    boss.post("/whitelist", target="nowhere.invalid", service="sip")
    site.guard.wait_for(lambda: "127.0.0.1" in boss.get("/whitelist?q=localhost").text, "localhost is not resolved")
    assert "does not resolve" in boss.get("/whitelist?q=nowhere").text


@pytest.mark.parametrize(("target", "why"), [("not a name", "not a name"), ("", "")])
def test_what_can_not_stand_on_the_whitelist(boss: Browser, target: str, why: str) -> None:
    answer = boss.post("/whitelist", target=target, service="*", back="/whitelist")
    assert 'class="flash bad"' in answer.text and why in answer.text


def test_a_removal_is_on_trial_and_comes_back_or_is_kept(site: Site, boss: Browser) -> None:
    site.guard.ask(Allowed, "allow", target="10.22.0.1")
    answer = boss.post("/whitelist/remove", target="10.22.0.1", service="*", back="/whitelist")
    assert "10.22.0.1 off the whitelist" in answer.text and "it comes back in" in answer.text
    assert "10.22.0.1" not in listed(site)
    boss.post(f"/trials/{trial_of(answer.text)}/undo", back="/whitelist")
    assert "10.22.0.1" in listed(site)
    answer = boss.post("/whitelist/remove", target="10.22.0.1", service="*", back="/whitelist")
    kept = boss.post(f"/trials/{trial_of(answer.text)}/keep", back="/whitelist").text
    assert "stays" in kept and "off the whitelist: undone" not in kept
    assert "10.22.0.1" not in listed(site)
    assert "10.22.0.1" not in str(site.guard.ask(list[TrialRow], "trials"))
    assert "on trial" in boss.post(f"/trials/{trial_of(answer.text)}/keep", back="/whitelist").text


def test_taking_off_what_protects_oneself_needs_the_typed_word(site: Site, boss: Browser) -> None:
    site.guard.ask(Allowed, "allow", target=HERE)
    assert "protects you" in boss.get(f"/whitelist?q={HERE}").text
    fields = {"target": HERE, "service": "*", "back": "/whitelist"}
    assert boss.post("/whitelist/remove", **fields).status_code == 409
    assert HERE in listed(site)
    answer = boss.post("/whitelist/remove", **fields, word="lockout")
    assert HERE not in listed(site)
    boss.post(f"/trials/{trial_of(answer.text)}/keep")


def test_entries_of_the_policy_are_fixed_and_lead_to_it(site: Site, boss: Browser) -> None:
    before = site.guard.ask(PolicyAnswer, "policy")
    site.guard.ask(Applied, "apply_policy", text='whitelist = ["10.23.0.0/24"]\n' + before.text)
    row = re.search(r'<tr id="entry-10.23.0.0/24-\*-policy">(.*?)</tr>', boss.get("/whitelist").text, re.DOTALL)
    site.guard.ask(Applied, "rollback", revision=before.revision)
    assert row is not None and "fixed" in row[1] and 'href="/policy"' in row[1] and "Remove" not in row[1]


def test_an_operator_decides_nothing_about_a_policy_on_trial(site: Site, boss: Browser) -> None:
    before = site.guard.ask(PolicyAnswer, "policy")
    site.guard.ask(Applied, "apply_policy", text=before.text + "\n# tried\n", trial=60)
    site.web.guard.changed()
    operator = site.browser("operator")
    assert "policy revision" in operator.get("/bans").text and "/keep" not in operator.get("/bans").text
    trial = trial_of(boss.get("/bans").text)
    assert operator.post(f"/trials/{trial}/undo").status_code == 403
    assert "was undone" in boss.post(f"/trials/{trial}/undo", back="/bans").text
    assert site.guard.ask(PolicyAnswer, "policy").text == before.text


@pytest.mark.usefixtures("flowing")
def test_a_lockdown_begins_only_with_the_box_ticked_and_on_trial(site: Site, boss: Browser) -> None:
    assert "Traffic flows" in boss.get("/lockdown").text
    fields = {"service": ["sip", "iax"], "length": "1h", "back": "/lockdown"}
    assert "tick the box" in boss.post("/lockdown/on", **fields).text
    assert "choose at least one" in boss.post("/lockdown/on", length="1h", sure="yes", back="/lockdown").text
    assert not site.guard.ask(LockdownRow, "lockdown").on
    answer = boss.post("/lockdown/on", **fields, sure="yes")
    assert "Lockdown: sip, iax interrupted for 1h" in answer.text and "lockdown on" in answer.text
    assert "Traffic is interrupted" in answer.text and "Ends by itself" in answer.text
    boss.post(f"/trials/{trial_of(answer.text)}/keep", back="/lockdown")
    row = site.guard.ask(LockdownRow, "lockdown")
    assert row.on and row.services == ("sip", "iax") and row.until != "forever"
    answer = boss.post("/lockdown/off")
    assert "The lockdown is over" in answer.text and not site.guard.ask(LockdownRow, "lockdown").on
    boss.post(f"/trials/{trial_of(answer.text)}/undo")
    assert site.guard.ask(LockdownRow, "lockdown").on


@pytest.mark.usefixtures("flowing")
def test_a_lockdown_of_one_service_until_it_is_switched_off(site: Site, boss: Browser) -> None:
    answer = boss.post("/lockdown/on", service="iax", length="forever", sure="yes")
    assert "iax interrupted until it is switched off" in answer.text
    assert "it has to be switched off" in answer.text
    assert site.guard.ask(LockdownRow, "lockdown").services == ("iax",)


@pytest.mark.usefixtures("flowing")
def test_a_lockdown_that_would_close_the_page_needs_the_typed_word(site: Site, boss: Browser) -> None:
    fields = {"service": "web", "length": "1h", "sure": "yes"}
    refused = boss.post("/lockdown/on", **fields)
    assert refused.status_code == 409 and "close this page" in refused.text
    assert not site.guard.ask(LockdownRow, "lockdown").on
    assert "web interrupted" in boss.post("/lockdown/on", **fields, word="lockout").text


def test_what_would_stay_open_is_shown(site: Site, boss: Browser) -> None:
    site.guard.ask(Allowed, "allow", target="10.24.0.1", service="sip", note="the other exchange")
    site.guard.ask(Allowed, "allow", target="10.24.0.2", service="ssh")
    page = html.unescape(boss.get("/lockdown").text)
    assert "10.24.0.1" in page and "the other exchange" in page and "10.24.0.2" not in page


def test_who_only_looks_changes_nothing(site: Site) -> None:
    viewer = site.browser("viewer")
    for path in ("/whitelist", "/lockdown"):
        page = viewer.get(path)
        assert page.status_code == 200 and 'action="/whitelist' not in page.text.replace('method="get" action', "")
        assert 'action="/lockdown' not in page.text
    for path in ("/whitelist", "/whitelist/remove", "/lockdown/on", "/lockdown/off"):
        assert viewer.post(path, target="10.25.0.1", sure="yes", length="1h", service="sip").status_code == 403
    holder = site.browser("holder")
    for path in ("/bans", "/bans/1", "/bans/unban-all", "/whitelist", "/lockdown"):
        assert holder.get(path).status_code == 403, path
