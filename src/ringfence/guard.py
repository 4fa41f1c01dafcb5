"""The running guard without its loop: the parts, and what has to happen to all of them together.

Every change that touches more than one part is here; the way of a line is `pipeline`. Time comes from `clock`.
Nothing here waits: what must not block the loop (host names) is done by the daemon and handed in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network

from msgspec import Struct

from ringfence.alert.alerting import Alerting, load_alerting
from ringfence.attacks import Attacks
from ringfence.barrier import Barrier
from ringfence.canary_work import CanaryWork
from ringfence.conditions import Conditions
from ringfence.detect import Detector
from ringfence.enforce.survey import Difference
from ringfence.errors import LedgerError, NotFoundError
from ringfence.ledger import Ledger, PolicyRevision, Recorded
from ringfence.model import EVERY, Ban, Lockdown, Policy, Service, Verdict
from ringfence.parse.parser import Parser
from ringfence.pipeline import Pipeline
from ringfence.policy import load_policy
from ringfence.render import ban_length, duration, plural
from ringfence.settings import Settings
from ringfence.trials import Trials
from ringfence.watch import Watch
from ringfence.whitelist import Whitelist

MOST_AT_ONCE = 1_000
"""Running bans up to which the kernel is read and put right at once; with more that is done beside, see `beside`."""
MOST_TOLD = 10
"""Bans told one by one at a time; of more only the number."""

Say = Callable[[str], None]


class Parts(Struct, kw_only=True):
    """Everything that a guard is made of."""

    settings: Settings
    services: dict[str, Service]
    catalogue_problems: Sequence[str]
    parser: Parser
    ledger: Ledger
    barrier: Barrier
    watch: Watch
    whitelist: Whitelist
    detector: Detector
    policy: Policy
    policy_text: str
    policy_revision: int
    alerting: Alerting
    alerting_revision: int
    alerting_trouble: str


class Guard:
    """The parts at work."""

    def __init__(self, parts: Parts, clock: Callable[[], float], say: Say) -> None:
        self.settings = parts.settings
        self.services = parts.services
        self.parser = parts.parser
        self.ledger = parts.ledger
        self.barrier = parts.barrier
        self.watch = parts.watch
        self.whitelist = parts.whitelist
        self.detector = parts.detector
        self.policy = parts.policy
        self.policy_text = parts.policy_text
        self.policy_revision = parts.policy_revision
        self.alerting = parts.alerting
        self.alerting_revision = parts.alerting_revision
        self.alerting_trouble = parts.alerting_trouble
        self.sender_trouble = ""
        self.alerting_changed: Callable[[], None] = lambda: None
        self.clock = clock
        self.say = say
        self.started = clock()
        self.ledger_trouble = ""
        self.hosts_changed = False
        self._dropped: dict[str, int] = {}
        self.catalogue_problems = list(parts.catalogue_problems)
        self.pipeline = Pipeline(
            parts.watch, parts.parser.attempts, parts.detector, parts.ledger, parts.barrier, clock, self._tell
        )
        self.trials = Trials(self)
        self.conditions = Conditions(self)
        self.attacks = Attacks(self)
        self._watch_accounts()
        self.canary = CanaryWork(self)
        self.canary.every = lambda: self.alerting.watch.canary
        self.canary.on_result = self.conditions.canary

    # --- what is told

    def _tell(self, recorded: Recorded, verdicts: Sequence[Verdict]) -> None:
        """One line a ban: whom, from what, for how long, why."""
        last = {(verdict.target, _closed(verdict)): verdict for verdict in verdicts}
        for ban in recorded.wanted[:MOST_TOLD]:
            verdict = last.get((ban.target, ban.service))
            length = ban_length(ban.until - (verdict.time if verdict is not None else ban.since))
            why = "" if verdict is None else f": rule {verdict.rule}, {_counted(verdict)}"
            failed = self.barrier.missing.get(ban.id) if self.barrier.blocks else "monitor mode"
            state = f" (NOT in force: {failed})" if failed else ""
            word = "banned" if verdict is None or ban.since >= verdict.time else "banned for longer:"
            self.say(f"{word} {ban.target} from {_service(ban)} {length}{why}{state}")
        if len(recorded.wanted) > MOST_TOLD:
            self.say(f"… and {plural(len(recorded.wanted) - MOST_TOLD, 'more ban')}")
        if recorded.evicted:
            self.say(
                f"the list of bans is full ({self.settings.bans.capacity:,}): "
                f"{plural(len(recorded.evicted), 'automatic ban')} that would have ended soonest made room"
            )

    # --- changes by command

    def close(self, bans: Sequence[Ban]) -> str:
        """Put bans in force that the ledger holds; returns why one is not, or nothing."""
        now = self.clock()
        self.pipeline.forget(bans)
        confirmed = self.barrier.close(bans, now)
        if confirmed:
            self.ledger.mark_enforced([ban for ban in bans if ban.id in confirmed], now)
        missing = [self.barrier.missing[ban.id] for ban in bans if ban.id in self.barrier.missing]
        if not self.barrier.blocks:
            return f"{self.barrier.mode}: {self.barrier.blocked()}"
        return "; ".join(dict.fromkeys(missing))

    def open(self, bans: Sequence[Ban]) -> str:
        """Let in again whose bans the ledger ended; returns why that failed, or nothing."""
        self.pipeline.forget(bans)
        if bans:
            with contextlib.suppress(LedgerError):  # they are kept and recorded later
                self._add_dropped({} if self.few_bans else self.barrier.dropped_by(bans))
                self.count_dropped()
        why = self.barrier.open(bans)
        for ban in bans:
            self.detector.forget(ban.target, None if ban.service == EVERY else ban.service)
        return why

    def whitelist_changed(self, author: str, origin: str = "") -> tuple[str, list[Ban]]:
        """Take up the whitelist as it is now: judge by it, put it in force, lift the bans that it covers."""
        if not self.whitelist.rebuild(self.policy):
            return "", []
        now = self.clock()
        self.detector.allow = self.whitelist.list
        why = self.barrier.allow(self.whitelist.list.all, now)
        covered = self.whitelist.covered(now)
        lifted: list[Ban] = []
        if covered:
            lifted = self.ledger.lift_by_id([ban.id for ban in covered], author=author, origin=origin, now=now)
            why = why or self.open(lifted)
        return why, lifted

    def set_lockdown(
        self, lockdown: Lockdown | None, author: str, origin: str, *, trial: float = 0, undoes: int | None = None
    ) -> str:
        """Begin or end the lockdown; returns why it is not in force, or nothing."""
        now = self.clock()
        self.ledger.set_lockdown(lockdown, author=author, origin=origin, now=now, trial=trial, undoes=undoes)
        self.trials.reload()
        self.say(f"lockdown {'on: ' + ', '.join(lockdown.services) if lockdown else 'off'} by {author}")
        why = self.barrier.lockdown(lockdown, now)
        with contextlib.suppress(LedgerError):  # that it can't be told now must not keep it from being in force
            if lockdown is None:
                self.conditions.lockdown_ended(author)
            self.conditions.look()
        return why

    def apply_policy(
        self, text: str, name: str, author: str, note: str, origin: str = "", *, trial: float = 0,
        undoes: int | None = None,
    ) -> int:  # fmt: skip
        """Judge by the policy `text` from now on; returns its revision. Raises SettingsError and LedgerError."""
        policy = load_policy(text, name, services=self.services)
        revision = self.ledger.apply_policy(
            text, author=author, note=note, origin=origin, now=self.clock(), trial=trial, undoes=undoes
        )
        self.adopt(revision, text, policy, author, note, origin)
        return revision

    def adopt(self, revision: int, text: str, policy: Policy, author: str, note: str = "", origin: str = "") -> None:
        """Judge by a policy that the ledger holds already."""
        self.policy, self.policy_text, self.policy_revision = policy, text, revision
        self.trials.reload()
        self.detector.change(policy)
        self.whitelist_changed(author, origin)
        self.hosts_changed = True
        self.say(f"policy revision {revision} by {author}" + (f": {note}" if note else ""))

    def apply_alerting(self, text: str, name: str, author: str, note: str, origin: str = "") -> int:
        """Warn by the settings `text` from now on; returns their revision. Raises SettingsError and LedgerError."""
        load_alerting(text, name)
        revision = self.ledger.apply_alerting(text, author=author, note=note, origin=origin, now=self.clock())
        self.take_alerting()
        return revision

    def take_alerting(self) -> None:
        """Warn by the newest settings that the ledger holds. Raises SettingsError."""
        last = self.ledger.alerting()
        if last is None:
            return
        self.alerting = load_alerting(last.text, f"settings of warnings, revision {last.revision}")
        self.alerting_revision, self.alerting_trouble, self.sender_trouble = last.revision, "", ""
        self._watch_accounts()
        self.conditions.certificates_changed()
        self.alerting_changed()
        note = f": {last.note}" if last.note else ""
        self.say(f"settings of warnings: revision {last.revision} by {last.author}{note}")

    def _watch_accounts(self) -> None:
        self.ledger.watched_accounts = frozenset(self.alerting.watch.administrators)

    def revision(self, number: int | None) -> PolicyRevision:
        """A policy revision, the one in force without a number. Raises NotFoundError."""
        found = self.ledger.policy(number)
        if found is None:
            raise NotFoundError(f"there is no policy revision {number}; see 'ringfence policy history'")
        return found

    # --- upkeep

    def reconcile(self, *, always: bool = False) -> Difference | None:
        """Make the kernel agree with the ledger, if there is reason to or `always`."""
        if not always and not self.barrier.is_due():
            return None
        now = self.clock()
        bans = self.ledger.bans()
        self.pipeline.forget_all()
        before = self.barrier.trouble
        difference = self.barrier.reconcile(bans, self.whitelist.list.all, self.ledger.lockdown(now), now)
        self.say_trouble(before)
        if difference is None:
            return None
        confirmed = [
            ban for ban in bans if ban.state == "wanted" and ban.until > now and ban.id not in self.barrier.missing
        ]
        if confirmed:
            self.ledger.mark_enforced(confirmed, now)
        return difference

    def say_trouble(self, before: str) -> None:
        """One line if the firewall's trouble is another than `before`."""
        if self.barrier.trouble != before:
            self.say(
                f"firewall: {self.barrier.trouble}; tried again" if self.barrier.trouble else "firewall: works again"
            )

    def tidy(self) -> None:
        """What is due every minute: ends of bans, whitelist and lockdown, dropped packets, attacks."""
        now = self.clock()
        self.ledger.expire(now)
        self.ledger.expire_allowed(now)
        if self.barrier.lockdown_in_force and self.ledger.lockdown(now) is None:
            self.barrier.lockdown(None, now)
            self.say("lockdown ended")
        self.count_dropped(fresh=False)
        self.whitelist.refresh_own()
        self.whitelist_changed("guard")
        self.attacks.look()

    def count_dropped(self, *, fresh: bool = True) -> None:
        """Record what the kernel dropped since the last time; with many bans only what was read anyway."""
        fresh = self.few_bans and (fresh or self.barrier.reading_due)
        self._add_dropped(self.barrier.dropped_since(fresh=fresh))
        if self._dropped:
            self.ledger.add_dropped_packets(self._dropped, self.clock())
            self._dropped = {}

    def _add_dropped(self, packets: Mapping[str, int]) -> None:
        for service, count in packets.items():
            self._dropped[service] = self._dropped.get(service, 0) + count

    @property
    def few_bans(self) -> bool:
        """Whether so few bans run that the kernel is read within a few milliseconds."""
        return self.ledger.running_bans <= MOST_AT_ONCE

    def resolved(self, answers: Mapping[str, tuple[str, ...]]) -> None:
        """Take up what the host names of the whitelist resolve to."""
        self.whitelist.resolved(answers)
        _, lifted = self.whitelist_changed("guard")
        for ban in lifted:
            self.say(f"lifted the ban of {ban.target}: a host name of the whitelist covers it now")

    def problems(self) -> list[str]:
        """What is wrong now, the worst first; empty when everything is guarded."""
        found = []
        if not self.barrier.blocks:
            found.append(f"{self.barrier.mode}: {self.barrier.blocked()}")
        found += self.barrier.problems()
        if self.ledger_trouble:
            found.append(self.ledger_trouble)
        found += self.watch.standing() + self.catalogue_problems + self.watch.plan.problems + self.canary.problems()
        found += filter(None, [self.alerting_trouble, self.sender_trouble])
        if not self.watch.found():
            found.append("no log is watched: name one with [[source]] in the settings")
        return found

    def notices(self) -> list[str]:
        """What is worth knowing and no fault."""
        found = [f"service {name} is switched off" for name in sorted(self.policy.disabled)]
        found += [
            f"{name} on the whitelist does not resolve; its last answer holds"
            for name in sorted(self.whitelist.failing)
        ]
        if self.pipeline.names.unresolved:
            lines = plural(self.pipeline.names.unresolved, "line")
            found.append(f"{lines} named a host that has no address, or several, and could not count")
        return found + self.watch.notices()

    # --- questions

    def running(self, service: str | None = None) -> list[Ban]:
        """The bans that run, of one service or all."""
        return self.ledger.bans(active=True, service=service)

    def targets_of(self, address: str) -> list[str]:
        """The address itself and the networks that it may be banned with."""
        network = ip_network(address)
        limits = self.policy.limits
        lengths = [limits.ipv4_network] if network.version == 4 else [limits.ipv6_prefix, limits.ipv6_network]
        wider = [str(network.supernet(new_prefix=one)) for one in lengths if one < network.prefixlen]
        return list(dict.fromkeys([address, *wider]))

    def bans_of(self, address: str) -> list[Ban]:
        """The running bans of `address` and of the networks that rules ban it with; quick."""
        return [ban for target in self.targets_of(address) for ban in self.ledger.bans(active=True, target=target)]

    def bans_on(self, address: str) -> list[Ban]:
        """The running bans that hold `address`: its own, and those of any network around it."""
        # Asked for every network that could hold it: however many bans run, that is a few look-ups.
        network = ip_network(address)
        first, bits, kind = network.network_address, network.max_prefixlen, type(network.network_address)
        # By numbers: `supernet` would take a millisecond for all networks around an IPv6 address.
        wider = [f"{kind(int(first) >> bits - one << bits - one)}/{one}" for one in range(network.prefixlen)]
        return self.ledger.running_of([*self.targets_of(address), *wider])


def _counted(verdict: Verdict) -> str:
    """What a rule counted: "14 attempts in 43m"."""
    return f"{plural(verdict.count, verdict.counted.removesuffix('s'))} in {duration(verdict.time - verdict.since)}"


def _closed(verdict: Verdict) -> str:
    return verdict.service if verdict.scope == "service" else EVERY


def _service(ban: Ban) -> str:
    return "all services" if ban.service == EVERY else ban.service
