"""Texts that others wrote, made harmless for mails and chats, and texts cut to where they have to fit. Pure.

An attacker chooses account names, URIs and more of what a warning tells. `harmless` shows what could steer, hide or
turn text as an escape, and breaks, visibly, whatever a mail client or a chat would make a link or a call of its own
accord, as analysts are used to: `http[:]//evil[.]example`, `100[@]pbx[.]example`, `[\\]server`, `[+]44…`. Numbers
between dots stay whole, so that an address is still read as one; the name as it was written is on the page.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from ringfence.render import safe

WIDTH: Final = 72
"""Columns of a plain mail."""
SMS: Final = 160
"""Septets of one short message, 3GPP TS 23.038."""

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_DOUBLE: Final = frozenset("^{}\\[~]|€")
"""Characters of the extension table, which take two septets."""
_PLAIN: Final = {
    "\u00d7": "x", "…": "...", "\u2013": "-", "—": "-", "→": "->", "≥": ">=", "≤": "<=", "\u2019": "'",
    "\u2018": "'", "“": '"',
    "”": '"', "„": '"', "·": "-", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "OE", "`": "'", "\t": " ",
}  # fmt: skip
_NUMERIC: Final = re.compile(r"(?<![\w.:-])[0-9A-Fa-f:.]{3,45}(?![\w.:-])")
_DOT: Final = re.compile(r"(?<=\S)[.\u3002\uff0e\uff61\u2024](?=\S)")
_SCHEME: Final = re.compile(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9+.-]{0,60}):(?=\S)")
_AT: Final = re.compile(r"[@\uff20\ufe6b]")
_CALL: Final = re.compile(r"\+(?=[0-9(])")
_MOST_MARKS: Final = 2
"""Accents that one letter may carry; more of them would paint over the lines around."""


def harmless(text: object, width: int = 120) -> str:
    """What somebody else wrote, with nothing hidden and nothing to click, cut to `width` characters."""
    whole = _few_marks(safe(str(text)[: width * 4]))
    return shortened(_unlinked(whole), width)


def ours(text: object, width: int = 200) -> str:
    """What an administrator or the guard wrote (a path, a rule's name): nothing hidden, cut to `width` characters."""
    return shortened(_few_marks(safe(str(text)[: width * 4])), width)


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, ending in "…" where some are left out."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _few_marks(text: str) -> str:
    if text.isascii():
        return text
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) or unicodedata.category(character) == "Me" else 0
        shown.append(character if marks <= _MOST_MARKS else f"\\u{ord(character):04x}")
    return "".join(shown)


def _unlinked(text: str) -> str:
    """`text`, which `safe` made, without anything that would become a link; addresses of machines stay as they are."""
    parts, end = [], 0
    for found in _NUMERIC.finditer(text):
        if found[0].count(":") >= 2 and _is_address(found[0]):
            parts += [_broken(text[end : found.start()]), found[0]]
            end = found.end()
    return "".join([*parts, _broken(text[end:])])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _broken(text: str) -> str:
    text = text.replace("\\\\", "[\\]").replace("://", "[:]//")
    text = _CALL.sub("[+]", _AT.sub("[@]", _SCHEME.sub(r"\1[:]", text)))
    return _DOT.sub(lambda dot: dot[0] if _between_digits(text, dot.start()) else "[.]", text)


def _between_digits(text: str, place: int) -> bool:
    digits = "0123456789"
    return text[place] == "." and text[place - 1] in digits and text[place + 1] in digits


def columns(text: str) -> int:
    """How many columns `text` takes in a font of equal widths (UAX #11): wide characters two, accents none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, most: int) -> str:
    """`text` in at most `most` columns, ending in "…" where some are left out."""
    while columns(text) > most:
        text = shortened(text, len(text) - 1)
    return text


def wrapped(text: str, *, first: str = "", rest: str = "", width: int = WIDTH) -> list[str]:
    """`text` in lines of at most `width` columns, the first beginning with `first`, the others with `rest`.

    Words stay whole where they fit into a line at all.
    """
    lines, line, empty = [], first, True
    for word in text.split():
        for piece in _pieces(word, width - max(columns(first), columns(rest))):
            if not empty and columns(line) + 1 + columns(piece) > width:
                lines.append(line)
                line, empty = rest, True
            line += piece if empty else f" {piece}"
            empty = False
    return [*lines, line.rstrip()]


def _pieces(word: str, width: int) -> Iterator[str]:
    piece, taken = "", 0
    for character in word:
        more = _columns_of(character)
        if piece and taken + more > width:
            yield piece
            piece, taken = "", 0
        piece, taken = piece + character, taken + more
    yield piece


def short_line(text: str, most: int = SMS) -> str:
    """`text` in the alphabet of short messages, and in at most `most` septets; what it lacks becomes "?"."""
    line = "".join(map(_in_gsm, " ".join(text.split())))
    if _septets(line) <= most:
        return line
    kept, taken = [], len("...")
    for character in line:
        taken += 2 if character in _GSM_DOUBLE else 1
        if taken > most:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "..."


def _in_gsm(character: str) -> str:
    if character in _GSM or character in _GSM_DOUBLE:
        return character
    if character in _PLAIN:
        return _PLAIN[character]
    bare = "".join(one for one in unicodedata.normalize("NFKD", character) if not unicodedata.combining(one))
    return bare if bare and all(one in _GSM for one in bare) else "?"


def _septets(text: str) -> int:
    return sum(2 if character in _GSM_DOUBLE else 1 for character in text)
