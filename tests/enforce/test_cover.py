"""Overlapping networks as ranges without overlap, each address as long as its longest ban."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from ringfence.enforce.cover import Segment, disjoint, merged, overlapping

ends = st.sampled_from([10.0, 20.0, 30.0, math.inf])
ranges = st.tuples(st.integers(0, 63), st.integers(0, 63)).map(lambda pair: (min(pair), max(pair)))
spans = st.dictionaries(ranges, ends, max_size=12)


@given(spans)
def test_every_address_is_held_exactly_as_long_as_the_longest_of_its_bans(
    given_spans: dict[tuple[int, int], float],
) -> None:
    cover = disjoint(given_spans)
    for address in range(64):
        wanted = [until for (first, last), until in given_spans.items() if first <= address <= last]
        held = [piece.until for piece in cover if piece.first <= address <= piece.last]
        assert held == ([max(wanted)] if wanted else [])


@given(spans)
def test_pieces_are_in_order_do_not_overlap_and_stay_within_their_owner(
    given_spans: dict[tuple[int, int], float],
) -> None:
    cover = disjoint(given_spans)
    assert all(before.last < after.first for before, after in itertools.pairwise(cover))
    for piece in cover:
        assert piece.owner[0] <= piece.first <= piece.last <= piece.owner[1]
        assert given_spans[piece.owner] == piece.until


def test_a_longer_ban_of_a_part_cuts_the_network_in_three() -> None:
    assert disjoint({(0, 255): 10.0, (16, 31): 20.0}) == [
        Segment(0, 15, 10.0, (0, 255)),
        Segment(16, 31, 20.0, (16, 31)),
        Segment(32, 255, 10.0, (0, 255)),
    ]


def test_a_shorter_ban_of_a_part_changes_nothing() -> None:
    assert disjoint({(0, 255): math.inf, (16, 31): 20.0}) == [Segment(0, 255, math.inf, (0, 255))]


@given(st.lists(st.tuples(st.sampled_from(["tcp", "udp"]), st.integers(1, 30), st.integers(0, 9)), max_size=10))
def test_merged_port_ranges_close_the_same_ports_and_do_not_overlap(raw: list[tuple[str, int, int]]) -> None:
    ports = [(protocol, first, first + more) for protocol, first, more in raw]
    result = merged(ports)
    closed = [(protocol, port) for protocol, first, last in result for port in range(first, last + 1)]
    assert set(closed) == {(protocol, port) for protocol, first, last in ports for port in range(first, last + 1)}
    assert len(closed) == len(set(closed))


@given(st.lists(ranges, max_size=4), st.lists(ranges, max_size=4))
def test_overlap_is_found_wherever_two_ranges_share_an_address(
    new: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    addresses = [address for first, last in new for address in range(first, last + 1)]
    taken = {address for first, last in others for address in range(first, last + 1)}
    shared = len(addresses) != len(set(addresses)) or bool(taken & set(addresses))
    assert overlapping(new, others) == shared
