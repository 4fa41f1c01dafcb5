"""The kernel side of the guard with its faults contained: a firewall that fails is told and tried again, never fatal.

In monitor mode there is no fence: everything is decided and recorded, nothing new is blocked, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing

from ringfence.enforce.monitor import TableMonitor
from ringfence.enforce.netlink import Link
from ringfence.enforce.reconcile import Difference, Fence
from ringfence.enforce.ruleset import TABLE
from ringfence.errors import EnforceError
from ringfence.model import AllowEntry, Ban, Lockdown
from ringfence.render import plural

IDLE_SHARE = 300
"""Reading all counters takes a second for 100,000 bans: how many times as long as it took we wait before the next."""
SOME = 3
"""How many refused bans are named in a message."""
LEFT = "what an earlier run left in the kernel holds until 'ringfence unfence'"


class Barrier:
    """Carries out what should be in force. `missing` tells by ban id why a running ban is not."""

    def __init__(self, fence: Fence | None, monitor: TableMonitor | None, mode: str) -> None:
        self.fence = fence
        self.monitor = monitor
        self.mode = mode
        self.trouble = ""
        self.missing: dict[int, str] = {}
        self.lockdown_in_force = False
        self.unsure = False
        """The kernel could not be compared with the ledger: what is in force is not known."""
        self.changed = False
        """Something could not be carried out: reconcile is due before its time."""
        self._packets: dict[tuple[str, str], int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._read_again = 0.0

    @property
    def blocks(self) -> bool:
        """False in monitor mode."""
        return self.fence is not None

    def left(self) -> str:
        """In monitor mode: that an earlier run's table may still drop packets; empty when the kernel holds none."""
        if self.fence is not None:
            return ""
        try:
            with closing(Link()) as link:
                return LEFT if link.sets(TABLE) else ""
        except (EnforceError, OSError):
            return LEFT  # we may not look: then it can't be excluded

    def blocked(self) -> str:
        """In monitor mode: what is blocked, in words; empty when we guard."""
        if self.fence is not None:
            return ""
        left = self.left()
        return f"nothing new is blocked; {left}" if left else "nothing is blocked"

    def close(self, bans: Sequence[Ban], now: float) -> set[int]:
        """Keep out; returns the ids that the kernel confirmed. The rest is `missing`."""
        if self.fence is None or not bans:
            return set()
        try:
            confirmed = set(self.fence.enforce(bans, now))
        except EnforceError as error:
            self._failed(error)
            self.missing.update((ban.id, str(error)) for ban in bans)
            return set()
        for ban in bans:
            if ban.id in confirmed:
                self.missing.pop(ban.id, None)
            elif ban.until > now:
                self.missing[ban.id] = self.fence.rejected.get(ban.id, "the kernel refused it")
        return confirmed

    def open(self, bans: Sequence[Ban]) -> str:
        """Let in again; returns why that failed, or nothing."""
        for ban in bans:
            self.missing.pop(ban.id, None)
        if self.fence is None or not bans:
            return ""
        try:
            self.fence.lift(bans)
        except EnforceError as error:
            return self._failed(error)
        for ban in bans:
            # The next ban of the same target begins to count at zero.
            self._told.pop((ban.target, ban.service), None)
            self._packets.pop((ban.target, ban.service), None)
        return ""

    def allow(self, entries: Sequence[AllowEntry], now: float) -> str:
        """Put the whitelist in force; returns why that failed, or nothing."""
        if self.fence is None:
            return ""
        try:
            self.fence.allow(entries, now)
        except EnforceError as error:
            return self._failed(error)
        return ""

    def lockdown(self, lockdown: Lockdown | None, now: float) -> str:
        """Begin or end the lockdown; returns why that failed, or nothing."""
        if self.fence is None:
            return ""
        try:
            self.fence.lockdown(lockdown, now)
        except EnforceError as error:
            return self._failed(error)
        self.lockdown_in_force = lockdown is not None
        return ""

    def probe(self, address: str, service: str, seconds: float, now: float) -> tuple[bool, str]:
        """Whether the kernel takes `address`, holds it and lets it go; what is worth a word, or why it does not work.

        Changes nothing that lasts. A failure calls for reconcile, as any other does. Not for monitor mode.
        """
        if self.fence is None:
            return True, "not done: monitor mode"
        try:
            probed = self.fence.probe(address, service, seconds, now)
        except EnforceError as error:
            return False, self._failed(error)
        return True, "" if probed else "a ban holds the address already"

    def is_due(self) -> bool:
        """Whether reconcile would have anything to do."""
        if self.fence is None:
            return False
        try:
            return bool(self.changed or self.trouble or self.missing or not self.fence.untouched())
        except EnforceError as error:
            self._failed(error)
            return True

    def reconcile(
        self, bans: Iterable[Ban], allow: Sequence[AllowEntry], lockdown: Lockdown | None, now: float
    ) -> Difference | None:
        """Make the kernel agree; None when that failed (see `trouble`)."""
        if self.fence is None:
            return None
        try:
            difference = self.fence.reconcile(bans, allow, lockdown, now)
        except EnforceError as error:
            self._failed(error)
            self.unsure = True
            return None
        self.trouble, self.changed, self.unsure = "", False, False
        self.missing = dict(self.fence.rejected)
        self.lockdown_in_force = lockdown is not None
        return difference

    def packets(self, *, fresh: bool = False) -> dict[tuple[str, str], int]:
        """Packets dropped so far by (target, service) of each ban that dropped any.

        Read from the kernel again only when that is quick (with very many bans the numbers may be some minutes old),
        or when they are to be `fresh`.
        """
        if self.fence is not None and (fresh or time.monotonic() >= self._read_again):
            begun = time.monotonic()
            try:
                self._packets = self.fence.counters()
            except EnforceError as error:
                self._failed(error)
            ended = time.monotonic()
            self._read_again = ended + (ended - begun) * IDLE_SHARE
        return self._packets

    def packets_of(self, bans: Sequence[Ban]) -> dict[int, int]:
        """Packets that these bans dropped so far, by id: read freshly, those of networks as they were read last."""
        if self.fence is None:
            return {}
        try:
            fresh = self.fence.packets_of(bans)
        except EnforceError as error:
            self._failed(error)
            fresh = {}
        return {
            ban.id: fresh.get(ban.id, self._packets.get((ban.target, ban.service), 0))
            for ban in bans
            if ban.id not in self.missing
        }

    def dropped_since(self, *, fresh: bool = False) -> dict[str, int]:
        """Packets dropped by service since the last call; the first call only takes the starting point."""
        now = self.packets(fresh=fresh)
        total: dict[str, int] = {}
        for (target, service), packets in now.items():
            before = self._told.get((target, service), 0)
            # A counter below its last value belongs to a new ban of the same target.
            new = packets - before if packets >= before else packets
            if new:
                total[service] = total.get(service, 0) + new
        self._told = dict(now)
        return total

    def problems(self) -> list[str]:
        """What is not in force, and why."""
        found = [self.trouble] if self.trouble else []
        if self.missing:
            some = "; ".join(sorted(set(self.missing.values()))[:SOME])
            verb = "is" if len(self.missing) == 1 else "are"
            found.append(f"{plural(len(self.missing), 'ban')} {verb} not in force: {some}")
        return found

    def stop(self, *, keep: bool) -> None:
        """Leave the table in force (`keep`) or remove it, and let go of the kernel."""
        if self.monitor is not None:
            self.monitor.close()
        if self.fence is None:
            return
        try:
            if not keep:
                self.fence.remove()
        finally:
            self.fence.close()

    def _failed(self, error: EnforceError) -> str:
        self.trouble, self.changed = str(error), True
        return str(error)
