"""The kernel side of the guard with its faults contained: a firewall that fails is told and tried again, never fatal.

In monitor mode there is no fence: everything is decided and recorded, nothing new is blocked, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

from ringfence.enforce.monitor import TableMonitor
from ringfence.enforce.netlink import Link
from ringfence.enforce.reconcile import Fence
from ringfence.enforce.ruleset import TABLE
from ringfence.enforce.survey import Difference, Survey
from ringfence.errors import EnforceError
from ringfence.model import AllowEntry, Ban, Lockdown
from ringfence.render import plural

IDLE_SHARE = 300
"""Reading all counters takes seconds for 100,000 bans: how many times as long as it took we wait before the next."""
MOST_LIFTED = 500
"""Bans whose counters are read, one by one, before they are lifted together: that takes ten milliseconds."""
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
        self._failed_since: set[int] | None = None
        self._reading = False
        self._absent: set[tuple[str, str]] = set()
        self._lifted: set[tuple[str, str]] = set()
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

    def close(self, bans: Sequence[Ban], now: float, *, new: bool = False) -> set[int]:
        """Keep out; returns the ids that the kernel confirmed, the rest is `missing`. `new`: none was in force yet."""
        if self.fence is None or not bans:
            return set()
        try:
            confirmed = set(self.fence.enforce(bans, now, new=new))
        except EnforceError as error:
            self._failed(error)
            self._miss({ban.id: str(error) for ban in bans})
            return set()
        for ban in bans:
            if ban.id in confirmed:
                self.missing.pop(ban.id, None)
            elif ban.until > now:
                self._miss({ban.id: self.fence.rejected.get(ban.id, "the kernel refused it")})
        return confirmed

    def _miss(self, why: dict[int, str]) -> None:
        self.missing.update(why)
        if self._failed_since is not None:
            self._failed_since.update(why)

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
            if self._reading:
                self._lifted.add((ban.target, ban.service))
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
            hopeful = any(why not in self.fence.lasting for why in self.missing.values())
            return bool(self.changed or self.trouble or hopeful or not self.fence.untouched())
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

    # The same in steps, between which the guard works on (see `beside`)

    def begin(self, allow: Sequence[AllowEntry], lockdown: Lockdown | None, now: float) -> Difference | None:
        """Rules, whitelist and lockdown agree; None when that failed. Call `finish` in any case."""
        if self.fence is None:
            return None
        self.changed, self._failed_since = False, set()
        try:
            difference = self.fence.begin(allow, lockdown, now)
        except EnforceError as error:
            self._failed(error)
            self.unsure = True
            return None
        self.lockdown_in_force = lockdown is not None
        return difference

    def settle(self, found: Survey, difference: Difference, now: float) -> Iterator[None]:
        """Make the kernel agree by what was found, a few milliseconds at a time; `found.done` when that worked."""
        if self.fence is None:
            return
        try:
            yield from self.fence.settle(found, difference, now)
        except EnforceError as error:
            self.failed_to_look(error)
            return
        self.unsure = False
        if not self.changed:  # otherwise something failed meanwhile
            self.trouble = ""
        since = self._failed_since or set()
        found.rejected.update((number, why) for number, why in self.missing.items() if number in since)
        self.missing = found.rejected

    def finish(self, found: Survey | None, now: float) -> list[Ban]:
        """The end of what `begin` began; returns the bans that may be called enforced now."""
        self._failed_since = None
        return [] if self.fence is None else self.fence.finish(found, now)

    def failed_to_look(self, error: EnforceError) -> None:
        """The kernel could not be compared with the ledger."""
        self._failed(error)
        self.unsure = True

    # What was dropped

    def packets(self, *, fresh: bool = False) -> dict[tuple[str, str], int]:
        """Packets dropped so far by (target, service) of each ban that dropped any, as they were read last.

        `fresh` reads them now, which takes 3 ms for 1,000 bans and seconds for very many: see `reading`.
        """
        if fresh and self.fence is not None:
            begun = time.monotonic()
            try:
                self._packets = self.fence.counters()
            except EnforceError as error:
                self._failed(error)
            self._note_reading(begun)
        return self._packets

    @property
    def reading_due(self) -> bool:
        """Whether the last reading is so long ago that a new one costs next to nothing."""
        return self.fence is not None and time.monotonic() >= self._read_again

    def reading(self) -> Callable[[], dict[tuple[str, str], int]] | None:
        """What reads the counters, to be called in a thread and handed to `take`; None while another one reads."""
        if self.fence is None or self._reading:
            return None
        self._reading = True
        self._lifted.clear()
        return self.fence.counters

    def take(self, counted: dict[tuple[str, str], int] | EnforceError, begun: float) -> None:
        """The counters that `reading` read since `begun` (of a clock that only goes on), or why it failed."""
        self._reading = False
        self._note_reading(begun)
        if isinstance(counted, EnforceError):
            self._failed(counted)
        else:
            # While elements come and go the kernel may leave others out, which must not count anew the next time: only
            # what lacks twice has ended. And who was let out meanwhile begins at nothing.
            absent = self._packets.keys() - counted.keys() - self._absent
            kept = {key: self._packets[key] for key in absent}
            self._packets = {key: count for key, count in counted.items() if key not in self._lifted} | kept
            self._absent = absent

    def _note_reading(self, begun: float) -> None:
        ended = time.monotonic()
        self._read_again = ended + (ended - begun) * IDLE_SHARE

    def dropped_by(self, bans: Sequence[Ban]) -> dict[str, int]:
        """Packets dropped by service since the last call, by these bans alone, before they are lifted."""
        total: dict[str, int] = {}
        known = {ban.id: ban for ban in bans[:MOST_LIFTED]}
        for number, packets in self.packets_of(list(known.values())).items():
            key = known[number].target, known[number].service
            new = _since(packets, self._told.get(key, 0))
            if new:
                total[key[1]] = total.get(key[1], 0) + new
            self._told[key] = self._packets[key] = packets
        return total

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
            new = _since(packets, self._told.get((target, service), 0))
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


def _since(packets: int, before: int) -> int:
    """What a counter counted since it stood at `before`; below that, it belongs to a new ban of the same target."""
    return packets - before if packets >= before else packets
