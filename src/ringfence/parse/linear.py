r"""Patterns that are regular expressions: run by RE2, in time that grows with the line's length only.

For log lines that a template can't describe, such as those of filters taken over from fail2ban. A pattern's expressions
see the line without its time: the `stamp` is found and cut out first. Where there is a `prefix`, the expressions see
what its group `content` took. The first of them that is found anywhere in there decides; if one of `unless` is found
as well, or the group `nofail` took part, the line is passed over.

Syntax: https://github.com/google/re2/wiki/Syntax, with `$` for the end of the line as well as the very end, `\d`, `\s`
and `\w` for the digits, blanks and letters of every script, and tags: `<HOST>` (an address, or a name), `<ADDR>`,
`<IP4>`, `<IP6>`, `<DNS>`, `<SUBNET>`, `<CIDR>`, and `<STAMP>` for a time. What RE2 can't do (look-around, back
references) can't be written.

A line that reads two ways, with two addresses, is not believed; nor is one that holds the fixed words before the
address twice, with another address behind them: one of the two is what a client wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from ringfence.errors import CatalogueError
from ringfence.parse import timestamps
from ringfence.parse.addresses import canonical

if TYPE_CHECKING:
    from types import ModuleType

_DIGITS: Final = r"\p{Nd}"
_BLANKS: Final = r"\t-\r\x{1c}-\x{20}\x{85}\p{Z}"
_LETTERS: Final = r"\p{L}\p{N}_"
_NO_BLANKS: Final = (
    r"\x{00}-\x{08}\x{0e}-\x{1b}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
)
_OUTSIDE: Final = {
    r"\d": _DIGITS, r"\D": r"\P{Nd}", r"\s": f"[{_BLANKS}]", r"\S": f"[^{_BLANKS}]",
    r"\w": f"[{_LETTERS}]", r"\W": f"[^{_LETTERS}]", r"\Z": r"\z",
}  # fmt: skip
_INSIDE: Final = {r"\d": _DIGITS, r"\D": r"\P{Nd}", r"\s": _BLANKS, r"\S": _NO_BLANKS, r"\w": _LETTERS}

STAMP: Final = "|".join(
    (
        timestamps.ISO,
        timestamps.CTIME,
        timestamps.BSD,
        timestamps.SLASHED,
        timestamps.ACCESS,
        timestamps.DASHED,
        timestamps.EPOCH,
    )
)
"""Any time that `timestamps` reads."""

# An address as fail2ban's tags understand it, so that a filter taken over finds the same: IPv4 also behind "::ffff:".
_V4: Final = r"(?P<ip4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
_IP4: Final = rf"(?:::[fF]{{4,6}}:)?{_V4}"
_HEXTET: Final = "[0-9A-Fa-f]{1,4}"
_IP6: Final = rf"(?P<ip6>(?:(?:{_HEXTET})?::|{_HEXTET}:){{1,7}}(?:{_HEXTET}|:))"
_DNS: Final = r"(?P<dns>[\w.^\-\x{80}-\x{10ffff}]*[\w\x{80}-\x{10ffff}])"
_ADDR: Final = rf"\[?(?:{_IP4}|{_IP6})\]?"
_CIDR: Final = r"(?P<cidr>[0-9]+)"
TAGS: Final = {
    "<HOST>": f"(?:{_ADDR}|{_DNS})",
    "<ADDR>": f"(?:{_ADDR})",
    "<IP4>": f"(?:{_IP4})",
    "<IP6>": f"(?:{_IP6})",
    "<DNS>": f"(?:{_DNS})",
    "<CIDR>": _CIDR,
    "<SUBNET>": rf"(?:\[?(?:{_IP4}|{_IP6})(?:/{_CIDR})?\]?)",
    "<STAMP>": f"(?:{STAMP})",
}
"""What stands for an address, or a time, in an expression."""

_TOKEN: Final = re.compile(
    r"(?P<tag><(?:HOST|ADDR|IP4|IP6|DNS|CIDR|SUBNET|STAMP)>)|(?P<escape>\\(?:[xpP]\{[^}]*\}|.))|(?P<set>\[\^?\]?)|(?P<end>\$)",
    re.DOTALL,
)
_IN_SET: Final = re.compile(r"(?P<posix>\[:\^?\w+:\])|(?P<escape>\\(?:[xpP]\{[^}]*\}|.))|(?P<close>\])", re.DOTALL)

_AT_BEGINNING: Final = re.compile(rf"\W{{0,2}}({STAMP})(?!\w)", re.ASCII)
_WITHOUT_EPOCH: Final = STAMP.removesuffix("|" + timestamps.EPOCH)
_ANYWHERE: Final = re.compile(rf"(?<!\w)({_WITHOUT_EPOCH})(?!\w)|\baudit\(({timestamps.EPOCH})(?=:\d+\))", re.ASCII)

READS_TWO_WAYS: Final = "\n"
"""What the reader finds twice in a match that is not to be believed; no line holds it."""

_ADDRESSES: Final = ("ip4", "ip6", "dns", "address")
_OTHERS: Final = ("account", "origin", "port", "detail")
_WORDS: Final = re.compile(
    r"((?:[^\\^$.|?*+()\[\]{}]|\\[^0-9A-Za-z])+)(?:\((?:\?P<\w+>|\?:)?)*(?:<(?:HOST|ADDR|IP4|IP6|DNS|SUBNET)>|\(\?P<address>)"
)
_SHORTEST_WORDS: Final = 3
_LIKE_ADDRESS: Final = rb"\[?([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45}|[\w-]{1,63}\.[\w.-]{1,200})"
_MAY_BE_OTHER: Final = re.compile(rb"\w\.[^\s~]|:[0-9A-Fa-f:]|[\x80-\xff]\.")
"""What every address holds, and every name with a dot."""
_MAPPED: Final = re.compile(rb"::[fF]{4,6}:\Z")
_MOST_READINGS: Final = 4
_MOST_MEMORY: Final = 4 << 20
"""Bytes that one compiled expression may take, with the states that it remembers."""


class Searched(Struct, frozen=True):
    """The expressions of one pattern, see above. Each `stamp` has a group `stamp`, and `cut` around it if more is to be
    cut out; an empty one: any known form of time at the line's beginning, else the first one in it."""

    regex: tuple[str, ...]
    prefix: str = ""
    unless: tuple[str, ...] = ()
    stamp: tuple[str, ...] = ("",)


class LinearMatch:
    """What `Linear.match` found; speaks like `re.Match` as far as the reader asks.

    Of a line that reads two ways, `string` and `span()` are such that the reader finds READS_TWO_WAYS in it twice, as
    it looks for what stands before an address in a template.
    """

    __slots__ = ("_end", "_span", "_start", "_values", "string", "two_ways")

    def __init__(self, string: str, start: int, end: int, values: tuple[str | None, ...], two_ways: bool) -> None:
        self.two_ways = two_ways
        self.string = READS_TWO_WAYS * 2 if two_ways else string
        self._span = (0, len(self.string)) if two_ways else (start, end)
        self._start = start
        self._end = end
        self._values = values

    def start(self) -> int:
        """Where the line begins in `string`."""
        return self._start

    def end(self) -> int:
        """Where the line ends, before its line break."""
        return self._end

    def span(self) -> tuple[int, int]:
        """The place of the line in `string`."""
        return self._span

    def group(self, *numbers: int) -> Any:
        """One value for one number, from 1 on, else a tuple of them."""
        found = tuple(self._values[number - 1] for number in numbers)
        return found[0] if len(found) == 1 else found

    def groups(self, default: str | None = None) -> tuple[str | None, ...]:
        """All values, `default` for a field that took no part."""
        return tuple(default if value is None else value for value in self._values)


class Linear:
    """A pattern's expressions, compiled. `groupindex`: the number of each field, as `re.Pattern` has it."""

    def __init__(self, searched: Searched) -> None:
        """Raises CatalogueError when an expression is none, or can't be run in linear time."""
        self._regex = [compile_expression(text) for text in searched.regex]
        self._prefix = compile_expression(searched.prefix) if searched.prefix else None
        self._unless = [compile_expression(text) for text in searched.unless]
        self._stamps = [compile_expression(text) if text else None for text in searched.stamp]
        if self._prefix and "content" not in self._prefix.groupindex:
            raise CatalogueError("prefix has no group (?P<content>…): what regex is to see")
        if any(stamp and "stamp" not in stamp.groupindex for stamp in self._stamps):
            raise CatalogueError("stamp has no group (?P<stamp>…)")
        inherited = set(self._prefix.groupindex) if self._prefix else set()
        for text, compiled in zip(searched.regex, self._regex, strict=True):
            if not (inherited | set(compiled.groupindex)).intersection(_ADDRESSES):
                raise CatalogueError(f"names no address: <HOST>, <ADDR> or (?P<address>…) is missing in {text!r}")
        if not self._regex:
            raise CatalogueError("regex names no expression")
        used = inherited.union(*(compiled.groupindex for compiled in self._regex))
        self._fields = ("stamp", "address", *(name for name in _OTHERS if _used(name, used)))
        self.groupindex = {name: number for number, name in enumerate(self._fields, start=1)}

    def match(self, text: str, start: int = 0) -> LinearMatch | None:
        """The line of `text` (one character a byte) that begins at `start`, if the expressions take it."""
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = _whole_characters(text[start:end].rstrip("\r"))
        dated = self._dated(line)
        if dated is None:
            return None
        stamp, rest = dated
        reading = self._reading(rest)
        if reading is None:
            return None
        values, place, again = reading
        values["stamp"] = stamp
        two_ways = _told_again(rest, values["address"], again) or self._reads_otherwise(rest, values["address"], place)
        return LinearMatch(text, start, end, tuple(values.get(name) for name in self._fields), two_ways)

    def takes(self, line: str) -> str | None:
        """The address as written in one line of ordinary text, "" if it reads two ways; None if it is not taken."""
        match = self.match(line.encode().decode("latin-1"))
        if match is None:
            return None
        address: str = match.group(self.groupindex["address"])
        return "" if match.two_ways else address

    def _dated(self, line: bytes) -> tuple[str, bytes] | None:
        """The time as written, and the line without it; None without a time, as lines that a client forged have."""
        for expression in self._stamps:
            place = _stamp_by(expression, line) if expression else _usual_stamp(line)
            if place is not None:
                (first, last), stamp = place
                return stamp.decode("latin-1"), line[:first] + line[last:] + b"\n"
        return None

    def _reading(self, line: bytes) -> tuple[dict[str, str], tuple[int, int], re.Pattern[bytes] | None] | None:
        """The fields of the line, the place of the address in it, and what would be the same words about another."""
        seen, base, given = line, 0, {}
        if self._prefix is not None:
            found = self._prefix.search(line)
            if found is None:
                return None
            given = _taken(found, self._prefix.groupindex, 0)
            content, (base, _) = given.pop("content", (b"", (0, 0)))
            seen = content + b"\n" if content else line
            base = base if content else 0
        for compiled in self._regex:
            found = compiled.search(seen)
            if found is not None:
                break
        else:
            return None
        if any(other.search(seen) for other in self._unless):
            return None
        given |= _taken(found, compiled.groupindex, base)
        if given.get("nofail", (b"",))[0]:
            return None
        address, place = next((given[name] for name in _ADDRESSES if name in given), (b"", (0, 0)))
        if not address:
            return None
        values = {"address": address.decode("latin-1")}
        for name in _OTHERS:
            several = sorted(each for each in given if each == name or each.startswith(name + "_"))
            value = next((given[each][0] for each in several if given[each][0]), None)
            if value is not None:
                values[name] = value.decode("latin-1")
        return values, place, compiled.again

    def _reads_otherwise(self, line: bytes, address: str, place: tuple[int, int]) -> bool:
        """Whether the line, its address blanked out, tells of another one (a name counts if it has a dot)."""
        for _ in range(_MOST_READINGS):
            first, last = place
            mapped = _MAPPED.search(line, max(0, first - 9), first)
            first = mapped.start() if mapped else first
            line = line[:first] + b"~" * (last - first) + line[last:]
            other = self._reading(line) if _MAY_BE_OTHER.search(line) else None
            if other is None:
                return False
            values, place, _ = other
            if values["address"] != address:
                return any(character in values["address"] for character in ".:")
        return True


def _told_again(line: bytes, address: str, again: re.Pattern[bytes] | None) -> bool:
    """Whether the words before the address stand before another one too (or before a name with a dot)."""
    if again is None:
        return False
    for found in again.finditer(line):
        other = found[1].decode("latin-1").rstrip(".:")
        if canonical(other) != canonical(address) or (canonical(other) is None and other != address):
            return True
    return False


def _usual_stamp(line: bytes) -> tuple[tuple[int, int], bytes] | None:
    """What to cut out, and the time in it."""
    text = line.decode("latin-1")
    found = _AT_BEGINNING.match(text) or _ANYWHERE.search(text)
    if found is None:
        return None
    first, last = found.span(found.lastindex or 1)
    return (first, last), line[first:last]


def _stamp_by(expression: _Compiled, line: bytes) -> tuple[tuple[int, int], bytes] | None:
    found = expression.search(line + b"\n")
    if found is None:
        return None
    groups = expression.groupindex
    first, last = found.span(groups["stamp"])
    return None if first < 0 else (found.span(groups.get("cut", groups["stamp"])), line[first:last])


def _used(name: str, groups: Iterable[str]) -> bool:
    return any(group == name or group.startswith(name + "_") for group in groups)


def _taken(found: Any, groups: Mapping[str, int], base: int) -> dict[str, tuple[bytes, tuple[int, int]]]:
    """The groups that took part: what each took, and where in the line, whose part begins at `base`."""
    taken = {}
    for name, number in groups.items():
        first, last = found.span(number)
        if first >= 0:
            taken[name] = (found.string[first:last], (base + first, base + last))
    return taken


def _whole_characters(line: str) -> bytes:
    """The bytes of `line`; a byte that is no UTF-8, which RE2 would stop at, becomes a question mark."""
    raw = line.encode("latin-1")
    if line.isascii():
        return raw
    try:
        raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "surrogateescape")
        raw = re.sub("[\udc80-\udcff]", "?", text).encode()
    return raw


def compile_expression(text: str) -> _Compiled:
    """RE2's compiled form of `text`, for bytes. Raises CatalogueError with what RE2 says about it."""
    re2 = _engine()
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    try:
        return _Compiled(re2.compile(expanded(text).encode(), options), text)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise CatalogueError(f"can't be run in linear time: {reason} in {text!r}") from error


class _Compiled:
    """RE2's object with its groups at hand. again: the words before its address, with something like an address."""

    __slots__ = ("again", "groupindex", "search")

    def __init__(self, compiled: Any, text: str) -> None:
        words = _WORDS.search(text)
        fixed = re.sub(r"\\(.)", r"\1", words[1]) if words else ""
        long_enough = sum(character.isalnum() for character in fixed) >= _SHORTEST_WORDS
        self.again = re.compile(re.escape(fixed.encode()) + _LIKE_ADDRESS) if long_enough else None
        self.search = compiled.search
        self.groupindex = {name.decode(): number for name, number in compiled.groupindex.items()}


def _engine() -> ModuleType:
    """Loaded by the first pattern that needs it: most machines have none."""
    try:
        import re2
    except ImportError as error:
        raise CatalogueError(f"a pattern with regex needs the Python package google-re2 ({error})") from error
    engine: ModuleType = re2
    return engine


def expanded(text: str) -> str:
    """`text` in RE2's own syntax: tags written out, classes as wide as they are meant."""
    written, position = [], 0
    while found := _TOKEN.search(text, position):
        written.append(text[position : found.start()])
        position = found.end()
        if found["tag"]:
            written.append(TAGS[found["tag"]])
        elif found["end"]:
            written.append("(?m:$)")
        elif found["escape"]:
            written.append(_OUTSIDE.get(found["escape"], found["escape"]))
        else:
            inside, position = _set(text, position)
            written.append(found["set"].replace("]", r"\]") + inside)
    return "".join(written) + text[position:]


def _set(text: str, position: int) -> tuple[str, int]:
    """The rest of a `[…]` from `position`, and where it ends."""
    written = []
    while found := _IN_SET.search(text, position):
        written.append(text[position : found.start()].replace("[", r"\["))
        position = found.end()
        if found["close"]:
            return "".join(written) + "]", position
        if found["escape"] == r"\W":
            raise CatalogueError(rf"\W can't stand within [ ] in {text!r}")
        written.append(_INSIDE.get(found[0], found[0]))
    raise CatalogueError(f"a [ is not closed in {text!r}")
