"""The policy in force as the page needs it: parsed once a revision."""

from __future__ import annotations

from ringfence.errors import SettingsError
from ringfence.ledger import Ledger
from ringfence.model import Policy
from ringfence.policy import load_policy


class InForce:
    """The newest revision of the policy. For any thread: at worst two parse the same text."""

    def __init__(self) -> None:
        self._known: tuple[int, Policy] = (0, Policy())

    def policy(self, ledger: Ledger) -> Policy:
        """The policy that the guard judges by; the built-in limits and no rules when it can't be read."""
        newest = ledger.policy()
        if newest is None:
            return Policy()
        revision, policy = self._known
        if revision != newest.revision:
            try:
                policy = load_policy(newest.text, f"revision {newest.revision}")
            except SettingsError:
                policy = Policy()
            self._known = (newest.revision, policy)
        return policy

    def harmless(self, ledger: Ledger) -> int:
        """Attempts up to which an attacker is harmless."""
        return self.policy(ledger).limits.harmless
