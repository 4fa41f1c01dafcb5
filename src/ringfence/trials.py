"""Changes that undo themselves unless somebody who can still reach the guard confirms them.

What is on trial is kept in the ledger and, to be told every second, in memory. Only the change itself is taken back:
where something else has happened since, the trial is over and what happened stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ringfence.answers import TrialRow, stamp
from ringfence.errors import LedgerError, NotFoundError, RingfenceError
from ringfence.ledger import Trial
from ringfence.ledger.trials import AllowUndo, BanUndo, LockdownUndo, PolicyUndo
from ringfence.whitelist import covered_bans

if TYPE_CHECKING:
    from ringfence.guard import Guard

LONGEST = 3600.0
"""Seconds that a change may be on trial."""
GUARD = "guard"
"""The author of what undoes itself."""


def check_trial(seconds: float) -> float:
    """`seconds` if a change may be on trial for so long. Raises RingfenceError."""
    if not 0 <= seconds <= LONGEST:
        raise RingfenceError(f"a change is on trial for 0 to {LONGEST:.0f} seconds")
    return seconds


class Trials:
    """The changes on trial of one guard. `wake` is called when there is a new one."""

    def __init__(self, guard: Guard) -> None:
        self.open: list[Trial] = []
        self.wake: Callable[[], None] = lambda: None
        self._guard = guard
        self.reload()

    def reload(self) -> None:
        """Take up what the ledger says."""
        self.open = self._guard.ledger.open_trials()
        self.wake()

    def rows(self) -> list[TrialRow]:
        """Every change on trial, the one that is due first foremost."""
        return [self._row(trial) for trial in self.open]

    def begun(self, seconds: float) -> TrialRow | None:
        """The trial that the change just made began; None when it was not to be one (0 seconds)."""
        self.reload()
        newest = max(self.open, key=lambda trial: trial.id, default=None)
        return self._row(newest) if newest is not None and seconds > 0 else None

    def left(self) -> float | None:
        """Seconds until the next is due, None when nothing is on trial."""
        return max(0.0, self.open[0].deadline - self._guard.clock()) if self.open else None

    def undo_due(self) -> None:
        """Undo what nobody confirmed in time. Raises LedgerError; what could not be undone is then tried again."""
        now = self._guard.clock()
        for trial in [trial for trial in self.open if trial.deadline <= now]:
            said = self.undo(trial, GUARD, "", f"undone: nobody confirmed {trial.what}")
            self._guard.say(said)

    def undo(self, trial: Trial, author: str, origin: str, note: str) -> str:
        """Take the change back; returns what came of it in a sentence. Raises LedgerError."""
        undo = trial.undo
        try:
            if isinstance(undo, PolicyUndo):
                done = self._undo_policy(trial, undo, author, origin, note)
            elif isinstance(undo, LockdownUndo):
                done = self._undo_lockdown(trial, undo, author, origin)
            elif isinstance(undo, AllowUndo):
                done = self._undo_removal(trial, undo, author, origin)
            else:
                done = self._undo_ban(trial, undo, author, origin)
        except LedgerError:
            raise
        except RingfenceError as error:  # the policy before can't be used any more: then this one has to stay
            self.end(trial, "failed", author, origin)
            return f"{trial.what} could not be undone: {error}"
        if not done:
            self.end(trial, "replaced", author, origin)
            return f"{trial.what} is no longer on trial: something else has happened since"
        self.reload()
        return note

    def find(self, number: int) -> Trial:
        """An open trial. Raises NotFoundError with how it ended."""
        for trial in self.open:
            if trial.id == number:
                return trial
        outcome = self._guard.ledger.trial_outcome(number)
        how = f"it was {outcome}" if outcome else "there never was one"
        raise NotFoundError(f"no change {number} is on trial: {how}")

    def end(self, trial: Trial, outcome: str, author: str, origin: str) -> None:
        """The trial is over: kept, replaced or failed."""
        self._guard.ledger.end_trial(trial, outcome, author=author, origin=origin, now=self._guard.clock())
        self.reload()

    def _row(self, trial: Trial) -> TrialRow:
        left = max(0.0, trial.deadline - self._guard.clock())
        return TrialRow(
            id=trial.id, what=trial.what, kind=str(trial.undo.__struct_config__.tag), began=stamp(trial.began),
            deadline=stamp(trial.deadline), left=round(left, 3), author=trial.author,
        )  # fmt: skip

    def _undo_policy(self, trial: Trial, undo: PolicyUndo, author: str, origin: str, note: str) -> bool:
        guard = self._guard
        if guard.policy_revision != undo.tried:
            return False
        text = guard.revision(undo.before).text
        guard.apply_policy(text, f"revision {undo.before}", author, note, origin, undoes=trial.id)
        return True

    def _undo_lockdown(self, trial: Trial, undo: LockdownUndo, author: str, origin: str) -> bool:
        guard = self._guard
        if guard.ledger.last_lockdown() != undo.tried:
            return False
        before = undo.before
        if before is not None and before.until <= guard.clock():
            before = None  # it would have ended by now
        guard.set_lockdown(before, author, origin, undoes=trial.id)
        return True

    def _undo_removal(self, trial: Trial, undo: AllowUndo, author: str, origin: str) -> bool:
        guard, entry, now = self._guard, undo.before, self._guard.clock()
        if entry.expires <= now or guard.ledger.allow_entry(entry.target, entry.service) is not None:
            return False
        covered = [ban.id for ban in covered_bans(entry, guard.ledger)]
        lifted = guard.ledger.allow(entry, covered, author=author, origin=origin, now=now, undoes=trial.id)
        guard.whitelist_changed(author, origin)
        guard.open(lifted)
        return True

    def _undo_ban(self, trial: Trial, undo: BanUndo, author: str, origin: str) -> bool:
        guard, now = self._guard, self._guard.clock()
        ban = guard.ledger.ban_by_id(undo.tried)
        if ban is None or ban.ended is not None or ban.until != undo.until or ban.author.startswith("rule:"):
            return False
        if undo.before is None or undo.before.until <= now:
            lifted = guard.ledger.lift_by_id([ban.id], author=author, origin=origin, now=now, undoes=trial.id)
            guard.open(lifted)
            return True
        restored = guard.ledger.set_back(undo.before, author=author, origin=origin, now=now, undoes=trial.id)
        if restored is not None:
            guard.close([restored])
        return True
