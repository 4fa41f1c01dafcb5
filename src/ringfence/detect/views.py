"""What the detector tells about itself: for `explain`, `diag` and the statistics page."""

from __future__ import annotations

from msgspec import Struct


class WindowView(Struct, frozen=True, kw_only=True):
    """How far one rule is from firing for one address, network or account.

    `key` is what is counted together; `counted` of `needed` attempts (accounts, bans) lie in the window now, the
    oldest and newest of them at `oldest` and `newest` (None when there are none). `uncounted` attempts lie in it too
    but don't count: they fired the rule already, or the rule filters them. `fires` says that one more like the last
    would fire it; `why` says in words what stands against it, and is empty when nothing does.
    """

    service: str
    rule: str
    key: str
    counted: int
    needed: int
    uncounted: int = 0
    oldest: float | None = None
    newest: float | None = None
    fires: bool = False
    why: str = ""


class DetectorStatistics(Struct, frozen=True, kw_only=True):
    """How much the detector remembers.

    `tracked` keys now, at most so far (`peak`) and at most ever (`capacity`); `forgotten` counts those dropped for
    want of room while they still mattered; `services` has the tracked keys of each; `bytes` is an estimate.
    """

    tracked: int
    peak: int
    capacity: int
    forgotten: int
    services: dict[str, int]
    bytes: int
