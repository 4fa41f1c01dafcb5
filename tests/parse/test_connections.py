"""Lines without an address get it from the line that opened their connection, and from nowhere else."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from ringfence.model import Event
from ringfence.parse.addresses import AddressSet
from ringfence.parse.attempts import Attempts
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.connections import CONNECTIONS_KEPT
from ringfence.parse.parser import Parser

KIND = """
kind = "gate"
title = "Gate"
service = "gate"
envelope = "none"
proven = true
[[pattern]]
name = "opened"
template = '{stamp} conn {conn:number} opened from {address}'
attempt = "opens"
join = ["conn"]
within = 100
examples = [{ line = '1700000000 conn 1 opened from 203.0.113.7', address = "203.0.113.7" }]
[[pattern]]
name = "refused"
template = '{stamp} conn {conn:number} refused {account}'
join = ["conn"]
examples = [{ line = '1700000000 conn 1 refused bob', account = "bob" }]
[[pattern]]
name = "welcome"
template = '{stamp} conn {conn:number} welcome {account}'
join = ["conn"]
outcome = "succeeded"
examples = [{ line = '1700000000 conn 1 welcome bob', account = "bob" }]
[[pattern]]
name = "named"
template = '{stamp} refused {account:word} at {address:host}'
join = ["address"]
examples = [{ line = '1700000000 refused bob at 203.0.113.7', address = "203.0.113.7" }]
[[pattern]]
name = "proxied"
template = '{stamp} denied {account:word} by {address} for "{forwarded:quoted}"'
join = ["address"]
examples = [{ line = '1700000000 denied bob by 203.0.113.7 for "-"', address = "203.0.113.7" }]
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "gate.toml").write_text(KIND)
    found = load_catalogue([tmp_path])
    assert found.problems == ()
    return found


def read(parser: Parser, *lines: str) -> list[Event]:
    text = "".join(f"{line}\n" for line in lines)
    return parser.attempts.feed(parser.reader("log", reference=1.8e9).read(text.encode(), 1))


def test_failures_and_successes_get_the_address_of_their_connection(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    events = read(
        parser,
        "1700000000 conn 7 opened from 203.0.113.7",
        "1700000001 conn 8 opened from 2001:db8::8",
        "1700000002 conn 7 refused bob",
        "1700000003 conn 8 refused eve",
        "1700000004 conn 7 welcome bob",
    )
    assert [(event.address, event.account, event.failed) for event in events] == [
        ("203.0.113.7", "bob", True),
        ("2001:db8::8", "eve", True),
        ("203.0.113.7", "bob", False),
    ]
    assert all(event.proven for event in events)


def test_a_number_used_again_is_another_connection_and_an_unknown_one_blames_nobody(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    events = read(
        parser,
        "1700000000 conn 7 opened from 203.0.113.7",
        "1700000001 conn 7 opened from 198.51.100.1",
        "1700000002 conn 7 refused bob",
        "1700000003 conn 9 refused bob",
    )
    assert [event.address for event in events] == ["198.51.100.1"]


def test_an_opening_that_is_written_a_moment_late_still_counts(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    events = read(
        parser,
        "1700000001 conn 7 refused bob",
        "1700000001 conn 8 refused eve",
        "1700000002 conn 7 opened from 203.0.113.7",
        "1700000004 conn 8 opened from 203.0.113.8",
    )
    assert [(event.address, event.account, event.time) for event in events] == [("203.0.113.7", "bob", 1700000001)]


def test_a_line_that_waits_for_its_opening_outlives_a_restart(catalogue: Catalogue) -> None:
    before = Parser(catalogue, zone=UTC)
    assert read(before, "1700000001 conn 7 refused bob") == []
    after = Parser(catalogue, zone=UTC)
    after.attempts.restore((), before.attempts.held().added)
    (event,) = read(after, "1700000002 conn 7 opened from 203.0.113.7")
    assert (event.address, event.account) == ("203.0.113.7", "bob")
    assert [gone.account for gone in after.attempts.held().dropped] == ["bob"]


def test_a_short_connection_does_not_end_a_long_one(catalogue: Catalogue, tmp_path: Path) -> None:
    """Each opening pattern says for itself for how long it is good."""
    long = KIND.replace('kind = "gate"', 'kind = "hall"').replace("conn {", "hall {").replace("conn 1", "hall 1")
    (tmp_path / "hall.toml").write_text(long.replace("within = 100", "within = 5000"))
    parser = Parser(load_catalogue([tmp_path]), zone=UTC)
    read(parser, "1700000000 hall 7 opened from 203.0.113.7", "1700000000 conn 8 opened from 203.0.113.8")
    read(parser, "1700001000 conn 9 opened from 203.0.113.9")
    assert [event.address for event in read(parser, "1700001001 hall 7 refused bob")] == ["203.0.113.7"]


def test_an_opening_is_good_for_as_long_as_the_pattern_says(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    events = read(
        parser,
        "1700000000 conn 7 opened from 203.0.113.7",
        "1700000100 conn 7 refused bob",
        "1700000101 conn 7 refused bob",
    )
    assert [event.time for event in events] == [1700000100]


def test_open_connections_outlive_a_restart(catalogue: Catalogue) -> None:
    before = Parser(catalogue, zone=UTC)
    read(before, "1700000000 conn 7 opened from 203.0.113.7", "1700000000 conn 8 opened from 203.0.113.8")
    held = before.attempts.held()
    assert [event.address for event in held.added] == ["203.0.113.7", "203.0.113.8"]
    after = Parser(catalogue, zone=UTC)
    after.attempts.restore((), held.added)
    assert [event.address for event in read(after, "1700000050 conn 7 refused bob")] == ["203.0.113.7"]
    assert after.attempts.held().added == []


def test_what_is_held_is_let_go_when_the_connection_is_over(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    read(parser, "1700000000 conn 7 opened from 203.0.113.7")
    first = parser.attempts.held()
    read(parser, "1700000200 conn 8 opened from 203.0.113.8")
    second = parser.attempts.held()
    assert second.dropped == first.added
    assert [event.session for event in second.added] == ["gate/8"]


def test_the_same_connection_opened_again_by_the_same_address_stays_held(catalogue: Catalogue) -> None:
    """It is kept under the same key, so what is over must not take the new one along."""
    parser = Parser(catalogue, zone=UTC)
    read(parser, "1700000000 conn 7 opened from 203.0.113.7")
    parser.attempts.held()
    read(parser, "1700000010 conn 7 opened from 203.0.113.7")
    held = parser.attempts.held()
    assert [event.time for event in held.added] == [1700000010] and held.dropped == []


def test_a_flood_of_connections_is_bounded(catalogue: Catalogue) -> None:
    parser = Parser(catalogue, zone=UTC)
    lines = [f"1700000000 conn {number} opened from 203.0.113.7" for number in range(CONNECTIONS_KEPT + 10)]
    read(parser, *lines)
    assert len(parser.attempts.held().added) == CONNECTIONS_KEPT
    assert read(parser, "1700000001 conn 5 refused bob") == []
    assert len(read(parser, f"1700000001 conn {CONNECTIONS_KEPT} refused bob")) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((" opened from {address}'", " opened by {account}'"), "needs {address}"),
        (('attempt = "opens"\njoin = ["conn"]', 'attempt = "opens"\njoin = ["address"]'), "`join` without it"),
        (('attempt = "opens"', 'attempt = "none"'), "no pattern with this `join` opens its session"),
    ],
)
def test_a_pattern_that_nobody_can_give_an_address_is_refused(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    (tmp_path / "gate.toml").write_text(KIND.replace(*change))
    (problem,) = load_catalogue([tmp_path]).problems
    assert told in problem


def test_a_host_name_counts_only_where_it_is_allowed(catalogue: Catalogue) -> None:
    line = "1700000000 refused bob at GW.Example.ORG."
    assert read(Parser(catalogue, zone=UTC), line) == []
    (event,) = read(Parser(catalogue, zone=UTC, names=True), line)
    assert (event.address, event.proven) == ("name:gw.example.org", False)
    (event,) = read(Parser(catalogue, zone=UTC, names=True), "1700000000 refused bob at [2001:DB8::7]")
    assert (event.address, event.proven) == ("2001:db8::7", True)


def test_lines_with_a_name_only_are_counted(catalogue: Catalogue) -> None:
    reader = Parser(catalogue, zone=UTC).reader("log", reference=1.8e9)
    reader.read(b"1700000000 refused bob at gw\n" * 3, 1)
    assert reader.statistics.named == 3


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", "192.0.2.99", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.8", "203.0.113.8"),
        ("10.0.0.1", "192.0.2.99, 203.0.113.8", "203.0.113.8"),
        ("10.0.0.1", "192.0.2.99, 203.0.113.8, 10.0.0.2", "203.0.113.8"),
        ("10.0.0.1", "203.0.113.8:4711", "203.0.113.8"),
        ("10.0.0.1", "[2001:db8::8]:4711", "2001:db8::8"),
        ("10.0.0.1", "::FFFF:203.0.113.8", "203.0.113.8"),
        ("10.0.0.1", "-", None),
        ("10.0.0.1", "203.0.113.8, unknown", None),
        ("10.0.0.1", "10.0.0.2", None),
    ],
)
def test_the_client_behind_a_proxy_is_believed_of_our_own_proxies_only(
    catalogue: Catalogue, peer: str, forwarded: str, client: str | None
) -> None:
    """And of what they say only the end, which they wrote themselves; the proxy itself is never blamed."""
    parser = Parser(catalogue, zone=UTC, proxies=AddressSet(["10.0.0.0/8"]))
    events = read(parser, f'1700000000 denied bob by {peer} for "{forwarded}"')
    assert [event.address for event in events] == ([] if client is None else [client])


def test_without_proxies_the_peer_is_the_client(catalogue: Catalogue) -> None:
    (event,) = read(Parser(catalogue, zone=UTC), '1700000000 denied bob by 10.0.0.1 for "192.0.2.99"')
    assert event.address == "10.0.0.1"


def test_what_is_no_pattern_any_more_is_not_restored_as_a_connection() -> None:
    attempts = Attempts(())
    old = Event(1.0, "203.0.113.7", "gate", "", True, "", "", True, "gone/opened", "log", 1, "gate/7")
    attempts.restore((), [old])
