"""Events, read positions and the attack list."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_facts import LOG, NOW, event, opened, position, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger
from ringfence.ledger.events import FOLD
from ringfence.model import Event

ADDRESSES = ("192.0.2.1", "198.51.100.7", "2001:db8::1", "203.0.113.9")


def test_everything_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    """Events with all their fields, positions and the attack list come back as they were."""
    events = [event(time=NOW + n, line=n, account=f"user{n}", detail="sip:1@x") for n in range(5)]
    with_nul = event("198.51.100.7", account="a\0b\x1b[2J'; DROP TABLE event")
    ledger = opened(tmp_path)
    ledger.record([*events, with_nul], [], [position(5)], NOW)
    ledger.close()
    again = opened(tmp_path)
    assert list(again.events_since(0)) == [*events, with_nul]
    assert again.positions() == {LOG: position(5)}
    attacker = again.attacker("192.0.2.1")
    assert attacker is not None
    assert (attacker.attempts, attacker.level, attacker.services) == (5, "harmless", ("ssh",))
    assert (attacker.first_seen, attacker.last_seen) == (NOW, NOW + 4)
    assert attacker.accounts == ("user4", "user3", "user2", "user1", "user0")


def test_half_surrogates_do_not_stop_the_recording(tmp_path: Path) -> None:
    """Whatever a user name holds is recorded; what UTF-8 can't hold is written as an escape."""
    ledger = opened(tmp_path)
    ledger.record([event(line=1)], [], [], NOW)
    ledger.record([event(line=2), event(account="x\udc80y", line=3)], [], [position(3)], NOW)
    assert [e.account for _, e in ledger.events_of("192.0.2.1")] == ["x\\udc80y", "root", "root"]
    assert ledger.positions()[LOG].line == 3


def test_a_restart_before_the_fold_keeps_the_timeline_whole(tmp_path: Path) -> None:
    """Killed while catching up, the events that no list knew of yet are still on their address's timeline."""
    ledger = opened(tmp_path)
    events = [event(ADDRESSES[n % 3], NOW + n, line=n) for n in range(3000)]
    ledger.record(events[:1500], [], [], NOW)
    ledger.record(events[1500:], [], [], NOW)
    ledger._connection.close()  # like a kill: no fold, no checkpoint
    again = opened(tmp_path)
    again.record([event(ADDRESSES[0], line=3000)], [], [], NOW)
    lines = [e.line for _, e in again.events_of(ADDRESSES[0], limit=5000)]
    assert lines == [3000, *range(2997, -1, -3)]
    assert [a.attempts for a in again.attackers(order="address", descending=False)] == [1001, 1000, 1000]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_timeline_has_exactly_the_events_of_its_address_in_order(data: st.DataObject) -> None:
    """However events are batched, folded, and interrupted by failures and restarts."""
    with TemporaryDirectory() as folder:
        ledger = opened(Path(folder))
        kept: list[Event] = []
        for _ in range(data.draw(st.integers(1, 8))):
            size = data.draw(st.sampled_from([0, 1, 3, 40, 1200]))
            pick = data.draw(st.integers(1, len(ADDRESSES)))
            batch = [event(ADDRESSES[(n * n) % pick], NOW + len(kept) + n, line=len(kept) + n) for n in range(size)]
            ledger.record(batch, [], [], NOW)
            kept += batch
            match data.draw(st.sampled_from(["go on", "restart", "fail", "read"])):
                case "restart":
                    ledger._connection.close()
                    ledger = opened(Path(folder))
                case "fail":
                    with pytest.raises(AttributeError):
                        ledger.record([*batch, event(), "no event"], [], [], NOW)  # type: ignore[list-item]
                case "read":
                    ledger.attackers()
        for address in ADDRESSES:
            wanted = [e for e in kept if e.address == address]
            assert [e for _, e in ledger.events_of(address, limit=10_000)][::-1] == wanted
            attacker = ledger.attacker(address)
            assert (attacker.attempts if attacker else 0) == len(wanted)
        assert list(ledger.events_since(0)) == kept
        assert list(ledger.events_since(NOW + 40)) == kept[40:]
        ledger.close()


def test_a_timeline_is_read_page_by_page(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([event(line=n) for n in range(25)], [], [], NOW)
    lines: list[int] = []
    before = None
    while page := ledger.events_of("192.0.2.1", limit=10, before=before):
        lines += [e.line for _, e in page]
        before = page[-1][0]
    assert lines == list(range(24, -1, -1))


def test_the_attack_list_sorts_filters_and_pages(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for number, address in enumerate(ADDRESSES):
        service = "sip" if number % 2 else "ssh"
        tries = [event(address, NOW + 10 * number + n, service=service) for n in range(3 * (number + 1))]
        ledger.record(tries, [], [], NOW)
    ledger.record([event("192.0.2.200", failed=False)], [], [], NOW)

    def listed(**filters: object) -> list[str]:
        return [row.address for row in ledger.attackers(**filters)]  # type: ignore[arg-type]

    assert listed() == list(ADDRESSES[::-1])  # seen last comes first; who never failed is no attacker
    assert listed(order="attempts", descending=False) == list(ADDRESSES)
    assert listed(order="address", descending=False) == sorted(ADDRESSES)
    assert listed(order="first_seen", limit=2, offset=1) == [ADDRESSES[2], ADDRESSES[1]]
    assert listed(level="harmless") == [ADDRESSES[0]]
    assert listed(level="harmless", harmless=6) == [ADDRESSES[1], ADDRESSES[0]]
    assert listed(service="sip") == [ADDRESSES[3], ADDRESSES[1]]
    assert listed(service="ftp") == []
    assert listed(text="2001:") == [ADDRESSES[2]]
    assert listed(since=NOW + 25) == [ADDRESSES[3], ADDRESSES[2]]
    assert ledger.count_attackers(service="sip") == 2
    assert ledger.attacker("192.0.2.200") is None


def test_successes_are_kept_apart_from_attempts(tmp_path: Path) -> None:
    """A user who mistyped once is shown with one attempt, seen when it failed."""
    ledger = opened(tmp_path)
    tries = [event(time=NOW, failed=False), event(time=NOW + 5), event(time=NOW + 9, failed=False)]
    ledger.record(tries, [], [], NOW)
    attacker = ledger.attacker("192.0.2.1")
    assert attacker is not None
    assert (attacker.attempts, attacker.successes) == (1, 2)
    assert (attacker.first_seen, attacker.last_seen) == (NOW + 5, NOW + 5)


def test_a_reader_sees_what_the_guard_recorded_and_changes_nothing(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([event()], [verdict()], [position(1)], NOW)
    big = [event(line=n) for n in range(2000)]
    ledger.record(big, [], [], NOW)  # not folded yet: the timeline is right all the same
    reader = Ledger.open_reader(tmp_path / "ledger.db")
    assert len(reader.events_of("192.0.2.1", limit=5000)) == 2001
    assert len(list(reader.events_since(0))) == 2001
    assert [ban.target for ban in reader.bans()] == ["192.0.2.1"]
    with pytest.raises(LedgerError, match="reading only"):
        reader.record([event()], [], [], NOW)
    with pytest.raises(LedgerError, match="reading only"):
        reader.ban("192.0.2.9", "ssh", NOW, NOW + 1, author="user:eve", now=NOW)


def test_waiting_to_fold_is_bounded(tmp_path: Path) -> None:
    """Catching up, another reader's attack list is never further behind than FOLD events and a batch."""
    ledger = opened(tmp_path)
    for _ in range(FOLD // 2000 + 2):
        ledger.record([event()] * 2000, [], [], NOW)
        assert ledger._unfolded() < FOLD + 2000
    reader = Ledger.open_reader(tmp_path / "ledger.db")
    attacker = reader.attacker("192.0.2.1")
    assert attacker is not None
    assert attacker.attempts >= FOLD


def test_services_beyond_the_bits_are_still_counted(tmp_path: Path) -> None:
    """More services than an integer has bits: the attack list says "other", nothing breaks."""
    ledger = opened(tmp_path)
    ledger.record([event(service=f"service{n}") for n in range(80)], [], [], NOW)
    attacker = ledger.attacker("192.0.2.1")
    assert attacker is not None
    assert attacker.attempts == 80
    assert "other" in attacker.services
    assert len(ledger.statistics()) == 80
