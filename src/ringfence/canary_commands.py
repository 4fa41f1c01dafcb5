"""Commands of the canary: begin a test of the whole way from a log to the kernel, and ask how it stands."""

from __future__ import annotations

from ringfence.canary import CanaryState
from ringfence.control import Caller, command
from ringfence.guard import Guard


class CanaryCommands:
    """The canary of one `Guard`."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def canary_start(self, caller: Caller) -> CanaryState:
        """Begin a run, with the logs that it will go through; one that is under way is told instead."""
        self.guard.canary.start()
        return self.guard.canary.state()

    @command
    def canary_state(self, caller: Caller) -> CanaryState:
        """How the run that is under way stands, or how the last one ended; number 0 when there was none."""
        return self.guard.canary.state()
