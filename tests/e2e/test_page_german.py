"""The page in German as a browser shows it: its words are longer, and nothing is cut off or wider than the screen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.browser import keep, launched, violations
from playwright.sync_api import Browser

from guard_process import GuardProcess, failures, running
from ringfence.settings import load_settings
from web_site import Site, free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not there"),
]
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
PAGES = (
    "/", "/attacks", "/attacks/203.0.113.7", "/bans", "/bans/1", "/whitelist", "/policy", "/policy/limits",
    "/policy/cell?rule=standard&service=sip", "/policy/review", "/lockdown", "/warnings", "/warnings/settings",
    "/diagnostics", "/audit", "/users", "/me",
)  # fmt: skip
CUT = """() => [...document.querySelectorAll("button, a.button, .mark, h1, h2, legend, label, summary, .badge")]
  .filter((one) => one.offsetParent && !one.matches(".hidden-label")
    && (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflow !== "visible"
      || one.getBoundingClientRect().right > innerWidth + 1 && !(innerWidth < 600 && one.closest(".scroll"))))
  .map((one) => one.textContent.trim())"""
"""What is cut by its own edge, or lies beyond the screen's; on a telephone, tables may have to be scrolled."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None
    with launched(program) as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page with attackers, bans by rule and by hand, a whitelist, a draft of the policy, and settings of warnings."""
    settings = '[web]\nstart = false\nlisten = "127.0.0.1:8470"\nproxies = ["127.0.0.1"]\n'
    with running(GuardProcess(tmp_path_factory.mktemp("german"), settings=settings)) as guard:
        found = Site(guard, free_port(load_settings(Path(guard.config), {}, is_root=True)))
        for number in range(1, 9):
            guard.write(failures(f"203.0.113.{number}", 6 + number))
        guard.wait_for(lambda: found.seen("203.0.113.8") == 14, "the attempts are not seen")
        yield found
        found.stop()


def test_german_fits_where_english_does(browser: Browser, site: Site) -> None:
    boss = site.browser()
    boss.post("/bans", target="198.51.100.0/25", service="*", length="365d", note="Test")
    boss.post("/whitelist", target="192.0.2.0/24", service="*", length="forever", note="Büro")
    boss.post("/policy/cell", rule="standard", service="sip", **{"v-failures": "7", "v-within": "1h30m"})
    boss.post("/warnings/settings", revision="0", recipients="boss@example.org", language="de", digest="daily")
    found = []
    for size, (width, height) in SIZES.items():
        context = browser.new_context(
            locale="de-DE", viewport={"width": width, "height": height},
            extra_http_headers={"x-forwarded-for": "203.0.113.200"},
        )  # fmt: skip
        secret = boss.client.cookies[site.web.cookie]
        context.add_cookies([{"name": site.web.cookie, "value": secret, "url": site.base}])
        page = context.new_page()
        for path in PAGES:
            answer = page.goto(site.base + path)
            assert answer is not None and answer.status == 200, path
            assert page.evaluate("document.documentElement.lang") == "de"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"
            found += [f"{path} {size}: {text}" for text in page.evaluate(CUT)]
            if size == "narrow":  # English was looked at in both sizes
                found += [f"{path} {size}: {one}" for one in violations(page)]
            keep(page, f"german-{re.sub(r'[^a-z0-9]+', '-', path).strip('-') or 'overview'}-{size}")
        context.close()
    assert found == []


def test_what_the_pages_script_says_is_german(browser: Browser, site: Site) -> None:
    boss = site.browser()
    boss.post("/bans", target="198.51.0.0/16", service="sip", length="1d", note="")  # large: on trial
    context = browser.new_context(locale="de-DE", extra_http_headers={"x-forwarded-for": "203.0.113.200"})
    secret = boss.client.cookies[site.web.cookie]
    context.add_cookies([{"name": site.web.cookie, "value": secret, "url": site.base}])
    page = context.new_page()
    page.goto(site.base + "/")
    page.get_by_text("Diese Seite aktualisiert sich von selbst.").wait_for()
    page.locator("[data-countdown]").filter(has_text=re.compile(r"^in \d+ s$")).wait_for()
    assert "Sperre von 198.51.0.0/16: wird von selbst zurückgenommen" in page.locator(".trial").inner_text()
    assert "verhängte Sperren" in page.locator("#chart").inner_text()
    context.close()
