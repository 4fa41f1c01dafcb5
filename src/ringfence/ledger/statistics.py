"""Statistics per service since their last reset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import structs

from ringfence.ledger.attackers import AttackerStore
from ringfence.ledger.commands import CommandStore
from ringfence.ledger.connection import stale_bits
from ringfence.ledger.facts import ServiceStatistics


class StatisticsStore(CommandStore, AttackerStore):
    """Counts as events and bans are recorded; distinct addresses are counted when asked."""

    def statistics(self) -> list[ServiceStatistics]:
        """One row for each service that was ever seen, by name; EVERY holds the bans of all services."""
        return self.statistics_rows(self.recent_addresses())

    def recent_addresses(self) -> dict[str, int]:
        """How many distinct addresses have attempts since the last reset, by service; looks at every attacker."""
        self._catch_up()
        counts = Counter[int]()
        for mask, count in self._rows("recent_masks", stale=stale_bits(dict(self._rows("resets")))):
            while mask:
                lowest = mask & -mask
                counts[lowest.bit_length() - 1] += count
                mask ^= lowest
        return {name: counts[bit] for bit, name in self._service_names().items()}

    def statistics_rows(self, addresses: Mapping[str, int]) -> list[ServiceStatistics]:
        """The rows of `statistics`, with distinct `addresses` that were counted before; costs next to nothing."""
        return [
            ServiceStatistics(
                service=service, since=since, attempts=attempts, successes=successes,
                addresses=addresses.get(service, 0) + forgotten, bans=bans, packets=packets, mails=mails,
                unsent=unsent, untold=untold,
            )
            for (
                service, since, attempts, successes, forgotten, bans, packets, mails, unsent, untold
            ) in self._rows("statistics")
        ]  # fmt: skip

    def reset_statistics(
        self, service: str | None = None, *, author: str, origin: str = "", now: float
    ) -> list[ServiceStatistics]:
        """Begin to count anew, for one service or all; returns what had been counted until then."""
        addresses = self.recent_addresses()
        return with_addresses(self.begin_anew(service, author=author, origin=origin, now=now), addresses)

    def begin_anew(
        self, service: str | None = None, *, author: str, origin: str = "", now: float
    ) -> list[ServiceStatistics]:
        """`reset_statistics` without counting distinct addresses, which looks at every attacker: quick at any size.

        What attackers were seen of before is only marked as stale here; `prune` clears it later, without haste.
        """
        self._catch_up()
        before = [row for row in self.statistics_rows({}) if service in (None, row.service)]
        if service and not before:
            return []
        with self._writing(durable=True):
            self._audit(now, author, "stats reset", {"service": service}, origin)
            self._run("reset_statistics", {"service": service, "now": now})
            mask = sum(1 << self._bits[row.service] for row in before if row.service in self._bits)
            if mask:
                self._run("begin_reset", {"mask": mask, "last": self._last})
                self._resets[mask] = self._last
                self._cleared = ""
        return before

    def packets_dropped(self) -> dict[str, int]:
        """Packets that the kernel dropped since the last reset, by service; costs next to nothing."""
        return {row[0]: row[6] for row in self._rows("statistics") if row[6]}

    def add_dropped_packets(self, packets: Mapping[str, int], now: float) -> None:
        """Add packets that the kernel dropped, by service (EVERY: bans of all services)."""
        with self._writing():
            for service, count in packets.items():
                self._add_statistic(service, now, packets=count)


def with_addresses(rows: Sequence[ServiceStatistics], addresses: Mapping[str, int]) -> list[ServiceStatistics]:
    """Rows that know only of forgotten addresses, with those that were counted."""
    return [structs.replace(row, addresses=row.addresses + addresses.get(row.service, 0)) for row in rows]
