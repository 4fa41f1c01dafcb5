"""Lists of bans for other firewalls, made once for all who fetch them: a list of 100,000 takes a moment to write.

They are written piece by piece and kept compressed, for this process has to stay small.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import Struct

from ringfence.answers import stamp
from ringfence.ledger.feeds import Barred
from ringfence.web.reading import Readers

Format = Literal["txt", "json"]
FRESH: Final = 15.0
"""Seconds after which a list is made again although nothing changed: bans end by themselves."""
MOST_KEPT: Final = 8
PIECE: Final = 2_000
"""Bans that are written at a time."""
GZIP: Final = 31
"""What zlib calls the form of gzip."""
CHUNK: Final = 1 << 16


class FeedRow(Struct, frozen=True, kw_only=True):
    """A running ban. `service` "*": all services; `until` "forever": until it is lifted."""

    target: str
    service: str
    until: str


class FeedBody(Struct, frozen=True, kw_only=True):
    """The running bans, by target; of one service and of all services where one was asked for."""

    service: str
    bans: list[FeedRow]


class Feed(Struct, frozen=True, kw_only=True):
    """A list as gzip has it, and its entity tag, the same for the list as it is (weak, RFC 9110, 8.8.3)."""

    packed: bytes
    tag: str

    def pieces(self) -> Iterator[bytes]:
        """The list as it is."""
        unpacking = zlib.decompressobj(GZIP)
        rest = self.packed
        while rest:
            yield unpacking.decompress(rest, CHUNK)
            rest = unpacking.unconsumed_tail
        yield unpacking.flush()


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
            if known is None or known[0] != version or not known[1] <= now < known[1] + FRESH:
                rows = ledger.barred(now, service)
                feed = _packed(_text(rows) if form == "txt" else _json(rows, service))
                known = self._kept[form, service] = (version, now, feed)
            self._kept.move_to_end((form, service))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return known[2]


def _packed(pieces: Iterable[bytes]) -> Feed:
    packing, digest, packed = zlib.compressobj(1, zlib.DEFLATED, GZIP), hashlib.blake2b(digest_size=12), bytearray()
    for piece in pieces:
        digest.update(piece)
        packed += packing.compress(piece)
    packed += packing.flush()
    return Feed(packed=bytes(packed), tag=f'W/"{digest.hexdigest()}"')


def _text(rows: Iterator[Barred]) -> Iterator[bytes]:
    """One address or network a line, each once."""
    last = ""
    while part := list(islice(rows, PIECE)):
        lines = []
        for row in part:
            if row.target != last:
                lines.append(f"{row.target}\n")
            last = row.target
        yield "".join(lines).encode()


def _json(rows: Iterator[Barred], service: str) -> Iterator[bytes]:
    yield b'{"service":' + msgspec.json.encode(service) + b',"bans":['
    comma = b""
    while part := list(islice(rows, PIECE)):
        told = [FeedRow(target=row.target, service=row.service, until=stamp(row.until)) for row in part]
        yield comma + msgspec.json.encode(told)[1:-1]
        comma = b","
    yield b"]}"


def matches(header: str, tag: str) -> bool:
    """Whether an If-None-Match header names `tag` (weak comparison, RFC 9110, 13.1.2)."""
    tags = {one.strip().removeprefix("W/") for one in header.split(",")}
    return header.strip() == "*" or tag.removeprefix("W/") in tags


def takes_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3)."""
    for part in header.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
