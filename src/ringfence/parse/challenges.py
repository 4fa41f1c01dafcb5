"""SIP challenges that nobody answers: what is left of an account scan that never offers a password.

A challenge is no failure: every phone is challenged. It counts when no answer comes within `PATIENCE` and either the
account can't exist (its name holds what no account name holds) or the address was challenged for `MANY` different
accounts, none of which was ever answered well. A challenge to a caller counts only for `MANY_CALLERS`, since Asterisk's
chan_sip does not say that a call was authenticated. And an answer to a challenge is not believed when
that challenge went to another address: chan_sip reports an address that the client may choose (`maddr`).
"""

from __future__ import annotations

import math
import re

from msgspec import Struct

from ringfence.model import Event

PATIENCE = 8.0
MEMORY = 600.0
MANY = 3
MANY_CALLERS = 8
ADDRESSES_KEPT = 20_000
_PENDING_KEPT = 256
_POSSIBLE = re.compile(r"(?:sips?:)?[\w.+~*#@:-]+\Z")


class _Peer:
    """What is known of one address: challenges waiting for an answer, accounts never answered for, last success."""

    __slots__ = ("callers", "good", "last", "recent", "silent", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Event] = []
        self.silent: dict[str, list[Event]] = {}
        self.callers: dict[str, list[Event]] = {}
        self.recent: dict[str, tuple[float, str]] = {}
        self.good = -math.inf
        self.last = -math.inf


class Held(Struct):
    """What changed among the challenges that wait: to be kept with the positions of the logs that told of them."""

    added: list[Event] = []
    dropped: list[Event] = []


class Challenges:
    """Keeps challenges apart by address, bounded in number and age."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._change = Held()
        self._asked: dict[str, str] = {}
        self._due = math.inf

    @property
    def waiting(self) -> bool:
        """Whether any challenge was seen at all: where none is, nothing here costs anything."""
        return bool(self._peers)

    def count(self) -> int:
        """How many challenges wait for an answer."""
        return sum(len(peer.waiting) for peer in self._peers.values())

    def sent(self, event: Event) -> None:
        """We challenged `event.address` for `event.account`; `token` is the challenge."""
        peer = self._peer(event)
        known = peer.recent.get(event.session)
        if known is not None and known[1] == event.token and event.token:
            return  # sent again, or written to another log as well
        peer.recent[event.session] = (event.time, event.token)
        if event.token:
            if len(self._asked) >= ADDRESSES_KEPT:
                del self._asked[next(iter(self._asked))]
            self._asked[event.token] = event.address
        if len(peer.recent) > _PENDING_KEPT:
            del peer.recent[next(iter(peer.recent))]
        if event.time - peer.good > MEMORY and len(peer.waiting) < _PENDING_KEPT:
            peer.waiting.append(event)
            self._change.added.append(event)
            self._due = min(self._due, event.time + PATIENCE)

    def changes(self) -> Held:
        """What changed among those that wait since the last call."""
        change, self._change = self._change, Held()
        return change

    def counted_before(self, event: Event) -> None:
        """After a restart: a challenge that was counted; its account goes on counting among the peer's many."""
        group, _ = _group(self._peer(event), event)
        group.setdefault(event.account, [])

    def went_elsewhere(self, event: Event) -> bool:
        """Whether the challenge that `event` answers is known to have gone to another address."""
        return self._asked.get(event.token, event.address) != event.address

    def knows(self, event: Event) -> bool:
        """Whether this very peer was challenged before: then what it does now, it does authenticated."""
        peer = self._peers.get(event.address)
        if peer is None:
            return False
        return event.time - peer.good <= MEMORY or event.session in peer.recent

    def answered(self, event: Event) -> None:
        """A failed answer came: the challenge has been counted with it."""
        peer = self._peers.get(event.address)
        if peer is not None and peer.waiting:
            self._change.dropped += [each for each in peer.waiting if each.session == event.session]
            peer.waiting = [each for each in peer.waiting if each.session != event.session]

    def succeeded(self, event: Event) -> None:
        """The address proved itself: none of its open challenges is an attack."""
        peer = self._peers.get(event.address)
        if peer is None and not self._peers:
            return
        peer = self._peer(event)
        peer.good = event.time
        self._drop(peer)

    def unanswered(self, now: float) -> list[Event]:
        """The challenges that by `now` turned out to be attempts."""
        if now < self._due:
            return []
        counted: list[Event] = []
        self._due = math.inf
        for peer in self._peers.values():
            late = [event for event in peer.waiting if event.time + PATIENCE <= now]
            if late:
                peer.waiting = peer.waiting[len(late) :]
                counted += _attempts(peer, late)
            if peer.waiting:
                self._due = min(self._due, peer.waiting[0].time + PATIENCE)
        counted.sort(key=lambda event: event.time)
        self._change.dropped += counted
        return counted

    def _drop(self, peer: _Peer) -> None:
        for events in (peer.waiting, *peer.silent.values(), *peer.callers.values()):
            self._change.dropped += events
        peer.waiting.clear()
        peer.silent.clear()
        peer.callers.clear()

    def _peer(self, event: Event) -> _Peer:
        peer = self._peers.get(event.address)
        if peer is None:
            if len(self._peers) >= ADDRESSES_KEPT:
                self._drop(self._peers.pop(next(iter(self._peers))))
            peer = self._peers[event.address] = _Peer()
        elif event.time - peer.last > MEMORY:
            self._drop(peer)
        peer.last = event.time
        return peer


def _attempts(peer: _Peer, late: list[Event]) -> list[Event]:
    """Late challenges that count, with those of the same peer that waited for the others to be many."""
    counted: list[Event] = []
    for event in late:
        if not _POSSIBLE.match(event.account):
            counted.append(event)
            continue
        group, many = _group(peer, event)
        group.setdefault(event.account, []).append(event)
        if len(group) >= many:
            for events in group.values():
                counted += events
                events.clear()
    return counted


def _group(peer: _Peer, event: Event) -> tuple[dict[str, list[Event]], int]:
    """The accounts that the peer was challenged for in the same way, and how many of them make a scan."""
    if event.account.startswith(("sip:", "sips:")):
        return peer.callers, MANY_CALLERS
    return peer.silent, MANY
