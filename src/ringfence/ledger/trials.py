"""Changes on trial: each is written down with what takes it back, in the transaction of the change itself.

So a guard that is killed right after a change still knows, when it is back, that nobody has confirmed it. A change
that replaces one on trial takes over what that would have gone back to: the last state that somebody confirmed.
"""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct

from ringfence.ledger.bans import BanStore
from ringfence.model import AllowEntry, Ban, Lockdown


class PolicyUndo(Struct, frozen=True, kw_only=True, tag="policy"):
    """Revision `tried` goes, the text of revision `before` comes back."""

    tried: int
    before: int

    def words(self) -> str:
        """What is on trial."""
        return f"policy revision {self.tried}"


class LockdownUndo(Struct, frozen=True, kw_only=True, tag="lockdown"):
    """The lockdown as it was before; `tried` is the number of the last one that began by then."""

    tried: int
    on: bool
    before: Lockdown | None

    def words(self) -> str:
        """What is on trial."""
        return f"lockdown {'on' if self.on else 'off'}"


class AllowUndo(Struct, frozen=True, kw_only=True, tag="allow"):
    """A whitelist entry that was taken off comes back."""

    before: AllowEntry

    def words(self) -> str:
        """What is on trial."""
        return f"{self.before.target} off the whitelist"


class BanUndo(Struct, frozen=True, kw_only=True, tag="ban"):
    """Ban number `tried` is lifted or, where it ran before, gets back the end and the author that it had."""

    tried: int
    target: str
    until: float
    before: Ban | None

    def words(self) -> str:
        """What is on trial."""
        return f"ban of {self.target}"


Undo = PolicyUndo | LockdownUndo | AllowUndo | BanUndo


class Trial(Struct, frozen=True, kw_only=True):
    """A change that is undone at `deadline` unless somebody confirms it. Times are seconds UTC."""

    id: int
    what: str
    undo: Undo
    began: float
    deadline: float
    author: str


class TrialStore(BanStore):
    """Begins and ends trials, within the transactions of the changes that they are about."""

    def open_trials(self) -> list[Trial]:
        """The changes on trial, the one that is due first foremost."""
        names = ("id", "what", "undo", "began", "deadline", "author")
        rows = self._rows("open_trials")
        return [
            Trial(**{**dict(zip(names, row, strict=True)), "undo": msgspec.convert(json.loads(row[2]), Undo)})
            for row in rows
        ]

    def trial_outcome(self, number: int) -> str | None:
        """How a trial ended ("" while it lasts): kept, undone, replaced, failed; None when there is none."""
        row = self._row("trial_outcome", (number,))
        return str(row[0]) if row else None

    def end_trial(self, trial: Trial, outcome: str, *, author: str, origin: str = "", now: float) -> None:
        """A trial is over by itself: kept, or replaced by something that happened since."""
        with self._writing(durable=True):
            self._end_trial(trial.id, outcome, author, origin, now)

    def _end_trial(self, number: int, outcome: str, author: str, origin: str, now: float) -> None:
        found = self._run("end_trial", (number, now, outcome)).fetchall()
        for (what,) in found:
            arguments = json.dumps({"trial": number, "what": what, "outcome": outcome})
            self._run("insert_audit", (now, author, "trial", arguments, origin))

    def _on_trial(self, undo: Undo, seconds: float, author: str, now: float) -> None:
        """A change was made that `undo` takes back: on trial for `seconds`, 0 for good; ends trials it replaces."""
        earlier = sorted((one for one in self.open_trials() if _same(one.undo, undo)), key=lambda one: one.id)
        if earlier:
            undo = msgspec.structs.replace(undo, before=earlier[0].undo.before)
        for one in earlier:
            self._run("end_trial", (one.id, now, "replaced"))
        if seconds > 0:
            # An end that never comes is Infinity, which Python's JSON can say.
            text = json.dumps(msgspec.to_builtins(undo))
            self._run("insert_trial", (undo.words(), text, now, now + seconds, author))


def _same(one: Undo, other: Undo) -> bool:
    """Whether a later change replaces what the earlier one tried."""
    if isinstance(one, BanUndo) and isinstance(other, BanUndo):
        return one.tried == other.tried
    if isinstance(one, AllowUndo) and isinstance(other, AllowUndo):
        return (one.before.target, one.before.service) == (other.before.target, other.before.service)
    return type(one) is type(other)
