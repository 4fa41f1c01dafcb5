"""The draft of a policy that somebody edits: kept in their session until it is saved or given up.

`Draft.of` is the revision it began from. When another revision came into force meanwhile, the draft is stale: saving it
would take back what that one changed, so people decide first.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from ringfence.errors import RingfenceError
from ringfence.ledger.facts import PolicyRevision
from ringfence.model import Policy
from ringfence.policy import load_policy
from ringfence.policy_text import difference
from ringfence.web.access import Visitor
from ringfence.web.web import Web

MOST_TEXT = 256 << 10
"""Bytes of a policy that is edited here; what the guard takes at once is not much more."""


class Draft(Struct, frozen=True, kw_only=True):
    """The policy as somebody sees it: `text` is their draft if they have `begun` one, else the one in force.

    `of` is the revision that the draft began from, `force` the one in force.
    """

    text: str
    begun: bool
    of: int
    force: PolicyRevision

    @property
    def stale(self) -> bool:
        """Whether another revision came into force since the draft began."""
        return self.begun and self.of != self.force.revision

    @property
    def changes(self) -> tuple[str, ...]:
        """What the draft would change of the policy in force, one line each."""
        return changes(self.force.text, self.text) if self.begun else ()

    @property
    def changed(self) -> bool:
        """Whether the text is another one at all, be it only in its comments."""
        return self.text != self.force.text


def in_force(web: Web) -> PolicyRevision:
    """The newest revision; an empty policy while the guard never ran."""
    return web.readers.ledger().policy() or PolicyRevision(revision=0, text="", author="", time=0.0, note="")


def draft_of(web: Web, visitor: Visitor) -> Draft:
    """What `visitor` sees and edits."""
    force, session = in_force(web), visitor.session
    if session is None or not session.draft_of:
        return Draft(text=force.text, begun=False, of=force.revision, force=force)
    return Draft(text=session.draft, begun=True, of=session.draft_of, force=force)


def keep(visitor: Visitor, draft: Draft, text: str) -> None:
    """Make `text` the draft. Raises RingfenceError when it is longer than a policy may be."""
    if len(text.encode()) > MOST_TEXT:
        raise RingfenceError(f"a policy of more than {MOST_TEXT >> 10} KiB can't be edited here; use the command line")
    if visitor.session is not None and (draft.begun or text != draft.text):
        visitor.session.draft, visitor.session.draft_of = text, draft.of


def give_up(visitor: Visitor) -> None:
    """Forget the draft."""
    if visitor.session is not None:
        visitor.session.draft, visitor.session.draft_of, visitor.session.draft_note = "", 0, ""


def changes(old: str, new: str) -> tuple[str, ...]:
    """What changes from one text to the other, one line each. Raises SettingsError."""
    return () if old == new else _changes(old, new)


@lru_cache(maxsize=32)
def _changes(old: str, new: str) -> tuple[str, ...]:
    return tuple(difference(_loaded(old), _loaded(new)))


@lru_cache(maxsize=16)
def _loaded(text: str) -> Policy:
    return load_policy(text, "policy")
