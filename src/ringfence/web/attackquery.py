"""What the attack list is asked for, read from the address of the page; what makes no sense is told, never fatal."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args
from urllib.parse import urlencode

from msgspec import Struct

from ringfence.ledger.listed import AttackFilter, AttackSort, Cursor
from ringfence.ledger.lists import ATTACK_SORTS
from ringfence.model import Level
from ringfence.translating import ENGLISH, Words
from ringfence.values import parse_address
from ringfence.web.cursors import cursor_of

PERIODS: Final = {"1h": 3_600.0, "1d": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0}
SORTS: Final[dict[AttackSort, bool]] = {"attempts": True, "last_seen": True, "first_seen": True, "address": False}
"""Which way each order begins: most and newest first, addresses from the lowest on."""
SHOWN: Final = (25, 50, 100, 200)
LONGEST: Final = 200
FIELDS: Final = ("q", "account", "service", "level", "period", "from", "to", "banned", "sort", "order", "show")


class AttackQuery(Struct, frozen=True, kw_only=True):
    """The filter, the order and the place in the list; `fields` as they were sent, `notes` on what was left out."""

    wanted: AttackFilter
    sort: AttackSort
    descending: bool
    limit: int
    cursor: Cursor | None
    fields: dict[str, str]
    notes: list[str]

    @property
    def filtered(self) -> bool:
        """Whether anything is filtered at all."""
        return self.wanted != AttackFilter(harmless=self.wanted.harmless)

    def path(self, page: str = "/attacks", **change: str) -> str:
        """The address of `page` with the same fields, some of them changed or (empty) left out."""
        fields = {name: value for name, value in {**self.fields, **change}.items() if value}
        return f"{page}?{urlencode(fields)}" if fields else page

    def sorted_by(self, name: AttackSort) -> str:
        """The address of the list in that order; of the order it has, the other way round."""
        down = not self.descending if name == self.sort else SORTS[name]
        return self.path(sort=name, order="down" if down else "up")


class _Notes:
    """What was left out of a query, told to who asked."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self.told: list[str] = []

    def no_network(self, text: str) -> None:
        _ = self._words
        self.told.append(_("“%(text)s” is no network (such as 203.0.113.0/24): it is left out.", text=text))

    def no_day(self, text: str) -> None:
        _ = self._words
        self.told.append(_("“%(text)s” is no day (such as 2026-02-03): it is left out.", text=text))

    def none_of(self, text: str, permitted: tuple[str, ...]) -> None:
        _ = self._words
        known = ", ".join(permitted)
        self.told.append(_("“%(text)s” is none of %(known)s: it is left out.", text=text, known=known))


def attack_query(sent: Mapping[str, str], harmless: int, now: float, _: Words = ENGLISH) -> AttackQuery:
    """What the query asks for."""
    fields = {name: sent.get(name, "").strip()[:LONGEST] for name in FIELDS}
    notes = _Notes(_)
    text, network = _place(fields["q"], notes)
    since, until = _period(fields, now, notes)
    sort: Any = _one_of(fields, "sort", tuple(SORTS), "attempts", notes)
    level: Any = _one_of(fields, "level", get_args(Level), "", notes)
    banned = _one_of(fields, "banned", ("yes", "no"), "", notes)
    order = _one_of(fields, "order", ("up", "down"), "", notes)
    shown = _one_of(fields, "show", tuple(map(str, SHOWN)), "50", notes)
    cursor = cursor_of(sent.get("cursor", ""), len(ATTACK_SORTS[sort]))
    if sent.get("cursor") and cursor is None:
        notes.told.append(_("This part of the list can't be found again: it is shown from the beginning."))
    wanted = AttackFilter(
        text=text, network=network, account=fields["account"], service=fields["service"], level=level or None,
        since=since, until=until, banned={"yes": True, "no": False}.get(banned), harmless=harmless,
    )  # fmt: skip
    return AttackQuery(
        wanted=wanted, sort=sort, descending=order == "down" if order else SORTS[sort], limit=int(shown),
        cursor=cursor, fields={name: value for name, value in fields.items() if value}, notes=notes.told,
    )  # fmt: skip


def _place(text: str, notes: _Notes) -> tuple[str, str]:
    """A part of an address, or a network, that was typed."""
    if "/" not in text:
        try:
            return str(ipaddress.ip_address(text)), ""
        except ValueError:
            return text, ""
    try:
        network = str(ipaddress.ip_network("" if "%" in text else text, strict=False))
    except ValueError:
        notes.no_network(text)
        return "", ""
    return "", network if "/" in network else f"{network}/32"


def _period(fields: dict[str, str], now: float, notes: _Notes) -> tuple[float, float]:
    """From when to when; dates are days in UTC, both of them included."""
    since, until = _day(fields, "from", notes), _day(fields, "to", notes)
    if since is not None or until is not None:
        fields["period"] = ""
        begin = since.timestamp() if since is not None else -math.inf
        return begin, (until + timedelta(days=1)).timestamp() if until is not None else math.inf
    period = _one_of(fields, "period", tuple(PERIODS), "", notes)
    return (now - PERIODS[period] if period else -math.inf), math.inf


def _day(fields: dict[str, str], name: str, notes: _Notes) -> datetime | None:
    text = fields[name]
    if not text:
        return None
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        if 1970 <= found.year <= 9000:
            return found
    except ValueError:
        pass
    notes.no_day(text)
    fields[name] = ""
    return None


def _one_of(fields: dict[str, str], name: str, permitted: tuple[str, ...], otherwise: str, notes: _Notes) -> str:
    value = fields[name]
    if value in permitted:
        return value
    if value:
        notes.none_of(value, permitted)
        fields[name] = ""
    return otherwise


def target_in(path: str) -> str | None:
    """The address or network that a path names, in canonical spelling; None for anything else."""
    if "%" in path:
        return None  # one with an interface is of no meaning elsewhere
    try:
        return parse_address(path)
    except ValueError:
        try:
            return str(ipaddress.ip_network(path, strict=False))
        except ValueError:
            return None
