"""What the guard's own test lines showed of each log. Nothing of them is an event, an attack or a figure."""

from __future__ import annotations

from ringfence.ledger.connection import Store


class CanaryStore(Store):
    """Remembers which logs ever brought a test line back: one that does no longer is broken, not untestable."""

    def canaries(self) -> dict[str, float]:
        """When a test line last came back, by log (seconds UTC)."""
        return {str(source): float(last) for source, last in self._rows("canaries")}

    def note_canary(self, source: str, now: float) -> None:
        """A test line came back through `source`. Committed as events are: it survives a kill at any instant."""
        with self._writing():
            self._run("note_canary", (source, now))

    def forget_canary(self, source: str) -> None:
        """`source` is no longer watched."""
        with self._writing():
            self._run("forget_canary", (source,))
