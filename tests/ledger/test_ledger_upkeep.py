"""The file stays small, and what must outlive pruning does."""

from __future__ import annotations

import math
from pathlib import Path

from ledger_facts import NOW, event, opened, verdict

from ringfence.ledger import Ledger
from ringfence.ledger.events import CACHED_ADDRESSES, FOLD
from ringfence.ledger.sql import QUERIES, parse_statements
from ringfence.ledger.upkeep import EVENTS_STEP, ROWS_STEP

DAY = 86400.0


def prune_all(ledger: Ledger, now: float) -> list[int]:
    taken = []
    while step := ledger.prune(now):
        taken.append(step)
    return taken


def test_old_events_go_in_small_steps_and_newer_ones_stay(tmp_path: Path) -> None:
    ledger = opened(tmp_path, keep=DAY)
    old = [event(f"10.0.{n % 40}.{n % 250}", NOW + n / 100, line=n) for n in range(20_000)]
    for start in range(0, len(old), 2500):
        ledger.record(old[start : start + 2500], [], [], NOW)
    ledger.prune(NOW)
    new = [event(time=NOW + 3 * DAY + n, line=n) for n in range(10)]
    ledger.record(new, [], [], NOW + 3 * DAY)
    assert ledger.prune(NOW + DAY - 1) == 0
    taken = prune_all(ledger, NOW + 3 * DAY)
    assert max(taken) <= EVENTS_STEP + 2 * ROWS_STEP
    assert len(taken) >= 4
    left = list(ledger.events_since(0))
    assert [e for e in left if e.time > NOW + DAY] == new
    assert len(left) < 5000  # events leave in blocks
    assert len(left) == 10
    for address in {e.address for e in left}:
        assert [e for _, e in ledger.events_of(address, limit=100)][::-1] == [e for e in left if e.address == address]


def test_the_file_gives_room_back(tmp_path: Path) -> None:
    ledger = opened(tmp_path, keep=DAY)
    for _ in range(20):
        ledger.record([event(detail="x" * 200)] * 2000, [], [], NOW)
    full = ledger.size()
    for _ in range(30):
        ledger.prune(NOW + 3 * DAY)
    ledger.close()
    assert (tmp_path / "ledger.db").stat().st_size < full.used / 10


def test_the_file_never_outgrows_its_bound_though_nobody_prunes_between_batches(tmp_path: Path) -> None:
    """A flood of several times the bound: the oldest events make room, the newest are all there."""
    bound = 24 << 20
    ledger = opened(tmp_path, most=bound)
    tries = [event("192.0.2.7", NOW + n, line=n) for n in range(12)]
    (ban,) = ledger.record(tries, [verdict("192.0.2.7", time=NOW + 11)], [], NOW).wanted
    for n in range(100):
        ledger.record([event(detail="x" * 300, line=n)] * 2500, [], [], NOW)
        assert ledger._used() < 2 * bound  # events that wait to be folded come on top
    prune_all(ledger, NOW)
    assert ledger.size().used <= bound
    assert [e.line for _, e in ledger.events_of("192.0.2.1", limit=3000)] == [99] * 2500 + [98] * 500
    assert ledger.events_of("192.0.2.7") == []
    assert ledger.evidence(ban.id) == tries


def test_evidence_outlives_the_events_until_its_ban_is_long_over(tmp_path: Path) -> None:
    ledger = opened(tmp_path, keep=DAY)
    tries = [event(time=NOW + n, line=n) for n in range(12)]
    (ban,) = ledger.record(tries, [verdict(time=NOW + 11, until=NOW + 10 * DAY)], [], NOW + 11).wanted
    prune_all(ledger, NOW + 5 * DAY)
    assert list(ledger.events_since(0)) == []
    assert ledger.evidence(ban.id) == tries
    assert ledger.verdicts() == []
    ledger.expire(NOW + 10 * DAY)
    prune_all(ledger, NOW + 10.9 * DAY)
    assert ledger.evidence(ban.id) == tries
    prune_all(ledger, NOW + 11.1 * DAY)
    assert ledger.evidence(ban.id) == []
    assert [b.id for b in ledger.history("192.0.2.1")] == [ban.id]
    assert len(ledger.changes(ban.id)) == 2


def test_attackers_nobody_saw_for_long_are_forgotten_and_counted_but_banned_ones_stay(tmp_path: Path) -> None:
    ledger = opened(tmp_path, keep=DAY)
    crowd = [event(f"10.0.{n >> 8}.{n & 255}") for n in range(3 * ROWS_STEP)]
    ledger.record(crowd, [verdict("10.0.0.7", until=math.inf)], [], NOW)
    for _ in range(20):
        ledger.prune(NOW + 3 * DAY)
    assert [a.address for a in ledger.attackers()] == ["10.0.0.7"]
    assert ledger.size().forgotten == 3 * ROWS_STEP - 1
    (ssh,) = ledger.statistics()
    assert (ssh.attempts, ssh.addresses) == (3 * ROWS_STEP, 3 * ROWS_STEP)
    ledger.record([event("10.0.0.8", NOW + 3 * DAY)], [], [], NOW + 3 * DAY)
    again = ledger.attacker("10.0.0.8")
    assert again is not None
    assert again.attempts == 1


def test_numbers_of_events_are_never_given_twice(tmp_path: Path) -> None:
    """After everything was pruned and the guard restarted, a new event is not taken for an old one's successor."""
    ledger = opened(tmp_path, keep=DAY)
    ledger.record([event()] * 10, [], [], NOW)
    prune_all(ledger, NOW + 3 * DAY)
    ledger.close()
    ledger = opened(tmp_path)
    ledger.record([event(time=NOW + 3 * DAY)], [], [], NOW + 3 * DAY)
    assert [number for number, _ in ledger.events_of("192.0.2.1")] == [11]


def test_what_is_kept_in_memory_is_bounded(tmp_path: Path) -> None:
    """However many addresses attack, the cache of their newest events holds no more than its bound and a fold."""
    ledger = opened(tmp_path)
    for n in range(50):
        ledger.record([event(f"10.{n}.{k >> 8}.{k & 255}") for k in range(3000)], [], [], NOW)
        assert len(ledger._newest) <= CACHED_ADDRESSES + FOLD + 3000
    assert ledger.count_attackers() == 150_000


def test_every_statement_is_used_and_every_one_used_is_there() -> None:
    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "src/ringfence/ledger").glob("*.py"))
    assert [name for name in QUERIES if f'"{name}"' not in source] == []
    assert parse_statements("-- name: one\n-- why\nSELECT 1\n\n-- name: two\nSELECT 2\n") == {
        "one": "SELECT 1",
        "two": "SELECT 2",
    }
