"""Events: appended without an index, chained by address, folded into attackers, blocks and statistics.

An event row carries the number of the event of the same address recorded before it, so a timeline is a walk along
the chain. What is told of attackers, of blocks of time and of statistics is brought up to date by *folding*: one
statement over all events above the `folded` mark, in the same transaction that moves the mark. Live, that is done as
soon as what was decided is in the kernel (`Ledger.tally`); while catching up, every FOLD events, which makes it cheap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice, takewhile
from typing import Any, Final

import msgspec

from ringfence.ledger.connection import CACHED_SERVICES, Row, Store, stale_bits
from ringfence.ledger.cover import text_range, within
from ringfence.ledger.sql import QUERIES
from ringfence.model import Event

FOLD: Final = 65_536
"""Events that may wait to be folded."""
CACHED_ADDRESSES: Final = 65_536
CACHED_CONTEXTS: Final = 4_096
MOST_CONTEXTS: Final = 65_536
"""Kinds of event told apart; above, a new one loses its cause (only a log that invents causes gets there)."""
BLOCK: Final = 4_096
"""Events of a block, at least; a later fold begins a new one."""
PAGE: Final = 5_000
MOST_CONVICTED: Final = 1_000
"""Addresses of one banned network that are marked at once; an IPv6 network may have had very many."""
LOOKED_THROUGH: Final = 5_000
"""Addresses that are looked at to find those of one network."""


class EventStore(Store):
    """Records events and walks along them."""

    def _append(self, events: Sequence[Event]) -> None:
        """Append `events`, within a transaction. Raises UnicodeEncodeError for half surrogates: see `storable`."""
        self._connection.executemany(QUERIES["insert_event"], self._event_rows(events))

    def _event_rows(self, events: Sequence[Event]) -> list[Row]:
        rows: list[Row] = []
        append, newest, contexts = rows.append, self._newest, self._contexts
        known, context_of = newest.get, contexts.get
        last = self._last
        for event in events:
            address = event.address
            key = (event.service, event.failed, event.cause, event.proven, event.pattern, event.source)
            context = context_of(key)
            if context is None:
                context = self._context(key)
            last += 1
            append(
                (
                    last, event.time, address, context, event.account, event.detail, event.line, event.session,
                    event.token, known(address),
                )
            )  # fmt: skip
            newest[address] = last
        self._last = last
        return rows

    def _context(self, key: tuple[Any, ...]) -> int:
        row = self._row("find_context", key)
        if row is None and self._value("count_contexts") >= MOST_CONTEXTS:
            service, failed, _, proven, pattern, source = key
            key = (service, failed, "", proven, pattern, source)
            row = self._row("find_context", key)
        if row is None:
            mask = 1 << self._bit(key[0]) if key[1] else 0
            row = self._run("insert_context", (*key, mask)).fetchall()[0]
        if len(self._contexts) >= CACHED_CONTEXTS:
            self._contexts.clear()
        self._contexts[key] = int(row[0])
        return int(row[0])

    def _bit(self, service: str) -> int:
        bit = self._bits.get(service)
        if bit is None:
            bit = len(self._bits)
            if bit >= CACHED_SERVICES - 1:
                return self._other_bit()
            self._run("insert_service", (bit, service))
            self._bits[service] = bit
        return bit

    def _other_bit(self) -> int:
        bit = CACHED_SERVICES - 1
        if "other" not in self._bits:
            self._run("insert_service", (bit, "other"))
            self._bits["other"] = bit
        return bit

    def _fold(self, now: float) -> None:
        """Bring attackers, charts, blocks and statistics up to the last event, within a transaction."""
        span = {"folded": self._counters.get("folded", 0), "last": self._last}
        if span["folded"] < span["last"]:
            self._run("fold_attackers", span, stale=stale_bits(self._resets))
            oldest, newest = self._fold_minutes(span, now)
            block = {"first": span["folded"] + 1, "last": self._last, "oldest": oldest, "newest": newest, "span": BLOCK}
            if self._run("extend_block", block).rowcount == 0:
                self._run("insert_block", block)
            self._count("folded", self._last)
            if len(self._newest) > CACHED_ADDRESSES:
                self._newest.clear()
        self._convict()

    def _fold_minutes(self, span: Mapping[str, int], now: float) -> tuple[float, float]:
        """Attempts by minute and hour, and statistics; returns the times of the oldest and the newest event."""
        oldest, newest = float("inf"), float("-inf")
        minutes: list[Row] = []
        hours: Counter[tuple[int, str]] = Counter()
        attempts: Counter[str] = Counter()
        successes: Counter[str] = Counter()
        for minute, service, failed, count, first, last in self._run("fold_minutes", span).fetchall():
            oldest, newest = min(oldest, first), max(newest, last)
            if failed:
                minutes.append((minute, service, count))
                hours[minute // 60, service] += count
                attempts[service] += count
            else:
                successes[service] += count
        self._connection.executemany(QUERIES["add_minute"], minutes)
        self._connection.executemany(QUERIES["add_hour"], [(*key, count) for key, count in hours.items()])
        for service in {**attempts, **successes}:
            self._add_statistic(service, now, attempts=attempts[service], successes=successes[service])
        return oldest, newest

    def _convict(self) -> None:
        """Mark the attackers that rules have banned since the last time, within a transaction.

        Where a network was banned, everyone in it that attacked the service since the first counted attempt earned it.
        """
        upto = self._value("last_verdict")
        span = {"after": self._counters.get("convicted", 0), "upto": upto}
        if upto <= span["after"]:
            return
        self._run("convict", span)
        for target, service, since in self._run("networks_convicted", span).fetchall():
            low, high, _ = text_range(target)
            mask = 1 << self._bits.get(service, CACHED_SERVICES - 1)
            area = {"low": low, "high": high, "since": since, "mask": mask, "limit": MOST_CONVICTED}
            found = [(address,) for (address,) in self._run("inhabitants", area).fetchall() if within(address, target)]
            self._connection.executemany(QUERIES["convict_one"], found)
        self._count("convicted", upto)

    @property
    def events_ever(self) -> int:
        """How many events were ever recorded, from memory (writer only)."""
        if self._stale:
            self._load()
        return self._last

    def _unfolded(self) -> int:
        return self._last - self._counters.get("folded", 0)

    def _newest_event(self, address: str) -> int:
        """The number of the newest event of `address`, 0 if there is none; right even before the fold."""
        if self.writable:
            if self._stale:
                self._load()
            if address in self._newest:
                return self._newest[address]
        return self._value("newest_unfolded", {"address": address}) or self._value("newest_event", {"address": address})

    def events_since(self, time: float) -> Iterator[Event]:
        """All events of `time` or later, in the order they were recorded; read page by page."""
        first = self._row("first_block_since", {"time": time})
        start = first[0] if first and first[0] is not None else self._value("folded") + 1
        end = self._value("last_event")
        while start <= end:
            for row in self._rows("events_page", {"start": start, "stop": start + PAGE, "time": time}):
                yield event_from(row)
            start += PAGE

    def events_of(self, address: str, *, limit: int = 100, before: int | None = None) -> list[tuple[int, Event]]:
        """The newest `limit` events of `address`, newest first, each with its number.

        To page on, give the number of the last one as `before`.
        """
        walk = {"newest": self._newest_event(address), "before": before or 1 << 62, "limit": limit}
        return [(row[0], event_from(row)) for row in self._rows("walk", walk)]

    def neighbours_of(self, network: str, *, limit: int = 100) -> list[str]:
        """The addresses with events within `network` ("203.0.113.0/24"), the most recent first; at most `limit`."""
        inside = ip_network(network)
        first = _stem(inside)
        span = {"first": first, "last": f"{first}\U0010ffff", "limit": LOOKED_THROUGH}
        found = (address for (address,) in self._rows("attackers_between", span) if ip_address(address) in inside)
        return list(islice(found, limit))


def _stem(network: IPv4Network | IPv6Network) -> str:
    """What the text of every address in `network` begins with: the whole octets or groups that its prefix fixes."""
    if network.version == 4:
        octets = str(network.network_address).split(".")[: network.prefixlen // 8]
        return "".join(f"{octet}." for octet in octets)
    groups = network.network_address.exploded.split(":")[: network.prefixlen // 16]
    # From the first group of zeros on, the spelling depends on what follows.
    return "".join(f"{group.lstrip('0')}:" for group in takewhile(lambda group: group != "0000", groups))


def event_from(row: Row) -> Event:
    """An Event of a row that begins with its number."""
    _, time, address, service, account, failed, cause, detail, proven, pattern, source, *rest = row
    return Event(time, address, service, account, bool(failed), cause, detail, bool(proven), pattern, source, *rest)


def storable(event: Event) -> Event:
    """The same event with half surrogates written as backslash escapes."""

    def clean(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    texts = {name: clean(value) for name, value in msgspec.structs.asdict(event).items() if isinstance(value, str)}
    return msgspec.structs.replace(event, **texts)
