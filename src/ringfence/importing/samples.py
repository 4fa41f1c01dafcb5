"""Text that a regular expression takes: the examples of a pattern that was taken over.

Made from the tree of the expression, shortest and plainest first. Whether it really is taken is for the caller to try.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]
from collections.abc import Iterator, Sequence
from typing import Any

from ringfence.importing.expressions import PLACES, Expression, Tree

ADDRESS = "203.0.113.7"
_FOR_TAGS = {"<CIDR>": "32", "<IP6>": "2001:db8::7", "<STAMP>": "2026-11-21 20:34:50"}
_PLAIN = "an1x0-. :/_\"'[](),=;<>@#~A\t"


class _Choice:
    """How often to repeat what may be left out, and which of several alternatives to take."""

    def __init__(self, repeats: int, branch: int, content: str) -> None:
        self.repeats = repeats
        self.branch = branch
        self.content = content


def samples(expression: Expression, content: str = "", repeats: tuple[int, ...] = (0, 1, 2)) -> Iterator[str]:
    """Texts that `expression` may take; `content` in place of its group of that name. What may be repeated, or left
    out, is there as often as each of `repeats` says."""
    seen = set()
    for count in repeats:
        for branch in range(4):
            text = _tree(expression.tree, expression.names, _Choice(count, branch, content))
            if text not in seen:
                seen.add(text)
                yield text


def _tree(tree: Tree, names: dict[int, str], choice: _Choice) -> str:
    return "".join(_item(kind, value, names, choice) for kind, value in tree)


def _item(kind: Any, value: Any, names: dict[int, str], choice: _Choice) -> str:
    if kind is op.LITERAL:
        place = PLACES.get(chr(value))
        if place is None:
            return chr(value)
        return _FOR_TAGS.get(place, ADDRESS)
    if kind is op.NOT_LITERAL:
        return next(character for character in _PLAIN if ord(character) != value)
    if kind is op.ANY:
        return "x"
    if kind is op.IN:
        return _member(value)
    if kind is op.BRANCH:
        branches = value[1]
        return _tree(branches[min(choice.branch, len(branches) - 1)], names, choice)
    if kind is op.SUBPATTERN:
        name = names.get(value[0] or 0, "")
        if name == "content":
            return choice.content
        return ADDRESS if name == "address" else _tree(value[3], names, choice)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = value
        times: int = max(least, min(choice.repeats, most if most is not op.MAXREPEAT else 9))
        return _tree(inner, names, choice) * times
    return ""


def _member(items: Sequence[tuple[Any, Any]]) -> str:
    negated = items[0][0] is op.NEGATE
    everything = _PLAIN + "".join(map(chr, range(32, 127)))
    return next((each for each in everything if any(_is_in(each, item) for item in items) != negated), "?")


def _is_in(character: str, item: tuple[Any, Any]) -> bool:
    kind, value = item
    if kind is op.LITERAL:
        return bool(ord(character) == value)
    if kind is op.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    if kind is not op.CATEGORY:
        return False
    classes = {
        op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s",
        op.CATEGORY_NOT_SPACE: r"\S", op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
    }  # fmt: skip
    return re.match(classes[value], character) is not None
