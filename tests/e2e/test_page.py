"""The page in a real browser, over a real guard, while real telephones are attacked.

Chromium stands on the client machine, at its first address; attackers come from the others.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Kamailio, Net, Syslog, missing, sip_register
from lab.browser import NARROW, WIDE, Chromium, keep, log_in, violations
from lab.net import SIP_PROGRAMS
from playwright.sync_api import Page, expect

from guard import Guard
from ringfence.answers import Banned
from ringfence.passwords import hash_password
from ringfence.people_answers import UserRow
from ringfence.web.certificate import self_signed

NEEDED = (*SIP_PROGRAMS, "chromium")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing(*NEEDED)), reason=missing(*NEEDED) or "runs"),
]

PORT = 8470
FAILURES = 8
POLICY = f"""
# Kept in the page's tests.
[rules.standard]
failures = 50
within = "10m"
ban = "10m"
[rules.standard.sip]
failures = {FAILURES}
within = "1h"
ban = "2h"
[limits]
harmless = 3
"""
PASSWORD = "four words are enough"
PAGES = (
    "/", "/attacks", "/bans", "/bans?show=all", "/whitelist", "/policy", "/policy/history", "/lockdown", "/warnings",
    "/warnings/outbox", "/warnings/settings", "/warnings/settings/history", "/diagnostics", "/audit", "/users", "/me",
    "/api/v1/docs",
)  # fmt: skip
WRONG, GOOD = [401, 401], [401, 200]


class Site:
    """The server under attack with its page, and browsers to look at it."""

    def __init__(self, net: Net, guard: Guard, chromium: Chromium) -> None:
        self.net, self.guard, self.chromium = net, guard, chromium
        self.base = f"https://{net.v4}:{PORT}"
        self._hash = hash_password(PASSWORD)

    def user(self, name: str, role: str, **more: object) -> str:
        self.guard.ask(UserRow, "add_user", name=name, role=role, password_hash=self._hash, **more)
        return name

    def page(self, name: str, **options: object) -> Page:
        """A new browser in which `name` is logged in."""
        page = self.chromium.context(self.base, **options).new_page()  # type: ignore[arg-type]
        log_in(page, name, PASSWORD)
        return page

    def guess(self, source: str, times: int, user: str = "alice") -> None:
        """Try a wrong password `times` times."""
        assert sip_register(self.net, user, "battery staple", source=source, calls=times) == WRONG * times

    def answered(self, source: str) -> bool:
        return sip_register(self.net, "alice", "correct horse", source=source, seconds=1.5) == GOOD


@pytest.fixture
def site(net: Net, syslog: Syslog, kamailio: Kamailio, tmp_path: Path) -> Iterator[Site]:
    """Guard and page as a new installation has them, with a certificate; the page runs as a user of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rfpage"))
    folder.chmod(0o755)
    certificate, key = self_signed("pbx.example.org", [net.v4], datetime.datetime.now(datetime.UTC))
    (folder / "certificate.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)
    settings = f"""
[web]
listen = "{net.v4}:{PORT}"
certificate = "{folder}/certificate.pem"
key = "{folder}/key.pem"
"""
    ledger = folder / "state" / "ringfence.db"
    try:
        with (
            Guard(net.server, tmp_path / "guard", policy=POLICY, settings=settings, ledger=ledger) as guard,
            Chromium(net, tmp_path) as chromium,
        ):
            guard.until(lambda: f"page https://{net.v4}:{PORT}" in guard.said, "the page", 30)
            one = Site(net, guard, chromium)
            one.user("boss", "administrator")
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_an_attack_appears_by_itself_and_a_click_stops_its_packets(site: Site) -> None:
    """The list fills while one looks; one click bans in the kernel; unbanning lets in at once."""
    net, attacker = site.net, site.net.clients[1].v4
    page = site.page("boss")
    page.goto("/attacks")
    expect(page.get_by_text("Nobody has attacked")).to_be_visible()
    site.guess(attacker, 2)
    row = page.locator(f"[id='a-{attacker}']")
    expect(row).to_contain_text("harmless")
    site.guess(attacker, 2)
    expect(row).to_contain_text("threatening")
    assert site.answered(attacker)

    page.get_by_role("button", name=f"1 h: ban {attacker} from all services").click()
    expect(page.locator(".flashes")).to_contain_text(attacker)
    ban = site.guard.until(lambda: site.guard.enforced(attacker), "the ban")
    assert ban.service == "*" and ban.author == "user:boss@web"
    assert 3500 < site.guard.kernel()[attacker] <= 3600
    assert not site.answered(attacker) and site.answered(net.clients[2].v4)

    page.goto("/bans")
    expect(page.locator(f"#ban-{ban.id}")).to_contain_text("enforced")
    page.get_by_role("button", name=f"Unban {attacker}").click()
    expect(page.locator(f"#ban-{ban.id}")).to_have_count(0)
    assert site.answered(attacker)


def test_the_reader_s_place_and_ticks_stay_while_the_list_updates(site: Site) -> None:
    guard = site.guard
    for number in range(60):
        guard.ask(Banned, "ban", target=f"203.0.113.{number}", seconds=3600)
    page = site.page("boss")
    page.goto("/bans")
    ticked = page.get_by_role("checkbox", name="Select 203.0.113.30,")
    ticked.check()
    page.evaluate("document.querySelector('[id^=ban-]:nth-child(35)').scrollIntoView()")
    before = ticked.bounding_box()
    assert guard.cli("ban", "198.51.100.7", "--for", "1h").returncode == 0
    expect(page.get_by_role("checkbox", name="Select 198.51.100.7,")).to_be_attached()
    after = ticked.bounding_box()
    expect(ticked).to_be_checked()
    assert before is not None and after is not None and abs(after["y"] - before["y"]) < 60
    page.get_by_role("button", name="Unban selected").click()
    expect(page.locator(".flashes")).to_contain_text("203.0.113.30")
    assert guard.ban_of("203.0.113.30") is None and guard.ban_of("203.0.113.31") is not None


def test_the_whitelist_lifts_the_ban_and_beats_the_attack(site: Site) -> None:
    friend = site.net.clients[1].v4
    site.guess(friend, FAILURES)
    site.guard.until(lambda: site.guard.enforced(friend), "the ban")
    page = site.page("boss")
    page.goto("/whitelist")
    page.locator("main").get_by_label("Address", exact=False).first.fill(friend)
    page.get_by_role("button", name="Add", exact=False).first.click()
    expect(page.locator(".flashes")).to_contain_text("lifted")
    assert site.answered(friend)
    site.guess(friend, FAILURES)
    site.guard.until(lambda: site.guard.attempts(friend) == 2 * FAILURES, "the attempts")
    assert site.guard.ban_of(friend) is None


def test_lockdown_stops_calls_undoes_itself_and_holds_when_it_is_kept(site: Site) -> None:
    net, phone = site.net, site.net.clients[2].v4
    page = site.page("boss")
    page.goto("/lockdown")
    assert site.answered(phone)
    page.get_by_role("checkbox", name="I know that calls are interrupted.").check()
    page.get_by_role("button", name="Interrupt traffic now").click()
    expect(page.locator(".trial")).to_contain_text("undone by itself")
    assert not site.answered(phone)
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator(".trial")).to_have_count(0)
    assert not site.answered(phone) and site.guard.json("lockdown")["enforced"]
    page.get_by_role("button", name="Let calls through again").click()
    expect(page.locator("#now")).to_contain_text("Traffic flows")
    assert site.answered(phone)
    assert site.answered(net.clients[3].v4)


def test_a_policy_change_is_tried_on_the_past_then_on_trial_then_kept(site: Site) -> None:
    """What if: three failures instead of eight would have banned two more, one of whom also logged in."""
    net, guard = site.net, site.guard
    guesser, colleague = net.clients[1].v4, net.clients[2].v4
    site.guess(guesser, 4)
    site.guess(colleague, 4)
    assert site.answered(colleague)
    guard.until(lambda: guard.attempts(colleague) == 4 and guard.attempts(guesser) == 4, "the attempts")
    page = site.page("boss")
    page.goto("/policy")
    before = guard.json("policy", "show")["revision"]
    page.goto("/policy/cell?rule=standard&service=sip")
    page.locator("#v-failures").fill("3")
    page.get_by_role("button", name="Change it in the draft").click()
    page.goto("/policy/review")
    expect(page.locator("main")).to_contain_text("rule standard for sip: failures 8 → 3")
    page.get_by_role("button", name="Compare").click()
    result = page.locator("main")
    expect(result).to_contain_text(guesser, timeout=30_000)
    expect(result).to_contain_text(colleague)
    expect(result).to_contain_text("logged in")
    page.get_by_label("Why, for those who look at it later").fill("three is enough")
    page.get_by_role("button", name="Save as a new revision").click()
    page.get_by_role("button", name="Keep it").click()
    now = guard.json("policy", "show")
    assert now["revision"] == before + 1 and "# Kept in the page's tests." in now["text"]
    attacker = net.clients[3].v4
    site.guess(attacker, 3)
    guard.until(lambda: guard.enforced(attacker), "the ban after three")


def test_each_role_sees_and_may_do_what_is_its_own(site: Site) -> None:
    attacker, other = site.net.clients[1].v4, site.net.clients[2].v4
    site.guess(attacker, FAILURES)
    site.guess(other, 2, user="bob")
    site.guard.until(lambda: site.guard.enforced(attacker) and site.guard.attempts(other) == 2, "the attempts")
    viewer = site.page(site.user("looker", "viewer"))
    viewer.goto("/bans")
    expect(viewer.locator("main")).to_contain_text(attacker)
    expect(viewer.get_by_role("button", name="Unban", exact=False)).to_have_count(0)
    assert viewer.goto("/users").status == 403  # type: ignore[union-attr]
    holder = site.page(site.user("alice-phone", "holder", accounts=["alice"], may_ask=True))
    holder.goto("/mine")
    expect(holder.locator("main")).to_contain_text(attacker)
    expect(holder.locator("main")).not_to_contain_text(other)
    assert holder.goto("/attacks").status == 403  # type: ignore[union-attr]
    operator = site.page(site.user("night-shift", "operator"))
    operator.goto("/bans")
    operator.get_by_role("button", name=f"Unban {attacker}").click()
    assert site.answered(attacker)
    assert operator.goto("/policy").status == 200  # type: ignore[union-attr]
    assert operator.goto("/users").status == 403  # type: ignore[union-attr]


def test_without_scripts_everything_can_still_be_done(site: Site) -> None:
    attacker = site.net.clients[1].v4
    site.guess(attacker, 2)
    site.guard.until(lambda: site.guard.attempts(attacker) == 2, "the attempts")
    page = site.page("boss", scripts=False)
    page.goto("/attacks")
    page.get_by_role("button", name=f"1 day: ban {attacker} from all services").click()
    site.guard.until(lambda: site.guard.enforced(attacker), "the ban")
    page.goto("/bans")
    page.get_by_role("button", name=f"Unban {attacker}").click()
    assert site.answered(attacker)
    page.goto("/lockdown")
    page.get_by_role("checkbox", name="I know that calls are interrupted.").check()
    page.get_by_role("button", name="Interrupt traffic now").click()
    assert not site.answered(attacker)
    page.get_by_role("button", name="Undo now").click()
    assert site.answered(attacker)


def test_nobody_bans_the_address_they_look_from_without_typing_a_word(site: Site) -> None:
    here = site.net.clients[0].v4
    page = site.page("boss")
    page.goto(f"/bans?add={here}")
    page.get_by_role("button", name="Ban", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("you")
    assert site.guard.ban_of(here) is None
    page.get_by_label("Type").fill("lockout")
    page.get_by_role("button", name="Do it all the same").click(no_wait_after=True)
    site.guard.until(lambda: site.guard.enforced(here), "the ban that was wanted all the same")
    site.guard.json("unban", here)


def test_every_page_follows_the_rules_of_accessibility_and_is_kept_as_a_picture(site: Site) -> None:
    """Light and dark, wide and narrow, with something in every list; axe-core finds nothing.

    It looks at each page twice, wide and light, narrow and dark: what it asks for depends on one or the other.
    """
    net, guard = site.net, site.guard
    for client, times in ((net.clients[1], FAILURES), (net.clients[2], 3)):
        site.guess(client.v4, times)
        site.guess(client.v6, times - 1)
    guard.until(lambda: guard.enforced(net.clients[1].v4), "the ban")
    guard.json("ban", "203.0.113.0/24", "--for", "1d", "--note", "scanners")
    guard.json("allow", "198.51.100.0/24", "--service", "sip", "--note", "the office")
    site.user("alice-phone", "holder", accounts=["alice"], may_ask=True)
    pages = [*PAGES, f"/attacks/{net.clients[1].v4}", "/policy/cell?rule=standard&service=sip", "/policy/review"]
    found: list[str] = []
    for size, theme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")):
        who = {"boss": pages, "alice-phone": ["/mine"]}
        for name, paths in who.items():
            page = site.page(name, size=size, theme=theme)
            for path in paths:
                answer = page.goto(path)
                assert answer is not None and answer.status == 200, path
                if (size == WIDE) == (theme == "light"):
                    found += [f"{path} {theme} {size[0]}: {one}" for one in violations(page)]
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"
                # The documentation of the API is as high as a hundred screens.
                name = f"{picture(path)}-{'wide' if size == WIDE else 'narrow'}-{theme}"
                keep(page, name, whole=not path.endswith("/docs"))
            page.context.close()
    stranger = site.chromium.context(site.base).new_page()
    stranger.goto("/login")
    found += [f"/login: {one}" for one in violations(stranger)]
    keep(stranger, "login-wide-light")
    assert found == []


def picture(path: str) -> str:
    """The name of a page's picture."""
    plain = path.partition("?")[0].strip("/").replace("/", "-")
    return ("address" if plain.startswith("attacks-") else plain) or "overview"


def test_times_are_in_the_reader_s_zone_with_the_exact_time_beside(site: Site) -> None:
    attacker = site.net.clients[1].v4
    site.guess(attacker, 1)
    site.guard.until(lambda: site.guard.attempts(attacker) == 1, "the attempt")
    page = site.page("boss", zone="Asia/Tokyo")
    page.goto("/attacks")
    shown = page.locator(f"[id='a-{attacker}'] time").first
    exact = shown.get_attribute("datetime")
    assert exact is not None
    moment = datetime.datetime.fromisoformat(exact)
    assert abs(moment.timestamp() - time.time()) < 60
    tokyo = moment + datetime.timedelta(hours=9)
    expect(shown).to_have_text(tokyo.strftime("%Y-%m-%d %H:%M:%S"))
    assert (shown.get_attribute("title") or "").endswith("UTC")
