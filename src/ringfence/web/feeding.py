"""Lists of bans for other firewalls, made once for all who fetch them: a list of 100,000 takes a moment to write."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ringfence.answers import stamp
from ringfence.ledger.feeds import Barred
from ringfence.web.reading import Readers

Format = Literal["txt", "json"]
FRESH: Final = 15.0
"""Seconds after which a list is made again although nothing changed: bans end by themselves."""
MOST_KEPT: Final = 6
MOST_BYTES: Final = 24 << 20


class Feed(Struct, frozen=True, kw_only=True):
    """A list as it is sent, and its entity tag (RFC 9110, 8.8.3)."""

    body: bytes
    tag: str


class FeedRow(Struct, frozen=True, kw_only=True):
    """A running ban. `service` "*": all services; `until` "forever": until it is lifted."""

    target: str
    service: str
    since: str
    until: str


class FeedBody(Struct, frozen=True, kw_only=True):
    """The running bans, by target; of one service and of all services where one was asked for."""

    service: str
    count: int
    bans: list[FeedRow]


class Feeds:
    """Makes the lists, each once until a ban begins or ends. For any thread."""

    def __init__(self, readers: Readers, clock: Callable[[], float]) -> None:
        self._readers = readers
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Format, str], tuple[int, float, Feed]] = OrderedDict()

    def get(self, form: Format, service: str = "") -> Feed:
        """The list in that format. Raises LedgerError."""
        with self._lock:  # whoever comes while it is made waits for it instead of making it, too
            ledger, now = self._readers.ledger(), self._clock()
            version = ledger.versions().bans
            known = self._kept.get((form, service))
            if known is not None and known[0] == version and known[1] <= now < known[1] + FRESH:
                self._kept.move_to_end((form, service))
                return known[2]
            rows = ledger.barred(now, service)
            body = _text(rows) if form == "txt" else _json(rows, service)
            feed = Feed(body=body, tag=f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
            self._kept[form, service] = (version, now, feed)
            self._kept.move_to_end((form, service))
            self._make_room()
            return feed

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > MOST_KEPT or sum(len(one[2].body) for one in self._kept.values()) > MOST_BYTES
        ):
            self._kept.popitem(last=False)


def _text(rows: list[Barred]) -> bytes:
    """One address or network a line, each once."""
    return "".join(f"{target}\n" for target in dict.fromkeys(row.target for row in rows)).encode()


def _json(rows: list[Barred], service: str) -> bytes:
    return msgspec.json.encode(
        FeedBody(
            service=service, count=len(rows),
            bans=[
                FeedRow(target=row.target, service=row.service, since=stamp(row.since), until=stamp(row.until))
                for row in rows
            ],
        )
    )  # fmt: skip


def matches(header: str, tag: str) -> bool:
    """Whether an If-None-Match header names `tag` (weak comparison, RFC 9110, 13.1.2)."""
    return header.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in header.split(","))
