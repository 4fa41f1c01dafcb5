"""An account holder sees what concerns their accounts, all of it, and nothing of anybody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.ledger import Ledger
from ringfence.ledger import holders as holders_module
from ringfence.ledger.holders import FEWEST, AccountIndex
from ringfence.ledger.listed import ListedEvent

TRIED = [
    "100", "sip:100@pbx.example.org", "SIPS:100@pbx.example.org:5061;transport=tls", "1000", "100@other.example.org",
    "Anna@Example.org", "anna", "sip:anna@example.org?x=1", "", "sip:100", "x100", "sip:100@[2001:db8::1]:5060",
]  # fmt: skip


def followed(ledger: Ledger, accounts: list[str], step: int = 3) -> AccountIndex:
    index = AccountIndex()
    index.assign(accounts)
    while index.advance(ledger, step):
        pass
    return index


@pytest.fixture
def guard(tmp_path: Path) -> Ledger:
    ledger = opened(tmp_path)
    ledger.record([event(f"192.0.2.{n}", NOW + n, account=name) for n, name in enumerate(TRIED)], [], [], NOW)
    return ledger


@pytest.mark.parametrize(
    ("account", "seen"),
    [
        ("100", [0, 1, 2, 4, 9, 11]), ("sip:100@PBX.example.org", [1, 2]), ("anna@example.org", [5, 7]),
        ("anna", [5, 6, 7]), ("nobody", []), ("100@[2001:db8::1]:5060", [11]),
    ],
)  # fmt: skip
def test_an_event_concerns_whoever_has_its_account(guard: Ledger, account: str, seen: list[int]) -> None:
    page = guard.holder_events(followed(guard, [account]), [account])
    assert [row.event.account for row in reversed(page.rows)] == [TRIED[n] for n in seen]


def test_events_of_several_accounts_are_paged_together(guard: Ledger) -> None:
    index, cursor = followed(guard, ["100", "anna", "1000"]), None
    found: list[ListedEvent] = []
    while not found or cursor:
        page = guard.holder_events(index, ["100", "anna"], limit=2, cursor=cursor)
        found, cursor = found + page.rows, page.next
    assert [row.event.account for row in found] == [TRIED[n] for n in (11, 9, 7, 6, 5, 4, 2, 1, 0)]


def test_an_account_that_is_assigned_later_is_found_from_the_beginning(guard: Ledger) -> None:
    index = followed(guard, ["anna"])
    index.assign(["anna", "100"])
    guard.record([event("192.0.2.99", NOW, account="anna")], [], [], NOW)
    assert index.advance(guard, 2)
    assert len(guard.holder_events(index, ["anna"]).rows) == 4
    while index.advance(guard, 2):
        pass
    assert len(guard.holder_events(index, ["100"]).rows) == 6
    assert len(guard.holder_events(index, ["anna"]).rows) == 4
    index.assign(["100"])
    assert guard.holder_events(index, ["anna"]).rows == []


def test_a_holder_sees_bans_of_who_tried_their_account_and_no_other_account_in_them(tmp_path: Path) -> None:
    guard = opened(tmp_path)
    mixed = [event("192.0.2.1", NOW + n, account=name, detail=name) for n, name in enumerate(["100", "secret"])]
    others = [event("192.0.2.2", NOW, account="secret"), event("2001:db8::7", NOW, account="100")]
    late = NOW + 40 * 86_400
    bans = [verdict("192.0.2.1", NOW + 1), verdict("192.0.2.2", NOW), verdict("2001:db8::/64", NOW)]
    guard.record([*mixed, *others], bans, [], NOW)
    guard.ban("2001:db8::/32", "*", late, late + 9, author="user:root", note="his name", now=late)
    index = followed(guard, ["100", "secret"])
    rows = guard.holder_bans(index, ["100"]).rows
    assert [row.target for row in rows] == ["2001:db8::/64", "192.0.2.1"]  # the one of 40 days later is not about it
    assert rows[1].accounts == ("100",) and rows[1].detail == ""
    assert [row.target for row in guard.holder_bans(index, ["secret"]).rows] == ["192.0.2.2", "192.0.2.1"]
    assert guard.concerns(index, ["100"], "2001:db8::/64") and not guard.concerns(index, ["100"], "192.0.2.2")
    page = guard.holder_bans(index, ["100"], limit=1)
    assert [row.target for row in guard.holder_bans(index, ["100"], limit=1, cursor=page.next).rows] == ["192.0.2.1"]
    guard.lift("192.0.2.1", None, author="user:root", now=NOW)
    assert [row.target for row in guard.holder_bans(index, ["100"]).rows] == ["2001:db8::/64"]
    assert len(guard.holder_bans(index, ["100"], running=False).rows) == 2


def test_the_index_is_bounded_however_often_an_account_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders_module, "MOST_EVENTS", 100)
    monkeypatch.setattr(holders_module, "MOST_ADDRESSES", 10)
    guard = opened(tmp_path)
    guard.record([event(f"10.0.{n // 250}.{n % 250}", NOW, account="100") for n in range(1000)], [], [], NOW)
    index = followed(guard, ["100"], 500)
    assert 100 <= len(guard.holder_events(index, ["100"], limit=1000).rows) <= 200
    assert len(index.addresses(["100"])) == FEWEST
