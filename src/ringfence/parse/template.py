r"""Message templates -> anchored regular expressions.

A template is the message as the server's source writes it, with fields in braces:

    Failed {word} for [invalid user ]{account} from {address} port {port}[ ssh2]

`{name}` is a field, `{name:type}` a field of another type than its name has by itself, `[…]` may be missing,
`(a|b)` is one of several, a backslash takes the next character literally. Types: `text` (anything, as much as
possible: what follows decides where it ends), `word` (no white space), `number`, `hex`, `quoted` (the inside of a
"…" string, backslash escapes undone), `percent` (no white space, percent-encoding undone), `jsontext` (the inside of
a JSON string, its escapes undone), `address`, `host` (an address or a host name), `port`, or one that the kind
declares under `[types]`.
A field called `_` is skipped.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ringfence.errors import CatalogueError
from ringfence.parse import timestamps
from ringfence.parse.addresses import ADDRESS, HOST_NAME

TYPES: Final = {
    "text": r"[^\n]*",
    "word": r"\S+",
    "number": r"\d+",
    "hex": r"[0-9A-Fa-f]+",
    "percent": r"\S*",
    "quoted": r'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+',  # never gives back: a closing quote ends it
    "jsontext": r'(?:[^"\\\n]|\\[^\n])*',
    "address": ADDRESS,
    "host": rf"(?:{ADDRESS}|{HOST_NAME})",
    "port": r"\d{1,5}",
    "stamp": timestamps.ANY,
}
FIELD_TYPES: Final = {
    "address": "address",
    "port": "port",
    "stamp": "stamp",
    "tries": "number",
    "word": "word",
    "number": "number",
    "transport": "word",
    "outcome": "word",
    "service": "word",
    "cause": "word",
    "proven": "word",
}
"""The type that a field has by its name; any other field is `text`."""

_TOKEN = re.compile(r"\\(?P<literal>.)|\{(?P<field>[a-z_]+)(?::(?P<type>[a-z_]+))?\}|(?P<mark>[\[\]()|])", re.DOTALL)
SHORTEST_FRAGMENT = 5
_WITHOUT_BLANKS = frozenset({"word", "number", "hex", "percent", "address", "host", "port"})


class Template(Struct, frozen=True):
    """A compiled template: `expression` (no anchors) with one named group for each field, and the literal `fragment`
    that every matching line holds. `fields` are the group names with their types. `ambiguous` is the literal before
    the address when free text stands on both sides of it: a line that holds it twice can't be believed.
    `open_end`: it ends in free text."""

    expression: str
    fragment: str
    fields: dict[str, str]
    ambiguous: str
    open_end: bool


class _Part(Struct):
    expression: str
    literal: str = ""
    field: str = ""
    type: str = ""
    free: bool = False
    depth: int = 0


def compile_template(text: str, types: dict[str, str], *, hinted: bool = False) -> Template:
    """Raises CatalogueError when the template is malformed or, unless `hinted`, too vague to be looked for."""
    parts = _parts(text, TYPES | types)
    fields = [part.field for part in parts if part.field]
    doubled = {field for field in fields if fields.count(field) > 1}
    if doubled:
        raise CatalogueError(f"the field {{{doubled.pop()}}} stands twice")
    fragment = _fragment(parts)
    if len(fragment) < SHORTEST_FRAGMENT and not hinted:
        raise CatalogueError(
            f"no run of {SHORTEST_FRAGMENT} or more fixed characters outside of [ ] and ( ) to look for the line by"
        )
    typed = {part.field: part.type for part in parts if part.field}
    return Template("".join(_hurried(parts)), fragment, typed, _ambiguous(parts), parts[-1].free)


def pieces(text: str, types: dict[str, str]) -> list[tuple[str, str]]:
    """The template cut where a line may have come so far and no farther: (what the author wrote, its expression).

    Fixed text is cut after each word, a bracket stays whole. For telling how near a line came.
    """
    found: list[tuple[str, str]] = []
    written = expression = ""
    depth = 0
    position = 0
    for token in _TOKEN.finditer(text):
        before, position = text[position : token.start()], token.end()
        if not depth:
            found += [(word, re.escape(word)) for word in re.findall(r"\s*\S+|\s+", before)]
            before = ""
        written, expression = written + before + token[0], expression + re.escape(before) + _token(token, types)
        depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(token["mark"] or "", 0)
        if not depth:
            found.append((written, expression))
            written = expression = ""
    return found + [(word, re.escape(word)) for word in re.findall(r"\s*\S+|\s+", text[position:])]


def _token(token: re.Match[str], types: dict[str, str]) -> str:
    if token["literal"]:
        return re.escape(token["literal"])
    if token["field"]:
        return _field(token["field"], token["type"], TYPES | types, 0).expression
    return {"[": "(?:", "(": "(?:", "]": ")?"}.get(token["mark"], token["mark"])


def _parts(text: str, types: dict[str, str]) -> list[_Part]:
    parts: list[_Part] = []
    closers: list[str] = []
    position = 0

    def literal(run: str) -> None:
        if not run:
            return
        last = parts[-1] if parts else None
        if last is not None and last.literal and last.depth == len(closers):
            last.literal += run
            last.expression += re.escape(run)
        else:
            parts.append(_Part(re.escape(run), literal=run, depth=len(closers)))

    for token in _TOKEN.finditer(text):
        literal(text[position : token.start()])
        position = token.end()
        if token["literal"]:
            literal(token["literal"])
        elif token["field"]:
            parts.append(_field(token["field"], token["type"], types, len(closers)))
        else:
            parts.append(_Part(_bracket(token["mark"], closers), depth=len(closers)))
    literal(text[position:])
    if closers:
        raise CatalogueError(f"a bracket is not closed: {closers[-1]!r} is missing")
    return parts


def _bracket(mark: str, closers: list[str]) -> str:
    if mark in "[(":
        closers.append("]" if mark == "[" else ")")
        return "(?:"
    if mark == "|":
        if not closers or closers[-1] != ")":
            raise CatalogueError("| stands outside of ( ); write \\| for the character itself")
        return "|"
    if not closers or closers.pop() != mark:
        raise CatalogueError(f"{mark!r} closes nothing; write \\{mark} for the character itself")
    return ")?" if mark == "]" else ")"


def _field(name: str, type_name: str | None, types: dict[str, str], depth: int) -> _Part:
    kind = type_name or FIELD_TYPES.get(name, "text")
    if kind not in types:
        raise CatalogueError(f"the type {kind!r} of {{{name}}} is unknown; known are: {', '.join(sorted(types))}")
    expression = types[kind]
    if name in ("_", "word", "number"):
        return _Part(f"(?:{expression})", type=kind, free=kind == "text", depth=depth)
    return _Part(f"(?P<{name}>{expression})", field=name, type=kind, free=kind == "text", depth=depth)


def _fragment(parts: list[_Part]) -> str:
    return max((part.literal for part in parts if part.depth == 0), key=len, default="")


def _hurried(parts: list[_Part]) -> list[str]:
    """A free field first tries one word: most are. Only the last free field may, and only where nothing after it
    can hold a blank: then the reading is the same, since all after it must reach the end of the line. One that ends
    the message leaves what the envelope has there (a carriage return, the end of a colour) to the envelope."""
    expressions = [part.expression for part in parts]
    free = [index for index, part in enumerate(parts) if part.free]
    if not free:
        return expressions
    last, rest = parts[free[-1]], parts[free[-1] + 1 :]
    if not rest:
        expressions[-1] = last.expression.replace(TYPES["text"], TYPES["text"] + "?")
    elif last.field and all(part.type in ("", *_WITHOUT_BLANKS) for part in rest):
        expressions[free[-1]] = rf"(?P<{last.field}>\S+|{TYPES['text']})"
    return expressions


def _ambiguous(parts: list[_Part]) -> str:
    where = next((index for index, part in enumerate(parts) if part.field == "address"), None)
    if where is None:
        return ""
    before, after = parts[:where], parts[where + 1 :]
    if not (any(part.free for part in before) and any(part.free for part in after)):
        return ""
    return next((part.literal for part in reversed(before) if part.literal), "")
