"""What account holders may see: the events and bans that concern their accounts, and nothing else.

Events have no index by account, and shall have none: it would cost every attempt. So the process that shows pages
keeps one in memory, of the accounts that are assigned to somebody only, and follows the events by number.

An event concerns account A if its account is A, upper or lower case being the same. Where A is a bare name ("100"),
the part before "@" is compared too, without "sip:" ("sip:100@pbx.example.org"); where A has an "@", "sip:", port and
parameters are left out of the comparison ("sip:100@pbx.example.org:5060;transport=tcp").
A ban concerns it if an event of A came from within its target, from MONTH before the ban began on.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Collection, Iterable
from typing import Final

from msgspec import structs

from ringfence.ledger.cover import within
from ringfence.ledger.events import event_from
from ringfence.ledger.listed import Cursor, ListedBan, ListedEvent, Page
from ringfence.ledger.making import ban_from
from ringfence.ledger.timelines import TimelineStore
from ringfence.model import Ban

MONTH: Final = 30 * 86_400.0
STEP: Final = 20_000
"""Events that one step of following looks at: some hundredths of a second."""
MOST_EVENTS: Final = 500_000
"""Events remembered of all accounts together; each has its share, from FEWEST to MOST_EVENTS_OF_ONE: the newest."""
MOST_ADDRESSES: Final = 100_000
"""The same for addresses: those that tried the account last."""
FEWEST: Final = 20
MOST_EVENTS_OF_ONE: Final = 10_000
MOST_ADDRESSES_OF_ONE: Final = 1_000
MOST_BANS: Final = 1_000
"""Bans of one holder that are looked at: the newest ones."""


def names_of(account: str) -> tuple[str, ...]:
    """What an event's account is found under: as it is, as an address without decoration, and as a bare name."""
    whole = account.strip().lower()
    bare = whole.removeprefix("sips:").removeprefix("sip:") if whole.startswith("sip") else whole
    if "@" not in whole:
        return (whole,) if bare == whole else (whole, bare)
    user, _, host = bare.partition("@")
    host = host.partition(";")[0].partition("?")[0]
    if not host.startswith("["):  # an IPv6 address has colons of its own
        host = host.partition(":")[0]
    plain = f"{user}@{host}"
    return (whole, plain, user) if plain != whole else (whole, user)


def key_of(account: str) -> str:
    """An account that is assigned to somebody, as it is compared."""
    names = names_of(account)
    return names[-1] if "@" not in account else names[-2]


class _Held:
    """What is known of one account."""

    def __init__(self) -> None:
        self.events = array("q")
        self.addresses: dict[str, float] = {}

    def add(self, number: int, time: float, address: str, events: int, addresses: int) -> None:
        """Take in an event; the oldest give way above so many `events` and `addresses`."""
        self.events.append(number)
        if len(self.events) > 2 * events:
            del self.events[:-events]
        self.addresses[address] = max(time, self.addresses.pop(address, time))
        while len(self.addresses) > addresses:
            del self.addresses[next(iter(self.addresses))]


class AccountIndex:
    """Which events concern the accounts that are assigned to holders.

    After `assign`, call `advance` until it returns False; accounts that are new are looked for from the first event
    on while the known ones stay up to date.
    """

    def __init__(self) -> None:
        self.upto = 0
        self._held: dict[str, _Held] = {}
        self._fresh: dict[str, _Held] = {}
        self._fresh_upto = 0

    def assign(self, accounts: Iterable[str]) -> None:
        """These accounts are assigned, and no others (any more)."""
        wanted = {key_of(account) for account in accounts} - {""}
        for known in (self._held, self._fresh):
            for name in known.keys() - wanted:
                del known[name]
        new = wanted - self._held.keys() - self._fresh.keys()
        if new:
            self._fresh = {name: _Held() for name in {*self._fresh, *new}}
            self._fresh_upto = 0

    def advance(self, ledger: AccountStore, most: int = STEP) -> bool:
        """Look at up to `most` more events; True while there are more to look at."""
        last = ledger.events_recorded()
        if self._held:
            self.upto = self._follow(ledger, self._held, self.upto, min(last, self.upto + most))
        elif self._fresh:
            self.upto = max(self.upto, self._fresh_upto)
        else:
            self.upto = self._fresh_upto = last
        if self._fresh:
            goal = self.upto if self._held else last
            self._fresh_upto = self._follow(ledger, self._fresh, self._fresh_upto, min(goal, self._fresh_upto + most))
            if self._fresh_upto >= goal:
                self._held |= self._fresh
                self._fresh = {}
                self.upto = goal
        return self.upto < last or bool(self._fresh)

    def _follow(self, ledger: AccountStore, held: dict[str, _Held], after: int, upto: int) -> int:
        count = max(1, len(self._held) + len(self._fresh))
        events = max(FEWEST, min(MOST_EVENTS_OF_ONE, MOST_EVENTS // count))
        addresses = max(FEWEST, min(MOST_ADDRESSES_OF_ONE, MOST_ADDRESSES // count))
        for number, time, address, account in ledger.accounts_tried(after, upto):
            for name in names_of(account):
                if name in held:
                    held[name].add(number, time, address, events, addresses)
        return max(after, upto)

    def events(self, accounts: Collection[str], before: int, limit: int) -> list[int]:
        """Numbers of the newest events of any of these accounts below `before`, newest first."""
        found: set[int] = set()
        for account in self._known(accounts):
            found.update(number for number in account.events if number < before)
        return sorted(found, reverse=True)[:limit]

    def addresses(self, accounts: Collection[str]) -> dict[str, float]:
        """The addresses that tried any of these accounts, and when last."""
        found: dict[str, float] = {}
        for account in self._known(accounts):
            for address, time in account.addresses.items():
                found[address] = max(time, found.get(address, time))
        return found

    def _known(self, accounts: Collection[str]) -> list[_Held]:
        names = {key_of(account) for account in accounts}
        return [known[name] for known in (self._held, self._fresh) for name in names if name in known]


class AccountStore(TimelineStore):
    """Reads what concerns accounts."""

    def events_recorded(self) -> int:
        """The number of the newest event."""
        return self._value("last_event")

    def accounts_tried(self, after: int, upto: int) -> list[tuple[int, float, str, str]]:
        """Number, time, address and account of the events above `after` up to `upto` that name an account."""
        return [(row[0], row[1], row[2], row[3]) for row in self._rows("accounts_tried", (after, upto))]

    def holder_events(
        self, index: AccountIndex, accounts: Collection[str], *, limit: int = 100, cursor: Cursor | None = None
    ) -> Page[ListedEvent]:
        """The newest events that concern these accounts."""
        numbers = index.events(accounts, cursor[0] if cursor else 1 << 62, limit + 1)
        rows = self._rows("events_by_number", (json.dumps(numbers[:limit]),))
        found = [ListedEvent(row[0], event_from(row)) for row in rows]
        return Page(found, (numbers[limit - 1],) if len(numbers) > limit else None)

    def holder_bans(
        self, index: AccountIndex, accounts: Collection[str], *, running: bool = True, limit: int = 100,
        cursor: Cursor | None = None,
    ) -> Page[ListedBan]:  # fmt: skip
        """The newest bans (with `running`, only those in force) that concern these accounts."""
        addresses = index.addresses(accounts)
        around = self._follow_targets().around
        latest: dict[str, float] = {}
        for address, time in addresses.items():
            for target in around((address,)):
                latest[target] = max(time, latest.get(target, time))
        before = cursor[0] if cursor else 1 << 62
        wanted = {"targets": json.dumps(sorted(latest)), "running": running, "before": before, "limit": MOST_BANS}
        rows = self._rows("bans_of_targets", wanted)
        found: list[ListedBan] = []
        for row in rows:
            ban = ban_from(row)
            if latest.get(ban.target, -math.inf) >= ban.since - MONTH:
                if len(found) == limit:
                    return Page(found, (found[-1].id,))
                found.append(self._for_holder(ban, {key_of(account) for account in accounts}))
        return Page(found, (rows[-1][0],) if len(rows) == MOST_BANS else None)

    def _for_holder(self, ban: Ban, wanted: set[str]) -> ListedBan:
        """A ban without what it tells of other people's accounts, and without what was noted about it."""
        row = self.listed_bans([ban])[0]
        own = tuple(name for name in row.accounts if not wanted.isdisjoint(names_of(name)))
        return structs.replace(
            row, accounts=own, note="", detail="" if wanted.isdisjoint(names_of(ban.detail)) else ban.detail
        )  # fmt: skip

    def concerns(self, index: AccountIndex, accounts: Collection[str], target: str) -> bool:
        """Whether an event of these accounts came from `target`: the one question that lets a holder see it."""
        return bool(_times(target, index.addresses(accounts)))


def _times(target: str, addresses: dict[str, float]) -> list[float]:
    """When these addresses came last, as far as they lie in `target`."""
    if "/" not in target:
        return [addresses[target]] if target in addresses else []
    return [time for address, time in addresses.items() if within(address, target)]
