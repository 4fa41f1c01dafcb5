"""Making the kernel agree with the ledger: the fence around the services.

`Fence` holds no copy of the bans, only of the few network bans (their ranges must not overlap in the kernel); what
is in force is read from the kernel. For one thread. `now` is seconds UTC.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final

from ..errors import EnforceError
from ..model import AllowEntry, Ban, Lockdown, Service
from . import ruleset
from .cover import Range, merged, overlapping
from .netlink import Element, Link
from .nft import Nft
from .ruleset import LOCKED, TABLE
from .sets import Clock, Failures, Sets, gone
from .survey import SLACK, Difference, Survey, compare, holds_bans, look, parts, untouched
from .wanted import (
    Key,
    Networks,
    Placed,
    Places,
    gather,
    intervals,
    label,
    packets_by_owner,
    port_ranges,
    same_end,
    width,
)

SLICE: Final = 512
"""Elements that `settle` puts in force at a stroke, which takes a few milliseconds; those with wrong ends: `FEW`."""
DOUBTED: Final = 4096
"""Up to so many missing elements are looked for one by one before they are called missing."""
FEW: Final = 16
"""Up to so many network bans are added without reading the set, when they overlap nothing."""
MEDIA: Final = (("udp", 10000, 20000),)
"""Where Asterisk expects RTP unless rtp.conf says otherwise."""


class Fence:
    """Our table in the kernel. `rejected` tells, by ban id, why the last call could not put a ban in force.

    `services` are all that bans, whitelist and lockdown may name, `media_ports` what lockdown closes besides their
    ports, `ipv6_prefix` the length of the IPv6 networks that are banned most (they get the fast sets).
    """

    def __init__(
        self,
        nft: Nft,
        services: Sequence[Service],
        *,
        media_ports: Sequence[tuple[str, int, int]] = MEDIA,
        ipv6_prefix: int = 64,
    ) -> None:
        self.rejected: dict[int, str] = {}
        self._nft = nft
        self._link = Link()
        self._kernel = Sets(nft, self._link)
        self._services = tuple(services)
        self._media = tuple(media_ports)
        self._prefix = ipv6_prefix
        self._places = Places(services, ipv6_prefix)
        self._sets, self._chains = ruleset.names(services, ipv6_prefix)
        self._networks: Networks = {}
        self._expected: bytes | None = None
        self._touched: set[tuple[str, Key]] | None = None

    def install(
        self, bans: Iterable[Ban], allow: Sequence[AllowEntry], lockdown: Lockdown | None, now: float
    ) -> Difference:
        """Put the whole table in force; elements of an earlier one that are still right stay, with their counters.

        Rules, whitelist and lockdown change in one transaction, and an earlier table's bans hold until they are
        replaced, so protection never pauses. Raises `EnforceError` when the kernel refuses.
        """
        self._expected = None
        return self.reconcile(bans, allow, lockdown, now)

    def enforce(self, bans: Sequence[Ban], now: float, *, new: bool = False) -> list[int]:
        """Put bans in force or change their ends; returns the ids that the kernel confirmed, others are `rejected`.

        One transaction for up to `CHUNK` addresses and one for each set of networks. Raises `EnforceError` if all fail.
        A ban that has ended already is neither confirmed nor rejected. There is one element for a target and a
        service: of several bans in one call the longest holds, and a later call overrules an earlier one.
        `new`: most probably the kernel holds none of them, which makes it quicker.
        """
        self._need_installed()
        clock = Clock(now)
        self.rejected = {}
        placed = self._places.place(bans, now, self.rejected)
        self._touch(placed)
        hosts, networks = gather(placed)
        failures = self._kernel.put(hosts, clock, new=new)
        for name, spans in networks.items():
            failures |= self._put_networks(name, spans, clock)
        return self._confirmed(placed, failures)

    def lift(self, bans: Sequence[Ban], now: float | None = None) -> None:
        """Take bans out of force; those that are not in force are no error. Raises `EnforceError`."""
        self._need_installed()
        now = time.time() if now is None else now
        placed = self._places.place(bans, -1.0, {})
        self._touch(placed)
        hosts, networks = gather(placed)
        try:
            self._kernel.drop(hosts)
            for name, lifted in networks.items():
                kept = {span: until for span, until in self._live(name, now).items() if span not in lifted}
                self._kernel.cover(name, kept, Clock(now), SLACK)
                self._networks[name] = kept
        except EnforceError:
            if self._sets <= self._link.sets(TABLE):
                raise  # otherwise somebody removed the sets, and the bans with them

    def allow(self, entries: Sequence[AllowEntry], now: float) -> None:
        """Replace the whitelist, in one transaction. Raises `EnforceError`."""
        self._need_installed()
        self._kernel.cover_all(self._places.whitelist(entries, now), Clock(now), SLACK)

    def lockdown(self, lockdown: Lockdown | None, now: float) -> None:
        """Begin, change or (None) end the lockdown, in one transaction.

        Raises `EnforceError`, also when the lockdown would close nothing because no port of its services is known.
        """
        self._need_installed()
        if lockdown and not any(ruleset.locked_ports(lockdown, self._services, (), lockdown.since).values()):
            raise EnforceError(
                f"lockdown of {', '.join(lockdown.services)} would close nothing: no port of it is known"
            )
        self._kernel.run(self._locking(lockdown, now))
        self._expected = self._link.rules(TABLE)

    def reconcile(
        self, bans: Iterable[Ban], allow: Sequence[AllowEntry], lockdown: Lockdown | None, now: float
    ) -> Difference:
        """Read the kernel and make it agree with what should be in force; returns what had to be put right.

        Afterwards every ban is in force that has not ended and is not `rejected`. Raises `EnforceError`.
        """
        clock = Clock(now)
        difference, failures = Difference(), Failures()
        self.rejected = {}
        placed = self._places.place(bans, now, self.rejected)
        hosts, networks = gather(placed)
        self._kernel.generation = self._link.generation()
        try:
            self._agree_rules(allow, lockdown, clock, difference)
            for name in sorted(self._sets):
                if holds_bans(name, networks=True):
                    failures |= self._agree_networks(name, networks.get(name, {}), clock, difference)
                elif holds_bans(name):
                    failures |= self._agree_hosts(name, hosts.get(name, {}), clock, difference)
        except FileNotFoundError as error:
            raise gone() from error
        self._confirmed(placed, failures)
        return difference

    def begin(self, allow: Sequence[AllowEntry], lockdown: Lockdown | None, now: float) -> Difference:
        """Put rules, whitelist and lockdown right; from now on what is touched is noted. Raises `EnforceError`."""
        self._touched = set()
        self._kernel.generation = self._link.generation()
        difference = Difference()
        try:
            self._agree_rules(allow, lockdown, Clock(now), difference)
        except FileNotFoundError as error:
            raise gone() from error
        return difference

    def look(self, bans: Iterable[Ban], clock: Clock) -> Survey:
        """Compare ledger and kernel, in a thread: `bans` are read after `begin`. Raises `EnforceError`."""
        return look(bans, self._places, sorted(name for name in self._sets if holds_bans(name)), clock)

    def settle(self, found: Survey, difference: Difference, now: float) -> Iterator[None]:
        """Put right what was found, a few milliseconds at a time; what was touched since `begin` is right already.

        Raises `EnforceError`. A look at changing sets may miss what is superfluous: then `untouched` is False.
        """
        touched, clock = self._touched if self._touched is not None else set(), Clock(now)
        # An element that ends in time may hide another from who reads: the kernel counts them as it tells them.
        doubtful = found.torn or sum(map(len, found.missing.values())) <= DOUBTED
        for name, keys in found.superfluous.items():
            for some in parts(keys, SLICE):
                left = [key for key in some if (name, key) not in touched]
                difference.note_all("superfluous", name, left)
                self._kernel.drop({name: left})
                yield
        for what, size, sets in (("wrong_end", FEW, found.wrong_end), ("missing", SLICE, found.missing)):
            for name, ends in sets.items():
                for each in parts(ends.items(), size):
                    wanted = untouched(each, name, touched, clock())
                    if what == "missing" and doubtful:
                        wanted = {key: end for key, end in wanted.items() if not self._link.element(TABLE, name, key)}
                    difference.note_all(what, name, wanted)
                    found.failures |= self._kernel.put({name: wanted}, clock)
                    yield
        for name in sorted(name for name in self._sets if holds_bans(name, networks=True)):
            then, live = found.networks.get(name, {}), self._networks.get(name, {})
            spans = {span: until for span, until in then.items() if (name, span) not in touched}
            spans |= {span: until for span, until in live.items() if (name, span) in touched}
            found.failures |= self._agree_networks(name, spans, clock, difference)
            yield
        for where, why in found.failures.items():
            found.rejected.update(dict.fromkeys(found.owners.get(where, ()), why))
        if found.torn:
            self._kernel.generation = -1
        found.done = True

    def finish(self, found: Survey | None, now: float) -> list[Ban]:
        """Note no longer what is touched; returns the bans that may be called enforced now."""
        touched, self._touched = self._touched or set(), None
        return found.confirmed(touched, now) if found is not None and found.done else []

    def _touch(self, placed: Iterable[Placed]) -> None:
        if self._touched is not None:
            self._touched.update((each.set, each.key) for each in placed)

    def untouched(self) -> bool:
        """Whether nobody but us changed any nftables rules since the last reconcile, which would find nothing then."""
        return self._expected is not None and self._link.generation() == self._kernel.generation

    @property
    def lasting(self) -> set[str]:
        """The reasons in `rejected` that will not pass however often a ban is tried."""
        return self._places.lasting

    def packets_of(self, bans: Sequence[Ban]) -> dict[int, int]:
        """Packets dropped by each of these bans of single addresses, by id, read element by element (some 20 µs each).

        Networks, and what is not in force, are left out. Raises `EnforceError`.
        """
        found: dict[int, int] = {}
        for each in self._places.place(bans, -1.0, {}):
            element = self._link.element(TABLE, each.set, each.key) if isinstance(each.key, bytes) else None
            if element is not None:
                found[each.id] = element.packets
        return found

    def probe(self, address: str, service: str, seconds: float, now: float) -> bool:
        """Put `address` into the set of `service` for a moment, read it back, and take it out again.

        An IPv6 address stands for its prefix, as in most bans. False: a ban holds it already, and stays untouched.
        The element ends by itself after `seconds`. Raises `EnforceError` when any of it does not work.
        """
        self._need_installed()
        target = f"{address}/{self._prefix}" if ":" in address else address
        ban = Ban(id=0, target=target, service=service, since=now, until=now + seconds, state="wanted", author="canary")
        refused: dict[int, str] = {}
        placed = self._places.place([ban], now, refused)
        if not placed or not isinstance(placed[0].key, bytes):
            raise EnforceError(refused.get(ban.id, f"{target} has no place in a set of single values"))
        name, key = placed[0].set, placed[0].key
        self._touch(placed)
        if self._link.element(TABLE, name, key) is not None:
            return False
        failures = self._kernel.put({name: {key: ban.until}}, Clock(now))
        if failures:
            raise EnforceError("; ".join(failures.values()))
        try:
            if self._link.element(TABLE, name, key) is None:
                raise EnforceError(f"the kernel took {label(name, key)}, and does not hold it")
        finally:
            self._kernel.drop({name: [key]})
        if self._link.element(TABLE, name, key) is not None:
            raise EnforceError(f"the kernel still holds {label(name, key)} after it was taken out")
        return True

    def counters(self) -> dict[tuple[str, str], int]:
        """Packets dropped by (target, service), of the bans that dropped any. Raises `EnforceError`.

        Has a socket of its own, so it may run in another thread: with 100,000 bans the kernel takes two seconds. When
        bans come or end meanwhile, some may lack.
        """
        found: dict[tuple[str, str], int] = {}
        try:
            with closing(Link()) as link:
                for name in self._sets - set(LOCKED):
                    if "_allowed" not in name:
                        service = self._places.service(name)
                        # What is not told because the set changes under us: see `Barrier.take`.
                        counted = self._counted(name, link.glimpse(TABLE, name)[0])
                        found |= {(text, service): packets for text, packets in counted}
        except FileNotFoundError as error:
            raise gone() from error
        return found

    def remove(self) -> None:
        """Remove the whole table: nothing is blocked any more. No error when there is none."""
        self._kernel.run(f"add table inet {TABLE}\ndelete table inet {TABLE}\n")
        self._expected, self._networks = None, {}

    def close(self) -> None:
        """Give the sockets back; the table stays in force."""
        self._link.close()
        self._nft.close()

    def _put_networks(self, name: str, added: dict[Range, float], clock: Clock) -> Failures:
        """Add network bans to those of an interval set; the usual few that overlap none need no reading."""
        live = self._live(name, clock())
        try:
            if len(added) <= FEW and not overlapping(added, live):
                self._kernel.extend(name, added, clock)
            else:
                self._kernel.cover(name, live | added, clock, 0.0)
        except EnforceError as error:
            return {(name, span): str(error) for span in added}
        self._networks[name] = live | added
        return {}

    def _agree_rules(
        self, allow: Sequence[AllowEntry], lockdown: Lockdown | None, clock: Clock, difference: Difference
    ) -> None:
        """Rules, whitelist and lockdown: rebuilt together when the rules are not ours, else each where it differs."""
        listed = self._places.whitelist(allow, clock())
        if self._expected is None or self._link.rules(TABLE) != self._expected:
            self._rebuild(ruleset.whitelist(listed, clock()) + self._locking(lockdown, clock()))
            difference.structure = True
            return
        for name, spans in listed.items():
            if self._kernel.cover(name, spans, clock, SLACK):
                difference.whitelist = True
        if not self._locked_as(lockdown, clock):
            self.lockdown(lockdown, clock())
            difference.lockdown = True

    def _rebuild(self, further: str) -> None:
        """Renew all rules and keep the sets with their elements, unless they are of another make than ours."""
        stale = "".join(f"delete chain inet {TABLE} {name}\n" for name in self._link.chains(TABLE) - self._chains)
        stale += "".join(f"delete set inet {TABLE} {name}\n" for name in self._link.sets(TABLE) - self._sets)
        rules = ruleset.structure(self._services, self._prefix)
        try:
            self._kernel.run(rules + stale + further)
        except EnforceError:
            self._kernel.run(f"add table inet {TABLE}\ndelete table inet {TABLE}\n" + rules + further)
        self._expected = self._link.rules(TABLE)

    def _agree_hosts(self, name: str, wanted: dict[bytes, float], clock: Clock, difference: Difference) -> Failures:
        """One set of single values; uses up `wanted`."""
        before = clock()
        elements = self._link.elements(TABLE, name)
        now = clock()
        superfluous, wrong = compare(elements, wanted, now, SLACK + now - before)
        for what, keys in (("superfluous", superfluous), ("wrong_end", wrong), ("missing", wanted)):
            difference.note_all(what, name, keys)
        self._kernel.drop({name: superfluous})
        return self._kernel.put({name: wanted | wrong}, clock)

    def _agree_networks(self, name: str, spans: dict[Range, float], clock: Clock, difference: Difference) -> Failures:
        try:
            changes = self._kernel.cover(name, spans, clock, SLACK)
        except EnforceError as error:
            return {(name, span): str(error) for span in spans}
        self._networks[name] = spans
        for change in changes:
            difference.note(change.what, name, change.key)
        return {}

    def _locked_as(self, lockdown: Lockdown | None, clock: Clock) -> bool:
        """Whether the kernel holds exactly the ports of this lockdown, until its end."""
        now = clock()
        for name, ports in ruleset.locked_ports(lockdown, self._services, self._media, now).items():
            held = port_ranges(self._link.elements(TABLE, name))
            if set(held) != set(merged(ports)):
                return False
            if lockdown and not all(same_end(each, lockdown.until, now, SLACK) for each in held.values()):
                return False
        return True

    def _locking(self, lockdown: Lockdown | None, now: float) -> str:
        return ruleset.locking(lockdown, self._services, self._media, now)

    def _counted(self, name: str, elements: Sequence[Element]) -> Iterable[tuple[str, int]]:
        """Targets of one set with the packets they dropped."""
        if ruleset.is_interval(name):
            owned = packets_by_owner(self._networks.get(name, {}), intervals(elements))
            return [(ruleset.network(span, width(name)), packets) for span, packets in owned.items()]
        prefix = name.rpartition("_prefixes")
        suffix = f"/{prefix[2]}" if prefix[1] else ""
        return [(ruleset.host(each.key) + suffix, each.packets) for each in elements if each.packets]

    def _confirmed(self, placed: Iterable[Placed], failures: Failures) -> list[int]:
        """The ids of bans that are in force; the others become `rejected`."""
        for each in placed if failures else ():
            if (each.set, each.key) in failures:
                self.rejected[each.id] = failures[each.set, each.key]
        return [each.id for each in placed if each.id not in self.rejected]

    def _live(self, name: str, now: float) -> dict[Range, float]:
        """The network bans of a set that have not ended."""
        return {span: until for span, until in self._networks.get(name, {}).items() if until > now}

    def _need_installed(self) -> None:
        if self._expected is None:
            raise EnforceError("the firewall table is not installed yet")
