"""Which names are earlier states of a log, and which are logs of their own."""

from __future__ import annotations

import pytest

from ringfence.sense.rotation import is_rotated


@pytest.mark.parametrize(
    "name",
    [
        "auth.log.1", "auth.log.12.gz", "auth.log.gz", "auth.log-20260131", "auth.log-20260131.xz", "auth.log.old",
        "auth.log-2026-01-31", "auth.log-20260131-0625.zst", "auth.log.1768435200", "auth-20260131.log", "auth.1.log",
    ],
)  # fmt: skip
def test_names_that_rotations_give(name: str) -> None:
    """logrotate with and without dateext and extension, savelog, Asterisk's own rotation."""
    assert is_rotated(name, "auth.log")


@pytest.mark.parametrize("name", ["auth.log", "auth-2.log", "auth.log.d", "auth2.log", "auth_sip.log", "kern.log.1"])
def test_names_that_are_logs_of_their_own(name: str) -> None:
    """A second instance's log or another service's is not taken for an earlier state."""
    assert not is_rotated(name, "auth.log")
