"""What people order: bans by hand, lifting, whitelist, lockdown, policy. Each is one durable transaction with its
audit row, so that what was acknowledged was also written down who ordered it."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from ringfence.errors import LedgerError
from ringfence.ledger.bans import TARGETS
from ringfence.ledger.connection import Row
from ringfence.ledger.facts import AuditEntry, PolicyRevision
from ringfence.ledger.making import NEXT, ban_from
from ringfence.ledger.trials import AllowUndo, BanUndo, LockdownUndo, PolicyUndo, TrialStore
from ringfence.model import Alert, AllowEntry, Ban, Lockdown

CHANGES: Final = 40
"""Lines of a changed policy that a warning shows."""

_POLICY: Final = ("revision", "text", "author", "time", "note")


class CommandStore(TrialStore):
    """Carries out commands durably. `origin` says where a command came from (socket peer, page, address).

    A change with `trial` seconds is undone then unless confirmed; one that `undoes` a trial ends it.
    """

    # ---- bans

    def ban(
        self, target: str, service: str, since: float, until: float, *, author: str, reason: str = "",
        detail: str = "", note: str = "", origin: str = "", now: float, trial: float = 0,
    ) -> Ban:  # fmt: skip
        """Ban by hand: makes a ban or sets the running one's end, also to an earlier one.

        What had to make room for it is told as evicted by the next `record`. Raises LedgerError when the list is
        full of bans by hand.
        """
        ban = Ban(
            id=0, target=target, service=service, since=since, until=until, state="wanted",
            author=author, reason=reason, detail=detail, note=note,
        )  # fmt: skip
        with self._writing(durable=True):
            arguments = {"target": target, "service": service, "until": until, "note": note}
            self._audit(now, author, "ban", arguments, origin)
            draft = self._draft([target])
            before = draft.running.get((target, service))
            made = self._want(draft, ban, now, by_hand=True)
            self._write(draft)
            if made is not None:
                before = before if before is not None and before.id == made.id else None
                undo = BanUndo(tried=made.id, target=target, until=made.until, before=before)
                self._on_trial(undo, trial, author, now)
        self._untold += draft.evicted.values()
        if made is None:
            raise LedgerError(
                f"{target} was not banned: all {self.bans_capacity} places are taken by bans by hand; "
                "lift some or raise the capacity of the ban list"
            )
        return made

    def lift(self, target: str | None, service: str | None, *, author: str, origin: str = "", now: float) -> list[Ban]:
        """Lift the running bans of `target` and `service` (None: any); returns them, lifted."""
        with self._writing(durable=True):
            self._audit(now, author, "unban", {"target": target, "service": service}, origin)
            rows = self._rows(
                "bans_to_lift", {"target": target, "service": service}, target=TARGETS[target is not None]
            )
            return self._end_all([ban_from(row) for row in rows], "lifted", now, author)

    def set_back(self, ban: Ban, *, author: str, origin: str = "", now: float, undoes: int | None = None) -> Ban | None:
        """Give a running ban the end, author and words of `ban`, as it was once; returns it, None when it has ended."""
        with self._writing(durable=True):
            self._audit(now, author, "ban", {"target": ban.target, "service": ban.service, "until": ban.until}, origin)
            self._undone(undoes, author, origin, now)
            draft = self._draft([ban.target])
            running = draft.running.get((ban.target, ban.service))
            if running is None or running.id != ban.id:
                return None
            ban = structs.replace(ban, state=NEXT[running.state, "set"])
            draft.alter(ban, "set", now, author)
            self._write(draft)
            return ban

    def note_ban(self, number: int, note: str, *, author: str, origin: str = "", now: float) -> Ban | None:
        """Set the note of a ban, running or ended; returns it, None when there is none of that number."""
        with self._writing(durable=True):
            self._audit(now, author, "note", {"ban": number, "note": note}, origin)
            self._run("note_ban", (number, note))
            return self.ban_by_id(number)

    # ---- whitelist

    def allow(
        self, entry: AllowEntry, lifted_ids: Sequence[int] = (), *, author: str, origin: str = "", now: float,
        undoes: int | None = None,
    ) -> list[Ban]:  # fmt: skip
        """Store a whitelist entry and lift the given bans, which it covers, in the same transaction.

        An entry for the same target and service is replaced. Returns the bans that ran and were lifted.
        """
        with self._writing(durable=True):
            arguments = {"target": entry.target, "service": entry.service, "expires": entry.expires, "note": entry.note}
            self._audit(now, author, "allow", {**arguments, "lifted": list(lifted_ids)}, origin)
            self._run("set_allow", _allow_row(entry))
            self._undone(undoes, author, origin, now)
            self._on_trial(AllowUndo(before=entry), 0, author, now)
            return self._lift_numbers(lifted_ids, author, now)

    def lift_by_id(
        self, numbers: Sequence[int], *, author: str, origin: str = "", now: float, undoes: int | None = None
    ) -> list[Ban]:
        """Lift bans by number; returns those that ran (a host name of the whitelist moved, …)."""
        with self._writing(durable=True):
            self._audit(now, author, "unban", {"ids": list(numbers)}, origin)
            self._undone(undoes, author, origin, now)
            return self._lift_numbers(numbers, author, now)

    def _lift_numbers(self, numbers: Sequence[int], author: str, now: float) -> list[Ban]:
        bans = (self.ban_by_id(number) for number in dict.fromkeys(numbers))
        running = [ban for ban in bans if ban is not None and ban.ended is None]
        return self._end_all(running, "lifted", now, author)

    def disallow(
        self, target: str, service: str, *, author: str, origin: str = "", now: float, trial: float = 0
    ) -> AllowEntry | None:
        """Take an entry off the whitelist; returns it, None when there was none."""
        with self._writing(durable=True):
            self._audit(now, author, "disallow", {"target": target, "service": service}, origin)
            row = self._row("allow_entry", (target, service))
            self._run("delete_allow", (target, service))
            entry = _allow_from(row) if row else None
            if entry is not None:
                self._on_trial(AllowUndo(before=entry), trial, author, now)
            return entry

    def allow_entry(self, target: str, service: str) -> AllowEntry | None:
        """The whitelist entry of a target and service, if there is one."""
        row = self._row("allow_entry", (target, service))
        return _allow_from(row) if row else None

    def whitelist(self, now: float = -math.inf) -> list[AllowEntry]:
        """The entries that hold at `now` (default: all), in the order they were made."""
        return [_allow_from(row) for row in self._rows("whitelist", {"now": now})]

    def note_resolution(self, target: str, addresses: Sequence[str]) -> None:
        """Keep what the host name `target` resolved to; give only good answers, so the last good one stays."""
        with self._writing():
            self._run("set_resolution", {"target": target, "addresses": json.dumps(list(addresses))})

    def expire_allowed(self, now: float) -> list[AllowEntry]:
        """Drop the whitelist entries whose time is over; returns them."""
        with self._writing():
            return [_allow_from(row) for row in self._run("expired_allow", {"now": now}).fetchall()]

    # ---- lockdown

    def set_lockdown(
        self, lockdown: Lockdown | None, *, author: str, origin: str = "", now: float, trial: float = 0,
        undoes: int | None = None,
    ) -> None:  # fmt: skip
        """Begin a lockdown (in place of one that runs), or end it with None."""
        arguments: dict[str, object] = {"on": lockdown is not None}
        with self._writing(durable=True):
            before = self.lockdown(now)
            self._run("end_lockdown", {"now": now})
            if lockdown is not None:
                arguments |= {"services": list(lockdown.services), "until": lockdown.until}
                services = json.dumps(list(lockdown.services))
                self._run("insert_lockdown", (services, lockdown.since, lockdown.until, lockdown.author or author))
            self._audit(now, author, "lockdown", arguments, origin)
            self._undone(undoes, author, origin, now)
            undo = LockdownUndo(tried=self.last_lockdown(), on=lockdown is not None, before=before)
            self._on_trial(undo, trial, author, now)

    def last_lockdown(self) -> int:
        """The number of the lockdown that began last, 0 if there never was one."""
        return self._value("last_lockdown")

    def lockdown(self, now: float) -> Lockdown | None:
        """The lockdown in force at `now`."""
        row = self._row("lockdown", {"now": now})
        if row is None:
            return None
        return Lockdown(services=tuple(json.loads(row[0])), since=row[1], until=row[2], author=row[3])

    # ---- policy

    def apply_policy(
        self, text: str, *, author: str, note: str = "", origin: str = "", now: float, trial: float = 0,
        undoes: int | None = None,
    ) -> int:  # fmt: skip
        """Make `text` (TOML, checked by the caller) the policy; returns its revision."""
        with self._writing(durable=True):
            before = self.policy()
            revision = int(self._run("insert_policy", (text, author, now, note)).fetchall()[0][0])
            self._audit(now, author, "policy apply", {"revision": revision, "note": note}, origin)
            self._undone(undoes, author, origin, now)
            if before is not None:
                self._on_trial(PolicyUndo(tried=revision, before=before.revision), trial, author, now)
                if before.text != text:
                    facts = {"revision": revision, "author": author, "note": note, **_changes(before.text, text)}
                    self._warn([Alert(time=now, kind="policy", subject=str(revision), facts=facts)], now)
            return revision

    def policy(self, revision: int | None = None) -> PolicyRevision | None:
        """One revision of the policy, the newest without a number; None when there is none."""
        row = self._row("policy", (revision,))
        return PolicyRevision(**dict(zip(_POLICY, row, strict=True))) if row else None

    def policy_history(self, *, limit: int = 100) -> list[PolicyRevision]:
        """The revisions of the policy, newest first."""
        rows = self._rows("policy_history", {"limit": limit})
        return [PolicyRevision(**dict(zip(_POLICY, row, strict=True))) for row in rows]

    # ---- audit

    def audit(self, command: str, arguments: Mapping[str, Any], author: str, origin: str, now: float) -> None:
        """Write down a command that changes nothing else in the ledger."""
        with self._writing(durable=True):
            self._audit(now, author, command, arguments, origin)

    def _undone(self, trial: int | None, author: str, origin: str, now: float) -> None:
        if trial is not None:
            self._end_trial(trial, "undone", author, origin, now)

    def _audit(self, now: float, author: str, command: str, arguments: Mapping[str, Any], origin: str) -> None:
        finite = {name: "forever" if value == math.inf else value for name, value in arguments.items()}
        self._run("insert_audit", (now, author, command, json.dumps(finite), origin))

    def audit_log(self, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The newest commands, newest first; to page on, give the last one's number as `before`."""
        rows = self._rows("audit_log", {"limit": limit, "before": before or 1 << 62})
        return [
            AuditEntry(id=number, time=time, author=author, command=command, arguments=json.loads(text), origin=origin)
            for number, time, author, command, text, origin in rows
        ]


def _changes(before: str, after: str) -> dict[str, Any]:
    """The lines that differ, the first of them; and how many more."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in list(lines)[2:] if not line.startswith("@@")]
    return {"changes": [line[:200] for line in changed[:CHANGES]], "more": max(0, len(changed) - CHANGES)}


def _allow_row(entry: AllowEntry) -> Row:
    addresses = json.dumps(list(entry.addresses))
    return (entry.target, entry.service, entry.note, entry.author, entry.created, entry.expires, addresses)


def _allow_from(row: Row) -> AllowEntry:
    target, service, note, author, created, expires, addresses = row
    return AllowEntry(
        target=target, service=service, note=note, author=author, created=created, expires=expires,
        addresses=tuple(json.loads(addresses)),
    )  # fmt: skip
