"""What lasts and is warned of when it begins and when it ends: looked at every few seconds, told once.

What was told stands in the ledger, so that a restart does not tell it again. A condition must hold for a moment
before it is told, and be away for a moment before its end is: what mends itself within a second is no news.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from ringfence.alert.expiry import end_of
from ringfence.alert.kinds import KINDS
from ringfence.errors import LedgerError
from ringfence.ledger import Condition
from ringfence.model import EVERY

if TYPE_CHECKING:
    from ringfence.guard import Guard

HOLDS: Final = {"enforcement": 5.0, "source": 10.0}
"""Seconds for which it must be so before it is told; others at once."""
AWAY: Final = {"enforcement": 30.0, "source": 10.0, "full": 300.0}
"""Seconds for which it must be over before that is told."""
WITHOUT_END: Final = frozenset({"expiry"})
"""Of these only the beginning is told."""
CHANGED_AGAIN: Final = 7 * 86_400.0
"""Seconds after which a log that still has lines of no known form is told of again."""
CERTIFICATES_EVERY: Final = 3600.0
ELSEWHERE: Final = frozenset({"attack", "canary"})
"""Kinds that are begun and ended by who measures them."""
Key = tuple[str, str, str]


class Conditions:
    """Compares what is so with what was told."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._told: dict[Key, Condition] = {one.key: one for one in guard.ledger.conditions()}
        self._seen: dict[Key, float] = {}
        self._gone: dict[Key, float] = {}
        self._certificates: list[Condition] = []
        self._looked_at_certificates = -math.inf

    def of_kind(self, kind: str) -> list[Condition]:
        """What of `kind` was told and is not over."""
        return [one for one in self._told.values() if one.kind == kind]

    def begin(self, condition: Condition) -> None:
        """Tell that it began, unless that was told. Raises LedgerError."""
        if condition.key not in self._told:
            self._note([condition], [])

    def end(self, condition: Condition) -> None:
        """Tell that it is over, if it was told that it began; its facts are those of the end. Raises LedgerError."""
        if condition.key in self._told:
            self._note([], [condition])

    def lockdown_ended(self, author: str) -> None:
        """Somebody switched the lockdown off. Raises LedgerError."""
        for one in self.of_kind("lockdown"):
            self._note([], [structs.replace(one, facts=one.facts | {"ended_by": author})])

    def canary(self, source: str, good: bool, step: str, problem: str) -> None:
        """What the canary found of a log. A ledger that fails is told otherwise."""
        one = Condition(kind="canary", subject=source, facts={"step": step, "problem": problem})
        with contextlib.suppress(LedgerError):
            self.end(one) if good else self.begin(one)

    def look(self) -> None:
        """Tell what began and what ended. Raises LedgerError; then it is told the next time."""
        now = self._guard.clock()
        present = {one.key: one for one in self._present(now)}
        self._seen = {key: self._seen.get(key, now) for key in present}
        begun = [
            one
            for key, one in present.items()
            if key not in self._told and now - self._seen[key] >= HOLDS.get(one.kind, 0.0)
        ]
        away = {key: one for key, one in self._told.items() if key not in present and one.kind not in ELSEWHERE}
        self._gone = {key: self._gone.get(key, now) for key in away}
        over = [one for key, one in away.items() if now - self._gone[key] >= AWAY.get(one.kind, 0.0)]
        ended = [one for one in over if self._is_over(one, now)]
        if begun or ended:
            self._note(begun, ended)

    def _is_over(self, one: Condition, now: float) -> bool:
        """Whether it is news that something is not so any more; what nobody need hear of is forgotten here."""
        what = one.facts.get("trouble")
        if one.kind == "source" and what == "silent":
            # After a restart nothing is known of silence: only a line ends it.
            return self._guard.watch.spoke_since(str(one.facts.get("log", "")), one.since)
        if one.kind in WITHOUT_END or (what == "changed" and now - one.since > CHANGED_AGAIN):
            self._guard.ledger.forget_condition(one)
            self._told.pop(one.key)
            return False
        return what != "changed"

    def _note(self, begun: Sequence[Condition], ended: Sequence[Condition]) -> None:
        now = self._guard.clock()
        begun = [structs.replace(one, since=one.since or now, grave=KINDS[one.kind].grave) for one in begun]
        ended = [structs.replace(one, grave=KINDS[one.kind].grave, facts=_at_the_end(one)) for one in ended]
        self._guard.ledger.note_conditions(begun, ended, now)
        self._told.update((one.key, one) for one in begun)
        for one in ended:
            self._told.pop(one.key, None)

    # --- what is so

    def _present(self, now: float) -> Iterable[Condition]:
        guard = self._guard
        if guard.barrier.blocks:
            for problem in guard.barrier.problems()[:1]:
                yield Condition(kind="enforcement", subject="firewall", facts={"problem": problem})
        capacity, running = guard.settings.bans.capacity, guard.ledger.running_bans
        if running >= capacity or (("full", "bans", "") in self._told and running >= 0.95 * capacity):
            yield Condition(kind="full", subject="bans", facts={"capacity": capacity, "bans": running})
        for fault in guard.watch.faults():
            # One log may be silent and have changed: two things, of which each may end.
            subject = fault.source if fault.what == "unreadable" else f"{fault.source} ({fault.what})"
            words = fault.words.removeprefix("can't be read: ")
            facts = {"trouble": fault.what, "problem": words, "log": fault.source}
            yield Condition(kind="source", subject=subject, facts=facts)
        lockdown = guard.ledger.lockdown(now)
        if lockdown is not None:
            until = None if math.isinf(lockdown.until) else lockdown.until
            told = {"services": list(lockdown.services), "until": until, "author": lockdown.author}
            yield Condition(kind="lockdown", subject="lockdown", since=lockdown.since, facts=told)
        yield from self._expiring(now)

    def _expiring(self, now: float) -> Iterable[Condition]:
        watch = self._guard.alerting.watch
        ahead = watch.whitelist_ahead
        for entry in self._guard.whitelist.temporary():
            # One that was only meant for a while shorter than the notice is not worth a word.
            if now > entry.expires - ahead and entry.expires - entry.created > 2 * ahead:
                facts = {"what": "whitelist", "expires": entry.expires, "note": entry.note}
                service = "" if entry.service == EVERY else entry.service
                yield Condition(kind="expiry", subject=entry.target, service=service, facts=facts)
        if now - self._looked_at_certificates >= CERTIFICATES_EVERY:
            self._looked_at_certificates = now
            self._certificates = list(self._ending_certificates(now))
        yield from self._certificates

    def certificates_changed(self) -> None:
        """Look at the certificates the next time, whenever that would be due."""
        self._looked_at_certificates = -math.inf

    def _ending_certificates(self, now: float) -> Iterable[Condition]:
        watch, page = self._guard.alerting.watch, self._guard.settings.web.certificate
        for file in dict.fromkeys([*([page] if page else []), *watch.certificates]):
            try:
                expires = end_of(file)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                yield Condition(kind="expiry", subject=str(file), facts={"what": "certificate", "problem": why})
                continue
            if expires - now < watch.certificate_ahead:
                yield Condition(kind="expiry", subject=str(file), facts={"what": "certificate", "expires": expires})


def _at_the_end(condition: Condition) -> dict[str, Any]:
    """The facts of what is over by itself: nobody ended it."""
    return {key: value for key, value in condition.facts.items() if key not in ("author", "until")}
