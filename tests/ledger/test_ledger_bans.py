"""Bans: states, extension, capacity, history and evidence."""

from __future__ import annotations

import time as clock
from pathlib import Path

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger
from ringfence.ledger.cover import Membership
from ringfence.ledger.evidence import EVIDENCE, EVIDENCE_OF_A_BAN
from ringfence.ledger.making import NEXT
from ringfence.model import EVERY, FOREVER, Ban


def changes(ledger: Ledger, ban: Ban) -> list[tuple[str, str]]:
    return [(change.change, change.state) for change in ledger.changes(ban.id)]


def test_a_ban_goes_from_wanted_to_enforced_to_expired_and_all_of_it_is_kept(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    (ban,) = ledger.record([event(detail="sip:x@y")], [verdict()], [], NOW).wanted
    assert (ban.state, ban.service, ban.since, ban.until) == ("wanted", "ssh", NOW, NOW + 600)
    assert (ban.author, ban.reason, ban.detail) == ("rule:standard", "wrong password", "sip:x@y")
    ledger.mark_enforced([ban.id], NOW + 1)
    assert [b.state for b in ledger.bans()] == ["enforced"]
    assert ledger.expire(NOW + 599) == []
    (over,) = ledger.expire(NOW + 600)
    assert (over.id, over.state, over.ended) == (ban.id, "expired", NOW + 600)
    assert ledger.bans() == []
    assert ledger.history("192.0.2.1") == [over]
    assert changes(ledger, ban) == [("made", "wanted"), ("enforced", "enforced"), ("expired", "expired")]


def test_a_longer_verdict_extends_and_a_shorter_one_changes_nothing(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    (ban,) = ledger.record([], [verdict(until=NOW + 600)], [], NOW).wanted
    ledger.mark_enforced([ban.id], NOW)
    assert ledger.record([], [verdict(until=NOW + 300, rule="short")], [], NOW).wanted == []
    assert ledger.record([], [verdict(until=NOW + 600, rule="same")], [], NOW).wanted == []
    assert ledger.bans()[0].state == "enforced"
    (longer,) = ledger.record([], [verdict(until=FOREVER, rule="repeat")], [], NOW).wanted
    assert (longer.id, longer.state, longer.until, longer.author) == (ban.id, "wanted", FOREVER, "rule:repeat")
    assert ledger.bans() == [longer]
    assert [v.ban for v in ledger.verdicts()] == [ban.id] * 4


def test_confirmation_of_what_was_changed_meanwhile_is_not_believed(tmp_path: Path) -> None:
    """The kernel took the old end; the ban says a later one by now, so it is still wanted."""
    ledger = opened(tmp_path)
    (ban,) = ledger.record([], [verdict()], [], NOW).wanted
    (longer,) = ledger.record([], [verdict(until=NOW + 9000)], [], NOW).wanted
    ledger.mark_enforced([ban], NOW)
    assert ledger.bans() == [longer]
    ledger.mark_enforced([longer], NOW)
    assert [b.state for b in ledger.bans()] == ["enforced"]


def test_several_rules_in_one_batch_give_one_ban_with_the_longest_end(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    fired = [verdict(until=NOW + n, rule=f"r{n}") for n in (600, 86400, 60)]
    (ban,) = ledger.record([event()], fired, [], NOW).wanted
    assert (ban.until, ban.author) == (NOW + 86400, "rule:r86400")


def test_scope_all_bans_every_service_beside_the_ban_of_one(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    wanted = ledger.record([], [verdict(), verdict(scope="all")], [], NOW).wanted
    assert sorted(ban.service for ban in wanted) == [EVERY, "ssh"]


def test_a_verdict_without_block_is_recorded_and_bans_nobody(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    seen = [verdict(actions=()), verdict(actions=("mail",))]
    assert ledger.record([], seen, [], NOW).wanted == []
    assert [entry.verdict for entry in ledger.verdicts()] == seen
    assert [entry.ban for entry in ledger.verdicts()] == [None, None]


def test_a_ban_that_was_over_before_it_was_found_is_history_only(tmp_path: Path) -> None:
    """Catching up on yesterday's log, yesterday's ban counts for later rules but is not put into the kernel."""
    ledger = opened(tmp_path)
    assert ledger.record([], [verdict(time=NOW - 9000, until=NOW - 8000)], [], NOW).wanted == []
    (ban,) = ledger.history("192.0.2.1")
    assert (ban.state, ban.ended) == ("expired", NOW - 8000)
    assert ledger.bans_since(NOW - 9000) == [ban]
    assert ledger.bans() == []


def test_a_ban_after_the_end_of_the_last_is_a_new_one(tmp_path: Path) -> None:
    """Nobody had called expire yet: the old ban still ends on its own time, and the new one is another."""
    ledger = opened(tmp_path)
    (old,) = ledger.record([], [verdict(until=NOW + 10)], [], NOW).wanted
    result = ledger.record([], [verdict(time=NOW + 20, until=NOW + 30)], [], NOW + 20)
    assert [ban.id for ban in result.expired] == [old.id]
    assert result.wanted[0].id != old.id
    assert [(ban.state, ban.ended) for ban in ledger.history("192.0.2.1")] == [("expired", NOW + 10), ("wanted", None)]


def test_a_full_list_makes_room_by_the_automatic_ban_that_ends_soonest(tmp_path: Path) -> None:
    ledger = opened(tmp_path, capacity=3)
    ledger.ban("192.0.2.1", "ssh", NOW, NOW + 1, author="user:ann", now=NOW)
    first = ledger.record([], [verdict("192.0.2.2", until=NOW + 50), verdict("192.0.2.3", until=NOW + 40)], [], NOW)
    assert len(first.wanted) == 2
    result = ledger.record([], [verdict("192.0.2.4", until=NOW + 30)], [], NOW)
    assert [(b.target, b.state) for b in result.evicted] == [("192.0.2.3", "lifted")]
    assert [b.target for b in result.wanted] == ["192.0.2.4"]
    assert ledger.changes(result.evicted[0].id)[-1].author == "capacity"
    size = ledger.size()
    assert (size.bans_now, size.bans_peak, size.bans_capacity, size.bans_overflow) == (3, 3, 3, 1)


def test_what_is_evicted_in_the_batch_that_made_it_is_not_wanted(tmp_path: Path) -> None:
    ledger = opened(tmp_path, capacity=1)
    result = ledger.record([], [verdict(f"192.0.2.{n}", until=NOW + n) for n in range(1, 9)], [], NOW)
    assert [b.target for b in result.wanted] == ["192.0.2.8"]
    assert [b.target for b in ledger.bans()] == ["192.0.2.8"]


def test_a_list_full_of_bans_by_hand_takes_no_more_and_counts_it(tmp_path: Path) -> None:
    ledger = opened(tmp_path, capacity=1)
    ledger.ban("192.0.2.1", "ssh", NOW, FOREVER, author="user:ann", now=NOW)
    assert ledger.record([], [verdict("192.0.2.2")], [], NOW).wanted == []
    with pytest.raises(LedgerError, match="lift some or raise the capacity"):
        ledger.ban("192.0.2.3", "ssh", NOW, FOREVER, author="user:ann", now=NOW)
    assert [ban.target for ban in ledger.bans()] == ["192.0.2.1"]
    ledger.close()
    assert opened(tmp_path, capacity=1).size().bans_overflow == 2


def test_a_ban_by_hand_also_makes_room_and_the_next_batch_tells_what_for(tmp_path: Path) -> None:
    ledger = opened(tmp_path, capacity=1)
    ledger.record([], [verdict("192.0.2.1")], [], NOW)
    ledger.ban("192.0.2.2", "ssh", NOW, FOREVER, author="user:ann", now=NOW)
    assert [ban.target for ban in ledger.record([], [], [], NOW).evicted] == ["192.0.2.1"]
    assert ledger.record([], [], [], NOW).evicted == []


def test_evidence_is_the_newest_attempts_in_the_window_of_that_address_and_service(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    others = [event("192.0.2.99", NOW + 50), event(time=NOW + 50, service="ftp"), event(time=NOW + 50, failed=False)]
    tries = [event(time=NOW + n, line=n) for n in range(60)]
    fired = verdict(time=NOW + 50, until=NOW + 999, since=NOW + 45)
    (ban,) = ledger.record([*others, *tries], [fired], [], NOW + 60).wanted
    assert [e.line for e in ledger.evidence(ban.id)] == [45, 46, 47, 48, 49, 50]
    wide = verdict(time=NOW + 55, until=NOW + 9999, since=NOW)
    ledger.record([], [wide], [], NOW + 60)
    assert [e.line for e in ledger.evidence(ban.id)] == list(range(56 - EVIDENCE, 56))


def test_evidence_of_a_ban_extended_often_is_bounded(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for n in range(10):
        tries = [event(time=NOW + 100 * n + k, line=100 * n + k) for k in range(20)]
        fired = verdict(time=NOW + 100 * n + 19, until=NOW + 9000 + n, since=NOW + 100 * n)
        (ban,) = ledger.record(tries, [fired], [], NOW + 100 * n + 20).wanted
    kept = ledger.evidence(ban.id)
    assert len(kept) == EVIDENCE_OF_A_BAN
    assert kept[-1].line == 919


def test_evidence_of_a_network_shows_its_addresses(tmp_path: Path) -> None:
    """Six addresses of one network with one attempt each: all six are shown, and no neighbour."""
    ledger = opened(tmp_path)
    tries = [event(f"2001:db8::{n}", NOW + n) for n in range(1, 7)]
    fired = verdict("2001:db8::/64", NOW + 6, count=6, since=NOW, address="2001:db8::6")
    (ban,) = ledger.record([event("2001:db8:0:1::1", NOW + 2), *tries], [fired], [], NOW + 6).wanted
    assert [e.address for e in ledger.evidence(ban.id)] == [e.address for e in tries]
    while ledger.prune(NOW + 40 * 86400):
        pass
    assert ledger.evidence(ban.id) == tries


def test_bans_are_filtered_sorted_and_paged(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    fired = [verdict(f"192.0.2.{n}", until=NOW + 100 - n, service="ssh" if n % 2 else "sip") for n in range(1, 7)]
    ledger.record([], fired, [], NOW)
    ledger.expire(NOW + 94)  # 192.0.2.6
    assert [b.target[-1] for b in ledger.bans(order="until")] == ["5", "4", "3", "2", "1"]
    assert [b.target[-1] for b in ledger.bans(order="target", descending=True, limit=2, offset=1)] == ["4", "3"]
    assert [b.target[-1] for b in ledger.bans(service="sip")] == ["2", "4"]
    assert [b.target[-1] for b in ledger.bans(active=None, text=".2.6")] == ["6"]
    assert [b.target[-1] for b in ledger.bans(active=False)] == ["6"]
    assert ledger.count_bans(service="ssh") == 3


def test_an_ended_ban_never_comes_back() -> None:
    """No change leads out of an end, and a running ban can always be extended, set and ended."""
    assert not [pair for pair in NEXT if pair[0] in ("expired", "lifted")]
    for state in ("wanted", "enforced"):
        assert {change for old, change in NEXT if old == state} >= {"extended", "set", "expired", "lifted", "evicted"}


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("2001:db8::/64", "2001:db8::ffff", "2001:db8:0:1::"),
        ("0.0.0.0/0", "203.0.113.1", "::1"),
        ("192.0.2.1", "192.0.2.1", "no address"),
    ],
)
def test_an_address_is_in_its_network_only(network: str, inside: str, outside: str) -> None:
    assert inside in Membership(network)
    assert outside not in Membership(network)


def test_a_hundred_thousand_bans_load_in_a_moment(tmp_path: Path) -> None:
    ledger = opened(tmp_path, capacity=200_000)
    addresses = [f"198.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(100_000)]
    ledger.record([], [verdict(address) for address in addresses], [], NOW)
    started = clock.process_time()
    bans = ledger.bans()
    assert clock.process_time() - started < 1.5  # about 0.4 s on an idle machine
    assert [ban.target for ban in bans] == addresses
