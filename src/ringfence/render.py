"""Values as text for people: nothing an attacker wrote reaches a terminal or a log line except through `safe`.

Pure text, no tables: those are in `cli/tables.py`, so that the guard itself need not carry the table library.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from ringfence.durations import format_duration
from ringfence.model import FOREVER, Rule, causes_in_brief

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are escaped: controls, format and bidi, surrogates, private, unassigned, line breaks."""

UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def safe(text: str, width: int = 0) -> str:
    """`text` with every character escaped that could steer a terminal, hide text or turn its direction.

    A backslash is doubled so that escapes can't be imitated. `width` > 0 cuts to so many characters, ending in "…".
    """
    if width and len(text) > width * 4:
        text = text[: width * 4]
    if not (text.isascii() and text.isprintable() and "\\" not in text):
        text = "".join(map(_shown, text))
    return text if not width or len(text) <= width else text[: width - 1] + "…"


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) not in HIDDEN:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration(seconds: float) -> str:
    """`seconds` in at most two units: "2h", "43m", "1d 4h", "forever"."""
    if seconds == math.inf:
        return "forever"
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    if left < 1:
        return "0s" if left < 0.001 else f"{sign}{left * 1000:.0f}ms"
    whole = round(left)
    parts: list[str] = []
    for unit, size in UNITS:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return sign + " ".join(parts)


def ban_length(seconds: float) -> str:
    """How long somebody is banned, as the end of a sentence: "for 2h", "for good"."""
    return "for good" if seconds == FOREVER else f"for {duration(seconds)}"


def rule_numbers(rule: Rule) -> str:
    """The numbers of a rule as short as can be: "10/10m→10m", "6 accounts/10m→1d", "3 bans/7d→forever"."""
    counted = f"{rule.failures}" if rule.bans is None else f"{rule.bans} bans"
    if rule.bans is None and rule.count == "accounts":
        counted += " accounts"
    per = "" if rule.per == "address" else f" per {rule.per}"
    return f"{counted}/{format_duration(rule.within)}{per}→{_then(rule, '')}{'' if rule.enabled else ' (off)'}"


def rule_in_brief(rule: Rule, *, what: bool = True) -> str:
    """A rule in some words: "10 attempts in 10m → ban 10m", without `what` "10 in 10m → 10m"."""
    counted = f"{rule.failures} {rule.count}" if rule.bans is None else f"{rule.bans} bans"
    counted = counted if what else counted.partition(" ")[0]
    proven = " with a proven address" if rule.proven else ""
    causes = causes_in_brief(rule.causes)
    per = "" if rule.per == "address" else f" per {rule.per}"
    off = "" if rule.enabled else " (switched off)"
    then = _then(rule, "ban " if what else "")
    return f"{counted}{causes}{proven} in {format_duration(rule.within)}{per} → {then}{off}"


def _then(rule: Rule, verb: str) -> str:
    """What a rule leads to: its ban and mail, or nothing but the record."""
    if "block" not in rule.actions:
        return "mail" if rule.actions else "record only"
    whole = " from all services" if rule.scope == "all" else ""
    return f"{verb}{format_duration(rule.ban)}{whole}" + (" and mail" if "mail" in rule.actions else "")


def moment(iso: str) -> str:
    """ISO text (UTC) from `answers.stamp` as local date and time with the zone; other words are passed on."""
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except ValueError:
        return iso


def local_time(seconds: float) -> str:
    """Seconds UTC as local date and time with the zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def remaining(iso: str, now: float) -> str:
    """How long until ISO time `iso`: "43m", "forever", or "over"."""
    try:
        left = datetime.fromisoformat(iso).timestamp() - now
    except ValueError:
        return iso
    return duration(left) if left > 0 else "over"


def ago(iso: str, now: float) -> str:
    """How long ago ISO time `iso` was: "3m ago"; empty stays empty."""
    try:
        return duration(max(0.0, now - datetime.fromisoformat(iso).timestamp())) + " ago"
    except ValueError:
        return iso


def size(count: float) -> str:
    """A number of bytes: "3.4 MB" (decimal)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def plural(count: int, word: str, many: str = "") -> str:
    """ "1 ban", "3 bans", "1,204 bans"; `many` where the plural does not simply take an s."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def few(names: Sequence[str], most: int = 4) -> str:
    """Some names as a list; of very many only their number, and the first ones."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
