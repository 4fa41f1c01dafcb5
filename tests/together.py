"""Which tests run one after the other: the same ones, in the same order, on every machine.

The tests of a module stay together, and so do all that share the one guard and page of `web/conftest.py`. What one of
them leaves behind then always meets the same next ones, here and in CI, however the processes are loaded.
"""

from __future__ import annotations

import pytest


def _group_of(item: pytest.Item) -> str:
    own = item.get_closest_marker("xdist_group")
    if own is not None:
        return str(own.args[0])
    return "site" if "site" in getattr(item, "fixturenames", ()) else item.nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its group; the long ones begin first, so that nobody waits for them at the end."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group_of(item)))
    items.sort(key=lambda item: (_group_of(item) != "browser", "/e2e/" not in str(item.path)))
