"""A policy's TOML text, changed value by value: comments and layout stay, and what was not meant does not change.

Values are texts as people type them (`policy_typed`); None takes a value out, so that it is inherited again. Every
change is worked out on the values first; the text is then edited by its lines, and only a text that reads back as
exactly those values is returned. A file written in one of TOML's rarer forms (inline tables, dotted keys) is edited by
`tomlkit`, and where that fails too it is written anew. The result is a policy that loads; otherwise a SettingsError
names the field and what is permitted.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from ringfence.errors import SettingsError
from ringfence.model import EVERY
from ringfence.policy import LIMIT_FORMS, RULE_FORMS, SERVICE_FORMS, WHITELIST, load_policy
from ringfence.policy_grid import Cell, Grid, GridRow, Value, grid
from ringfence.policy_lines import Lines, Path
from ringfence.policy_text import dump_policy
from ringfence.policy_typed import FORMS, check_value, is_name, typed
from ringfence.values import read_toml, refuse, show_key, unknown

__all__ = [
    "Cell", "Grid", "GridRow", "Value", "add_rule", "check_value", "grid", "remove_override", "remove_rule",
    "set_limits", "set_many", "set_rule", "set_service", "set_whitelist",
]  # fmt: skip

ORIGIN = "policy"
"""How messages name the text."""

Values = Mapping[str, str | None]


class _Change(Struct, frozen=True):
    """`key` of the table `path` becomes `shown` (TOML), or goes (None); without a key the whole table goes."""

    path: Path
    key: str | None = None
    shown: str | None = None


def set_rule(text: str, rule: str, service: str, values: Values, *, services: Collection[str] = ()) -> str:
    """Set `values` of a rule for one service, or for all (`EVERY`); None: inherited again (or the default).

    A service's table that is left empty goes. Setting `failures` takes the place of `bans`, and the other way round.
    """
    return set_many(text, [(rule, service)], values, services=services)


def set_many(text: str, cells: Iterable[tuple[str, str]], values: Values, *, services: Collection[str] = ()) -> str:
    """The same `values` for several combinations of rule and service at once: all, or a SettingsError and none."""
    top = _read(text)
    changes: list[_Change] = []
    for rule, service in dict.fromkeys(cells):
        if rule not in top.get("rules", {}):
            unknown(f"{ORIGIN}: [rules]", rule, top.get("rules", {}), "rule")
        changes += _cell(top, rule, service, values)
    return _changed(text, top, changes, services)


def add_rule(text: str, rule: str, values: Values, service: str = EVERY, *, services: Collection[str] = ()) -> str:
    """A new rule after all others, for every service or for one only."""
    top = _read(text)
    if not is_name(rule):
        raise SettingsError(f"{ORIGIN}: [rules.{show_key(rule)}]: a rule's name {check_value('name', rule)}")
    if rule in top.get("rules", {}):
        raise SettingsError(f"{ORIGIN}: [rules.{rule}]: there is a rule of this name already")
    return _changed(text, top, _cell(top, rule, service, values), services)


def remove_rule(text: str, rule: str) -> str:
    """Without `rule`, for all services."""
    top = _read(text)
    if rule not in top.get("rules", {}):
        unknown(f"{ORIGIN}: [rules]", rule, top.get("rules", {}), "rule")
    return _changed(text, top, [_Change(("rules", rule))])


def remove_override(text: str, rule: str, service: str) -> str:
    """Without what `rule` has of its own for `service`: all is inherited again."""
    top = _read(text)
    if not isinstance(top.get("rules", {}).get(rule, {}).get(service), dict):
        raise SettingsError(f"{ORIGIN}: [rules.{show_key(rule)}.{show_key(service)}]: there is no such override")
    return _changed(text, top, [_Change(("rules", rule, service))])


def set_service(text: str, service: str, enabled: bool, *, services: Collection[str] = ()) -> str:
    """`service` switched on or off."""
    top = _read(text)
    if top.get("services", {}).get(service, {}).get("enabled", True) is enabled:
        return text
    shown = SERVICE_FORMS["enabled"].show(enabled)
    return _changed(text, top, [_Change(("services", service), "enabled", shown)], services)


def set_limits(text: str, values: Values) -> str:
    """Other limits; None: the default."""
    top = _read(text)
    return _changed(text, top, _assignments(top.get("limits", {}), ("limits",), values, LIMIT_FORMS))


def set_whitelist(text: str, entries: Iterable[str]) -> str:
    """The policy's whitelist. Entries that stay keep their place and spelling, new ones follow."""
    top = _read(text)
    wanted: dict[str, None] = {}
    for entry in entries:
        try:
            wanted.update(dict.fromkeys(typed("whitelist", entry)))
        except ValueError as error:
            refuse(f"{ORIGIN}:", "whitelist", entry, error, error)
    spelled: dict[str, str] = {}
    for raw in top.get("whitelist", []):
        spelled.setdefault(WHITELIST.parse([raw])[0], raw)
    kept = [spelled[entry] for entry in spelled if entry in wanted]
    shown = WHITELIST.show((*kept, *(entry for entry in wanted if entry not in spelled)))
    return _changed(text, top, [_Change((), "whitelist", shown)])


def _read(text: str) -> dict[str, Any]:
    """The tables of a policy that loads. Raises SettingsError."""
    load_policy(text, ORIGIN)
    return read_toml(text, ORIGIN)


def _cell(top: Mapping[str, Any], rule: str, service: str, values: Values) -> list[_Change]:
    """What sets `values` in the table of one rule for one service (or for all)."""
    path: Path = ("rules", rule) if service == EVERY else ("rules", rule, service)
    own = top.get("rules", {}).get(rule, {})
    if service != EVERY:
        own = own.get(service, {})
    own = {key: value for key, value in own.items() if not isinstance(value, dict)}
    values = dict(values)
    for key, other in (("failures", "bans"), ("bans", "failures")):
        if values.get(key) is not None and values.get(other) is None and other in own:
            values[other] = None
    changes = _assignments(own, path, values, RULE_FORMS)
    left = (own.keys() | {key for key, text in values.items() if text is not None}) - {
        key for key, text in values.items() if text is None
    }
    return [_Change(path)] if service != EVERY and own and not left else changes


def _assignments(own: Mapping[str, Any], path: Path, values: Values, known: Collection[str]) -> list[_Change]:
    where = f"{ORIGIN}: [{'.'.join(map(show_key, path))}]"
    changes = []
    for key, text in values.items():
        if key not in known:
            unknown(where, key, known)
        if text is None:
            changes += [_Change(path, key)] if key in own else []
            continue
        try:
            changes.append(_Change(path, key, FORMS[key].show(typed(key, text))))
        except ValueError as error:
            refuse(where, key, text, error, error)
    return changes


def _changed(text: str, top: dict[str, Any], changes: list[_Change], services: Collection[str] = ()) -> str:
    """`text` with all `changes`, in the gentlest way that reads back as exactly what was meant."""
    wanted = copy.deepcopy(top)
    for change in changes:
        _apply(wanted, change)
    if _same(wanted, top):
        load_policy(text, ORIGIN, services=services)
        return text
    edited = _by_lines(text, changes)
    if not _reads_as(edited, wanted):
        edited = _by_tomlkit(text, changes)
    if not _reads_as(edited, wanted):
        edited = dump_policy(load_policy(_plain(wanted), ORIGIN))
    load_policy(edited, ORIGIN, services=services)
    return edited


def _apply(top: dict[str, Any], change: _Change) -> None:
    """The change on the values as TOML reads them."""
    if change.key is None:
        parent = top
        for name in change.path[:-1]:
            parent = parent.get(name, {})
        parent.pop(change.path[-1], None)
        return
    table = top
    for name in change.path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{ORIGIN}: [{'.'.join(change.path)}]: {show_key(name)} is a value, not a table")
    if change.shown is None:
        table.pop(change.key, None)
    else:
        table[change.key] = tomllib.loads(f"x = {change.shown}")["x"]


def _by_lines(text: str, changes: list[_Change]) -> str:
    lines = Lines(text)
    for change in changes:
        if change.key is None:
            lines.drop(change.path)
        elif change.shown is None:
            lines.unset(change.path, change.key)
        else:
            lines.set(change.path, change.key, change.shown)
    return lines.text()


def _by_tomlkit(text: str, changes: list[_Change]) -> str:
    """The same for a text in a rarer form; "" where it can't be done."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import InlineTable

    try:
        document: Any = tomlkit.parse(text.removeprefix("\ufeff"))
        for change in changes:
            table = document
            for name in change.path if change.key is not None else change.path[:-1]:
                if name not in table:
                    table[name] = tomlkit.inline_table() if isinstance(table, InlineTable) else tomlkit.table()
                table = table[name]
            if change.key is None:
                table.pop(change.path[-1], None)
            elif change.shown is None:
                table.pop(change.key, None)
            else:
                table[change.key] = tomlkit.value(change.shown)
        return tomlkit.dumps(document)
    except (TOMLKitError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return ""


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(text) and _same(tomllib.loads(text.removeprefix("\ufeff")), wanted)
    except (ValueError, RecursionError):
        return False


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal values, and the rules in the same order; a table without anything in it is none."""
    return _bare(one) == _bare(other) and list(one.get("rules", {})) == list(other.get("rules", {}))


def _bare(top: dict[str, Any]) -> dict[str, Any]:
    return {name: table for name, table in top.items() if table != {} or not isinstance(table, dict)}


def _plain(top: dict[str, Any]) -> str:
    """Any values as TOML without layout, for the loader."""
    import tomlkit

    return tomlkit.dumps(top)
