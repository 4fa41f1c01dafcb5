"""Mails as a browser shows them: light and dark, wide and on a telephone, and where a mail client drops the colours."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator

import pytest
from lab.browser import keep, launched, violations
from playwright.sync_api import Browser

from alert_examples import HOSTILE, attack, digest, fired, many, one, week
from ringfence.alert.message import Message

pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not there"),
]
SIZES = {"wide": (800, 900), "narrow": (390, 844)}
MAILS = {
    "ban": one(fired(), ("100", "101", "1001", "admin")),
    "hostile": one(fired(detail=HOSTILE[13]), HOSTILE),
    "gathered": many(suppressed=3),
    "attack": one(attack()),
    "over": one(attack("ended")),
    "digest": digest(),
    "ban-german": one(fired(), ("100", "101", "1001", "admin"), language="de"),
    "digest-german": digest(language="de"),
    "digest-hostile": digest(week(accounts=tuple((name, 10**6) for name in HOSTILE[:8]))),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None
    with launched(program) as started:
        yield started


def shown(message: Message) -> str:
    """The HTML with its pictures in it, as a mail client puts them there."""
    html = message.html
    for picture in message.pictures:
        data = base64.b64encode(picture.data).decode()
        html = html.replace(f"cid:{picture.name}", f"data:image/png;base64,{data}")
    return html


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", MAILS)
def test_a_mail_is_readable_everywhere_and_fetches_nothing(browser: Browser, name: str, theme: str) -> None:
    """No rule of WCAG 2.2 AA is broken, nothing is wider than the screen, and not one request leaves."""
    for size, (width, height) in SIZES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
        )
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))  # noqa: B023 - read before the next turn
        page.set_content(shown(MAILS[name]), wait_until="load")
        if name == "gathered":
            page.evaluate(
                "() => document.querySelectorAll('table:last-of-type tr:nth-child(n+13)').forEach(x => x.remove())"
            )
        keep(page, f"mail-{name}-{theme}-{size}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate("() => [...document.images].every(one => one.naturalWidth > 0)")
        assert [url for url in asked if not url.startswith("data:")] == []
        assert page.locator("a").evaluate_all("all => all.map(one => one.href)") == ["https://pbx1.example.org:8443/"]
        if (size == "wide") == (theme == "light"):  # what the rules ask for depends on one or the other
            assert violations(page) == []
        context.close()


@pytest.mark.parametrize("name", ["ban", "digest"])
def test_where_the_colours_are_dropped_the_words_stay_readable(browser: Browser, name: str) -> None:
    """Many mail clients know neither `light-dark` nor styles of the document."""
    bare = re.sub(r"[a-z-]+: light-dark\([^;\"]*\);?", "", shown(MAILS[name])).replace("color-scheme: light dark", "")
    assert "light-dark" not in bare
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_content(bare)
    keep(page, f"mail-{name}-bare")
    assert violations(page) == []
    page.close()
