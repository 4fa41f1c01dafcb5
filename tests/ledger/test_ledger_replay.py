"""Recorded events are read once more, in two halves if need be, and nobody is missed or told twice."""

from __future__ import annotations

import tempfile
from ipaddress import ip_address, ip_network
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.ledger import Ledger
from ringfence.ledger.replay import Replay
from ringfence.model import Event

NOW = 1_800_000_000.0


def recorded(folder: str, addresses: list[str]) -> Path:
    path = Path(folder, "ledger.db")
    ledger = Ledger.open(path, now=NOW)
    events = [
        Event(NOW - 1000 + place, address, "ssh", "root", True, "password", "", True, "a/b", "log", 1, "s")
        for place, address in enumerate(addresses)
    ]
    ledger.record(events, [], [], NOW)
    ledger.close()
    return path


groups = st.sampled_from(["0", "1", "2", "2001", "200", "20", "2a01", "fe80", "ffff"])
ipv6 = st.lists(groups, min_size=8, max_size=8).map(lambda parts: str(ip_address(":".join(parts))))
ipv4 = st.tuples(st.sampled_from([1, 2, 20, 200, 201, 99]), *[st.sampled_from([0, 1, 20, 255])] * 3).map(
    lambda parts: ".".join(map(str, parts))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ipv4 | ipv6, max_size=30), st.sampled_from([0, 5]))
def test_the_halves_are_all_there_is_and_cut_no_network(addresses: list[str], beginning: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open_reader(recorded(folder, addresses))
        replay = Replay(ledger)
        span = replay.span(NOW - 1000 + beginning)
        lower, upper = ([row for rows in replay.rows(span, half=half) for row in rows] for half in replay.halves(span))
        both = [row for rows in replay.rows(span) for row in rows]
        ledger.close()
    assert [row[1] for row in both] == addresses[beginning:]
    assert sorted(lower + upper) == sorted(both)
    assert lower == sorted(lower)
    networks = [{network(row[1]) for row in half} for half in (lower, upper)]
    assert not networks[0] & networks[1]


def network(address: str) -> object:
    return ip_network(f"{address}/{16 if ':' in address else 8}", strict=False)


def test_the_halves_are_much_the_same_size(tmp_path: Path) -> None:
    """However the addresses begin, and however often one of them tries."""
    addresses = [f"{11 + place % 180}.0.2.{place % 250}" for place in range(3_000)] + ["45.0.2.1"] * 300
    ledger = Ledger.open_reader(recorded(str(tmp_path), addresses))
    replay = Replay(ledger)
    span = replay.span(0.0)
    sizes = [sum(len(rows) for rows in replay.rows(span, half=half)) for half in replay.halves(span)]
    ledger.close()
    assert sum(sizes) == len(addresses)
    assert max(sizes) < 0.6 * len(addresses)


def test_only_the_kinds_that_are_asked_for_are_told(tmp_path: Path) -> None:
    ledger = Ledger.open_reader(recorded(str(tmp_path), ["192.0.2.1", "192.0.2.2"]))
    replay = Replay(ledger)
    (number,) = replay.contexts()
    assert [len(rows) for rows in replay.rows(replay.span(0.0), {number})] == [2]
    assert list(replay.rows(replay.span(0.0), {number + 1})) == []
    ledger.close()


def test_the_addresses_of_networks_are_found(tmp_path: Path) -> None:
    """Among those that were counted up already and those that were not yet."""
    first = ["192.0.2.1", "192.0.3.1", "2001:db8::5", "2001:db8:0:1::5", "198.51.100.7"]
    path = recorded(str(tmp_path), first)
    ledger = Ledger.open(path, now=NOW)
    ledger.tally()
    ledger.record([Event(NOW, "192.0.2.9", "ssh", "", True, "", "", True, "a/b", "log", 1, "s")], [], [], NOW)
    reader = Ledger.open_reader(path)
    found = Replay(reader).addresses_around(["192.0.2.0/24", "2001:db8:0:1::/64"])
    reader.close()
    ledger.close()
    assert {"192.0.2.1", "192.0.2.9", "2001:db8:0:1::5"} <= found
    assert "198.51.100.7" not in found
