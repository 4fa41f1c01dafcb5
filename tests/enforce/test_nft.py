"""Whether we may enforce at all, and what a user reads when not."""

from __future__ import annotations

import ctypes
import os
import struct
import time

import enforce_lab
import pytest
from enforce_lab import BAD4, GOOD4, SIP, Lab, ban, inside, new_fence

from ringfence.enforce import nft
from ringfence.enforce.monitor import TableMonitor
from ringfence.enforce.nft import Nft, usable
from ringfence.errors import EnforceError

lab = enforce_lab.lab
NOBODY = 65534


def become_nobody(capabilities: int) -> None:
    """Give up root in this child, keeping only these capabilities (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert not libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    header = struct.pack("Ii", 0x20080522, 0)
    data = struct.pack("6I", capabilities, capabilities, 0, 0, 0, 0)
    assert not libc.capset(header, data)


@inside
def test_root_may_enforce_and_asking_changes_nothing(here: Lab) -> None:
    assert usable() is None
    assert here.nft("list ruleset") == ""


@inside
def test_a_user_with_nothing_but_net_admin_can_guard(_: Lab) -> None:
    nft._load.cache_clear()
    become_nobody(1 << nft.CAP_NET_ADMIN)
    assert usable() is None
    fence, monitor = new_fence(), TableMonitor()
    assert fence.enforce([ban(1, BAD4), ban(2, "203.0.113.0/24")], time.time()) == [1, 2]
    assert not fence.reconcile([ban(1, BAD4), ban(2, "203.0.113.0/24")], [], None, time.time())
    assert not monitor.drain()


@inside
def test_a_user_without_the_right_reads_what_is_missing(_: Lab) -> None:
    become_nobody(0)
    assert "CAP_NET_ADMIN" in str(usable())
    with pytest.raises(EnforceError, match="CAP_NET_ADMIN"):
        new_fence()


@inside
def test_a_change_that_nft_refuses_is_told_in_its_words_and_changes_nothing(here: Lab) -> None:
    with pytest.raises(EnforceError, match="syntax error"):
        Nft().run("add table inet ringfence; nonsense")
    with pytest.raises(EnforceError, match="No such file"):
        Nft().run("add table inet ringfence; add rule inet ringfence nowhere drop")
    assert here.nft("list ruleset") == ""


@inside
def test_the_rules_explain_themselves(here: Lab) -> None:
    new_fence()
    listed = here.nft("list table inet ringfence")
    assert "whitelist beats ban" in listed
    assert "addresses kept out of service sip" in listed
    assert here.arrivals(SIP, [GOOD4]) == {GOOD4}


def test_a_missing_library_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "LIBRARY", "libnftables-absent.so.1")
    nft._load.cache_clear()
    try:
        assert "libnftables1" in str(usable())
        with pytest.raises(EnforceError, match="apt-get install libnftables1"):
            Nft()
    finally:
        nft._load.cache_clear()
