"""Values of a policy as people type them into a form ("10", "10m", "block, mail", "!probe", "yes"), and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ringfence.model import Rule
from ringfence.policy import LIMIT_FORMS, RULE_FORMS, SERVICE_FORMS, WHITELIST
from ringfence.values import NAME, Form, name, quote

FORMS: Final[Mapping[str, Form[Any]]] = {
    **LIMIT_FORMS, **SERVICE_FORMS, **RULE_FORMS, "whitelist": WHITELIST, "name": name("a name"),
}  # fmt: skip
"""What `check_value` can check: the keys of rules and limits, the whitelist, and "name" for the name of a new rule."""

_LISTS = frozenset({"actions", "causes", "whitelist"})
_NUMBERS = frozenset({"failures", "bans", *LIMIT_FORMS})
_SWITCHES = frozenset({"proven", "enabled"})
_YES = frozenset({"yes", "true", "on", "1"})
_NO = frozenset({"no", "false", "off", "0"})
_CHOICES = frozenset({"count", "per", "scope", "name"})


def typed(key: str, text: str) -> Any:
    """The checked value that `text` means for `key`. Raises ValueError with what is permitted.

    A list is separated by commas (the whitelist also by line breaks); an empty one lets every cause count.
    """
    text = text.strip()
    raw: object = text
    if key in _NUMBERS:
        raw = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text
    elif key in _SWITCHES:
        raw = True if text.lower() in _YES else False if text.lower() in _NO else text
        if isinstance(raw, str):
            raise ValueError("must be yes or no")
    elif key in _LISTS:
        raw = [item.strip() for item in re.split(r"[,\n]", text) if item.strip()]
        if key == "actions":
            raw = [str(item).lower() for item in raw] or text
    elif key in _CHOICES:
        raw = text.lower()
    return FORMS[key].parse(raw)


def words(key: str, value: Any) -> str:
    """A checked value as a form shows it: what `typed` reads back as the same."""
    if value is None:
        return ""
    if key in _SWITCHES:
        return "yes" if value else "no"
    if key in _LISTS:
        return ", ".join(value) or ("none" if key == "actions" else "")
    shown = str(FORMS[key].show(value))
    return shown[1:-1] if shown.startswith('"') else shown


def check_value(key: str, text: str) -> str:
    """What is wrong with `text` for `key`, with what is permitted; "" when nothing is. For checks while one types."""
    if key not in FORMS:
        return f"there is no setting {quote(key)}"
    try:
        typed(key, text)
    except ValueError as error:
        return str(error)
    return ""


def is_name(text: str) -> bool:
    """Whether `text` may be the name of a rule or service."""
    return NAME.fullmatch(text) is not None


def brief(rule: Rule) -> str:
    """A rule in the fewest words, for a cell of a table: "14 in 1h → 2h", "6 accounts in 10m → 1d, all"."""
    if rule.bans is not None:
        counted = f"{rule.bans} bans"
    else:
        counted = f"{rule.failures}" + (" accounts" if rule.count == "accounts" else "")
    per = "" if rule.per == "address" else f" per {rule.per}"
    then = words("ban", rule.ban) if "block" in rule.actions else "mail" if rule.actions else "record"
    notes = [note for note, holds in (("all", rule.scope == "all"), ("proven", rule.proven)) if holds]
    return ", ".join([f"{counted}{per} in {words('within', rule.within)} → {then}", *notes])
