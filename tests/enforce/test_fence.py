"""The fence and the kernel: what is confirmed, kept, counted, put right and refused."""

from __future__ import annotations

import random
import time
from ipaddress import ip_network

import enforce_lab
import pytest
from enforce_lab import BAD4, BAD6, GOOD4, SIP, SSH, Lab, ban, inside, new_fence

from ringfence.enforce.netlink import Link
from ringfence.enforce.nft import Nft
from ringfence.enforce.reconcile import Fence
from ringfence.errors import EnforceError
from ringfence.model import EVERY, FOREVER, AllowEntry, Ban, Lockdown, Service

lab = enforce_lab.lab


@inside
def test_packets_are_counted_by_ban_and_service(here: Lab) -> None:
    fence = new_fence()
    fence.enforce([ban(1, BAD4), ban(2, BAD4, "ssh"), ban(3, GOOD4)], time.time())
    here.arrivals(SIP, [BAD4] * 3)
    here.arrivals(SSH, [BAD4] * 2)
    assert fence.counters() == {(BAD4, "sip"): 3, (BAD4, "ssh"): 2}


@inside
def test_changing_the_end_of_a_ban_keeps_what_it_counted(here: Lab) -> None:
    fence = new_fence()
    targets = [BAD4, BAD6, "2001:db8:66::/64", "203.0.113.0/24"]
    first = [ban(number, target) for number, target in enumerate(targets)]
    assert fence.enforce(first, time.time()) == [0, 1, 2, 3]
    here.arrivals(SIP, [BAD4] * 3)
    for until in (FOREVER, time.time() + 9000, time.time() + 60):
        changed = [ban(number, target, until=until) for number, target in enumerate(targets)]
        assert fence.enforce(changed, time.time()) == [0, 1, 2, 3]
        assert not fence.reconcile(changed, [], None, time.time())
    assert fence.counters() == {(BAD4, "sip"): 3}


@inside
def test_a_ban_in_a_large_batch_that_exists_already_does_not_keep_the_others_out(here: Lab) -> None:
    fence = new_fence()
    fence.enforce([ban(7, "10.0.0.7")], time.time())
    batch = [ban(number, f"10.0.0.{number}", until=time.time() + 7200) for number in range(200)]
    assert fence.enforce(batch, time.time()) == list(range(200))
    assert not fence.reconcile(batch, [], None, time.time())


@inside
def test_what_the_kernel_refuses_is_told_and_the_rest_is_in_force(here: Lab) -> None:
    """A set that somebody limited to 50 elements takes 50; the other bans are told with the reason."""
    fence = new_fence()
    here.nft("add set inet ringfence sip_hosts4 { type ipv4_addr; flags timeout; counter; size 50; }")
    batch = [ban(number, f"10.0.0.{number}") for number in range(60)]
    confirmed = fence.enforce(batch, time.time())
    assert len(confirmed) == 50
    assert len(Link().elements("ringfence", "sip_hosts4")) == 50
    assert set(fence.rejected) == set(range(60)) - set(confirmed)
    assert all("full" in reason for reason in fence.rejected.values())


@inside
def test_a_ban_that_no_rule_could_enforce_is_not_confirmed(here: Lab) -> None:
    fence = new_fence()
    batch = [ban(1, BAD4, "portless"), ban(2, BAD4, "unknown"), ban(3, "no address; flush ruleset"), ban(4, BAD4)]
    assert fence.enforce(batch, time.time()) == [4]
    assert set(fence.rejected) == {1, 2, 3}
    assert "ports" in fence.rejected[1]


@inside
def test_a_probe_tries_the_set_and_leaves_it_as_it_was(here: Lab) -> None:
    """It neither looks like a change from outside, nor counts, nor touches a ban of the same address."""
    fence = new_fence()
    kept = [ban(1, BAD4), ban(2, BAD6)]
    fence.enforce(kept, time.time())
    fence.reconcile(kept, [], None, time.time())
    before = here.nft("list table inet ringfence").count("expires")
    assert [fence.probe(one, "sip", 5.0, time.time()) for one in ("192.0.2.250", "2001:db8:1234:5678::1")] == [True] * 2
    assert fence.probe("192.0.2.250", EVERY, 5.0, time.time())
    assert fence.untouched()
    assert not fence.probe(BAD4, "sip", 5.0, time.time())
    assert here.nft("list table inet ringfence").count("expires") == before == 2
    assert not fence.reconcile(kept, [], None, time.time())


@inside
def test_a_probe_tells_why_the_kernel_does_not_take_an_address(here: Lab) -> None:
    fence = new_fence()
    with pytest.raises(EnforceError, match="no known ports"):
        fence.probe("192.0.2.250", "portless", 5.0, time.time())
    here.nft("delete table inet ringfence")
    with pytest.raises(EnforceError, match="gone"):
        fence.probe("192.0.2.250", "sip", 5.0, time.time())


@inside
def test_networks_up_to_the_very_last_address_are_held_and_lifted(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(number, target) for number, target in enumerate(("0.0.0.0/1", "128.0.0.0/1", "::/0", "ffff::/16"))]
    assert fence.enforce(bans, time.time()) == [0, 1, 2, 3]
    assert not fence.reconcile(bans, [], None, time.time())
    assert here.arrivals(SIP, [BAD4, BAD6]) == set()
    assert "0.0.0.0/1" in here.nft("list set inet ringfence sip_networks4")
    fence.lift(bans)
    assert not fence.reconcile([], [], None, time.time())
    assert here.arrivals(SIP, [BAD4, BAD6]) == {BAD4, BAD6}


@inside
def test_any_order_of_overlapping_networks_ends_in_what_reconcile_wants(here: Lab) -> None:
    """Bans and lifts of networks within each other, in an arbitrary but repeatable order."""
    chance = random.Random(7)
    fence = new_fence()
    held: dict[str, Ban] = {}
    for number in range(150):
        target = f"10.0.{chance.choice((0, 16, 64, 128))}.0/{chance.choice((17, 20, 24, 26))}"
        target = str(ip_network(target, strict=False))
        if target in held and chance.random() < 0.5:
            fence.lift([held.pop(target)])
        else:
            held[target] = ban(number, target, until=time.time() + chance.choice((600, 6000, FOREVER)))
            assert fence.enforce([held[target]], time.time()) == [number]
        if number % 10 == 0:
            assert not fence.reconcile(held.values(), [], None, time.time())
    assert here.arrivals(SIP, [GOOD4]) == {GOOD4}


@inside
def test_a_ban_that_has_ended_is_not_put_in_force(here: Lab) -> None:
    fence = new_fence()
    assert fence.enforce([ban(1, BAD4, until=time.time() - 1)], time.time()) == []
    assert fence.rejected == {}
    assert here.arrivals(SIP, [BAD4]) == {BAD4}


@inside
def test_reconcile_restores_everything_after_a_flush(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(1, BAD4), ban(2, "2001:db8:66::/64"), ban(3, "203.0.113.0/24", EVERY)]
    allow = [AllowEntry(target=GOOD4)]
    fence.install(bans, allow, None, time.time())
    assert fence.untouched()
    here.nft("flush ruleset")
    assert not fence.untouched()
    with pytest.raises(EnforceError, match="gone"):
        fence.enforce([ban(4, "10.0.0.1")], time.time())
    fence.lift([ban(4, "10.0.0.1")])
    difference = fence.reconcile(bans, allow, None, time.time())
    assert difference.structure
    assert difference.missing == 3
    assert here.arrivals(SIP, [BAD4, BAD6]) == set()
    assert not fence.reconcile(bans, allow, None, time.time())
    assert fence.untouched()


@inside
def test_reconcile_puts_single_elements_right_and_says_which(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(1, BAD4), ban(2, "10.1.0.0/16"), ban(3, "10.0.0.9", until=FOREVER), ban(4, "10.2.0.0/16")]
    fence.install(bans, [], None, time.time())
    here.nft(f"delete element inet ringfence sip_hosts4 {{ {BAD4}, 10.0.0.9 }}")
    here.nft("add element inet ringfence sip_hosts4 { 10.0.0.9 timeout 5m, 10.9.9.9 }")
    here.nft("delete element inet ringfence sip_networks4 { 10.1.0.0/16 }")
    here.nft("add element inet ringfence ssh_networks4 { 10.3.0.0/16 }")
    here.nft('add element inet ringfence ssh_hosts6 { 2001:db8::9 comment "mine" }')
    difference = fence.reconcile(bans, [], None, time.time())
    assert (difference.missing, difference.superfluous, difference.wrong_end) == (2, 3, 1)
    assert "superfluous: 10.9.9.9 in sip_hosts4" in difference.examples
    assert "missing: 10.1.0.0-10.1.255.255 in sip_networks4" in difference.examples
    assert not difference.structure
    assert not fence.reconcile(bans, [], None, time.time())


@inside
def test_reconcile_notices_changed_rules_whitelist_and_lockdown(here: Lab) -> None:
    fence = new_fence()
    now = time.time()
    allow, lockdown = [AllowEntry(target=GOOD4)], Lockdown(services=("sip",), since=now, until=now + 600)
    fence.install([ban(1, BAD4)], allow, lockdown, now)
    assert not fence.reconcile([ban(1, BAD4)], allow, lockdown, now)
    here.nft("flush set inet ringfence all_allowed4")
    assert fence.reconcile([ban(1, BAD4)], allow, lockdown, now).whitelist
    here.nft("flush set inet ringfence lockdown_ports")
    assert fence.reconcile([ban(1, BAD4)], allow, lockdown, now).lockdown
    here.nft("flush chain inet ringfence service_sip")
    assert fence.reconcile([ban(1, BAD4)], allow, lockdown, now).structure
    here.nft("insert rule inet ringfence prerouting accept")
    here.nft("add chain inet ringfence theirs")
    assert fence.reconcile([ban(1, BAD4)], allow, lockdown, now).structure
    assert not fence.reconcile([ban(1, BAD4)], allow, lockdown, now)
    assert "theirs" not in here.nft("list table inet ringfence")
    assert here.arrivals(SIP, [BAD4, GOOD4]) == {GOOD4}


@inside
def test_a_new_guard_takes_over_the_table_with_its_counters(here: Lab) -> None:
    """Protection outlives the process; a restart keeps what was counted and adds or removes services."""
    bans = [ban(1, BAD4), ban(2, BAD4, "ssh")]
    new_fence().enforce(bans, time.time())
    here.arrivals(SIP, [BAD4] * 2)
    services = [Service(name="sip", ports=(("udp", 5060, 5060),)), Service(name="iax", ports=(("udp", 4569, 4569),))]
    second = Fence(Nft(), services)
    difference = second.install([bans[0], ban(3, BAD4, "iax")], [], None, time.time())
    assert (difference.missing, difference.superfluous) == (1, 0)
    assert second.counters() == {(BAD4, "sip"): 2}
    assert here.arrivals(4569, [BAD4]) == set()
    assert here.arrivals(SSH, [BAD4]) == {BAD4}
    assert "ssh" not in here.nft("list table inet ringfence")


@inside
def test_a_table_of_another_make_is_replaced(here: Lab) -> None:
    here.nft("table inet ringfence { set sip_hosts4 { type ipv6_addr; }; chain prerouting { drop; }; }")
    fence = new_fence()
    assert fence.enforce([ban(1, BAD4)], time.time()) == [1]
    assert here.arrivals(SIP, [BAD4, GOOD4]) == {GOOD4}


@inside
def test_unfence_removes_our_table_and_no_other(here: Lab) -> None:
    here.nft("add table inet theirs")
    fence = new_fence()
    fence.remove()
    fence.remove()
    assert here.nft("list tables").split() == ["table", "inet", "theirs"]
    with pytest.raises(EnforceError, match="not installed"):
        fence.enforce([ban(1, BAD4)], time.time())


@inside
def test_a_hundred_thousand_bans_are_restored(here: Lab) -> None:
    fence = new_fence()
    until = time.time() + 3600
    bans = [
        ban(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", until=until) for number in range(90_000)
    ]
    bans += [ban(number, f"2001:db8:{number:x}::/64", until=until) for number in range(10_000)]
    fence.install(bans, [], None, time.time())
    assert fence.rejected == {}
    held = Link()
    assert len(held.elements("ringfence", "sip_hosts4")) == 90_000
    assert len(held.elements("ringfence", "sip_prefixes64")) == len(bans) - 90_000
    # On a busy machine so many may take longer to write than an end may be off: then it is put right, and nothing else.
    first = fence.reconcile(bans, [], None, time.time())
    assert (first.missing, first.superfluous, first.structure) == (0, 0, False)


@inside
def test_a_ban_that_was_thought_to_be_new_and_is_in_force_gets_its_new_end_and_keeps_what_it_counted(here: Lab) -> None:
    fence = new_fence()
    assert fence.enforce([ban(1, BAD4)], time.time(), new=True) == [1]
    here.arrivals(SIP, [BAD4] * 3)
    longer = [ban(1, BAD4, until=time.time() + 9000), ban(2, GOOD4)]
    assert fence.enforce(longer, time.time(), new=True) == [1, 2]
    assert not fence.reconcile(longer, [], None, time.time())
    assert fence.counters() == {(BAD4, "sip"): 3}
