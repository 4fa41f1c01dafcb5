"""Logins as they run: in memory only, so that a restart of the page ends them all. Pure: time is an argument.

The cookie holds 256 random bits; what is kept is their hash, so that a copy of our memory opens nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Final

from msgspec import Struct

MOST: Final = 2_000
"""Sessions at once; the one not used for longest makes room."""
MOST_OF_ONE: Final = 20
"""Sessions of one user at once."""
MOST_FLASHES: Final = 5


class Flash(Struct, frozen=True):
    """A sentence for the next page: `kind` is good, bad or note."""

    kind: str
    text: str


class Session(Struct, kw_only=True):
    """One login. `csrf` is the secret of its forms; `draft` the policy that is edited, of revision `draft_of`.

    `draft_of` is 0 without a draft; `draft_note` is what its editor wrote about it so far.
    """

    user: str
    address: str
    began: float
    seen: float
    csrf: str
    draft: str = ""
    draft_of: int = 0
    draft_note: str = ""
    flashes: list[Flash] = []

    def tell(self, kind: str, text: str) -> None:
        """Show `text` on the next page."""
        self.flashes = [*self.flashes[-MOST_FLASHES + 1 :], Flash(kind, text)]

    def told(self) -> list[Flash]:
        """What is to be shown now, once."""
        found, self.flashes = self.flashes, []
        return found


class Sessions:
    """All sessions: each ends `idle` seconds after its last request and `longest` seconds after the login."""

    def __init__(self, idle: float, longest: float) -> None:
        self._idle = idle
        self._longest = longest
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.RLock()  # the loop finds, the threads of handlers open and close

    def open(self, user: str, address: str, now: float) -> tuple[str, Session]:
        """A new session and the secret for its cookie; never one that anybody could have known before."""
        secret = secrets.token_urlsafe(32)
        session = Session(user=user, address=address, began=now, seen=now, csrf=secrets.token_urlsafe(32))
        with self._lock:
            own = [key for key, each in self._sessions.items() if each.user == user]
            for key in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
                del self._sessions[key]
            while len(self._sessions) >= MOST:
                self._sessions.popitem(last=False)
            self._sessions[_key(secret)] = session
        return secret, session

    def find(self, secret: str, now: float) -> Session | None:
        """The session of a cookie, which this counts as used; None when there is none or it has ended."""
        key = _key(secret)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if not (session.seen <= now + 60 and now < min(session.seen + self._idle, session.began + self._longest)):
                del self._sessions[key]
                return None
            session.seen = now
            self._sessions.move_to_end(key)
        return session

    def holds(self, session: Session, now: float) -> bool:
        """Whether `session` still runs; does not count as use."""
        if now >= min(session.seen + self._idle, session.began + self._longest):
            return False
        with self._lock:
            return any(session is each for each in self._sessions.values())

    def count(self, now: float) -> int:
        """How many sessions run."""
        return sum(now < min(one.seen + self._idle, one.began + self._longest) for one in list(self._sessions.values()))

    def close(self, session: Session) -> None:
        """End one session."""
        with self._lock:
            self._sessions = OrderedDict((key, each) for key, each in self._sessions.items() if each is not session)

    def close_all(self, user: str, *, but: Session | None = None) -> None:
        """End the sessions of `user`, all `but` one."""
        with self._lock:
            self._sessions = OrderedDict(
                (key, each) for key, each in self._sessions.items() if each.user != user or each is but
            )


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
