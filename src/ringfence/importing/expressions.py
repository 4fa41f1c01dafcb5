r"""A regular expression of Python's, with fail2ban's tags, as one that RE2 runs; or the reason why there is none.

Python's own parser reads it, so it means here what it means there; what comes out is written from that tree. Look-
around, back references, conditions and possessive repeats have no equal in linear time and are refused, but for a
look-ahead that ends the expression: what it asks for is then taken, or ruled out letter by letter, which is the same.
Sources: jail.conf(5), re (Python), https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from ringfence.errors import RingfenceError

Tree = Sequence[tuple[Any, Any]]

PLACES: Final = {
    "\ue000": "<HOST>", "\ue001": "<ADDR>", "\ue002": "<IP4>", "\ue003": "<IP6>", "\ue004": "<DNS>",
    "\ue005": "<CIDR>", "\ue006": "<SUBNET>", "\ue007": "<STAMP>",
}  # fmt: skip
"""What stands for a tag while Python's parser reads the expression: characters that no log holds."""
_PLACE_OF: Final = {tag[1:-1]: place for place, tag in PLACES.items()}
_GIVES: Final = {"\ue000": ("ip4", "ip6", "dns"), "\ue001": ("ip4", "ip6"), "\ue002": ("ip4",), "\ue003": ("ip6",),
                 "\ue004": ("dns",), "\ue006": ("ip4", "ip6")}  # fmt: skip
_TAG: Final = re.compile(r"<(/?)([\w-]+)(/?)>")
_GLOBAL_FLAGS: Final = re.compile(r"(?<!\\)\((?:\?:)?(\(\?[a-z]+)\)")
_LATE_FLAGS: Final = re.compile(r"(?<!\\)\(\?([aiLmsux]+)\)")
_NAMES: Final = {"user": "account", "fid": "address", "fport": "port",
                 "mlfid": "origin", "content": "content", "nofail": "nofail", "mlfgained": "nofail_gained"}  # fmt: skip
_UNDER: Final = {"ID": "fid", "PORT": "fport"}
"""Tags whose group has another name than the tag."""
_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S", op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip
_PLACES_AT: Final = {
    op.AT_BEGINNING: "^", op.AT_BEGINNING_STRING: r"\A", op.AT_END: "$", op.AT_END_STRING: r"\z",
    op.AT_BOUNDARY: r"\b", op.AT_NON_BOUNDARY: r"\B",
}  # fmt: skip
_MOST_REPEATS: Final = 1000  # RE2's limit


class CannotTake(RingfenceError):
    """This expression can't be carried over; the message is the reason."""


class Expression(Struct, frozen=True):
    """`text` for RE2, `tree` as Python parsed it, `names` of its groups by number, whether it `has_address`."""

    text: str
    tree: Any
    names: dict[int, str]
    has_address: bool


def translate(written: str, *, usedns: bool = True, session: bool = False) -> Expression:
    """`written` as a filter has it. Raises CannotTake.

    usedns: <HOST> may be a name. session: the filter knows connections (<F-MLFID>), so that <F-NOFAIL> means something.
    """
    source = _GLOBAL_FLAGS.sub(r"\1:", _with_places(written, usedns))
    if late := _LATE_FLAGS.search(source, 1):  # older Pythons let them hold for the whole expression
        source = f"(?{late[1]})" + source[: late.start()] + source[late.end() :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(source)
    except (re.error, RecursionError, OverflowError) as error:
        raise CannotTake(f"it is no valid regular expression: {error}") from error
    groups = {number: name for name, number in tree.state.groupdict.items()}
    names = _named(groups, session)
    places = [given for character in source for given in _GIVES.get(character, ())]
    if len(set(places)) < len(places):
        raise CannotTake("it names more than one address")
    if places and "address" in names.values():
        raise CannotTake("it bans by an id (<F-ID>) beside the address; only addresses are banned here")
    text = _Writer(names).write(tree, last=True)
    for flag, letter in ((re.IGNORECASE, "i"), (re.DOTALL, "s")):
        if tree.state.flags & flag:
            text = f"(?{letter})" + text
    return Expression(text, tree, names, bool(places) or "address" in names.values())


def _with_places(written: str, usedns: bool) -> str:
    """Tags for addresses as single characters, others as named groups."""
    opened: set[str] = set()

    def replaced(found: re.Match[str]) -> str:
        closing, name, single = found.groups()
        if name == "SKIPLINES":
            raise CannotTake("it reads several lines as one (<SKIPLINES>); lines are read one by one here")
        if name == "HOST" and not closing and not usedns:
            name = "ADDR"
        if name in _PLACE_OF and not closing:
            return _PLACE_OF[name]
        if not name.startswith("F-"):
            return found[0]
        name = name[2:]
        if single:
            if name in _PLACE_OF:
                return _PLACE_OF[name]
            return {"ID": r"(?P<fid>\S+)", "PORT": r"(?P<fport>\w+)"}.get(name, found[0])
        if closing:
            return ")" if name in opened else found[0]
        opened.add(name)
        return f"(?P<{_UNDER.get(name, name.lower())}>"

    return _TAG.sub(replaced, written)


def _named(groups: dict[int, str], session: bool) -> dict[int, str]:
    """The groups that are of use here, under our names."""
    named: dict[int, str] = {}
    for number, name in sorted(groups.items()):
        base = re.sub(r"^(?:alt_|tuple_)", "", name)
        ours = _NAMES.get(base) or _NAMES.get(re.sub(r"_?\d+$", "", base))
        if ours is None or (ours.startswith("nofail") and not session):
            continue
        if ours in named.values():
            ours = f"{ours}_{number}"
        named[number] = ours
    return named


def _literal(code: int) -> str:
    character = chr(code)
    if character in PLACES:
        return PLACES[character]
    if character == "\n":
        return r"\n"
    if character == "\t":
        return r"\t"
    if not character.isprintable():
        return rf"\x{{{code:x}}}"
    return "\\" + character if character in r"\.^$*+?{}[]|()" else character


def _in_set(code: int) -> str:
    character = chr(code)
    if character in PLACES:
        raise CannotTake("a tag for an address stands within [ ]")
    return "\\" + character if character in r"\]-^[" else _literal(code) if not character.isprintable() else character


class _Writer:
    """Writes a tree as text for RE2."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names

    def write(self, tree: Tree, *, last: bool = False) -> str:
        """`last`: nothing comes after it, so that a look-ahead at its end can be taken."""
        items = list(tree)
        return "".join(self._item(*item, last and place == len(items) - 1) for place, item in enumerate(items))

    def _item(self, kind: Any, value: Any, last: bool) -> str:
        if kind is op.LITERAL:
            return _literal(value)
        if kind is op.NOT_LITERAL:
            return f"[^{_in_set(value)}]"
        if kind is op.ANY:
            return "."
        if kind is op.AT:
            return _PLACES_AT[value]
        if kind is op.IN:
            return self._set(value)
        if kind is op.BRANCH:
            return f"(?:{'|'.join(self.write(branch, last=last) for branch in value[1])})"
        if kind is op.SUBPATTERN:
            number, added, removed, inner = value
            return self._group(number, added, removed, inner, last)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, inner = value
            return self._repeat(least, most, inner, "" if kind is op.MAX_REPEAT else "?")
        if kind in (op.ASSERT, op.ASSERT_NOT) and last and value[0] == 1:
            return f"(?:{self.write(value[1], last=True)})" if kind is op.ASSERT else _unlike(value[1])
        raise CannotTake(f"it has {_REASONS.get(kind, str(kind).lower())}, which can't be run in linear time")

    def _group(self, number: int | None, added: int, removed: int, tree: Tree, last: bool) -> str:
        inner = self.write(tree, last=last)
        flags = "".join(letter for flag, letter in ((re.I, "i"), (re.S, "s")) if added & flag)
        without = "".join(letter for flag, letter in ((re.I, "i"), (re.S, "s")) if removed & flag)
        if flags or without:
            return f"(?{flags}{'-' + without if without else ''}:{inner})"
        name = self._names.get(number or 0)
        return f"(?P<{name}>{inner})" if name else f"(?:{inner})"

    def _repeat(self, least: int, most: Any, tree: Tree, lazy: str) -> str:
        inner = self.write(tree)
        if len(tree) != 1 or tree[0][0] not in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN, op.SUBPATTERN):
            inner = f"(?:{inner})"
        endless = most is op.MAXREPEAT
        if least > _MOST_REPEATS or (not endless and most > _MOST_REPEATS):
            raise CannotTake(f"it repeats something more than {_MOST_REPEATS} times")
        usual = {(0, True): "*", (1, True): "+", (0, False): "?" if most == 1 else ""}.get((least, endless))
        mark = usual or (f"{{{least},}}" if endless else f"{{{least}}}" if least == most else f"{{{least},{most}}}")
        return inner + mark + lazy

    def _set(self, items: Sequence[tuple[Any, Any]]) -> str:
        if len(items) == 1 and items[0][0] is op.CATEGORY:
            return _CATEGORIES[items[0][1]]
        written = []
        for kind, value in items:
            if kind is op.NEGATE:
                written.append("^")
            elif kind is op.LITERAL:
                written.append(_in_set(value))
            elif kind is op.RANGE:
                written.append(f"{_in_set(value[0])}-{_in_set(value[1])}")
            elif kind is op.CATEGORY and value is not op.CATEGORY_NOT_WORD:
                written.append(_CATEGORIES[value])
            else:
                raise CannotTake(r"it has \W within [ ]")
        return f"[{''.join(written)}]"


_REASONS: Final = {
    op.ASSERT: "look-around, (?=…) or (?<=…)",
    op.ASSERT_NOT: "look-around, (?!…) or (?<!…)",
    op.GROUPREF: "a back reference, (?P=…)",
    op.GROUPREF_EXISTS: "a condition, (?(…)…|…)",
    getattr(op, "ATOMIC_GROUP", None): "an atomic group, (?>…)",
    getattr(op, "POSSESSIVE_REPEAT", None): "a possessive repeat",
}


def _unlike(tree: Tree) -> str:
    """What follows is none of the texts of `tree`: taken up to the character in which it differs, or the end."""
    texts = sorted(_texts(tree))
    if not texts or "" in texts:
        raise CannotTake("it has a look-ahead (?!…) for something that is no fixed text")
    firsts = sorted({text[0] for text in texts})
    branches = [rf"\z|[^{''.join(_in_set(ord(first)) for first in firsts)}]|\n"]
    for first in firsts:
        rests = [text[1:] for text in texts if text[0] == first]
        if "" not in rests:
            branches.append(_literal(ord(first)) + _unlike_any(rests))
    return f"(?:{'|'.join(branches)})"


def _unlike_any(texts: list[str]) -> str:
    return _unlike([(op.BRANCH, (None, [[(op.LITERAL, ord(each)) for each in text] for text in texts]))])


def _texts(tree: Tree) -> set[str]:
    """The fixed texts that `tree` stands for. Raises CannotTake if it stands for anything else."""
    found = {""}
    for kind, value in tree:
        if kind is op.LITERAL and chr(value) not in PLACES:
            more = {chr(value)}
        elif kind is op.BRANCH:
            more = set().union(*map(_texts, value[1]))
        elif kind is op.IN and all(each is op.LITERAL for each, _ in value):
            more = {chr(code) for _, code in value}
        elif kind is op.SUBPATTERN and not value[1] and not value[2]:
            more = _texts(value[3])
        else:
            raise CannotTake("it has a look-ahead (?!…) for something that is no fixed text")
        found = {before + after for before in found for after in more}
        if len(found) > 64:
            raise CannotTake("it has a look-ahead (?!…) for too many texts")
    return found


def fragments(expression: Expression) -> tuple[str, ...]:
    """Pieces of text of which every line that it takes holds one; the longest there are, empty if there are none.

    Brackets that stand side by side may have the time between them, so no piece goes across.
    """
    if expression.tree.state.flags & re.IGNORECASE:
        return tuple(_best(_required(_caseless(expression.tree))))
    return tuple(_best(_required(expression.tree)))


def _caseless(tree: Tree) -> list[tuple[Any, Any]]:
    """`tree` without its letters, which may come in either case."""
    return [item if item[0] is not op.LITERAL or not chr(item[1]).isalpha() else (op.ANY, None) for item in tree]


def _best(candidates: list[list[str]]) -> list[str]:
    return max(candidates, key=lambda each: (min(len(text) for text in each), -len(each)), default=[])


def _required(tree: Tree) -> list[list[str]]:
    """Each a list of texts of which one must be there."""
    found: list[list[str]] = []
    run = ""
    for kind, value in _flat(tree):
        if kind is op.LITERAL and chr(value) not in PLACES and chr(value) not in "\r\n":
            character = chr(value)
            if run.endswith(("[", "(")) and character in "]):":
                found.append([run])
                run = ""
            run += character
            continue
        if kind is op.AT:
            continue
        found += [[run]] if run else []
        run = ""
        if kind is op.BRANCH:
            each = [_best(_required(branch)) for branch in value[1]]
            if all(each):
                found.append([text for texts in each for text in texts])
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT) and value[0] > 0:
            found += _required(value[2])
        elif kind is op.SUBPATTERN and value[1] & re.IGNORECASE:
            found += _required(_caseless(value[3]))
    return found + ([[run]] if run else [])


def _flat(tree: Tree) -> Iterator[tuple[Any, Any]]:
    for kind, value in tree:
        if kind is op.SUBPATTERN and not value[1] & re.IGNORECASE:
            yield from _flat(value[3])
        else:
            yield kind, value
