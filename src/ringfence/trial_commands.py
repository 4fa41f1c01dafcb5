"""Confirming or taking back a change that is on trial."""

from __future__ import annotations

from ringfence.answers import Done, TrialRow
from ringfence.control import Caller, command
from ringfence.guard import Guard
from ringfence.orders import origin_of


class TrialCommands:
    """What can be said about changes on trial."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def trials(self, caller: Caller) -> list[TrialRow]:
        """The changes that undo themselves unless somebody confirms them."""
        return self.guard.trials.rows()

    @command
    def keep_trial(self, caller: Caller, *, id: int) -> Done:
        """Confirm a change: it stays."""
        trial = self.guard.trials.find(id)
        self.guard.trials.end(trial, "kept", caller.user, origin_of(caller))
        self.guard.say(f"{trial.what} was confirmed: by {caller.user}")
        return Done(message=f"{trial.what} stays")

    @command
    def undo_trial(self, caller: Caller, *, id: int) -> Done:
        """Take a change back at once."""
        trial = self.guard.trials.find(id)
        note = f"{trial.what} was undone: by {caller.user}"
        message = self.guard.trials.undo(trial, caller.user, origin_of(caller), note)
        self.guard.say(message)
        return Done(message=message)
