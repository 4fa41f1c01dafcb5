"""The attack list and the list of bans, page by page, with what they can be filtered by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import structs

from ringfence.errors import LedgerError
from ringfence.ledger.attackers import LEVELS
from ringfence.ledger.connection import Row
from ringfence.ledger.cover import text_range
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
from ringfence.ledger.remembered import RememberingStore
from ringfence.model import Ban

T = TypeVar("T")

MOST_COUNTED: Final = 10_001
"""Rows that a count goes up to where it has to look at each: "10,000+"."""
STEPS_OF_A_ROW: Final = 40
"""How many of an attacker's newest events are looked through for the accounts shown in a list."""
ACCOUNTS_OF_A_ROW: Final = 8
"""Accounts shown of an attacker or a ban in a list."""
FEW: Final = 10_000
"""Attackers (seen lately, or in a network) up to which they are sorted; above, all are walked in order."""
LOOKED_AT: Final = 10_000
"""Attackers that are asked for what costs more than a look at their row, when they are counted."""
FEW_WHO_TRIED: Final = 2_000
"""Addresses up to which each is looked up; above, all attackers are walked in the order asked for."""

ATTACK_SORTS: Final = {
    "attempts": ("attempts", "last_seen", "address"), "last_seen": ("last_seen", "address"),
    "first_seen": ("first_seen", "address"), "address": ("address",),
}  # fmt: skip
"""What a sort compares, in order: what an index holds, so that a page is found where the last one ended."""
ATTACK_INDEXES: Final = {
    "attempts": "INDEXED BY attacker_attempts", "last_seen": "INDEXED BY attacker_last",
    "first_seen": "INDEXED BY attacker_first", "address": "",
}  # fmt: skip
BAN_SORTS: Final = {
    "since": ("since", "id"), "until": ("until", "id"), "target": ("target", "id"), "service": ("service", "id"),
}  # fmt: skip
SHOWN: Final = {"running": "ended IS NULL", "ended": "ended IS NOT NULL", "all": "true"}


class ListStore(RememberingStore):
    """Reads lists; quick beside a guard at work, on a ledger with a million events."""

    # ---- attackers

    def attack_page(
        self, wanted: AttackFilter = ALL_ATTACKERS, sort: AttackSort = "attempts", *, descending: bool = True,
        limit: int = 50, cursor: Cursor | None = None, offset: int = 0, accounts: bool = True,
    ) -> Page[ListedAttacker]:  # fmt: skip
        """A page of the attack list; `accounts` also tells the last accounts each of them tried."""
        self._catch_up()
        self._follow_targets()
        where, values, costly = self._attackers_like(wanted)
        where += costly
        request = Request(ATTACK_SORTS[sort], descending, limit, cursor, offset)
        rows = self._rows(
            "attack_page", values | request.values(), where=request.where(where), order=request.order(),
            index=self._attack_index(wanted, sort),
        )  # fmt: skip
        names = self._service_names()
        steps = STEPS_OF_A_ROW if accounts else 0
        return request.page([self._listed(row, wanted.harmless, names, steps) for row in rows])

    def attack_count(self, wanted: AttackFilter = ALL_ATTACKERS, *, most: int = MOST_COUNTED) -> Count:
        """How many attackers a filter keeps; without a filter or by level alone always exact.

        Otherwise `most` are counted at most; whether they are banned or tried an account, LOOKED_AT are asked at most.
        """
        self._catch_up()
        self._follow_targets()
        where, values, costly = self._attackers_like(wanted)
        words = {"where": " AND ".join(where), "index": self._attack_index(wanted, "last_seen")}
        if costly:
            look = {**values, "look": LOOKED_AT}
            looked, found = self._rows("attack_count_costly", look, costly=" AND ".join(costly), **words)[0]
            return Count(found, looked < LOOKED_AT)
        most = -1 if wanted == AttackFilter(harmless=wanted.harmless, level=wanted.level) else most
        found = self._rows("attack_count", {**values, "most": most}, **words)[0][0]
        return Count(found, found != most)

    def _attack_index(self, wanted: AttackFilter, sort: AttackSort) -> str:
        """Which index to walk: that of the order, unless a filter names so few that these are quicker sorted."""
        low, high, _ = text_range(wanted.network) if wanted.network else ("", "", False)
        if low and self._few("count_inhabitants", {"low": low, "high": high}):
            return ""
        many = wanted.account and len(self._who_tried(wanted.account)[1].addresses) > FEW_WHO_TRIED
        if wanted.account and not many:
            return ""
        if wanted.since > -math.inf and sort in ("attempts", "first_seen"):
            few = self._few("count_seen", {"since": wanted.since})
            return ATTACK_INDEXES["last_seen" if few else sort]
        if sort == "first_seen" and not many and wanted != AttackFilter(banned=wanted.banned, harmless=wanted.harmless):
            return ATTACK_INDEXES["last_seen"]
        return ATTACK_INDEXES[sort]

    def _few(self, name: str, values: dict[str, Any]) -> bool:
        return bool(self._rows(name, {**values, "most": FEW})[0][0] < FEW)

    def listed_attacker(self, address: str, *, harmless: int = 5) -> ListedAttacker | None:
        """One row of the attack list; None when this address never failed (or was forgotten)."""
        self._catch_up()
        self._follow_targets()
        row = self._row("listed_attacker", {"address": address})
        return self._listed(row, harmless, self._service_names(), STEPS_OF_A_ROW) if row else None

    def _attackers_like(self, wanted: AttackFilter) -> tuple[list[str], dict[str, Any], list[str]]:
        """Conditions that a look at an index decides, their values, and the conditions that cost more."""
        where = ["attempts > 0"]
        values = self._filter(wanted.harmless, wanted.service or None, wanted.text.lower(), wanted.since)
        costly = []
        if wanted.level:
            where.append(LEVELS[wanted.level])
        if wanted.service:
            where.append("services & :mask")
        if wanted.text:
            where.append("instr(address, :text)")
        if wanted.since > -math.inf:
            where.append("last_seen >= :since")
        if wanted.until < math.inf:
            where.append("first_seen <= :until")
            values["until"] = wanted.until
        if wanted.network:
            low, high, exact = text_range(wanted.network)
            where.append("address >= :low AND address < :high")
            values |= {"low": low, "high": high, "network": wanted.network}
            costly += [] if exact else ["within(address, :network)"]
        if wanted.account:
            text, tried = self._who_tried(wanted.account)
            values |= {"account": text, "tried": "[]"}
            if len(tried.addresses) <= FEW_WHO_TRIED:
                where.append("address IN (SELECT value FROM json_each(:tried))")
                values["tried"] = tried.as_json()
            else:
                costly.append("tried(:account, address)")
        if wanted.banned is not None:
            costly.append("covered(address)" if wanted.banned else "NOT covered(address)")
        return where, values, costly

    def _listed(self, row: Row, harmless: int, names: dict[int, str], steps: int) -> ListedAttacker:
        address, attempts, services, first_seen, last_seen, successes, newest, convicted = row
        walk = {"newest": newest, "steps": steps, "limit": ACCOUNTS_OF_A_ROW}
        return ListedAttacker(
            address=address, attempts=attempts,
            level="threatening" if attempts > harmless or convicted else "harmless",
            services=tuple(name for bit, name in names.items() if services >> bit & 1),
            accounts=tuple(name for (name,) in self._rows("accounts", walk)) if steps else (),
            first_seen=first_seen, last_seen=last_seen, successes=successes,
            banned=address in self.memory.targets, convicted=bool(convicted), newest=newest,
        )  # fmt: skip

    # ---- bans

    def ban_page(
        self, wanted: BanFilter = ALL_BANS, sort: BanSort = "since", *, descending: bool = True, limit: int = 50,
        cursor: Cursor | None = None, offset: int = 0,
    ) -> Page[ListedBan]:  # fmt: skip
        """A page of the bans; each tells the accounts that led to it."""
        where, values = self._bans_like(wanted)
        request = Request(BAN_SORTS[sort], descending, limit, cursor, offset)
        by_end = sort == "until" and wanted.show == "running" and wanted.state != "wanted"
        rows = self._rows(
            "ban_page_by_end" if by_end else "ban_page", values | request.values(), where=request.where(where),
            order=request.order(), index=self._ban_index(wanted, sort),
        )  # fmt: skip
        return request.page(self.listed_bans([ban_from(row) for row in rows]))

    def ban_count(self, wanted: BanFilter = ALL_BANS, *, most: int = MOST_COUNTED) -> Count:
        """How many bans a filter keeps; at most `most` are counted, running ones of one service or of all exactly."""
        if wanted == BanFilter(service=wanted.service):
            counts = self.service_counts()
            return Count(counts.get(wanted.service, 0) if wanted.service else sum(counts.values()))
        where, values = self._bans_like(wanted)
        words = {"where": " AND ".join(where), "index": self._ban_index(wanted, "service")}
        found = self._rows("ban_count", {**values, "most": most}, **words)[0][0]
        return Count(found, found != most)

    def _ban_index(self, wanted: BanFilter, sort: BanSort) -> str:
        """Which index to walk: ban_since knows nearly all that is filtered by, the others their order."""
        if wanted.state == "wanted" and wanted.show == "running":
            return "INDEXED BY ban_wanted"
        if wanted.account and len(self._who_tried(wanted.account)[1].targets) <= FEW_WHO_TRIED:
            return ""
        low, high, _ = text_range(wanted.network) if wanted.network else ("", "", False)
        if low and self._few("count_aimed", {"low": low, "high": high}):
            return ""
        if sort == "target" and wanted.show != "ended" and not (wanted.author or wanted.rule or wanted.state):
            return ""
        return "INDEXED BY ban_since"

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
        if wanted.state == "wanted" and wanted.show == "running":
            where.append("state = 'wanted'")  # as the index has it
        for name, condition in (
            ("text", "instr(target, :text)"), ("service", "service = :service"), ("state", "state = :state"),
            ("author", "author = :author"), ("rule", "author = 'rule:' || :rule"),
        ):  # fmt: skip
            if values[name]:
                where.append(condition)
        if wanted.network:
            low, high, _ = text_range(wanted.network)
            where.append("target >= :low AND target < :high AND within(target, :network)")
            values |= {"low": low, "high": high}
        if wanted.account:
            text, tried = self._who_tried(wanted.account)
            values["account"] = text
            if len(tried.targets) <= FEW_WHO_TRIED:
                where.append("target IN (SELECT value FROM json_each(:tried))")
                values["tried"] = tried.as_json(targets=True)
            else:
                where.append("aimed(:account, target)")
        return where, values


class Request:
    """Which page of a list: its order, and where the last page ended."""

    def __init__(
        self, columns: tuple[str, ...], descending: bool, limit: int, cursor: Cursor | None, offset: int
    ) -> None:
        self.columns, self.limit, self.offset = columns, limit, offset
        self.direction, self.beyond = ("DESC", "<") if descending else ("ASC", ">")
        self.marks = [math.inf if mark == "forever" else mark for mark in cursor or ()]
        if cursor is not None and len(self.marks) != len(columns):
            raise LedgerError("this page can't be continued: its mark belongs to another list or order")

    def where(self, conditions: list[str]) -> str:
        """The conditions, with the one that begins after the last page."""
        if not self.marks:
            return " AND ".join(conditions)
        names = ", ".join(f":mark{number}" for number in range(len(self.marks)))
        return " AND ".join([*conditions, f"({', '.join(self.columns)}) {self.beyond} ({names})"])

    def order(self) -> str:
        """What stands after ORDER BY."""
        return ", ".join(f"{column} {self.direction}" for column in self.columns)

    def values(self) -> dict[str, Any]:
        """The values of the statement: one row more than wanted tells whether there is a next page."""
        marks = {f"mark{number}": mark for number, mark in enumerate(self.marks)}
        return {**marks, "limit": self.limit + 1, "offset": self.offset, "far": self.limit + 1 + self.offset}

    def page(self, rows: list[T]) -> Page[T]:
        """The page that these rows (one more than wanted, if there are more) make."""
        if len(rows) <= self.limit:
            return Page(rows)
        last = [getattr(rows[self.limit - 1], column) for column in self.columns]
        return Page(rows[: self.limit], tuple("forever" if mark == math.inf else mark for mark in last))
