"""Which tests run one after the other: the same ones, in the same order, on every machine.

The tests of a module stay together, and so do all of `tests/web`, which share one guard and page. What one of them
leaves behind then always meets the same next ones, here and in CI, however busy the processes are.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SHARING = "tests/web/"


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist tells no types
    """Hands out modules instead of single tests."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return SHARING if module.startswith(SHARING) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """What pytest-xdist is to distribute tests by."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The modules that take long begin first, so that nobody waits for them at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/e2e/", SHARING)))
