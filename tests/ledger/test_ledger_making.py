"""A batch of verdicts is written set by set: it must come to the same as one verdict after the other."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_facts import NOW, event, opened, verdict

from ringfence.ledger import Ledger
from ringfence.model import Verdict

verdicts = st.builds(
    lambda target, time, length, scope, rule, blocks: verdict(
        target, NOW + time, NOW + time + length, scope=scope, rule=rule, actions=("block",) if blocks else ("mail",)
    ),
    st.sampled_from([f"192.0.2.{n}" for n in range(1, 5)] + ["2001:db8::/64"]),
    st.integers(-50, 50),
    st.integers(0, 60),
    st.sampled_from(["service", "all"]),
    st.sampled_from(["standard", "flood"]),
    st.integers(0, 5),
)


def told(ledger: Ledger) -> list[object]:
    """All that the ledger tells of bans and verdicts; firings by the evidence that they lead to."""
    bans = ledger.bans(active=None)
    return [
        bans, [ledger.changes(ban.id) for ban in bans], ledger.verdicts(), [ledger.evidence(ban.id) for ban in bans],
        ledger.statistics(), ledger.size().bans_now, ledger.size().bans_peak, ledger.size().bans_overflow,
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(verdicts, max_size=12), st.integers(1, 4))
def test_a_batch_comes_to_the_same_as_one_verdict_after_the_other(batch: list[Verdict], capacity: int) -> None:
    """Bans made, extended, run out, evicted and made again within one batch; a ban by hand and a full list among it."""
    with TemporaryDirectory() as one, TemporaryDirectory() as many:
        results = []
        for folder, parts in ((one, [batch]), (many, [[each] for each in batch])):
            ledger = opened(Path(folder), capacity=capacity)
            tries = [event(f"192.0.2.{n}", NOW + n, line=n) for n in range(1, 5)]
            ledger.record(tries, [], [], NOW)
            ledger.ban("192.0.2.1", "ssh", NOW, NOW + 20, author="user:ann", note="call first", now=NOW)
            for part in parts:
                recorded = ledger.record([], part, [], NOW)
                running = {ban.id for ban in ledger.bans()}
                assert {ban.id for ban in recorded.wanted} <= running
                assert not {ban.id for ban in (*recorded.evicted, *recorded.expired)} & running
            results.append(told(ledger))
            ledger.close()
        assert results[0] == results[1]


def test_a_batch_makes_a_ban_longer_again_and_again_and_all_of_it_is_kept(tmp_path: Path) -> None:
    """One ban, one end in the kernel, but every step in its history and every rule with its evidence."""
    ledger = opened(tmp_path)
    fired = [verdict(until=NOW + 600 * n, rule=f"r{n}", since=NOW) for n in range(1, 5)]
    (ban,) = ledger.record([event(line=7)], fired, [], NOW).wanted
    assert (ban.until, ban.author) == (NOW + 2400, "rule:r4")
    assert [(change.change, change.until) for change in ledger.changes(ban.id)] == [
        ("made", NOW + 600), ("extended", NOW + 1200), ("extended", NOW + 1800), ("extended", NOW + 2400),
    ]  # fmt: skip
    assert ledger.bans() == [ban]
    assert [entry.line for entry in ledger.evidence(ban.id)] == [7]


def test_a_rule_that_outlasts_a_ban_by_hand_leaves_its_author_and_note(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.ban("192.0.2.1", "ssh", NOW, NOW + 60, author="user:ann", reason="asked", note="call first", now=NOW)
    (ban,) = ledger.record([event()], [verdict()], [], NOW).wanted
    assert (ban.author, ban.reason, ban.note, ban.until) == ("user:ann", "asked", "call first", NOW + 600)
    assert [change.author for change in ledger.changes(ban.id)] == ["user:ann", "rule:standard"]
