"""Lists hold what their filters say, in order, each row once, however they are paged."""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger
from ringfence.ledger import lists as lists_module
from ringfence.ledger.cover import text_range, within
from ringfence.ledger.listed import (
    AttackFilter,
    AttackSort,
    BanFilter,
    BanSort,
    Count,
    EventFilter,
    ListedAttacker,
    ListedBan,
    ListedEvent,
    Slot,
    Versions,
)
from ringfence.model import Event

ADDRESSES = [
    *(f"192.0.2.{n}" for n in range(1, 30)), *(f"198.51.100.{n}" for n in range(1, 12)),
    *(f"2001:db8:0:{n}::{n}" for n in range(1, 9)), *(f"2001:db8:7:7::{n}" for n in range(1, 9)),
]  # fmt: skip


@pytest.fixture
def events() -> list[Event]:
    chance = random.Random(4)
    return [
        event(
            chance.choice(ADDRESSES),
            NOW + n * 37,
            service=chance.choice(("ssh", "sip", "smtp")),
            account=chance.choice(("root", "Admin", "100", "sip:100@pbx.example.org", "")),
            failed=chance.random() > 0.1,
            line=n,
        )
        for n in range(600)
    ]


@pytest.fixture
def ledger(tmp_path: Path, events: list[Event]) -> Ledger:
    guard = opened(tmp_path)
    for start in range(0, 600, 50):
        some = events[start : start + 50]
        last = some[-1]
        network = ":" in last.address
        target = str(ipaddress.ip_network(last.address + "/64", strict=False)) if network else last.address
        guard.record(some, [verdict(target, last.time, NOW + 10**6 + start, address=last.address)], [], last.time)
    guard.ban("192.0.2.16/28", "*", NOW, NOW + 10**7, author="user:anna", note="noisy", now=NOW + 600 * 37)
    guard.ban("198.51.100.1", "ssh", NOW, NOW + 10**7, author="user:anna", now=NOW + 600 * 37)
    guard.lift("198.51.100.1", None, author="user:anna", now=NOW + 600 * 37 + 1)
    guard.tally()
    return Ledger.open_reader(guard.path)


def rows_of(ledger: Ledger, wanted: AttackFilter, sort: AttackSort, descending: bool) -> list[ListedAttacker]:
    """All rows, three at a time."""
    rows, cursor = [], None
    while True:
        page = ledger.attack_page(wanted, sort, descending=descending, limit=3, cursor=cursor)
        rows += page.rows
        if page.next is None:
            return rows
        cursor = page.next


def keeps(wanted: AttackFilter, tried: list[Event], running: list[str], convicted: bool) -> bool:
    """What the filter means, said plainly."""
    failed = [one for one in tried if one.failed]
    address = tried[0].address
    banned = any(within(address, target) for target in running)
    level = "threatening" if len(failed) > wanted.harmless or convicted else "harmless"
    return (
        wanted.text in address
        and (not wanted.network or within(address, wanted.network))
        and (not wanted.account or any(wanted.account.lower() in one.account.lower() for one in tried))
        and (not wanted.service or wanted.service in {one.service for one in failed})
        and wanted.level in (None, level)
        and max(one.time for one in failed) >= wanted.since
        and min(one.time for one in failed) <= wanted.until
        and wanted.banned in (None, banned)
    )


FILTERS = [
    AttackFilter(), AttackFilter(text=".1"), AttackFilter(network="192.0.2.0/28"), AttackFilter(network="192.0.2.0/24"),
    AttackFilter(network="2001:db8:7::/48"), AttackFilter(network="2001:db8::/48"), AttackFilter(network="192.0.2.7"),
    AttackFilter(network="nonsense"), AttackFilter(account="ADM"), AttackFilter(account="pbx", service="sip"),
    AttackFilter(service="smtp", level="threatening", harmless=12), AttackFilter(level="harmless", harmless=14),
    AttackFilter(since=NOW + 21_500), AttackFilter(until=NOW + 900), AttackFilter(banned=True),
    AttackFilter(banned=False, since=NOW + 20_000), AttackFilter(service="nowhere"),
]  # fmt: skip


@pytest.mark.parametrize("few", [0, 10_000], ids=["walked in order", "found and sorted"])
@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_the_attack_list_is_what_its_filter_says_in_every_order(
    ledger: Ledger, events: list[Event], wanted: AttackFilter, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists_module, "FEW", few)
    monkeypatch.setattr(lists_module, "FEW_WHO_TRIED", few)
    by_address: dict[str, list[Event]] = {}
    for one in events:
        by_address.setdefault(one.address, []).append(one)
    running = [ban.target for ban in ledger.bans(active=True)]
    convicted = {row.address for row in ledger.attack_page(limit=1000).rows if row.convicted}
    expected = {
        address: tried
        for address, tried in by_address.items()
        if any(one.failed for one in tried) and keeps(wanted, tried, running, address in convicted)
    }
    for sort, descending in itertools.product(("attempts", "last_seen", "first_seen", "address"), (True, False)):
        rows = rows_of(ledger, wanted, sort, descending)  # type: ignore[arg-type]
        assert sorted(row.address for row in rows) == sorted(expected)
        values = [getattr(row, sort) for row in rows]
        assert values == sorted(values, reverse=descending)
    for row in rows:
        assert row.attempts == sum(one.failed for one in expected[row.address])
        assert row.banned == any(within(row.address, target) for target in running)
    assert ledger.attack_count(wanted) == Count(len(expected))


def test_whoever_attacked_from_a_banned_network_before_the_ban_is_threatening(tmp_path: Path) -> None:
    guard = opened(tmp_path)
    tries = [event(f"203.0.113.{n % 4}", NOW + n) for n in range(8)]
    earlier = [event("203.0.113.77", NOW - 10_000), event("203.0.114.1", NOW + 1)]
    ban = verdict("203.0.113.0/24", NOW + 7, since=NOW, address="203.0.113.3", rule="network")
    guard.record([*earlier, *tries], [ban], [], NOW + 7)
    levels = {row.address: row.level for row in guard.attackers()}
    assert levels == {f"203.0.113.{n}": "threatening" for n in range(4)} | {
        "203.0.113.77": "harmless", "203.0.114.1": "harmless",
    }  # fmt: skip


def test_a_count_that_would_take_long_says_that_it_is_not_all(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger.attack_count(AttackFilter(text="."), most=5) == Count(5, exact=False)
    monkeypatch.setattr(lists_module, "LOOKED_AT", 10)
    assert not ledger.attack_count(AttackFilter(banned=False)).exact
    assert ledger.ban_count(BanFilter(show="all"), most=3) == Count(3, exact=False)


BANS = [
    BanFilter(), BanFilter(show="all"), BanFilter(show="ended"), BanFilter(author="user:anna", show="all"),
    BanFilter(rule="standard"), BanFilter(service="ssh", state="wanted"), BanFilter(network="192.0.2.0/24"),
    BanFilter(network="2001:db8::/32", service="ssh"), BanFilter(text="2001"), BanFilter(account="root"),
]  # fmt: skip


@pytest.mark.parametrize("wanted", BANS, ids=str)
def test_the_list_of_bans_is_what_its_filter_says_in_every_order(
    ledger: Ledger, events: list[Event], wanted: BanFilter
) -> None:
    expected = [
        ban.id
        for ban in ledger.bans(active=None)
        if wanted.show == "all" or (ban.ended is None) == (wanted.show == "running")
        if wanted.text in ban.target and wanted.service in ("", ban.service) and wanted.state in (None, ban.state)
        if wanted.author in ("", ban.author) and (not wanted.rule or ban.author == f"rule:{wanted.rule}")
        if not wanted.network or within(ban.target, wanted.network)
        if not wanted.account or any(within(one.address, ban.target) for one in events if wanted.account in one.account)
    ]
    for sort, descending in itertools.product(("since", "until", "target", "service"), (True, False)):
        rows: list[ListedBan] = []
        cursor = None
        while not rows or cursor:
            page = ledger.ban_page(wanted, sort, descending=descending, limit=2, cursor=cursor)  # type: ignore[arg-type]
            rows, cursor = rows + page.rows, page.next
        assert sorted(row.id for row in rows) == expected
        values = [getattr(row, sort) for row in rows]
        assert values == sorted(values, reverse=descending)
    assert ledger.ban_count(wanted) == Count(len(expected))


def test_an_end_that_never_comes_can_be_paged_over(tmp_path: Path) -> None:
    guard = opened(tmp_path)
    for number in range(5):
        guard.ban(f"192.0.2.{number}", "*", NOW, float("inf"), author="user:root", now=NOW)
    sort: BanSort = "until"
    page = guard.ban_page(sort=sort, limit=3)
    assert page.next == ("forever", 3)
    assert [row.id for row in guard.ban_page(sort=sort, limit=3, cursor=page.next).rows] == [2, 1]


def test_a_mark_of_another_list_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="can't be continued"):
        ledger.attack_page(cursor=("x",))


def test_a_timeline_is_paged_and_filtered(ledger: Ledger, events: list[Event]) -> None:
    for address, wanted in itertools.product(
        (None, "192.0.2.5"), (EventFilter(), EventFilter(service="sip", failed=True))
    ):
        found: list[ListedEvent] = []
        cursor = None
        while not found or cursor:
            page = ledger.event_page(address, wanted, limit=7, cursor=cursor)
            found, cursor = found + page.rows, page.next
        assert [row.event for row in found] == [
            one
            for one in reversed(events)
            if address in (None, one.address) and (not wanted.service or (one.service == "sip" and one.failed))
        ]


def test_charts_add_up(ledger: Ledger, events: list[Event]) -> None:
    failed = [one for one in events if one.failed]
    for step in (60, 300, 3600, 86_400):
        slots = Counter((int(one.time // step) * step, one.service) for one in failed)
        assert set(ledger.attempts_by_minute(NOW, NOW + 86_400, step)) == {Slot(*key, n) for key, n in slots.items()}
        began = Counter((int(ban.since // step) * step, ban.service) for ban in ledger.bans(active=None))
        assert set(ledger.bans_by_slot(NOW, NOW + 86_400, step)) == {Slot(*key, n) for key, n in began.items()}


def test_what_a_reader_remembers_follows_the_guard(tmp_path: Path) -> None:
    guard = opened(tmp_path)
    guard.record([event("192.0.2.1"), event("2001:db8::1", account="x")], [], [], NOW)
    guard.tally()
    reader = Ledger.open_reader(guard.path)
    reader.warm()
    assert reader.service_counts() == {} and reader.attack_count(AttackFilter(banned=True)) == Count(0)
    assert reader.attack_count(AttackFilter(account="X")) == Count(1)
    mark = reader.versions()
    guard.ban("2001:db8::/64", "sip", NOW, NOW + 9, author="user:root", now=NOW)
    guard.ban("192.0.2.1", "*", NOW, NOW + 99, author="user:root", now=NOW)
    guard.record([event("192.0.2.2", account="xyz")], [], [], NOW)
    guard.tally()
    assert reader.service_counts() == {"*": 1, "sip": 1}
    assert reader.attack_count(AttackFilter(banned=True)) == Count(2)
    assert reader.attack_count(AttackFilter(account="X")) == Count(2)
    assert reader.bans_by_slot(NOW - 3600, NOW + 3600, 3600) == [Slot(NOW, "sip", 1), Slot(NOW, "*", 1)]
    now = reader.versions()
    changed = {name for name in Versions.__struct_fields__ if getattr(now, name) != getattr(mark, name)}
    assert changed == {"events", "bans", "audit"} and now != mark
    guard.expire(NOW + 10)
    assert reader.service_counts() == {"*": 1}
    assert [row.address for row in reader.attack_page(AttackFilter(banned=True)).rows] == ["192.0.2.1"]
    assert {(row.service, row.bans) for row in reader.totals().bans} == {("*", 1), ("sip", 1)}


def test_charts_are_forgotten_with_the_events(tmp_path: Path) -> None:
    guard = opened(tmp_path, keep=86_400.0)
    guard.record([event(time=NOW + 60 * n) for n in range(300)], [], [], NOW)
    while guard.prune(NOW + 3 * 86_400):
        pass
    assert guard.attempts_by_minute(0, NOW + 86_400, 60) == guard.attempts_by_minute(0, NOW + 86_400, 3600) == []


def test_the_text_of_a_network_never_leaves_out_an_address_in_it() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        family = chance.choice((4, 6))
        number = chance.getrandbits(32) if family == 4 else chance.getrandbits(128) & chance.getrandbits(128)
        if family == 6 and chance.random() < 0.5:
            number &= 0xFFFF_0000_FFFF_FFFF_0000_0000_0000_FFFF
        address = ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number)
        length = chance.randrange(33 if family == 4 else 129)
        network = ipaddress.ip_network(f"{address}/{length}", strict=False)
        low, high, exact = text_range(str(network))
        assert low <= str(address) < high, (address, network)
        other = str(network.network_address + (1 << (network.max_prefixlen - 1))) if length and not number >> (
            network.max_prefixlen - 1) else str(address)  # fmt: skip
        assert not exact or within(other, str(network)) or not low <= other < high
