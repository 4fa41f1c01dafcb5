"""The table of rules and services for people: what holds in each cell, and whether it is inherited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from ringfence.model import EVERY, Limits, Rule
from ringfence.policy import RULE_FORMS, load_policy
from ringfence.policy_typed import brief, words
from ringfence.values import read_toml


class Value(Struct, frozen=True, gc=False):
    """One value of a cell as a form shows it.

    `own` is what the cell's table says (None: nothing), `inherited` what would hold without it (None: nothing would),
    `effective` what holds ("" where nothing does, and for an empty list).
    """

    own: str | None
    inherited: str | None
    effective: str


class Cell(Struct, frozen=True):
    """What a rule says for a service (`EVERY`: for all that have nothing of their own).

    `brief` in a few words; `inherited` unless the text has a table for just this cell; `enabled`: the rule holds here
    (it is not switched off, nor is the service); `values` by key, in the order of the reference. A rule that does not
    exist here (it is for other services only) has an empty `brief` and is not enabled.
    """

    brief: str
    inherited: bool
    enabled: bool
    values: Mapping[str, Value]


class GridRow(Struct, frozen=True):
    """One rule: for every service (`every`), and cell by cell."""

    rule: str
    every: Cell
    cells: dict[str, Cell]


class Grid(Struct, frozen=True):
    """The policy as a table: `rows` in the order of the file, columns `services`; `disabled` are switched off."""

    rows: tuple[GridRow, ...]
    services: tuple[str, ...]
    disabled: frozenset[str]
    whitelist: tuple[str, ...]
    limits: Limits


_NOTHING = Cell(brief="", inherited=True, enabled=False, values={})
_DEFAULTS = {key: words(key, getattr(Rule(name="", within=1, ban=1), key)) for key in RULE_FORMS}
_NEEDED = frozenset({"failures", "bans", "within", "ban"})

_Words = Mapping[str, str | None]


def grid(text: str, services: Iterable[str]) -> Grid:
    """The table of a policy's `text` for `services`, and whatever other services it speaks of. Raises SettingsError.

    The last few are remembered: a policy with hundreds of tables takes TOML's reader longer than a page should wait.
    """
    return _grid(text, tuple(services))


@lru_cache(maxsize=4)
def _grid(text: str, services: tuple[str, ...]) -> Grid:
    policy = load_policy(text, "policy")
    own = _own(read_toml(text, "policy").get("rules", {}))
    spoken_of = (service for cells in own.values() for service in cells if service != EVERY)
    columns = tuple(dict.fromkeys((*services, *spoken_of, *sorted(policy.disabled))))
    base = {rule.name: rule for rule in policy.rules}
    special = {service: {rule.name: rule for rule in rules} for service, rules in policy.overrides.items()}
    rows = []
    for name, tables in own.items():
        general = base.get(name)
        inherited = {key: tables[EVERY].get(key, _DEFAULTS[key]) for key in RULE_FORMS}
        every = _cell(general, tables[EVERY], _DEFAULTS, on=True)
        inherits = {on: _inheriting(every, on) if general else _NOTHING for on in (True, False)}
        cells = {}
        for service in columns:
            on = service not in policy.disabled
            if service in tables:
                rule = special.get(service, base).get(name)
                cells[service] = _cell(rule, tables[service], inherited, on=on)
            else:
                cells[service] = inherits[on]
        rows.append(GridRow(rule=name, every=every, cells=cells))
    return Grid(
        rows=tuple(rows),
        services=columns,
        disabled=policy.disabled,
        whitelist=policy.whitelist,
        limits=policy.limits,
    )


def _own(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, str]]]:
    """What each table says itself, in words: rule → service or `EVERY` → key → words."""
    found = {}
    for name, table in rules.items():
        tables = {EVERY: {key: raw for key, raw in table.items() if not isinstance(raw, dict)}}
        tables.update((key, raw) for key, raw in table.items() if isinstance(raw, dict))
        found[name] = {
            service: {key: words(key, RULE_FORMS[key].parse(raw)) for key, raw in values.items()}
            for service, values in tables.items()
        }
    return found


def _cell(rule: Rule | None, own: _Words, inherited: _Words, *, on: bool) -> Cell:
    """A cell with a table of its own; without a `rule` it only holds what single services inherit."""
    values = {}
    for key in RULE_FORMS:
        mine, theirs = own.get(key), inherited[key]
        holds = words(key, getattr(rule, key)) if rule is not None else (mine or "")
        values[key] = Value(own=mine, inherited=None if key in _NEEDED and theirs == "" else theirs, effective=holds)
    return Cell(
        brief=brief(rule) if rule is not None else "",
        inherited=False,
        enabled=on and rule is not None and rule.enabled,
        values=values,
    )


def _inheriting(every: Cell, on: bool) -> Cell:
    """The cell of a service that has nothing of its own."""
    values = {
        key: Value(own=None, inherited=value.effective, effective=value.effective)
        for key, value in every.values.items()
    }
    return Cell(brief=every.brief, inherited=True, enabled=on and every.enabled, values=values)
