"""Rows of the API's lists where they hold more than the commands' answers do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, structs

from ringfence.answers import AttackRow, BanRow, EventRow, stamp
from ringfence.ledger.facts import AuditEntry, BanChange
from ringfence.ledger.listed import ListedAttacker, ListedBan, ListedEvent


class NumberedEvent(EventRow, frozen=True, kw_only=True):
    """An event with its number, which grows from event to event."""

    id: int

    @classmethod
    def from_(cls, listed: ListedEvent) -> NumberedEvent:
        """The row of an event."""
        return cls(**structs.asdict(EventRow.of(listed.event)), id=listed.id)


class AttackerRow(AttackRow, frozen=True, kw_only=True):
    """A row of the attack list. `convicted`: a rule has banned it at some time."""

    convicted: bool = False

    @classmethod
    def from_(cls, listed: ListedAttacker) -> AttackerRow:
        """The row of an attacker."""
        return cls(**structs.asdict(AttackRow.of(listed, listed.banned)), convicted=listed.convicted)


class ListedBanRow(BanRow, frozen=True, kw_only=True):
    """A row of the list of bans. `accounts`: the last ones that led to it."""

    accounts: tuple[str, ...] = ()

    @classmethod
    def from_(cls, listed: ListedBan, packets: int | None = None) -> ListedBanRow:
        """The row of a ban."""
        return cls(**structs.asdict(BanRow.of(listed, packets)), accounts=listed.accounts)


class BanChangeRow(Struct, frozen=True, kw_only=True):
    """Something that happened to a ban, and how it was then."""

    time: str
    change: str
    state: str
    until: str
    author: str

    @classmethod
    def from_(cls, change: BanChange) -> BanChangeRow:
        """The row of a change."""
        return cls(
            time=stamp(change.time), change=change.change, state=change.state, until=stamp(change.until),
            author=change.author,
        )  # fmt: skip


class AuditRow(Struct, frozen=True, kw_only=True):
    """A command that somebody gave, and where from."""

    id: int
    time: str
    author: str
    command: str
    arguments: dict[str, Any]
    origin: str

    @classmethod
    def from_(cls, entry: AuditEntry) -> AuditRow:
        """The row of an entry."""
        arguments = {name: _plain(value) for name, value in entry.arguments.items()}
        return cls(
            id=entry.id, time=stamp(entry.time), author=entry.author, command=entry.command, arguments=arguments,
            origin=entry.origin,
        )  # fmt: skip


def _plain(value: Any) -> Any:
    """A value that JSON can hold: an end that never comes as text."""
    return stamp(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def seconds(moment: datetime | None) -> float | None:
    """A point in time as seconds UTC; where it names no zone, it is UTC."""
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
