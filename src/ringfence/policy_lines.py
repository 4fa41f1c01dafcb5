"""A TOML text as its lines, to change single values and leave every other character as it is.

Comments above a table belong to it, so a new table or value goes in before them, not after: that is what a library
that thinks in tables gets wrong. Only the usual forms are known, `[a.b]` tables with `key = value`; whoever changes a
text this way reads it back and compares (see `policy_draft`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from ringfence.values import quote, show_key

Path = tuple[str, ...]
"""The names of a table from the outside in; () is the top of the file."""

_BEFORE = re.compile(r"[^=]*=[ \t]*")
_ARRAY_OPENS = re.compile(r"[^=]*=\s*\[\s*(#.*)?$")
_ARRAY_CLOSES = re.compile(r"\s*\]\s*(#.*)?$")
_ITEM = re.compile(r"""(\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'))(\s*,)?(.*)$""", re.DOTALL)
_MAY_CLOSE = ("]", '"""', "'''", "}")


class Block(Struct):
    """Some lines that belong together: a table's header (`path`), a value (`key`), a comment or a blank line."""

    kind: Literal["table", "value", "comment", "blank"]
    text: str
    path: Path = ()
    key: str = ""


class Lines:
    """The lines of a valid TOML text. What is not found in the usual form is left alone."""

    def __init__(self, text: str) -> None:
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self._end = "\r\n" if "\r\n" in text else "\n"
        self._blocks = list(_blocks(text.removeprefix("\ufeff"), self._end))

    def text(self) -> str:
        """The text as it is now."""
        return self._mark + "".join(block.text for block in self._blocks)

    def set(self, path: Path, key: str, shown: str) -> None:
        """Give `key` of the table `path` the value written `shown`; a missing table is begun beside its relatives."""
        at = self._table(path)
        if at is None:
            at = self._open(path)
        place = self._value(at, key)
        if place is not None:
            block = self._blocks[place]
            block.text = _with_value(block.text, shown)
            return
        last = self._last_value(at)
        indent = ""
        if last >= 0 and last < len(self._blocks):
            like = self._blocks[last].text
            indent = like[: len(like) - len(like.lstrip(" \t"))]
        block = Block("value", f"{indent}{show_key(key)} = {shown}{self._end}", key=key)
        if at < 0 and last < 0:
            self._first(block)
        else:
            self._blocks.insert(last + 1, block)

    def unset(self, path: Path, key: str) -> None:
        """Take `key` out of the table `path`."""
        at = self._table(path)
        place = None if at is None else self._value(at, key)
        if place is not None:
            del self._blocks[place]

    def drop(self, path: Path) -> None:
        """Take out the table `path` and all within it; comments above or after them stay."""
        at = 0
        while at < len(self._blocks):
            block = self._blocks[at]
            if block.kind == "table" and block.path[: len(path)] == path:
                del self._blocks[at : self._last_value(at) + 1]
                if at and self._is(at - 1, "blank") and self._is(at, "blank"):
                    del self._blocks[at]
            else:
                at += 1

    def _is(self, at: int, kind: str) -> bool:
        return at < len(self._blocks) and self._blocks[at].kind == kind

    def _table(self, path: Path) -> int | None:
        """Where the table's header stands; -1 for the top of the file, which has none."""
        if not path:
            return -1
        return next((at for at, block in enumerate(self._blocks) if block.kind == "table" and block.path == path), None)

    def _until(self, at: int) -> int:
        """Where the table that begins at `at` ends: at the next header."""
        at += 1
        while at < len(self._blocks) and self._blocks[at].kind != "table":
            at += 1
        return at

    def _value(self, at: int, key: str) -> int | None:
        within = range(at + 1, self._until(at))
        return next((place for place in within if self._blocks[place].key == key), None)

    def _last_value(self, at: int) -> int:
        """Where the last value of a table stands, or its header where it has none."""
        return max(
            (place for place in range(at + 1, self._until(at)) if self._blocks[place].kind == "value"), default=at
        )

    def _open(self, path: Path) -> int:
        """Begin a table after its nearest relative, or at the end; returns where its header stands."""
        place = len(self._blocks)
        for known in range(len(path) - 1, 0, -1):
            near = [
                at
                for at, block in enumerate(self._blocks)
                if block.kind == "table" and block.path[:known] == path[:known]
            ]
            if near:
                place = self._after(self._last_value(near[-1]) + 1)
                break
        header = Block("table", f"[{'.'.join(map(show_key, path))}]{self._end}", path=path)
        added = [header]
        if place and not self._is(place - 1, "blank"):
            added.insert(0, Block("blank", self._end))
        if self._is(place, "table") or self._is(place, "comment"):
            added.append(Block("blank", self._end))
        self._blocks[place:place] = added
        return self._blocks.index(header, place)

    def _after(self, place: int) -> int:
        """Behind comments that stand close below a value and apart from what follows: they belong to the value."""
        end = place
        while self._is(end, "comment"):
            end += 1
        return place if end < len(self._blocks) and not self._is(end, "blank") else end

    def _first(self, block: Block) -> None:
        """Put in the first value of the file: above the first table and the comment that belongs to it."""
        place = self._until(-1)
        if place < len(self._blocks):
            while place and self._blocks[place - 1].kind == "comment":
                place -= 1
            self._blocks.insert(place, Block("blank", self._end))
        self._blocks.insert(place, block)


def _blocks(text: str, end: str) -> Iterator[Block]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1] and lines[-1][:-1] + end
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line:
            if lines[at - 1]:
                yield Block("blank", lines[at - 1])
        elif line.startswith("#"):
            yield Block("comment", lines[at - 1])
        elif line.startswith("["):
            yield Block("table", lines[at - 1], path=_path(line))
        else:
            value, at = _value(lines, at)
            yield value


def _value(lines: list[str], at: int) -> tuple[Block, int]:
    """The value that begins in the line before `at`, and where the next thing begins: it ends where TOML says so."""
    text = lines[at - 1]
    parsed = _read(text)
    while parsed is None and at < len(lines):
        while at < len(lines):
            line = lines[at]
            text += line
            at += 1
            if any(mark in line for mark in _MAY_CLOSE):
                break
        parsed = _read(text)
    key, value = next(iter((parsed or {"": {}}).items()), ("", {}))
    return Block("value", text, key="" if isinstance(value, dict) else key), at


def _path(line: str) -> Path:
    table: Any = _read(line)
    path: list[str] = []
    while isinstance(table, dict) and table:
        name, table = next(iter(table.items()))
        path.append(name)
    return tuple(path)


def _read(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _with_value(text: str, shown: str) -> str:
    """The lines of a value with another one, the comment beside it kept."""
    edited = _with_items(text, shown)
    if edited is not None:
        return edited
    before = _BEFORE.match(text)
    body = text.rstrip("\r\n")
    tail = text[len(body) :]
    begin = body.rfind("\n") + 1
    for found in re.finditer(r"[ \t]*#", body[begin:]):
        if _read(body[: begin + found.start()]) is not None:
            tail = text[begin + found.start() :]
            break
    return f"{before[0] if before else ''}{shown}{tail}"


def _with_items(text: str, shown: str) -> str | None:
    """A list with one item to a line: those that stay keep their line and its comment, new ones follow. Else None."""
    lines = text.splitlines(keepends=True)
    wanted: Any = (_read(f"x = {shown}") or {})["x"]
    if len(lines) < 2 or not isinstance(wanted, list):
        return None
    if not _ARRAY_OPENS.match(lines[0].rstrip()) or not _ARRAY_CLOSES.match(lines[-1].rstrip()):
        return None
    kept: list[str] = []
    items: list[str] = []
    for line in lines[1:-1]:
        here = (_read(f"x = [\n{line}\n]") or {}).get("x")
        if here is None or (len(here) > 1 and not set(here) <= set(wanted)):
            return None
        if all(item in wanted for item in here):
            kept.append(line)
            items += here
    new = wanted[len(items) :]
    if items != wanted[: len(items)]:
        return None
    last = max((at for at, line in enumerate(kept) if not line.strip().startswith("#") and line.strip()), default=-1)
    if new and last >= 0 and (item := _ITEM.match(kept[last])) and not item[2]:
        kept[last] = f"{item[1]},{item[3]}"
    indent = kept[last][: len(kept[last]) - len(kept[last].lstrip())] if last >= 0 else "    "
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    added = [f"{indent}{quote(str(item))},{end}" for item in new]
    edited = "".join([lines[0], *kept, *added, lines[-1]])
    found = next(iter((_read(edited) or {"": None}).values()))
    return edited if found == wanted else None
