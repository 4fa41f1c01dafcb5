"""The text for nft: only parsed addresses get into it, and it says what an administrator needs."""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.enforce import ruleset
from ringfence.model import EVERY, Lockdown, Service

SIP = Service(name="sip", ports=(("udp", 5060, 5061), ("tcp", 5060, 5060)))


@given(st.text(max_size=40))
def test_no_text_that_is_not_an_address_becomes_a_target(text: str) -> None:
    """What an attacker writes can't become a part of a firewall command."""
    try:
        place = ruleset.target(text)
    except ValueError:
        return
    assert len(place.packed) in (4, 16)
    assert re.fullmatch(r"[0-9a-f.:]+", ruleset.host(place.packed))


@given(st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(2**64, 2**128 - 1).map(IPv6Address)))
def test_an_address_keeps_its_value(address: IPv4Address | IPv6Address) -> None:
    place = ruleset.target(str(address))
    assert ruleset.host(place.packed) == str(address)
    assert place.span == (int(address), int(address))


@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_a_network_keeps_its_first_and_last_address(number: int, length: int) -> None:
    network = IPv6Network((number, length), strict=False)
    if network.network_address.ipv4_mapped and length >= 96:
        return
    place = ruleset.target(str(network))
    assert place.span == (int(network.network_address), int(network.broadcast_address))
    assert ip_network(ruleset.network(place.span, 16)) == network


def test_an_ipv4_address_written_as_ipv6_is_the_ipv4_address() -> None:
    assert ruleset.target("::ffff:192.0.2.1") == ruleset.target("192.0.2.1")
    assert ruleset.target("::ffff:192.0.2.0/120") == ruleset.target("192.0.2.0/24")


@given(st.text(max_size=60))
def test_any_service_name_gives_a_name_that_nft_takes(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_-]{0,60}", ruleset.slug(name))


def test_a_service_called_all_is_not_taken_for_all_services() -> None:
    assert ruleset.slug(EVERY) == "all"
    assert ruleset.slug("all") != "all"
    assert ruleset.slug("Voice Mail") != ruleset.slug("voice_mail")


@given(st.floats(0.001, 3660 * 86400))
def test_a_ban_never_ends_early_and_at_most_a_millisecond_late(left: float) -> None:
    found = re.fullmatch(r" timeout (\d+)d(\d{1,5})s(\d{1,3})ms", ruleset.ending(left, 0.0))
    assert found
    days, seconds, milliseconds = map(int, found.groups())
    assert left - 1e-6 <= days * 86400 + seconds + milliseconds / 1000 <= left + 0.0011


def test_a_ban_for_ever_has_no_timeout() -> None:
    assert ruleset.ending(math.inf, 0.0) == ""


def test_whitelist_comes_before_lockdown_and_lockdown_before_bans() -> None:
    lines = ruleset.structure([SIP], 64).splitlines()
    hook = lines[lines.index("chain prerouting {") :]
    order = ["@all_allowed4", "@lockdown_ports", "jump service_sip", "@all_hosts4"]
    places = [next(number for number, line in enumerate(hook) if word in line) for word in order]
    assert places == sorted(places)
    own = lines[lines.index("chain service_sip {") :]
    assert "allowed4 accept" in own[2]
    assert any("priority -310" in line for line in hook)


def test_lockdown_closes_media_by_destination_only() -> None:
    """A source port in the media range may be anybody's: a name server's answer must still come in."""
    lockdown = Lockdown(services=("sip",), since=0.0, until=60.0)
    media = [("udp", 10000, 20000)]
    closed = ruleset.locked_ports(lockdown, [SIP], media, 0.0)
    assert ("udp", 10000, 20000) in closed["lockdown_ports"]
    assert closed["lockdown_replies"] == list(SIP.ports)
    assert ruleset.locked_ports(lockdown, [SIP], media, 60.0) == {"lockdown_ports": [], "lockdown_replies": []}


@pytest.mark.parametrize(
    ("width", "length", "wanted"),
    [
        (4, 32, "sip_hosts4"),
        (4, 24, "sip_networks4"),
        (16, 128, "sip_hosts6"),
        (16, 64, "sip_prefixes64"),
        (16, 48, "sip_networks6"),
    ],
)
def test_each_kind_of_target_has_its_set(width: int, length: int, wanted: str) -> None:
    assert ruleset.set_name("sip", width, length, 64) == wanted
