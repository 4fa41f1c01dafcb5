"""The detector: events in, verdicts out, by a policy of several rules at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter

from ringfence.detect import explain
from ringfence.detect.address import network_of, span
from ringfence.detect.allow import AllowList
from ringfence.detect.history import History
from ringfence.detect.plan import Plan
from ringfence.detect.recent import Recent
from ringfence.detect.tracked import Tracked
from ringfence.detect.views import DetectorStatistics, WindowView
from ringfence.detect.window import ATTEMPT, LATE, LEFT, Counter, Fired, Window
from ringfence.model import EVERY, Ban, Event, Policy, Verdict

_NAMES = 65_536
_LONGEST_NAME = 64
_ADDRESSES = 65_536


class Detector:
    """Judges events by `policy`, never against `allow`, remembering at most `capacity` keys (addresses, networks …).

    Live, catch-up and restart take the same way: the verdicts depend on the events alone, not on how they are cut.
    """

    def __init__(self, policy: Policy, allow: AllowList, *, capacity: int = 1_000_000) -> None:
        self._policy = policy
        self._allow = allow
        self._plans: dict[str, Plan] = {}
        self._tracked = Tracked(capacity, policy)
        self._history = History(capacity)
        self._forgiven: dict[tuple[str, str], float] = {}
        self._names: dict[str, str] = {}
        self._keys: Recent[str, str] = Recent(_ADDRESSES)
        self._networks: Recent[str, str] = Recent(_ADDRESSES)
        self._restoring = False
        self._newest = -math.inf

    def feed(self, events: Sequence[Event]) -> list[Verdict]:
        """Judge `events` in their order, each as of its own time; the verdicts, the longest of an event last."""
        verdicts: list[Verdict] = []
        # This loop is long because it is the hot path: some hundred thousand events pass it in a second, and a call
        # costs as much as everything done here for an event that fires nothing. All that is rarer is in methods.
        plans = self._plans
        names = self._names
        service = None
        newest = self._newest
        for event in events:
            if event.service != service:
                service = event.service
                plan = plans.get(service) or self._plan(service)
                counter, others, masks, full, windows = plan.hot
                window_of = windows.get
            if not event.failed:
                if plan.by_account is not None:
                    self._succeeded(plan, event)
                continue
            if counter is not None:
                mask = full if masks is None else masks[event.cause, event.proven]
                if mask:
                    time = event.time
                    name = names.get(event.account)
                    if name is None:
                        name = self._name(event.account)
                    window = window_of(event.address)
                    # Usually the time is the newest of all; asking the window for its own newest is a cache miss.
                    ordered = time >= newest
                    if ordered:
                        newest = time
                    if window is not None and (ordered or time >= window[-ATTEMPT]):
                        if masks is not None and window[-1] & ~mask:
                            window[LATE] = True
                        window += (time, name, mask)
                        left = window[LEFT] - 1
                        window[LEFT] = left
                        if not left:
                            fired = counter.weigh(window, time, mask)
                            if fired is not None:
                                # Only IPv4 addresses are found under their own name, so that is the target.
                                self._judge(plan, event, event.address, fired, verdicts)
                    else:
                        self._attempt(plan, counter, event, name, mask, verdicts)
            if others:
                self._count_together(plan, event, verdicts)
        self._newest = newest
        return verdicts

    def restore_bans(self, bans: Iterable[Ban]) -> None:
        """After a restart, first: the bans of the ledger, for the ends that run and for rules that count bans."""
        known = sorted(bans, key=lambda ban: (ban.since, ban.service == EVERY, ban.until))
        for ban in known:
            if ban.state == "lifted" and ban.ended is not None:
                key = (ban.target, ban.service)
                self._forgiven[key] = max(ban.ended, self._forgiven.get(key, ban.ended))
        for ban in known:
            if ban.state == "lifted" or ban.since <= self._forgiven_at(ban.target, ban.service):
                continue
            by_rule = ban.author.startswith("rule:")
            _, new = self._history.extend(ban.target, ban.service, ban.since, ban.until, by_rule)
            if new and by_rule:
                for rule in self._plan(ban.service).repeated:
                    starts = self._history.count(ban.target, ban.service, rule.name, ban.since - rule.within, ban.since)
                    if len(starts) >= rule.needed:
                        self._history.spend(ban.target, rule.name, starts)

    def restore_events(self, events: Iterable[Event]) -> None:
        """After a restart, second: the events of the ledger that are recent enough to count, in their order.

        They are judged as ever, so that what fired a rule is used up; the verdicts are dropped, being bans already.
        """
        if self._forgiven:
            events = (event for event in events if not self._is_forgiven(event))
        self._restoring = True
        try:
            self.feed(events if isinstance(events, Sequence) else list(events))
        finally:
            self._restoring = False

    def change(self, policy: Policy) -> None:
        """Judge by `policy` from now on. What was counted keeps counting where a rule of the same name still would."""
        before, self._policy = self._policy, policy
        old = self._plans
        self._plans = {}
        self._keys.clear()
        self._networks.clear()
        self._tracked.policy(policy)
        for service, plan in old.items():
            self._plan(service).inherit(plan, before.limits, policy.limits)
        self._tracked.replace([counter for plan in self._plans.values() for counter in plan.counters])

    @property
    def allow(self) -> AllowList:
        """The whitelist. Assign a new one to change it: what was counted of newly covered addresses is dropped."""
        return self._allow

    @allow.setter
    def allow(self, allow: AllowList) -> None:
        known = set(self._allow.all)
        added = [entry for entry in allow.all if entry not in known]
        self._allow = allow
        self._keys.clear()
        for plan in self._plans.values():
            if plan.by_address is not None:
                self._tracked.allow(plan.by_address, added, allow)

    def forget(self, target: str, service: str | None) -> None:
        """After an unban of `target` (address or network; `service` None or EVERY: of all): begin anew for it."""
        closed = None if service == EVERY else service
        self._history.forget(target, closed)
        for name, plan in self._plans.items():
            if closed is None or closed == name:
                if plan.by_network is not None:
                    self._tracked.drop(plan.by_network, target)
                if plan.by_address is not None:
                    for key in {target, f"{target}/32", self._key_or(target)}:
                        self._tracked.drop(plan.by_address, key)
                    if self._may_hold_others(target):
                        for key in self._tracked.inside(plan.by_address, [span(target)]):
                            self._tracked.drop(plan.by_address, key)

    def _may_hold_others(self, target: str) -> bool:
        """Whether other keys may lie in `target`; not in an IPv6 prefix that is itself counted as one address."""
        _, slash, length = target.partition("/")
        return bool(slash) and not (":" in target and int(length) >= self._policy.limits.ipv6_prefix)

    def windows(self, address: str, now: float) -> list[WindowView]:
        """What every rule has counted for `address` as of `now`, service by service; [] for what is no address."""
        try:
            limits = self._policy.limits
            network = network_of(address, limits.ipv4_network, limits.ipv6_network)
            key = self._key(address)
        except ValueError:
            return []
        keys = (key, network, key if ":" in key else address)
        return explain.windows(self._policy, self._plans, self._allow, self._history, address, keys, now)

    def statistics(self) -> DetectorStatistics:
        """How much is remembered, and what had to be forgotten."""
        return explain.statistics(self._tracked, self._plans)

    def _plan(self, service: str) -> Plan:
        plan = self._plans.get(service)
        if plan is None:
            plan = self._plans[service] = Plan(self._policy, service)
            self._history.keep(max((rule.needed for rule in plan.repeated), default=0))
            for counter in plan.counters:
                self._tracked.join(counter)
        return plan

    def _name(self, account: str) -> str:
        """One string for all attempts on the same account; a long one is cut, but stays another than its like."""
        if len(account) > _LONGEST_NAME:
            return f"{account[:_LONGEST_NAME]}\n{hash(account)}"
        if len(self._names) >= _NAMES:
            self._names.clear()
        return self._names.setdefault(account, account)

    def _key(self, address: str) -> str:
        """What attempts of `address` are counted under. Raises ValueError for what is no address.

        An IPv4 address that an entry of the whitelist contains (which then does not cover it now) is spelled as a
        network, so that the hot path never finds it and the whitelist is asked about each of its attempts.
        """
        if ":" not in address:
            found = self._allow.candidates(address)
            if found is None:
                raise ValueError(f"{address!r} is not an address")
            return f"{address}/32" if found else address
        key = self._keys.get(address)
        if key is None:
            limits = self._policy.limits
            key = network_of(address, 32, limits.ipv6_prefix)
            self._keys.put(address, key)
        return key

    def _key_or(self, address: str) -> str:
        try:
            return self._key(address)
        except ValueError:
            return address

    def _attempt(
        self, plan: Plan, counter: Counter, event: Event, name: str, mask: int, verdicts: list[Verdict]
    ) -> None:
        """An attempt that the hot path has no window for, or that is older than the newest of its window."""
        address = event.address
        if self._allow.covers(address, event.service, event.time) is not None:
            return
        try:
            key = self._key(address)
        except ValueError:
            return
        fired = self._add(counter, key, event.time, name, mask)
        if fired is not None:
            self._ban_address(plan, event, key, fired, verdicts)

    def _add(self, counter: Counter, key: str, time: float, what: str, mask: int) -> list[Fired] | None:
        window: Window | None = counter.windows.get(key)
        if window is None:
            self._tracked.make_room(time)
            fired = counter.add(None, key, time, what, mask)
            self._tracked.added(counter, key, time)
            return fired
        return counter.add(window, key, time, what, mask)

    def _count_together(self, plan: Plan, event: Event, verdicts: list[Verdict]) -> None:
        """The attempt again, for rules that count by network or by account."""
        address, time = event.address, event.time
        if self._allow.covers(address, event.service, time) is not None:
            return
        try:
            key = self._key(address)
        except ValueError:
            return
        begin = len(verdicts)
        counter = plan.by_network
        if counter is not None:
            mask = counter.full if counter.masks is None else counter.masks[event.cause, event.proven]
            network = self._network(address)
            fired = self._add(counter, network, time, self._name(event.account), mask) if mask else None
            if fired is not None:
                if self._allow.covers_network(network, event.service, time) is None:
                    self._judge(plan, event, network, fired, verdicts)
                else:
                    self._ban_address(plan, event, key, fired, verdicts)
        counter = plan.by_account
        if counter is not None and event.account:
            mask = counter.full if counter.masks is None else counter.masks[event.cause, event.proven]
            account = self._name(event.account)
            fired = self._add(counter, account, time, address, mask) if mask else None
            for each in fired or ():
                for guilty in sorted(each[3]):
                    succeeded = plan.succeeded.get((self._key(guilty), account))
                    if not succeeded and self._allow.covers(guilty, event.service, time) is None:
                        self._ban_address(plan, event, self._key(guilty), [each], verdicts, guilty)
        if len(verdicts) - begin > 1:
            verdicts[begin:] = sorted(verdicts[begin:], key=attrgetter("until"))

    def _network(self, address: str) -> str:
        network = self._networks.get(address)
        if network is None:
            limits = self._policy.limits
            network = network_of(address, limits.ipv4_network, limits.ipv6_network)
            self._networks.put(address, network)
        return network

    def _succeeded(self, plan: Plan, event: Event) -> None:
        """Remember who may log in to the account: a rule that counts by account spares them."""
        try:
            plan.succeeded.put((self._key(event.address), self._name(event.account)), True)
        except ValueError:
            return

    def _ban_address(
        self, plan: Plan, event: Event, key: str, fired: list[Fired], verdicts: list[Verdict], address: str = ""
    ) -> None:
        """Judge a single address; an IPv6 address with its whole prefix, unless a whitelisted one lies in that."""
        target = address or event.address
        if ":" in target and self._allow.covers_network(key, event.service, event.time) is None:
            target = key
        self._judge(plan, event, target, fired, verdicts)

    def _judge(self, plan: Plan, event: Event, target: str, fired: list[Fired], verdicts: list[Verdict]) -> None:
        """Say what `fired` means for `target`: the verdicts that move the end of its ban, the longest last."""
        if self._restoring:
            return
        time = event.time
        new = False
        said: list[Verdict] = []
        if len(fired) > 1:
            fired.sort(key=_by_ban)
        for rule, count, since, _ in fired:
            if rule.blocks:
                moves, begins = self._history.extend(target, rule.closed, time, time + rule.ban)
                if not moves:
                    continue
                new = new or begins
            said.append(plan.verdict(event, rule, target, count, since))
        if new:
            for rule in plan.repeated:
                starts = self._history.count(target, event.service, rule.name, time - rule.within, time)
                if len(starts) < rule.needed:
                    continue
                if not rule.blocks or self._history.extend(target, rule.closed, time, time + rule.ban)[0]:
                    said.append(plan.verdict(event, rule, target, len(starts), starts[0], bans=True))
                self._history.spend(target, rule.name, starts)
            said.sort(key=attrgetter("until"))
        verdicts += said

    def _forgiven_at(self, target: str, service: str) -> float:
        forgiven = self._forgiven
        return max(forgiven.get((target, service), -math.inf), forgiven.get((target, EVERY), -math.inf))

    def _is_forgiven(self, event: Event) -> bool:
        key = self._key_or(event.address)
        targets = (event.address, key)
        return any(event.time <= self._forgiven_at(target, event.service) for target in targets)


def _by_ban(fired: Fired) -> float:
    return fired[0].ban
