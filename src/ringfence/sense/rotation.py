"""Find the files that a log was before it was rotated: what was not read of them comes before the log itself.

A rotated-away file is known by inode and fingerprint, or by the fingerprint alone where it was copied or packed. Those
between it and the log of now are told by name (`log.1`, `log.2.gz`, `log-20260131`, `name-20260131.log.xz`) and by
their time of last writing, which `gzip`, `xz` and `zstd` keep. Looked for beside the log and beside what a symbolic
link leads to; a rotated file in another directory is not found after a restart.
"""

# Names are taken apart as text.
# ruff: noqa: PTH116, PTH119, PTH120, PTH122

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from ringfence.model import Position
from ringfence.sense.archive import SUFFIXES
from ringfence.sense.logfile import Content, LogFile, Plain, Unpacked

_NUMBER: Final = re.compile(r"[._-](\d{1,4})\Z")
_ROTATED: Final = re.compile(r"[._-](?:\d{1,4}|\d{8}[\d._T-]*|\d{4}-\d{2}[\d._T-]*|\d{10}|old)\Z")
_COUNTED: Final = re.compile(r"\.\d{1,3}\Z")
_DATED: Final = re.compile(r"(?:[._-](?:\d{8}[\d._T-]*|\d{4}-\d{2}[\d._T-]*)|\.\d{1,4})\Z")


class _Sibling(NamedTuple):
    """A regular file beside the log; `base`: the name of the log there."""

    path: str
    name: str
    base: str
    inode: int


def is_rotated(name: str, base: str) -> bool:
    """Whether `name` is what a rotation calls an earlier `base`, packed or not."""
    plain = _unsuffixed(name)
    if plain == base:
        return plain != name
    if plain.startswith(base):
        return bool(_ROTATED.match(plain[len(base) :]))
    stem, extension = os.path.splitext(base)
    if not extension or not plain.startswith(stem) or not plain.endswith(extension):
        return False
    return bool(_DATED.match(plain[len(stem) : -len(extension)]))


def is_numbered(name: str) -> bool:
    """Whether `name` ends like that of a file that was rotated away."""
    return bool(_COUNTED.search(_unsuffixed(name)))


def is_packed(name: str) -> bool:
    """Whether `name` is that of an archive, into which nobody writes lines."""
    return name.endswith(SUFFIXES)


def unfinished(path: str, position: Position, apart_from: Iterable[tuple[int, int]]) -> list[LogFile]:
    """The rotated-away files of the log at `path` that are to be read from `position` on before the log.

    Empty when the file that `position` belongs to is not found: it was removed, or truncated without a copy.
    `apart_from`: identities (device, inode) of files that are none of them.
    """
    excluded = set(apart_from)
    siblings = list(_siblings(path))
    by_inode = [sibling for sibling in siblings if sibling.inode == position.inode]
    by_name = [
        sibling for sibling in siblings if sibling not in by_inode and sibling.name.startswith(_stem(sibling.base))
    ]
    for sibling in by_inode + by_name:
        content = _open(sibling)
        if content is None:
            continue
        if content.identity not in excluded and _continues(content, position, by_inode=sibling in by_inode):
            size = content.size()
            old = LogFile(content, position=position, live_from=size if size is not None else 1 << 62)
            return [old, *_after(_age(sibling) or (0, 0), siblings, old, excluded)]
        content.close()
    return []


def successors(path: str, old: LogFile, apart_from: Iterable[tuple[int, int]]) -> list[LogFile]:
    """The files that the log at `path` was between `old`, which it was before, and now: unnoticed rotations."""
    siblings = list(_siblings(path))
    itself = next((_age(sibling) for sibling in siblings if sibling.inode == old.content.inode), None)
    age = itself or (old.content.written(), 0)  # it may be packed or removed already, though we have it open
    return _after(age, siblings, old, set(apart_from))


def younger(path: str, file: LogFile, apart_from: Iterable[tuple[int, int]]) -> list[LogFile]:
    """Copies of what the log at `path`, now `file`, was since it was begun: truncated before it was looked at."""
    # One that was last written in the very moment in which the file was begun may be what the file was before, or all
    # that it was since. Only who knows the former can tell.
    since = file.born - 1 if file.before[1] else file.born
    return _after((since, 0), list(_siblings(path)), file, set(apart_from))


def continues(content: Content, position: Position) -> bool:
    """Whether the file is the one that `position` belongs to, or a faithful copy of it, and holds what was read."""
    return _continues(content, position, by_inode=content.inode == position.inode)


def _continues(content: Content, position: Position, *, by_inode: bool) -> bool:
    if not position.fingerprinted:
        return by_inode
    size = content.size()
    if size is not None and size < position.offset:
        return False
    file = LogFile(content)
    return file.begins(position.fingerprint, position.fingerprinted)


def _after(
    oldest: tuple[int, int], siblings: list[_Sibling], old: LogFile, excluded: set[tuple[int, int]]
) -> list[LogFile]:
    """The rotated-away files younger than `oldest`, which is the age of `old`."""
    found: list[tuple[tuple[int, int], LogFile]] = []
    for sibling in siblings:
        age = _age(sibling)
        if not is_rotated(sibling.name, sibling.base) or age is None or age <= oldest:
            continue
        content = _open(sibling)
        if content is None:
            continue
        size = content.size()
        file = LogFile(content, live_from=size if size is not None else 1 << 62)
        seen = content.identity in excluded or content.identity == old.content.identity
        earlier = age[0] == old.born and bool(old.before[1]) and file.begins(*old.before)
        if seen or earlier or (old.fingerprinted and file.begins(old.fingerprint, old.fingerprinted)):
            content.close()
        else:
            found.append((age, file))
    return [file for _, file in sorted(found, key=lambda pair: pair[0])]


def _siblings(path: str) -> Iterator[_Sibling]:
    places = (path, os.path.realpath(path))
    seen: set[tuple[str, int]] = set()
    for directory, base in dict.fromkeys(
        (os.path.realpath(os.path.dirname(place)), os.path.basename(place)) for place in places
    ):
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and (base, entry.inode()) not in seen:
                    seen.add((base, entry.inode()))
                    yield _Sibling(entry.path, entry.name, base, entry.inode())


def _open(sibling: _Sibling) -> Content | None:
    try:
        return Unpacked(sibling.path) if is_packed(sibling.name) else Plain(sibling.path)
    except OSError:  # gone, or not for us
        return None


def _age(sibling: _Sibling) -> tuple[int, int] | None:
    """Sorts older files first: by last writing, then by the number at the end, which grows with age."""
    try:
        written = os.stat(sibling.path, follow_symlinks=False).st_mtime_ns
    except OSError:
        return None
    number = _NUMBER.search(_unsuffixed(sibling.name))
    return (written, -int(number[1]) if number else 0)


def _unsuffixed(name: str) -> str:
    return os.path.splitext(name)[0] if is_packed(name) else name


def _stem(base: str) -> str:
    return os.path.splitext(base)[0]
