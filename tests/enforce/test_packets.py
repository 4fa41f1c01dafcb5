"""What a ban, the whitelist and the lockdown do to real packets between network namespaces."""

from __future__ import annotations

import socket
import time

import enforce_lab
import pytest
from enforce_lab import (
    BAD4,
    BAD6,
    GOOD4,
    GOOD6,
    GUARD4,
    MEDIA,
    SAME64,
    SIP,
    SSH,
    Lab,
    ban,
    inside,
    new_fence,
)

from ringfence.errors import EnforceError
from ringfence.model import EVERY, FOREVER, AllowEntry, Lockdown

lab = enforce_lab.lab
EVERYBODY = {BAD4, BAD6, SAME64, GOOD4, GOOD6}


@inside
def test_a_banned_address_is_kept_out_of_its_service_and_of_nothing_else(here: Lab) -> None:
    fence = new_fence()
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY
    assert fence.enforce([ban(1, BAD4), ban(2, BAD6)], time.time()) == [1, 2]
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY - {BAD4, BAD6}
    assert here.arrivals(SSH, EVERYBODY) == EVERYBODY


@inside
def test_a_banned_64_keeps_all_its_addresses_out(here: Lab) -> None:
    fence = new_fence()
    assert fence.enforce([ban(1, "2001:db8:66::/64")], time.time()) == [1]
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY - {BAD6, SAME64}
    assert fence.counters() == {("2001:db8:66::/64", "sip"): 2}


@inside
def test_a_banned_network_keeps_all_its_addresses_out(here: Lab) -> None:
    fence = new_fence()
    assert fence.enforce([ban(1, "192.0.2.64/29"), ban(2, "2001:db8:66::/56")], time.time()) == [1, 2]
    assert here.arrivals(SIP, EVERYBODY) == {GOOD4, GOOD6}
    assert fence.counters() == {("192.0.2.64/29", "sip"): 1, ("2001:db8:66::/56", "sip"): 2}


@inside
def test_overlapping_networks_hold_as_long_as_the_longest(here: Lab) -> None:
    fence = new_fence()
    soon = time.time() + 0.4
    assert fence.enforce([ban(1, "192.0.2.64/26", until=soon)], time.time()) == [1]
    assert fence.enforce([ban(2, "192.0.2.66/31")], time.time()) == [2]
    assert here.arrivals(SIP, [BAD4, GOOD4]) == set()
    assert here.until_arrival(SIP, GOOD4) > 0.1
    assert here.arrivals(SIP, [BAD4, GOOD4]) == {GOOD4}
    fence.lift([ban(2, "192.0.2.66/31")], time.time())
    assert here.arrivals(SIP, [BAD4]) == {BAD4}


@inside
def test_a_ban_for_all_services_closes_every_port(here: Lab) -> None:
    fence = new_fence()
    assert fence.enforce([ban(1, BAD4, EVERY), ban(2, "2001:db8:66::/64", EVERY)], time.time()) == [1, 2]
    for port in (SIP, SSH, 7777):
        assert here.arrivals(port, EVERYBODY) == {GOOD4, GOOD6}


@inside
def test_an_established_tcp_connection_stops_at_once(here: Lab) -> None:
    fence = new_fence()
    with here.socket("g", socket.AF_INET, socket.SOCK_STREAM, GUARD4, SIP) as server:
        server.listen()
        with here.socket("p", socket.AF_INET, socket.SOCK_STREAM, BAD4, 0) as client:
            client.connect((GUARD4, SIP))
            taken, _ = server.accept()
            with taken:
                client.send(b"before")
                assert taken.recv(100) == b"before"
                fence.enforce([ban(1, BAD4)], time.time())
                client.send(b"after")
                here.settle()
                taken.setblocking(False)
                with pytest.raises(BlockingIOError):  # nothing came
                    taken.recv(100)
    assert fence.counters()[BAD4, "sip"] >= 1


@inside
def test_a_port_forwarded_to_a_container_is_closed_too(here: Lab) -> None:
    fence = new_fence()
    with open("/proc/sys/net/ipv4/ip_forward", "w") as switch:
        switch.write("1")
    here.nft(
        "table ip nat { chain pre { type nat hook prerouting priority -100; "
        "udp dport 5060 dnat to 198.51.100.2:15060; }; }"
    )
    fence.enforce([ban(1, BAD4)], time.time())
    with here.socket("c", socket.AF_INET, socket.SOCK_DGRAM, "198.51.100.2", 15060) as server:
        for source in (BAD4, GOOD4):
            with here.socket("p", socket.AF_INET, socket.SOCK_DGRAM, source, 0) as sender:
                sender.sendto(source.encode(), (GUARD4, SIP))
        assert server.recv(100).decode() == GOOD4


@inside
def test_whitelist_beats_ban_for_all_services_or_for_one(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(1, BAD4), ban(2, BAD4, EVERY), ban(3, "2001:db8:66::/64"), ban(4, "192.0.2.64/27", EVERY)]
    fence.enforce(bans, time.time())
    assert here.arrivals(SIP, EVERYBODY) == {GOOD6}
    fence.allow([AllowEntry(target=BAD4, service="sip"), AllowEntry(target="2001:db8:66::/48")], time.time())
    assert here.arrivals(SIP, EVERYBODY) == {BAD4, BAD6, SAME64, GOOD6}
    assert here.arrivals(SSH, EVERYBODY) == {BAD6, SAME64, GOOD6}
    fence.allow([], time.time())
    assert here.arrivals(SIP, EVERYBODY) == {GOOD6}


@inside
def test_a_host_name_on_the_whitelist_counts_with_its_addresses_until_it_expires(here: Lab) -> None:
    fence = new_fence()
    fence.enforce([ban(1, BAD4), ban(2, BAD6)], time.time())
    entry = AllowEntry(target="phone.example", addresses=(BAD4, BAD6), expires=time.time() + 0.5)
    fence.allow([entry, AllowEntry(target="unresolved.example")], time.time())
    assert here.arrivals(SIP, [BAD4, BAD6]) == {BAD4, BAD6}
    time.sleep(max(0.0, entry.expires - time.time()) + 0.05)
    assert here.arrivals(SIP, [BAD4, BAD6]) == set()


@inside
def test_a_ban_ends_on_time_without_us(here: Lab) -> None:
    fence = new_fence()
    until = time.time() + 0.6
    fence.enforce([ban(1, BAD4, until=until), ban(2, BAD6, until=FOREVER)], time.time())
    fence.close()
    assert here.arrivals(SIP, [BAD4, BAD6]) == set()
    here.until_arrival(SIP, BAD4)
    assert -0.02 < time.time() - until < 1.0
    assert here.arrivals(SIP, [BAD6]) == set()


@inside
def test_a_lifted_ban_lets_in_at_once(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(1, BAD4), ban(2, "2001:db8:66::/64"), ban(3, "192.0.2.76/30")]
    fence.enforce(bans, time.time())
    assert here.arrivals(SIP, EVERYBODY) == {GOOD6}
    fence.lift([*bans, ban(4, "203.0.113.1"), ban(5, "203.0.113.0/24")])
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY


@inside
def test_lockdown_stops_signalling_media_and_replies_except_for_the_whitelist(here: Lab) -> None:
    fence = new_fence()
    fence.allow([AllowEntry(target=GOOD4), AllowEntry(target=GOOD6, service="sip")], time.time())
    fence.lockdown(Lockdown(services=("sip",), since=time.time(), until=FOREVER), time.time())
    for port in (SIP, MEDIA):
        assert here.arrivals(port, EVERYBODY) == {GOOD4, GOOD6}
    assert here.arrivals(33333, EVERYBODY, source_port=SIP) == {GOOD4, GOOD6}, "replies of a provider"
    assert here.arrivals(33333, EVERYBODY, source_port=MEDIA) == EVERYBODY, "media ports are no source"
    assert here.arrivals(SSH, EVERYBODY) == EVERYBODY
    fence.lockdown(None, time.time())
    for port in (SIP, MEDIA):
        assert here.arrivals(port, EVERYBODY) == EVERYBODY


@inside
def test_lockdown_ends_by_itself_without_us(here: Lab) -> None:
    fence = new_fence()
    until = time.time() + 0.5
    fence.lockdown(Lockdown(services=(EVERY,), since=time.time(), until=until), time.time())
    fence.close()
    assert here.arrivals(SIP, [GOOD4, GOOD6]) == set()
    here.until_arrival(SIP, GOOD4)
    assert -0.02 < time.time() - until < 1.0
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY


@inside
def test_a_lockdown_that_would_close_nothing_is_refused(here: Lab) -> None:
    fence = new_fence()
    with pytest.raises(EnforceError, match="portless"):
        fence.lockdown(Lockdown(services=("portless",), since=0.0, until=FOREVER), time.time())
    assert here.arrivals(SIP, EVERYBODY) == EVERYBODY


@inside
def test_media_ports_are_a_setting(here: Lab) -> None:
    fence = new_fence(media_ports=())
    fence.lockdown(Lockdown(services=("sip",), since=time.time(), until=time.time() + 60), time.time())
    assert here.arrivals(MEDIA, [GOOD4]) == {GOOD4}


@inside
def test_loopback_is_never_cut_off(here: Lab) -> None:
    fence = new_fence()
    fence.enforce([ban(1, GUARD4, EVERY), ban(2, "127.0.0.0/8", EVERY)], time.time())
    with here.socket("g", socket.AF_INET, socket.SOCK_DGRAM, GUARD4, SIP) as server:
        with here.socket("g", socket.AF_INET, socket.SOCK_DGRAM, GUARD4, 0) as sender:
            sender.sendto(b"self", (GUARD4, SIP))
        assert server.recv(100) == b"self"


@inside
def test_a_banned_network_that_holds_our_neighbours_does_not_break_the_link(here: Lab) -> None:
    """Neighbour discovery passes, or a banned /64 would take our router's link layer address away from us."""
    fence = new_fence()
    fence.enforce([ban(1, "2001:db8::/32", EVERY)], time.time())
    here.nft("add table inet probe")
    here.nft("add chain inet probe pre { type filter hook prerouting priority 0; }")
    here.nft("add rule inet probe pre icmpv6 type nd-neighbor-solicit counter")
    with here.socket("p", socket.AF_INET6, socket.SOCK_DGRAM, GOOD6, 0) as sender:
        sender.sendto(b"who has", ("2001:db8:1::5555", SIP))  # nobody has; the question itself must pass
        here.settle()
    assert "packets 0" not in here.nft("list chain inet probe pre")
