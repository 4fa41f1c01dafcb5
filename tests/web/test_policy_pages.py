"""The policy as the page shows and changes it: a draft of one's own, checked as one types, saved on trial."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ringfence.policy import load_policy
from ringfence.web.drafts import MOST_TEXT
from web_policy import apply, change, in_force, typed, unchanged
from web_site import Site

__all__ = ["unchanged"]


def row(page: str, service: str) -> str:
    found = re.search(rf'<tr id="r-{service}".*?</tr>', page, re.DOTALL)
    return found[0] if found else ""


def test_inherited_cells_are_told_from_overridden_ones_also_to_who_only_hears_them(site: Site) -> None:
    apply(site, in_force(site).text + "\n[rules.standard.sip]\nban = '3d'\n[rules.slow]\nfailures=9\nwithin=9\nban=9\n")
    sip = row(site.browser("viewer").get("/policy").text, "sip")
    assert "<strong>5 in 1h → 3d</strong>" in sip
    assert re.search(r'class="cell inherited".*<em>9 in 9s → 9s</em><span class="hidden-label"> inherited</span>', sip)


def test_services_that_only_inherit_are_one_row_until_all_are_asked_for(site: Site) -> None:
    browser = site.browser()
    assert not row(browser.get("/policy").text, "ssh")
    assert "other services" in row(browser.get("/policy").text, "others")
    assert row(browser.get("/policy?all=1").text, "ssh")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_only_look_sees_everything_and_changes_nothing(site: Site, role: str) -> None:
    browser, before = site.browser(role), in_force(site)
    for path in ("/policy", "/policy/cell?rule=standard&service=sip", "/policy/services", "/policy/limits",
                 "/policy/text", "/policy/history", f"/policy/history/{before.revision}"):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert not re.findall(
            r'(?:action|formaction|href)="(/policy/(?:pick|review|save|rule|draft|rollback))', answer.text
        )
        assert "<textarea" not in answer.text
    for path in ("/policy/review", "/policy/rule", "/policy/whatif", "/policy/check?key=ban&value=1"):
        assert browser.get(path).status_code == 403, path
    changes = "cell pick cell/remove rule rule/remove services services/now limits text whitelist whatif whatif/cancel"
    for path in (changes + " save draft draft/drop draft/anew rollback").split():
        assert browser.post(f"/policy/{path}", revision=str(before.revision)).status_code == 403, path
    assert in_force(site) == before


def test_a_change_is_a_draft_of_ones_own_until_it_is_saved(site: Site) -> None:
    browser, before = site.browser(), in_force(site)
    page = change(browser, failures="4")
    assert "This is your draft, not in force yet" in page
    assert "changed</span>" in row(page, "sip") and "4 in 1h → 2h" in row(page, "sip")
    assert "draft" not in row(site.browser().get("/policy").text, "sip")
    assert in_force(site) == before
    browser.post("/policy/draft/drop")
    assert not row(browser.get("/policy").text, "sip")


def test_several_combinations_are_set_at_once(site: Site) -> None:
    browser = site.browser()
    picked = browser.send("/policy/pick", do="change", rule="standard", service=["sip", "ssh"])
    form = browser.get(picked.headers["location"]).text
    assert form.count("checked") == 3
    page = browser.post("/policy/cell", several="yes", rule="standard", service=["sip", "ssh"], **typed(ban="9h")).text
    assert "5 in 1h → 9h" in row(page, "sip") and "5 in 1h → 9h" in row(page, "ssh")
    again: dict[str, Any] = {"several": "yes", "rule": "standard", "service": ["sip", "ssh"], "i-ban": "yes"}
    assert not row(browser.post("/policy/cell", **again).text, "ssh")


def test_what_is_wrong_stands_beside_the_field_and_what_was_typed_stays(site: Site) -> None:
    browser = site.browser()
    answer = browser.post(
        "/policy/cell", rule="standard", service="sip", **typed(failures="0", within="soon", ban="4h")
    )
    assert answer.status_code == 400
    assert '<p class="problem" id="w-failures">must be a whole number from 1 to 100000</p>' in answer.text
    assert re.search(r'id="w-within">must be a duration', answer.text)
    assert 'value="soon"' in answer.text and 'value="4h"' in answer.text
    assert "your draft" not in browser.get("/policy").text


def test_values_that_do_not_go_together_are_told_too(site: Site) -> None:
    both = site.browser().post("/policy/cell", rule="standard", service="sip", **typed(failures="3", bans="3"))
    assert both.status_code == 400 and re.search(r'id="w-failures">[^<]*a rule counts one or the other', both.text)
    never = site.browser().post(
        "/policy/cell", rule="standard", service="sip", **typed(count="accounts", per="account")
    )
    assert re.search(r'id="w-count">[^<]*would never fire', never.text)
    nothing = site.browser().post("/policy/cell", several="yes", rule="standard", **typed(ban="3h"))
    assert nothing.status_code == 400 and "at least one service" in nothing.text


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [("failures", "100001", "from 1 to 100000"), ("ban", "forever", ""), ("ban", "sometime", "duration"),
     ("causes", "*", ""), ("within", "", ""), ("name", "", "1 to 32"), ("whitelist", "192.0.2.0/24, x y", "address"),
     ("nonsense", "1", "no setting"), ("failures", "9" * 5000, "too long")],
)  # fmt: skip
def test_fields_are_checked_while_one_types(site: Site, key: str, value: str, wrong: str) -> None:
    answer = site.browser().get("/policy/check", params={"key": key, "value": value})
    assert answer.headers["content-type"].startswith("text/plain")
    assert wrong in answer.text and bool(answer.text) == bool(wrong)


def test_a_rule_is_added_switched_off_for_one_service_and_removed(site: Site) -> None:
    browser = site.browser()
    fields = typed(failures="20", within="1d", ban="forever", causes="*")
    assert "20 in 1d → forever" in row(browser.post("/policy/rule", name="Patient", **fields).text, "every")
    twice = browser.post("/policy/rule", name="patient", **fields)
    assert twice.status_code == 400 and "of this name already" in twice.text
    assert re.search(r'id="w-name">[^<]*1 to 32', browser.post("/policy/rule", name="a b", **fields).text)
    assert re.search(
        r'id="w-within">[^<]*is missing', browser.post("/policy/rule", name="x", **typed(failures="1")).text
    )
    assert '<span class="mark">off</span>' in row(change(browser, "patient", "sip", enabled="no"), "sip")
    assert not row(browser.post("/policy/cell/remove", rule="patient", service="sip").text, "sip")
    assert "20 in 1d" not in row(browser.post("/policy/rule/remove", rule="patient").text, "every")


def test_services_are_switched_in_the_draft_or_at_once_on_trial(site: Site) -> None:
    browser = site.browser()
    page = browser.post("/policy/pick", do="off", service=["ssh", "imap"]).text
    assert "switched off" in row(page, "ssh") and "switched off" in row(page, "imap")
    listed: dict[str, Any] = {"listed": ["ssh", "imap", "sip"], "on": ["ssh", "sip"]}
    page = browser.post("/policy/services", back="/policy/services", **listed).text
    assert re.search(r'value="ssh" checked', page) and not re.search(r'value="imap" checked', page)
    assert "save your draft first" in browser.post("/policy/services/now", service="ssh", on="no", back="/policy").text
    browser.post("/policy/draft/drop")
    page = browser.post("/policy/services/now", service="ssh", on="no").text
    assert "ssh is off" in page and "Keep it" in page
    assert load_policy(in_force(site).text).disabled == {"ssh"}


def test_limits_and_whitelist_are_checked_field_by_field_and_line_by_line(site: Site) -> None:
    browser = site.browser()
    limits = typed(harmless="7", ipv4_network="24", ipv6_network="64", ipv6_prefix="64")
    wrong = browser.post("/policy/limits", **{**limits, "v-ipv6_network": "96"})
    assert wrong.status_code == 400 and re.search(r'id="w-ipv6_network">[^<]*at most ipv6_prefix', wrong.text)
    browser.post("/policy/limits", **limits)
    bad = browser.post("/policy/whitelist", whitelist="192.0.2.1\r\n\r\n300.1.1.1x y\r\n")
    assert re.search(r'id="w-whitelist">line 3, 300', bad.text) and "192.0.2.1" in bad.text
    browser.post("/policy/whitelist", whitelist="192.0.2.1\r\npbx.example.org\r\n")
    text = browser.get("/policy/text").text
    assert "harmless = 7" in text and "pbx.example.org" in text


def test_the_text_is_edited_as_it_is_and_a_fault_is_told_with_its_line(site: Site) -> None:
    browser, before = site.browser(), in_force(site).text
    bad = browser.post("/policy/text", text=before + "# mine\r\n[rules.standard\r\n")
    assert bad.status_code == 400 and "# mine" in bad.text and "not valid TOML" in bad.text
    unknown = browser.post("/policy/text", text=before + "[rules.standard.sipp]\nban = 3\n")
    assert "nearest known: sip" in unknown.text
    browser.post("/policy/text", text=before + "# a comment of mine <b>\r\n")
    page = change(browser, ban="5h")
    assert "5 in 1h → 5h" in row(page, "sip")
    assert "# a comment of mine &lt;b&gt;\n" in browser.get("/policy/text").text
    long = browser.post("/policy/text", text=before + "# " + "x" * MOST_TEXT)
    assert long.status_code == 400 and "can&#39;t be edited here" in long.text.replace("\u2019", "&#39;")


def test_the_text_keeps_its_lines_for_who_only_reads(site: Site) -> None:
    assert "\n[rules.standard]\nfailures = 5\n" in site.browser("viewer").get("/policy/text").text


def test_a_draft_of_an_old_revision_is_told_and_not_saved_before_one_decides(site: Site) -> None:
    browser, mine = site.browser(), in_force(site)
    change(browser, ban="5h")
    theirs = apply(site, mine.text + "\n[limits]\nharmless = 8\n", note="eight <i>")
    page = browser.get("/policy/review").text
    assert "Somebody else changed the policy meanwhile" in page and "eight &lt;i&gt;" in page
    assert "limits: harmless 8 → 5" in page
    assert (
        "nothing was saved" in browser.post("/policy/save", back="/policy/review").text
        and in_force(site).revision == theirs
    )
    assert "just now" in browser.post("/policy/draft/anew", force=str(mine.revision), back="/policy/review").text
    kept = browser.post("/policy/draft/anew", force=str(theirs)).text
    assert "Your draft is kept" in kept and "Somebody else" not in kept
    assert "standard" in browser.get("/policy/review").text
    assert "This is your draft" not in browser.post("/policy/draft/drop").text
