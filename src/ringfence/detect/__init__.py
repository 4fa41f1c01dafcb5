"""Judging: counted events in, verdicts out.

Receives `Event`s in the order they were read, the `Policy`, the whitelist and (after a restart) the bans and events
of the ledger. Returns `Verdict`s: which rule fired for which address or network, and until when. Owns the sliding
windows, the memory of running bans and the whitelist lookup. Pure: no clock, no I/O, no logging; every time is a
field of an event or an argument, in seconds UTC. May import only `ringfence.model` and `ringfence.errors`.
"""

from __future__ import annotations

from ringfence.detect.allow import AllowList
from ringfence.detect.detector import Detector
from ringfence.detect.views import DetectorStatistics, WindowView

__all__ = ["AllowList", "Detector", "DetectorStatistics", "WindowView"]
