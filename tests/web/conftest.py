"""Fixtures of the page's tests: one guard and one page for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, running
from ringfence.settings import load_settings
from web_site import Site, free_port


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardProcess]:
    """A guard in monitor mode."""
    settings = '[web]\nstart = false\nlisten = "127.0.0.1:8470"\nproxies = ["127.0.0.1"]\n'
    with running(GuardProcess(tmp_path_factory.mktemp("web"), settings=settings)) as found:
        yield found


@pytest.fixture(scope="session")
def site(guard: GuardProcess) -> Iterator[Site]:
    """The page over that guard; tests share both, so each uses addresses of its own."""
    settings = load_settings(Path(guard.config), {}, is_root=True)
    found = Site(guard, free_port(settings))
    try:
        yield found
    finally:
        found.stop()
