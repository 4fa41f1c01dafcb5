"""The whitelist as it holds now: entries of the policy and by command, our own addresses, administrators at work.

Host names keep their last good answer: a name server that is down opens nobody's door and closes nobody's either.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from ringfence.detect.allow import AllowList, covered_by
from ringfence.ledger import Ledger
from ringfence.model import EVERY, FOREVER, AllowEntry, Ban, Policy
from ringfence.own import administrators, canonical, own_addresses
from ringfence.values import parse_address

POLICY = "policy"
"""The author of entries that stand in the policy."""
AT_WORK = "an administrator is logged in from there"
PROTECTED = "protected by the settings"


class Whitelist:
    """Builds the `AllowList` from all that must never be banned, and tells whether it changed."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], protected: Iterable[str] = ()) -> None:
        self._ledger = ledger
        self._clock = clock
        self._protected = tuple(protected)
        self._policy: tuple[str, ...] = ()
        self._answers: dict[str, tuple[str, ...]] = {}
        self.own = own_addresses()
        self.admins = administrators()
        self.failing: frozenset[str] = frozenset()
        self.list = AllowList(())
        self._written: list[AllowEntry] = []

    def rebuild(self, policy: Policy) -> bool:
        """Read everything again; True when the list is another one than before."""
        self._policy = policy.whitelist
        before = self.list.all
        self._written = self.entries()
        listed = AllowList([*self._written, *self._quiet()], own=sorted(self.own))
        if listed.all == before:
            return False
        self.list = listed
        return True

    def under(self, policy: Policy) -> AllowList:
        """The whitelist as it would be under another policy."""
        mine = [entry for entry in self.list.entries if entry.author != POLICY]
        return AllowList([*self._fixed(policy.whitelist), *mine], own=sorted(self.own))

    def refresh_own(self) -> None:
        """Look again which addresses are ours and who is logged in; `rebuild` takes it up."""
        self.own = own_addresses()
        self.admins = administrators()

    def entries(self) -> list[AllowEntry]:
        """What people wrote: the policy's entries, then those by command that did not expire."""
        now = self._clock()
        added = self._ledger.whitelist(now)
        return self._fixed(self._policy) + [
            structs.replace(one, addresses=one.addresses or self.lookup(one.target)) for one in added
        ]

    def _fixed(self, targets: Iterable[str]) -> list[AllowEntry]:
        return [AllowEntry(target=one, author=POLICY, addresses=self.lookup(one)) for one in targets]

    def count(self) -> int:
        """How many `entries` there are, from memory."""
        now = self._clock()
        return sum(1 for entry in self._written if entry.expires > now)

    def temporary(self) -> list[AllowEntry]:
        """The entries that end some time, from memory."""
        return [entry for entry in self._written if entry.expires != FOREVER]

    def _quiet(self) -> list[AllowEntry]:
        found = [AllowEntry(target=one, note=PROTECTED, addresses=(one,)) for one in self._protected]
        return found + [AllowEntry(target=one, note=AT_WORK, addresses=(one,)) for one in sorted(self.admins)]

    def lookup(self, target: str) -> tuple[str, ...]:
        """What `target` stands for without asking anybody: itself, or the last good answer for a host name."""
        if is_address(target):
            return (target,)
        return self._answers.get(target, ())

    def hosts(self) -> list[str]:
        """The host names that are to be resolved."""
        names = [*self._policy, *(entry.target for entry in self._ledger.whitelist(self._clock()))]
        return [name for name in dict.fromkeys(names) if not is_address(name)]

    def resolved(self, answers: Mapping[str, tuple[str, ...]]) -> None:
        """Take up answers of `resolve`; those that are empty leave the last good one. Raises LedgerError."""
        self.failing = frozenset(name for name, found in answers.items() if not found)
        for name, found in answers.items():
            if found:
                if found != self._answers.get(name):
                    self._ledger.note_resolution(name, found)
                self._answers[name] = found

    def covered(self, now: float) -> list[Ban]:
        """The running bans that lie wholly within what must not be banned (from that service) now."""
        found, networks = [], []
        for ban in self._ledger.running_within(span for entry in self.list.all for span in _networks(entry)):
            if "/" in ban.target:
                networks.append(ban)
            elif self.list.covers(ban.target, ban.service, now) is not None:
                found.append(ban)
        if networks:
            found += [ban for entry in self.list.all if entry.expires > now for ban in _inside(entry, networks)]
        return list({ban.id: ban for ban in found}.values())

    def covering(self, target: str, now: float) -> list[AllowEntry]:
        """The entries that people wrote which hold the whole of `target` (address or network) now."""
        return [entry for entry in self.entries() if entry.expires > now and covered_by(entry, [target])]


def covered_bans(entry: AllowEntry, ledger: Ledger) -> list[Ban]:
    """The running bans that `entry` covers: to be lifted when it is added."""
    return _inside(entry, ledger.running_within(_networks(entry)))


def _networks(entry: AllowEntry) -> tuple[str, ...]:
    """What an entry stands for; nothing for a host name that was never resolved."""
    return (entry.target,) if is_address(entry.target) else entry.addresses


def _inside(entry: AllowEntry, bans: list[Ban]) -> list[Ban]:
    closed = [ban for ban in bans if entry.service in (EVERY, ban.service)]
    targets = set(covered_by(entry, [ban.target for ban in closed]))
    return [ban for ban in closed if ban.target in targets]


def is_address(target: str) -> bool:
    """Whether `target` is an address or network rather than a host name."""
    try:
        return parse_address(target) is not None
    except ValueError:
        return False


def resolve(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Ask the system's resolver for `names`; what fails has no addresses. Blocks: call it in a thread."""
    answers: dict[str, tuple[str, ...]] = {}
    for name in names:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = {canonical(str(entry[4][0])) for entry in found}
        answers[name] = tuple(sorted(address for address in addresses if address is not None))
    return answers
