"""What the tests of the policy's pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.answers import Applied, Done, PolicyAnswer, TrialRow
from web_site import Browser, Site


@pytest.fixture(autouse=True)
def unchanged(site: Site) -> Iterator[None]:
    """Other tests share the guard: afterwards its policy is what it was, and no change of it is on trial."""
    before = in_force(site).text
    yield
    for trial in site.guard.ask(list[TrialRow], "trials"):
        if trial.kind == "policy":
            site.guard.ask(Done, "keep_trial", id=trial.id)
    if in_force(site).text != before:
        apply(site, before)


def apply(site: Site, text: str, note: str = "") -> int:
    """A revision that somebody else makes."""
    made = site.guard.ask(Applied, "apply_policy", text=text, note=note).revision
    site.web.guard.changed()
    return made


def in_force(site: Site) -> PolicyAnswer:
    return site.guard.ask(PolicyAnswer, "policy")


def change(browser: Browser, rule: str = "standard", service: str = "sip", **values: str) -> str:
    """Set values of one cell; returns the page that follows."""
    return browser.post("/policy/cell", rule=rule, service=service, **typed(**values)).text


def typed(**values: str) -> dict[str, Any]:
    """Values of a rule as the fields of a form."""
    return {f"v-{key}": text for key, text in values.items()}
