"""The attack list and the list of bans, page by page, with what they can be filtered by."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import structs

from ringfence.errors import LedgerError
from ringfence.ledger.attackers import LEVELS
from ringfence.ledger.connection import Row
from ringfence.ledger.cover import Networks, text_range, within
from ringfence.ledger.listed import (
    ALL_ATTACKERS,
    ALL_BANS,
    AttackFilter,
    AttackSort,
    BanFilter,
    BanSort,
    Count,
    Cursor,
    ListedAttacker,
    ListedBan,
    Page,
)
from ringfence.ledger.making import ban_from
from ringfence.ledger.upkeep import UpkeepStore
from ringfence.model import Ban

MOST_COUNTED: Final = 10_001
"""Rows that a count goes up to where it has to look at each: "10,000+"."""
STEPS_OF_A_ROW: Final = 40
"""How many of an attacker's newest events are looked through for the accounts shown in a list."""
ACCOUNTS_OF_A_ROW: Final = 8
"""Accounts shown of an attacker or a ban in a list."""
MOST_WHO_TRIED: Final = 20_000
"""Addresses that a search for an account may find: those that tried it last."""

ATTACK_SORTS: Final = {
    "attempts": "attempts", "last_seen": "last_seen", "first_seen": "first_seen", "address": "address",
}  # fmt: skip
BAN_SORTS: Final = {"since": "since", "until": "until", "target": "target", "service": "service"}
SHOWN: Final = {"running": "ended IS NULL", "ended": "ended IS NOT NULL", "all": "true"}
BANNED: Final = (
    "(EXISTS (SELECT 1 FROM ban b WHERE b.ended IS NULL AND b.target = attacker.address) OR covered(address))"
)


class ListStore(UpkeepStore):
    """Reads lists; quick beside a guard at work, on a ledger with a million events."""

    _seen_changes = -1

    def _connect(self) -> sqlite3.Connection:
        self._networks = Networks()
        self._tried: dict[str, tuple[int, dict[str, None]]] = {}
        connection = super()._connect()
        connection.create_function("within", 2, within, deterministic=True)
        connection.create_function("covered", 1, lambda address: address in self._networks)
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read inside is of one moment. Not for long: the guard's log grows meanwhile."""
        if self.writable:
            raise LedgerError(f"{self.path}: the guard itself needs no snapshot; open a reader")
        with self._told():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    # ---- attackers

    def attack_page(
        self, wanted: AttackFilter = ALL_ATTACKERS, sort: AttackSort = "attempts", *, descending: bool = True,
        limit: int = 50, cursor: Cursor | None = None, offset: int = 0, accounts: bool = True,
    ) -> Page[ListedAttacker]:  # fmt: skip
        """A page of the attack list; `accounts` also tells the last accounts each of them tried."""
        self._catch_up()
        self._follow_networks()
        where, values = self._attackers_like(wanted)
        keys = dict.fromkeys((ATTACK_SORTS[sort], "address"))
        rows, next_ = self._paged("attack_page", keys, where, values, descending, limit, cursor, offset)
        names = self._service_names()
        steps = STEPS_OF_A_ROW if accounts else 0
        found = [self._listed(row, wanted.harmless, names, steps) for row in rows]
        return Page(found, next_(structs.asdict(found[-1])) if found else None)

    def attack_count(self, wanted: AttackFilter = ALL_ATTACKERS, *, most: int = MOST_COUNTED) -> Count:
        """How many attackers a filter keeps; at most `most` are counted, without a filter or by level alone all."""
        self._catch_up()
        self._follow_networks()
        where, values = self._attackers_like(wanted)
        plain = AttackFilter(harmless=wanted.harmless, level=wanted.level)
        most = -1 if wanted == plain else most
        found = self._rows("attack_count", {**values, "most": most}, where=" AND ".join(where))[0][0]
        return Count(found, found != most)

    def listed_attacker(self, address: str, *, harmless: int = 5) -> ListedAttacker | None:
        """One row of the attack list; None when this address never failed (or was forgotten)."""
        self._catch_up()
        self._follow_networks()
        values = {"address": address, "limit": 1, "offset": 0}
        rows = self._rows("attack_page", values, where="attempts > 0 AND address = :address", order="address")
        return self._listed(rows[0], harmless, self._service_names(), STEPS_OF_A_ROW) if rows else None

    def _attackers_like(self, wanted: AttackFilter) -> tuple[list[str], dict[str, Any]]:
        where, values = (
            ["attempts > 0"],
            self._filter(wanted.harmless, wanted.service or None, wanted.text.lower(), wanted.since),
        )
        if wanted.level:
            where.append(LEVELS[wanted.level])
        if wanted.service:
            where.append("services & :mask")
        if wanted.text:
            where.append("instr(address, :text)")
        if wanted.network:
            low, high = text_range(wanted.network)
            where.append("address >= :low AND address < :high AND within(address, :network)")
            values |= {"low": low, "high": high, "network": wanted.network}
        if wanted.since > -math.inf:
            where.append("last_seen >= :since")
        if wanted.until < math.inf:
            where.append("first_seen <= :until")
            values["until"] = wanted.until
        if wanted.banned is not None:
            where.append(BANNED if wanted.banned else f"NOT {BANNED}")
        if wanted.account:
            where.append("address IN (SELECT value FROM json_each(:tried))")
            values["tried"] = json.dumps(list(self._who_tried(wanted.account)))
        return where, values

    def _listed(self, row: Row, harmless: int, names: dict[int, str], steps: int) -> ListedAttacker:
        address, attempts, services, first_seen, last_seen, successes, newest, convicted = row
        walk = {"newest": newest, "steps": steps, "limit": ACCOUNTS_OF_A_ROW}
        return ListedAttacker(
            address=address, attempts=attempts,
            level="threatening" if attempts > harmless or convicted else "harmless",
            services=tuple(name for bit, name in names.items() if services >> bit & 1),
            accounts=tuple(name for (name,) in self._rows("accounts", walk)) if steps else (),
            first_seen=first_seen, last_seen=last_seen, successes=successes,
            banned=bool(self._banned_by(address)), convicted=bool(convicted), newest=newest,
        )  # fmt: skip

    def _banned_by(self, address: str) -> bool:
        return address in self._networks or bool(self._rows("running_bans_of", (json.dumps([address]),)))

    # ---- bans

    def ban_page(
        self, wanted: BanFilter = ALL_BANS, sort: BanSort = "since", *, descending: bool = True, limit: int = 50,
        cursor: Cursor | None = None, offset: int = 0,
    ) -> Page[ListedBan]:  # fmt: skip
        """A page of the bans; each tells the accounts that led to it."""
        where, values = self._bans_like(wanted)
        keys = (BAN_SORTS[sort], "id")
        rows, next_ = self._paged("ban_page", keys, where, values, descending, limit, cursor, offset)
        found = self.listed_bans([ban_from(row) for row in rows])
        return Page(found, next_(structs.asdict(found[-1])) if found else None)

    def ban_count(self, wanted: BanFilter = ALL_BANS, *, most: int = MOST_COUNTED) -> Count:
        """How many bans a filter keeps; at most `most` are counted, running ones without a filter all."""
        where, values = self._bans_like(wanted)
        most = -1 if wanted == ALL_BANS else most
        found = self._rows("ban_count", {**values, "most": most}, where=" AND ".join(where))[0][0]
        return Count(found, found != most)

    def newest_bans(self, limit: int = 10) -> list[ListedBan]:
        """The bans made last, running or not, newest first."""
        return self.listed_bans([ban_from(row) for row in self._rows("newest_bans", {"limit": limit})])

    def listed_bans(self, bans: Sequence[Ban]) -> list[ListedBan]:
        """The same bans, each with the last accounts that its evidence tried."""
        return [ListedBan(**structs.asdict(ban), accounts=self._accounts_of(ban.id)) for ban in bans]

    def _accounts_of(self, number: int) -> tuple[str, ...]:
        firing = self._row("last_firing", {"ban": number})
        if firing:
            walk = {"newest": firing[0], "steps": STEPS_OF_A_ROW, "limit": ACCOUNTS_OF_A_ROW}
            found = tuple(name for (name,) in self._rows("accounts", walk))
            if found:
                return found
        copies = self._rows("evidence_accounts", {"ban": number, "limit": ACCOUNTS_OF_A_ROW})
        return tuple(name for (name,) in copies)

    def _bans_like(self, wanted: BanFilter) -> tuple[list[str], dict[str, Any]]:
        where, values = [SHOWN[wanted.show]], structs.asdict(wanted)
        values["text"] = wanted.text.lower()
        for name, condition in (
            ("text", "instr(target, :text)"), ("service", "service = :service"), ("state", "state = :state"),
            ("author", "author = :author"), ("rule", "author = 'rule:' || :rule"),
        ):  # fmt: skip
            if values[name]:
                where.append(condition)
        if wanted.network:
            low, high = text_range(wanted.network)
            where.append("target >= :low AND target < :high AND within(target, :network)")
            values |= {"low": low, "high": high}
        if wanted.account:
            self._follow_networks()
            where.append("target IN (SELECT value FROM json_each(:tried))")
            values["tried"] = json.dumps(sorted(set(self._networks.around(self._who_tried(wanted.account)))))
        return where, values

    # ---- what both need

    def _paged(
        self, name: str, keys: Iterable[str], where: list[str], values: dict[str, Any], descending: bool, limit: int,
        cursor: Cursor | None, offset: int,
    ) -> tuple[list[Row], Any]:  # fmt: skip
        """The rows of a page, and what makes a row's values the cursor for the next page (None at the end)."""
        columns = list(keys)
        if cursor is not None:
            marks = [math.inf if mark == "forever" else mark for mark in cursor]
            if len(marks) != len(columns):
                raise LedgerError("this page can't be continued: its mark belongs to another list or order")
            names = [f":mark{number}" for number in range(len(columns))]
            where = [*where, f"({', '.join(columns)}) {'<' if descending else '>'} ({', '.join(names)})"]
            values = values | {f"mark{number}": mark for number, mark in enumerate(marks)}
        direction = "DESC" if descending else "ASC"
        order = ", ".join(f"{column} {direction}" for column in columns)
        values = {**values, "limit": limit + 1, "offset": offset}
        rows = self._rows(name, values, where=" AND ".join(where), order=order)

        def next_(last: dict[str, Any]) -> Cursor | None:
            if len(rows) <= limit:
                return None
            return tuple("forever" if last[column] == math.inf else last[column] for column in columns)

        return rows[:limit], next_

    def _follow_networks(self) -> None:
        """Know the networks of all running bans; after the first time only what changed is looked at."""
        upto = self._value("last_change")
        if self._seen_changes < 0:
            changed = self._rows("networks_banned")
        elif upto > self._seen_changes:
            changed = self._rows("networks_changed", {"after": self._seen_changes, "upto": upto})
        else:
            return
        for target, running in changed:
            self._networks.note(target, bool(running))
        self._seen_changes = upto

    def _who_tried(self, account: str) -> Iterable[str]:
        """The addresses that tried an account whose name holds this; remembered for the next page."""
        text = account.encode(errors="replace").lower().decode()  # as the database does: ASCII only
        after, found = self._tried.pop(text, (0, {}))
        upto = self._value("last_event")
        for (address,) in self._rows("who_tried", {"after": after, "upto": upto, "account": text}):
            found.pop(address, None)
            found[address] = None
        for address in list(found)[:-MOST_WHO_TRIED]:
            del found[address]
        self._tried[text] = (upto, found)
        while len(self._tried) > 8:
            del self._tried[next(iter(self._tried))]
        return found
