"""Debian's Chromium on the client machine, driven by Playwright; and what accessibility rules say of a page.

axe-core comes with the package axe-playwright-python, of which only that file is used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .machine import PROJECT
from .net import Net

ARGUMENTS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
AXE = resources.files("axe_playwright_python") / "axe.min.js"
SCREENSHOTS = Path(os.environ.get("RINGFENCE_SCREENSHOTS", PROJECT / "build" / "screenshots"))
WIDE, NARROW = (1280, 900), (390, 844)


@contextlib.contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A browser that runs until the end of the block; `program` starts it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=list(ARGUMENTS), chromium_sandbox=False, timeout=60_000
        )
        yield browser
        browser.close()


class Chromium:
    """`with Chromium(net, folder) as chromium`: pages are opened from the client machine, as its first address."""

    def __init__(self, net: Net, folder: Path, program: str = "/usr/bin/chromium") -> None:
        self._start = folder / "chromium"
        words = net.client.argv([program])
        self._start.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + ' "$@"\n')
        self._start.chmod(0o755)

    def __enter__(self) -> Chromium:
        self._open = contextlib.ExitStack()
        self._browser = self._open.enter_context(launched(str(self._start)))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def context(
        self, base: str, *, size: tuple[int, int] = WIDE, theme: str = "light", scripts: bool = True, zone: str = "UTC"
    ) -> BrowserContext:
        """A browser of its own: cookies, window, colours; `base` is the page's address."""
        options: dict[str, Any] = {"color_scheme": theme, "java_script_enabled": scripts, "timezone_id": zone}
        context = self._browser.new_context(
            base_url=base, viewport={"width": size[0], "height": size[1]}, ignore_https_errors=True, locale="en-GB",
            **options,
        )  # fmt: skip
        context.set_default_timeout(20_000)
        return context


def log_in(page: Page, name: str, password: str) -> None:
    """Come in by the form, as a person does."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)


def violations(page: Page) -> list[str]:
    """What WCAG 2.2 A and AA and the best practices of axe-core find wrong, each with the elements."""
    if not page.evaluate("() => !!window.axe"):
        page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    wanted = {"runOnly": {"type": "tag", "values": tags}, "resultTypes": ["violations"], "selectors": False}
    found = page.evaluate("wanted => axe.run(document, wanted)", wanted)
    return [
        f"{one['id']}: {one['help']}: {'; '.join(node['html'][:160] for node in one['nodes'][:3])}"
        for one in found["violations"]
    ]


def keep(page: Page, name: str, *, whole: bool = True) -> None:
    """Keep a picture of the page as `name`: all of it, or what fits the window."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=whole, timeout=90_000)
