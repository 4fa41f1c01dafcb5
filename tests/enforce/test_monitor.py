"""The monitor hears of foreign changes to our table at once, and is deaf to our own."""

from __future__ import annotations

import os
import selectors
import time

import enforce_lab
import pytest
from enforce_lab import Lab, ban, inside, new_fence

from ringfence.enforce.monitor import TableMonitor
from ringfence.model import AllowEntry, Lockdown

lab = enforce_lab.lab

FOREIGN = [
    "flush ruleset",
    "delete table inet ringfence",
    "flush chain inet ringfence service_sip",
    "flush set inet ringfence sip_hosts4",
    "delete element inet ringfence sip_hosts4 { 10.0.0.1 }",
    "add element inet ringfence sip_hosts4 { 10.0.0.2 }",
    "insert rule inet ringfence prerouting accept",
]


@pytest.mark.parametrize("command", FOREIGN)
def test_a_foreign_change_is_noticed(lab: Lab, command: str) -> None:
    def body(here: Lab) -> None:
        fence, monitor = new_fence(), TableMonitor()
        fence.enforce([ban(1, "10.0.0.1")], time.time())
        assert not monitor.drain()
        here.nft(command)
        with selectors.DefaultSelector() as waiting:
            waiting.register(monitor, selectors.EVENT_READ)
            assert waiting.select(2)
        assert monitor.drain()
        assert not monitor.drain()

    lab.run(body)


@inside
def test_our_own_changes_are_not_noticed(here: Lab) -> None:
    fence = new_fence()
    monitor = TableMonitor()
    now = time.time()
    many = [ban(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(100_000)]
    fence.enforce(many, now)
    fence.enforce([ban(1, "203.0.113.0/24"), ban(2, "10.0.0.1", until=now + 60)], now)
    fence.allow([AllowEntry(target="192.0.2.1")], now)
    fence.lockdown(Lockdown(services=("sip",), since=now, until=now + 60), now)
    fence.lift(many[:10])
    assert not monitor.drain()
    fence.remove()
    assert not monitor.drain()


@inside
def test_changes_of_other_tables_are_not_noticed(here: Lab) -> None:
    fence, monitor = new_fence(), TableMonitor()
    here.nft("table ip ringfence { chain a { accept; }; }")
    here.nft("table inet other { set sip_hosts4 { type ipv4_addr; elements = { 10.0.0.1 }; }; }")
    here.nft("delete table inet other")
    assert not monitor.drain()
    assert fence.enforce([ban(1, "10.0.0.1")], time.time()) == [1]


@inside
def test_another_guard_process_is_foreign(here: Lab) -> None:
    fence, monitor = new_fence(), TableMonitor()
    if not os.fork():
        new_fence().enforce([ban(1, "10.0.0.1")], time.time())
        os._exit(0)
    os.wait()
    assert monitor.drain()
    assert fence.reconcile([], [], None, time.time())


@inside
def test_a_ban_that_ends_in_time_is_no_foreign_change(here: Lab) -> None:
    fence, monitor = new_fence(), TableMonitor()
    until = time.time() + 0.1
    fence.enforce([ban(1, "10.0.0.1", until=until), ban(2, "10.1.0.0/16", until=until)], time.time())
    time.sleep(1.5)  # the kernel sweeps about once a second
    assert not monitor.drain()
    assert fence.untouched()
    assert not fence.reconcile([], [], None, time.time())
