"""Unpack gzip (RFC 1952), xz (.xz file format 1.0) and Zstandard (RFC 8878), piece by piece.

Which of them it is, the first bytes tell.

Several members or frames one after the other are one stream, as the formats have it. Memory stays bounded whatever the
archive says of itself.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal

from ringfence.errors import SensorError

Kind = Literal["plain", "gzip", "xz", "zstd"]
MAGIC_BYTES: Final = 6
PIECE: Final = 1 << 18
SUFFIXES: Final = (".gz", ".xz", ".zst")

_READ: Final = 1 << 16
_READ_ZSTD: Final = 1 << 11  # its decompressor can't be told to stop, and 4 bytes may stand for 128 KiB


def kind_of(beginning: bytes) -> Kind:
    """What a file is whose first `MAGIC_BYTES` bytes (or all it has) are `beginning`."""
    if beginning.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if beginning.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if beginning.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if len(beginning) >= 4 and beginning[1:4] == b"\x2a\x4d\x18" and beginning[0] & 0xF0 == 0x50:
        return "zstd"  # a skippable frame, as pzstd writes first
    return "plain"


def unpack(read: Callable[[int], bytes], kind: Kind, name: str) -> Iterator[bytes]:
    """What is packed in the bytes that `read(n)` gives (b"" at the end), in pieces of at most about 256 KiB.

    Raises SensorError, naming `name`, when the archive is damaged or ends too early, after yielding what could be read.
    """
    if kind == "gzip":
        return _gzip(read, name)
    if kind == "xz":
        return _xz(read, name)
    if kind == "zstd":
        return _zstd(read, name)
    return iter(lambda: read(PIECE), b"")


def _damaged(name: str, what: str) -> SensorError:
    return SensorError(f"{name}: damaged archive: {what}; the lines before that were read", permanent=True)


def _cut_short(name: str) -> SensorError:
    return SensorError(
        f"{name}: the archive ends too early (truncated?); the lines before that were read", permanent=True
    )


def _gzip(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    data = read(_READ)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            before = member.copy()
            try:
                piece = member.decompress(data, PIECE)
            except zlib.error as error:
                yield from _salvage(before, data)
                raise _damaged(name, str(error)) from error
            if piece:
                yield piece
            data = member.unconsumed_tail or b""
            if not data and not member.eof:
                data = read(_READ)
                if not data:
                    if piece := member.flush():
                        yield piece
                    raise _cut_short(name)
        data = _after_padding(member.unused_data, read)


def _salvage(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What `member` gives before `data` turns out to be damaged: byte by byte, as a failed call gives nothing."""
    good = bytearray()
    try:
        while data and len(good) < PIECE:
            good += member.decompress(data, 1)
            data = member.unconsumed_tail
    except zlib.error:
        pass
    if good:
        yield bytes(good)


def _xz(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    data = read(_READ)
    while data:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        while not stream.eof:
            try:
                piece = stream.decompress(data, PIECE)
            except lzma.LZMAError as error:
                raise _damaged(name, str(error)) from error
            data = b""
            if piece:
                yield piece
            if stream.needs_input and not stream.eof:
                data = read(_READ)
                if not data:
                    raise _cut_short(name)
        data = _after_padding(stream.unused_data, read)


def _after_padding(data: bytes, read: Callable[[int], bytes]) -> bytes:
    """The beginning of what follows a member or stream, b"" at the end; zeros may pad it, as on tapes."""
    while not (rest := data.lstrip(b"\0")):
        data = read(_READ)
        if not data:
            return b""
    return rest


def _zstd(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    import zstandard  # only those who read such files pay for it

    data = read(_READ_ZSTD)
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            try:
                piece = frame.decompress(data)
            except zstandard.ZstdError as error:
                raise _damaged(name, str(error)) from error
            if piece:
                yield piece
            if not frame.eof:
                data = read(_READ_ZSTD)
                if not data:
                    raise _cut_short(name)
        data = frame.unused_data or read(_READ_ZSTD)
