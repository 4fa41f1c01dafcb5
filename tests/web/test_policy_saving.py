"""Before and after a policy is saved: the difference, what it would have done, the trial, the history, the way back."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from guard_process import failures
from ringfence.answers import TrialRow
from web_policy import apply, change, in_force, unchanged
from web_site import Browser, Site

__all__ = ["unchanged"]


def compared(browser: Browser, days: str = "1") -> str:
    """The review after a comparison of `days`."""
    browser.post("/policy/whatif", days=days, note="why <x>")
    end = time.monotonic() + 60
    while browser.get("/policy/whatif").json()["status"] == "running":
        assert time.monotonic() < end
        time.sleep(0.1)
    return browser.get("/policy/review").text


def attempts(site: Site, address: str, count: int) -> None:
    """Failed registrations of `address`, recorded."""
    site.guard.write(failures(address, count))
    ledger = site.web.readers.ledger
    site.guard.wait_for(lambda: len(list(ledger().events_of(address))) >= count, "the attempts are not recorded")


def report(site: Site, address: str, outcome: str, account: str, count: int = 1) -> None:
    event = {"service": "sip", "outcome": outcome, "address": address, "account": account}
    site.guard.ask(dict, "report_events", events=[event] * count)


def test_a_saved_draft_is_a_revision_with_note_on_trial_and_in_the_history(site: Site) -> None:
    browser, before = site.browser(), in_force(site)
    change(browser, ban="5h")
    review = browser.get("/policy/review").text
    assert "rule standard for sip: ban 2h → 5h" in review
    page = browser.post("/policy/save", note="long <b>nights</b>").text
    now = in_force(site)
    assert now.revision == before.revision + 1 and now.note == "long <b>nights</b>" and browser.name in now.author
    assert f"Revision {now.revision} is in force" in page and "Keep it" in page and "This is your draft" not in page
    trial = site.guard.ask(list[TrialRow], "trials")[0]
    assert trial.kind == "policy" and 50 < trial.left <= 60
    history = site.browser("viewer").get("/policy/history").text
    assert "long &lt;b&gt;nights&lt;/b&gt;" in history and "rule standard for sip: ban 2h → 5h" in history
    assert browser.name in history
    browser.post(f"/trials/{trial.id}/undo")
    assert in_force(site).text == before.text


def _roll_back(browser: Browser, revision: int, force: int) -> str:
    """Back to `revision` from a page that showed `force` in force."""
    fields: dict[str, Any] = {"revision": str(revision), "force": str(force), "note": "eight was wrong"}
    return browser.post("/policy/rollback", back=f"/policy/history/{revision}", **fields).text


def test_back_to_an_earlier_revision_on_trial_after_one_has_seen_what_that_changes(site: Site) -> None:
    browser, old = site.browser(), in_force(site)
    newer = apply(site, old.text + "\n[limits]\nharmless = 8\n")
    page = browser.get(f"/policy/history/{old.revision}").text
    assert "limits: harmless 8 → 5" in page and "Roll back to it" in page
    assert "just now" in _roll_back(browser, old.revision, old.revision)
    done = _roll_back(browser, old.revision, newer)
    assert in_force(site).text == old.text and in_force(site).note == "eight was wrong"
    assert "Keep it" in done and f"what revision {old.revision} was" in done
    assert browser.get("/policy/history/999999").status_code == 404


def test_an_earlier_revision_can_be_the_draft_but_never_in_place_of_another(site: Site) -> None:
    browser, old = site.browser(), in_force(site)
    apply(site, old.text + "\n[limits]\nharmless = 8\n")
    change(browser, ban="5h")
    assert "You have a draft already" in browser.post("/policy/draft", revision=str(old.revision)).text
    page = browser.post("/policy/draft", revision=str(old.revision), instead="yes").text
    assert "limits: harmless 8 → 5" in page and "5h" not in page


def test_the_history_goes_on_beyond_one_page(site: Site) -> None:
    text = in_force(site).text
    for number in range(14):
        apply(site, text + f"# {number}\n")
    page = site.browser("viewer").get("/policy/history").text
    more = re.search(r'href="(/policy/history\?cursor=[^"]+)" rel="next"', page)
    assert more is not None and 'id="v-1"' not in page
    further = site.browser("viewer").get(more[1].replace("&amp;", "&")).text
    assert set(re.findall(r'id="v-(\d+)"', page)).isdisjoint(re.findall(r'id="v-(\d+)"', further))
    assert site.browser("viewer").get("/policy/history?cursor=nonsense").status_code == 200


def test_a_policy_that_would_ban_who_makes_it_needs_a_typed_word(site: Site) -> None:
    address = "198.51.100.61"
    attempts(site, address, 3)
    browser, before = site.browser(address=address), in_force(site)
    change(browser, failures="2", ban="forever")
    asked = browser.post("/policy/save", note="strict")
    assert asked.status_code == 409 and "lockout" in asked.text and address in asked.text
    assert in_force(site) == before
    wrong = browser.post("/policy/save", note="strict", word="yes")
    assert in_force(site) == before and "This is your draft" in wrong.text + browser.get("/policy").text
    browser.post("/policy/save", note="strict", word="lockout")
    assert in_force(site).note == "strict"


def test_what_if_tells_who_would_be_banned_and_in_words_who_is_probably_ones_own(site: Site) -> None:
    evil = "<script>alert(1)</script>\u202egnp"
    report(site, "198.51.100.71", "failed", evil, 3)
    report(site, "198.51.100.72", "failed", "200", 3)
    report(site, "198.51.100.72", "succeeded", "200")
    browser = site.browser()
    change(browser, failures="3")
    page = compared(browser)
    mine = re.search(r'<tr class="own-people">(?:(?!</tr>).)*198\.51\.100\.72.*?</tr>', page, re.DOTALL)
    assert mine is not None and "probably your own people" in mine[0]
    assert 'href="/attacks/198.51.100.72"' in mine[0]
    theirs = re.search(r"<tr>(?:(?!</tr>).)*198\.51\.100\.71.*?</tr>", page, re.DOTALL)
    assert theirs is not None and "own people" not in theirs[0]
    assert "<script>alert" not in page and "\u202e" not in page
    assert "would have been banned additionally" in page and 'value="why &lt;x&gt;"' in page
    change(browser, failures="4")
    assert "The last comparison was of another draft" in browser.get("/policy/review").text


def test_what_if_tells_who_would_no_longer_be_banned(site: Site) -> None:
    report(site, "198.51.100.73", "failed", "300", 6)
    browser = site.browser()
    change(browser, failures="50")
    page = compared(browser, "30")
    part = page[page.index('id="removed-head"') :]
    assert "198.51.100.73" in part and "would no longer have been banned" in part


@pytest.mark.parametrize("days", ["0", "31", "x", "", "²"])
def test_days_out_of_range_are_told(site: Site, days: str) -> None:
    browser = site.browser()
    change(browser, failures="4")
    assert (
        "days are a whole number from 1 to 30" in browser.post("/policy/whatif", days=days, back="/policy/review").text
    )


def test_a_running_comparison_shows_how_far_it_is_without_scripts_too(site: Site) -> None:
    browser = site.browser()
    change(browser, failures="4")
    page = browser.post("/policy/whatif", days="30").text
    if "<progress" in page:  # it may be that fast
        assert '<noscript><meta http-equiv="refresh"' in page
    browser.post("/policy/whatif/cancel")
    assert browser.get("/policy/whatif").json()["status"] in ("cancelled", "done")
    assert "<progress" not in browser.get("/policy/review").text
