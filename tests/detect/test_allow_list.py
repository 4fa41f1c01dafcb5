"""The whitelist: who is on it, for what and until when."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.detect import AllowList
from ringfence.detect.allow import covered_by
from ringfence.errors import SettingsError
from ringfence.model import EVERY, AllowEntry


def test_an_entry_holds_for_its_service_until_it_expires() -> None:
    entry = AllowEntry(target="192.0.2.0/24", service="sip", expires=100)
    allow = AllowList([entry])
    assert allow.covers("192.0.2.1", "sip", 99.9) == entry
    assert allow.covers("192.0.2.1", "sip", 100) is None
    assert allow.covers("192.0.2.1", "ssh", 0) is None
    assert allow.covers("192.0.2.1", EVERY, 0) is None
    assert allow.covers("198.51.100.1", "sip", 0) is None


def test_loopback_and_our_own_addresses_are_always_on_it() -> None:
    allow = AllowList([], own=["192.0.2.10", "2001:db8:5::/48"])
    for address in ("127.0.0.1", "127.9.9.9", "::1", "192.0.2.10", "2001:db8:5:1::9", "::ffff:192.0.2.10"):
        assert allow.covers(address, "ssh", 0) is not None, address
    assert allow.covers("192.0.2.11", "ssh", 0) is None


def test_a_host_name_stands_for_what_it_last_resolved_to() -> None:
    allow = AllowList(
        [
            AllowEntry(target="pbx.example.org", addresses=("192.0.2.5", "2001:db8::/64")),
            AllowEntry(target="never.example.org"),
        ]
    )
    assert allow.covers("192.0.2.5", "sip", 0) is not None
    assert allow.covers("2001:db8::77", "sip", 0) is not None


@pytest.mark.parametrize(
    "target", ["", "192.0.2.1/33", "192.0.2.1/24", "300.1.1.1", "fe80::1%eth0", "1.2.3", "a b", "-x", "2001:db8::g"]
)
def test_an_entry_that_is_nothing_is_refused_by_name(target: str) -> None:
    with pytest.raises(SettingsError, match="whitelist"):
        AllowList([AllowEntry(target=target)])


def test_a_network_overlaps_what_lies_in_it_and_what_it_lies_in() -> None:
    allow = AllowList(
        [
            AllowEntry(target="192.0.2.77"),
            AllowEntry(target="10.0.0.0/8"),
            AllowEntry(target="2001:db8::5", service="sip"),
        ]
    )
    assert allow.covers_network("192.0.2.0/24", "ssh", 0) is not None
    assert allow.covers_network("192.0.2.64/28", "ssh", 0) is not None
    assert allow.covers_network("192.0.2.0/26", "ssh", 0) is None
    assert allow.covers_network("10.1.2.0/24", "ssh", 0) is not None
    assert allow.covers_network("10.1.2.3", "ssh", 0) is not None
    assert allow.covers_network("2001:db8::/64", "sip", 0) is not None
    assert allow.covers_network("2001:db8::/64", "ssh", 0) is None
    with pytest.raises(SettingsError):
        allow.covers_network("nonsense", "ssh", 0)


def test_the_bans_that_an_entry_covers_are_found() -> None:
    targets = ["192.0.2.1", "192.0.2.0/25", "192.0.0.0/16", "198.51.100.1", "2001:db8::1", "junk"]
    assert covered_by(AllowEntry(target="192.0.2.0/24"), targets) == ["192.0.2.1", "192.0.2.0/25"]
    assert covered_by(AllowEntry(target="pbx.example.org", addresses=("2001:db8::1",)), targets) == ["2001:db8::1"]


v4 = st.integers(0, 255).map(lambda i: f"10.0.{i // 64}.{i % 64}")
v6 = st.integers(0, 255).map(lambda i: f"2001:db8::{i // 16:x}:{i % 16:x}")
networks = st.builds(
    lambda address, back: str(
        ipaddress.ip_network(f"{address}/{(32 if '.' in address else 128) - back}", strict=False)
    ),
    v4 | v6,
    st.integers(0, 12),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(networks, max_size=8), st.lists(v4 | v6, max_size=8), networks)
def test_it_agrees_with_comparing_every_network(entries: list[str], addresses: list[str], banned: str) -> None:
    allow = AllowList([AllowEntry(target=entry) for entry in entries])
    nets = [ipaddress.ip_network(entry) for entry in entries]
    for address in addresses * 2:
        expected = any(ipaddress.ip_address(address) in net for net in nets)
        assert (allow.covers(address, "ssh", 0) is not None) == expected
    target = ipaddress.ip_network(banned)
    overlaps = any(net.version == target.version and net.overlaps(target) for net in nets)
    assert (allow.covers_network(banned, "ssh", 0) is not None) == overlaps
    for entry, net in zip(entries, nets, strict=True):
        inside = [a for a in addresses if ipaddress.ip_address(a) in net]
        assert covered_by(AllowEntry(target=entry), addresses) == inside
