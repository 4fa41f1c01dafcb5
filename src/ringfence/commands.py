"""Everything that can be asked of or done to a running guard: the one set of use-cases behind CLI, web and API.

A method marked `command` takes the caller and checked arguments and returns a value of `answers`. Changes are written
to the ledger first (durably, with who did it), then made true in the kernel; what the kernel did not take is said in
the answer and tried again by reconcile. Raises RingfenceError kinds only.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

from msgspec import structs

from ringfence import reports
from ringfence.answers import (
    Allowed,
    AllowRow,
    Applied,
    Attacks,
    Banned,
    BanRow,
    Bans,
    Checked,
    Diag,
    Done,
    Explanation,
    Lifted,
    LockdownRow,
    PolicyAnswer,
    Stats,
    Status,
)
from ringfence.ban_commands import ban_by_hand, opened
from ringfence.control import Caller, command
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.explain import explain
from ringfence.guard import Guard
from ringfence.model import EVERY, AllowEntry, Ban, Lockdown
from ringfence.orders import (
    covers,
    is_or_holds,
    known_service,
    named,
    origin_of,
    own_session,
    refuse,
    target_of,
    until_of,
    yours,
)
from ringfence.policy import load_policy
from ringfence.policy_text import difference, switch_service
from ringfence.selfharm import harm_of_policy, harm_of_removal
from ringfence.trials import check_trial
from ringfence.whitelist import AT_WORK, covered_bans

MOST_ROWS = 100_000
KEPT = {
    "loopback": "reserved for loopback",
    AT_WORK: "where an administrator is logged in from",
}
"""What the notes of entries that nobody wrote mean, where they don't say it themselves."""


class Commands:
    """The use-cases on one `Guard`."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    # --- bans

    @command
    def ban(
        self, caller: Caller, *, target: str, service: str = EVERY, seconds: float | None = None, note: str = "",
        force: bool = False, trial: float = 0,
    ) -> Banned:  # fmt: skip
        """Keep `target` out of `service` for `seconds` (None: until lifted); a large network for `trial` seconds first.

        This and every other change with `trial` undoes itself after so many seconds unless somebody confirms it.
        """
        now = self.guard.clock()
        target, service = target_of(target), known_service(self.guard, service)
        spared = self._spared(target, service)
        reason = own_session(target, caller) or spared
        if reason and not force:
            raise refuse(caller, f"{target} is not banned", reason, "ban it")
        ban = Ban(
            id=0, target=target, service=service, since=now, until=now, state="wanted", author="", reason="by hand",
            note=note,
        )  # fmt: skip
        return ban_by_hand(self.guard, caller, ban, seconds, spared, trial)

    @command
    def unban(self, caller: Caller, *, target: str | None = None, service: str = "") -> Lifted:
        """Lift the running bans of `target` (None: all), of one `service` or, when empty, of any."""
        service = known_service(self.guard, service) if service else ""
        ledger, now, origin = self.guard.ledger, self.guard.clock(), origin_of(caller)
        if target is None:
            lifted = ledger.lift(None, service or None, author=caller.user, origin=origin, now=now)
        else:
            bans = self._bans_of(target_of(target), self.guard.running(service or None), service)
            lifted = ledger.lift_by_id([ban.id for ban in bans], author=caller.user, origin=origin, now=now)
        return opened(self.guard, caller, lifted, target)

    def _bans_of(self, target: str, bans: list[Ban], service: str) -> list[Ban]:
        """The bans that hold `target` itself or, for an IPv6 address, the prefix that it is counted and banned with."""
        found = [ban for ban in bans if ban.target == target]
        network = ipaddress.ip_network(target)
        if not found and network.version == 6:
            prefix = min(network.prefixlen, self.guard.policy.limits.ipv6_prefix)
            whole = str(network.supernet(new_prefix=prefix))
            found = [ban for ban in bans if ban.target == whole]
        if found:
            return found
        cover = [ban.target for ban in bans if covers(ban.target, network)]
        hint = f"; it is within {cover[0]}, which is" if cover else ""
        whom = "" if not service else f" from {service}"
        raise NotFoundError(f"{target} is not banned{whom}{hint}")

    def _spared(self, target: str, service: str) -> str:
        """Why a ban of `target` would not keep it out, or not all of it: a sentence, or nothing."""
        network = ipaddress.ip_network(target)
        entry = self.guard.whitelist.list.covers_network(target, service, self.guard.clock())
        if entry is None and service == EVERY:
            # For all services, an entry of any service speaks against it.
            now = self.guard.clock()
            names = (self.guard.whitelist.list.covers_network(target, name, now) for name in self.guard.services)
            entry = next((found for found in names if found is not None), None)
        if entry is None:
            return ""
        if entry in self.guard.whitelist.entries():
            return is_or_holds(entry.target, "on the whitelist", network)
        return is_or_holds(entry.target, KEPT.get(entry.note, entry.note), network)

    # --- whitelist and lockdown

    @command
    def allow(
        self, caller: Caller, *, target: str, service: str = EVERY, seconds: float | None = None, note: str = ""
    ) -> Allowed:
        """Put an address, network or host name on the whitelist and lift what it covers."""
        now = self.guard.clock()
        target = target_of(target, hosts=True)
        service = known_service(self.guard, service)
        entry = AllowEntry(
            target=target, service=service, note=note, author=f"user:{caller.user}", created=now,
            expires=until_of(now, seconds), addresses=self.guard.whitelist.lookup(target),
        )  # fmt: skip
        covered = [ban.id for ban in covered_bans(entry, self.guard.ledger)]
        lifted = self.guard.ledger.allow(entry, covered, author=caller.user, origin=origin_of(caller), now=now)
        self.guard.trials.reload()
        why, more = self.guard.whitelist_changed(caller.user, origin_of(caller))
        why = self.guard.open(lifted) or why
        lifted += more
        self.guard.say(f"{target} is on the whitelist: by {caller.user}")
        barrier = self.guard.barrier
        # An entry that was there already changes nothing, and yet the kernel may never have taken it.
        why = why or (barrier.trouble if barrier.changed else "")
        enforced = barrier.blocks and not why
        why = why if barrier.blocks else f"{barrier.mode}: {barrier.blocked()}"
        if not entry.addresses:
            self.guard.hosts_changed = True
            why = "; ".join(filter(None, (why, f"{target} is being looked up; its bans are lifted when it resolves")))
        return Allowed(
            entry=AllowRow.of(entry), lifted=[BanRow.of(ban) for ban in lifted], why=why, enforced=enforced,
            monitor=not barrier.blocks,
        )  # fmt: skip

    @command
    def disallow(
        self, caller: Caller, *, target: str, service: str = EVERY, force: bool = False, trial: float = 0
    ) -> Done:
        """Take an entry off the whitelist."""
        service = known_service(self.guard, service)
        target = target_of(target, hosts=True)
        reason = harm_of_removal(self.guard, target, service, caller.address) if caller.address else ""
        if reason and not force:
            raise refuse(caller, f"{target} stays on the whitelist", yours(caller, reason), "take it off")
        now, origin = self.guard.clock(), origin_of(caller)
        entry = self.guard.ledger.disallow(
            target, service, author=caller.user, origin=origin, now=now, trial=check_trial(trial)
        )
        if entry is None:
            if target in self.guard.policy.whitelist:
                raise NotFoundError(
                    f"{target} stands in the policy's whitelist: change it with 'ringfence policy apply'"
                )
            raise NotFoundError(f"{target} is not on the whitelist for {named(service)}")
        why, _ = self.guard.whitelist_changed(caller.user, origin)
        message = f"{target} is no longer on the whitelist" + (f"; {why}" if why else "")
        return Done(message=message, trial=self.guard.trials.begun(trial))

    @command
    def whitelist(self, caller: Caller) -> list[AllowRow]:
        """Every whitelist entry, those of the policy first."""
        return [AllowRow.of(entry, entry.author == "policy") for entry in self.guard.whitelist.entries()]

    @command
    def lockdown(self, caller: Caller) -> LockdownRow:
        """Whether telephone traffic is interrupted."""
        return LockdownRow.of(self.guard.ledger.lockdown(self.guard.clock()), self.guard.barrier.lockdown_in_force)

    @command
    def lock_down(
        self, caller: Caller, *, services: list[str], seconds: float | None = None, trial: float = 0
    ) -> LockdownRow:
        """Interrupt all traffic to `services` (none named: telephony) except for the whitelist."""
        now = self.guard.clock()
        names = tuple(dict.fromkeys(known_service(self.guard, name) for name in services)) or tuple(
            name for name in self.guard.settings.lockdown.services if name in self.guard.services
        )
        lockdown = Lockdown(services=names, since=now, until=until_of(now, seconds), author=f"user:{caller.user}")
        return self._locked(caller, lockdown, trial)

    @command
    def end_lockdown(self, caller: Caller, *, trial: float = 0) -> LockdownRow:
        """Let telephone traffic flow again."""
        if self.guard.ledger.lockdown(self.guard.clock()) is None:
            raise NotFoundError("there is no lockdown to end")
        return self._locked(caller, None, trial)

    def _locked(self, caller: Caller, lockdown: Lockdown | None, trial: float) -> LockdownRow:
        """Begin or end the lockdown; how it is then, with why the kernel did not take it."""
        why = self.guard.set_lockdown(lockdown, caller.user, origin_of(caller), trial=check_trial(trial))
        barrier, row = self.guard.barrier, self.lockdown(caller)
        row = structs.replace(row, trial=self.guard.trials.begun(trial))
        if not barrier.blocks:
            left = barrier.blocked() if row.on else barrier.left()
            return structs.replace(row, monitor=True, why=left and f"{barrier.mode}: {left}")
        return structs.replace(row, enforced=row.enforced and not why, why=why)

    # --- policy

    @command
    def policy(self, caller: Caller, *, revision: int | None = None) -> PolicyAnswer:
        """The policy in force, or an earlier revision."""
        return reports.policy_answer(self.guard.revision(revision))

    @command
    def policy_history(self, caller: Caller) -> list[PolicyAnswer]:
        """Every policy revision, newest first."""
        return [reports.policy_answer(one) for one in self.guard.ledger.policy_history()]

    @command
    def compare_policy(self, caller: Caller, *, text: str, name: str = "policy") -> list[str]:
        """What applying `text` would change."""
        return difference(self.guard.policy, load_policy(text, name, services=self.guard.services))

    @command
    def apply_policy(
        self, caller: Caller, *, text: str, name: str = "policy", note: str = "", force: bool = False,
        trial: float = 0, of: int | None = None,
    ) -> Applied:  # fmt: skip
        """Put `text` into force as a new revision; with `of` only while that revision is in force."""
        if of is not None and of != self.guard.policy_revision:
            raise RingfenceError(f"revision {self.guard.policy_revision} came into force meanwhile, not {of}")
        policy = load_policy(text, name, services=self.guard.services)
        changed = difference(self.guard.policy, policy)
        reason = harm_of_policy(self.guard, policy, caller.address) if caller.address else ""
        if reason and not force:
            raise refuse(caller, "the policy stays as it is", yours(caller, reason), "apply it")
        origin, trial = origin_of(caller), check_trial(trial)
        revision = self.guard.apply_policy(text, name, caller.user, note, origin, trial=trial)
        return Applied(revision=revision, changed=changed, trial=self.guard.trials.begun(trial))

    @command
    def rollback(
        self, caller: Caller, *, revision: int, note: str = "", force: bool = False, trial: float = 0
    ) -> Applied:
        """Put revision `revision` into force again, as a new revision."""
        text = self.guard.revision(revision).text
        note = note or f"back to revision {revision}"
        return self.apply_policy(caller, text=text, name=f"revision {revision}", note=note, force=force, trial=trial)

    @command
    def switch_service(self, caller: Caller, *, name: str, on: bool, force: bool = False, trial: float = 0) -> Done:
        """Judge `name` or not: a new policy revision."""
        service = known_service(self.guard, name)
        word = "on" if on else "off"
        text = switch_service(self.guard.policy_text, service, enabled=on)
        if text == self.guard.policy_text:
            return Done(message=f"{service} is {word} already")
        applied = self.apply_policy(caller, text=text, note=f"{service} switched {word}", force=force, trial=trial)
        return Done(message=f"{service} is {word} (policy revision {applied.revision})", trial=applied.trial)

    # --- questions

    @command
    def status(self, caller: Caller) -> Status:
        """How the guard is."""
        return reports.status(self.guard)

    @command
    def attacks(
        self, caller: Caller, *, sort: Literal["attempts", "last", "first", "address"] = "attempts",
        level: Literal["harmless", "threatening"] | None = None, service: str = "", match: str = "", limit: int = 50,
        offset: int = 0,
    ) -> Attacks:  # fmt: skip
        """A page of the attack list."""
        return reports.attacks(
            self.guard, sort=sort, level=level, service=service, match=match, limit=min(limit, MOST_ROWS), offset=offset
        )

    @command
    def bans(
        self, caller: Caller, *, service: str = "", history: bool = False, match: str = "", limit: int = 1000,
        offset: int = 0,
    ) -> Bans:  # fmt: skip
        """A page of the ban list."""
        return reports.bans(
            self.guard, service=service, history=history, match=match, limit=min(limit, MOST_ROWS), offset=offset
        )

    @command
    def explain(self, caller: Caller, *, address: str, limit: int = 20) -> Explanation:
        """Why `address` is banned or why not."""
        return explain(self.guard, target_of(address), limit)

    @command
    async def statistics(self, caller: Caller) -> Stats:
        """The statistics of each service."""
        return await reports.statistics(self.guard)

    @command
    async def reset_statistics(self, caller: Caller, *, service: str = "") -> Stats:
        """The statistics of one service (empty: of each), which then begin anew."""
        return await reports.reset_statistics(self.guard, service, caller.user, origin_of(caller))

    @command
    def diag(self, caller: Caller) -> Diag:
        """Memory, lists and sources."""
        return reports.diag(self.guard)

    @command
    def check(self, caller: Caller) -> Checked:
        """What is wrong with the running guard, point by point."""
        return reports.check(self.guard)
