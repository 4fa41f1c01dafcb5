"""A `Policy` for people: written as TOML, compared with another line by line, a service switched on or off in its text.

`load_policy(dump_policy(policy)) == policy` for every policy that was read from TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

from msgspec import structs

from ringfence.durations import format_duration
from ringfence.errors import SettingsError
from ringfence.model import EVERY, Limits, Policy, Rule, causes_in_brief
from ringfence.policy import LIMIT_FORMS, RULE_FORMS, WHITELIST, load_policy

_ALWAYS = ("failures", "bans", "within", "ban", "actions")  # written even where they are the default


def dump_policy(policy: Policy) -> str:
    """`policy` as TOML, each service's table with only what differs from the rule that it inherits."""
    lines = [f"whitelist = {WHITELIST.show(policy.whitelist)}"]
    base = {rule.name: rule for rule in policy.rules}
    own = {service: {rule.name: rule for rule in rules} for service, rules in policy.overrides.items()}
    for name in _order([policy.rules, *policy.overrides.values()]):
        if name in base:
            lines += ["", f"[rules.{name}]", *_values(base[name], None)]
        for service, rules in own.items():
            rule = rules.get(name)
            if rule is None and name in base:  # left out for this service, which TOML can say only so
                rule = structs.replace(base[name], enabled=False)
            if rule is not None and rule != base.get(name):
                lines += ["", f"[rules.{name}.{service}]", *_values(rule, base.get(name))]
    for service in sorted(policy.disabled):
        lines += ["", f"[services.{service}]", "enabled = false"]
    limits = structs.asdict(policy.limits)
    lines += ["", "[limits]", *(f"{key} = {form.show(limits[key])}" for key, form in LIMIT_FORMS.items())]
    return "\n".join(lines) + "\n"


def difference(old: Policy, new: Policy) -> list[str]:
    """What changes for whom from `old` to `new`, one line each; empty when nothing does."""
    lines = _rule_changes(EVERY, old.rules, new.rules)
    general = set(lines)
    for service in dict.fromkeys((*old.overrides, *new.overrides)):
        before, after = old.overrides.get(service, old.rules), new.overrides.get(service, new.rules)
        changes = _rule_changes(service, before, after)
        # What changes for every service is said once.
        lines += [line for line in changes if line.replace(f" for {service}:", ":", 1) not in general]
    lines += [f"service {name}: switched off" for name in sorted(new.disabled - old.disabled)]
    lines += [f"service {name}: switched on" for name in sorted(old.disabled - new.disabled)]
    lines += [f"whitelist: {entry} added" for entry in new.whitelist if entry not in old.whitelist]
    lines += [f"whitelist: {entry} removed" for entry in old.whitelist if entry not in new.whitelist]
    return lines + _limit_changes(old.limits, new.limits)


def describe_rule(rule: Rule) -> str:
    """One rule in words: "10 attempts within 10m per address: block service for 10m"."""
    counted = f"{rule.failures} {rule.count}" if rule.bans is None else f"{rule.bans} bans"
    causes = causes_in_brief(rule.causes)
    proven = " with a proven address" if rule.proven else ""
    until = "forever" if rule.ban == float("inf") else f"for {format_duration(rule.ban)}"
    then = " and ".join(rule.actions) or "record only"
    off = "" if rule.enabled else " (switched off)"
    return (
        f"{counted}{causes}{proven} within {format_duration(rule.within)} per {rule.per}: "
        f"{then}, {rule.scope if rule.scope == 'service' else 'all services'} {until}{off}"
    )


def switch_service(text: str, service: str, *, enabled: bool, origin: str = "policy.toml") -> str:
    """The policy `text` with `service` switched on or off, its comments kept where its form allows that."""
    policy = load_policy(text, origin)
    disabled = policy.disabled - {service} if enabled else policy.disabled | {service}
    if disabled == policy.disabled:
        return text
    wanted = structs.replace(policy, disabled=disabled)
    value = "true" if enabled else "false"
    header = rf"^([ \t]*\[services\.{re.escape(service)}\][^\n]*\n"
    within = r"(?:(?![ \t]*\[)[^\n]*\n)*?[ \t]*enabled[ \t]*=[ \t]*)(?:true|false)"
    edited, count = re.subn(f"(?m){header}{within}", rf"\g<1>{value}", text, count=1)
    if not count:
        edited = f"{text.rstrip()}\n\n[services.{service}]\nenabled = {value}\n"
    try:
        if load_policy(edited, origin) == wanted:
            return edited
    except SettingsError:
        pass  # written in another of TOML's forms: then all of it is written anew
    return dump_policy(wanted)


def _order(sequences: Iterable[tuple[Rule, ...]]) -> list[str]:
    """The names of all rules in an order that agrees with each sequence."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for rules in sequences:
        for index, rule in enumerate(rules):
            sorter.add(rule.name, *(rules[index - 1].name,) if index else ())
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise SettingsError("this policy has its rules in orders that contradict each other") from error


def _values(rule: Rule, base: Rule | None) -> list[str]:
    """The lines of `rule`, without what it inherits from `base` or, having none, what is the default."""
    values, inherited = structs.asdict(rule), structs.asdict(base) if base else {}
    defaults = {field.name: field.default for field in structs.fields(Rule)}
    lines = []
    for key, form in RULE_FORMS.items():
        value = values[key]
        skip = value == inherited[key] if base else key not in _ALWAYS and value == defaults[key]
        if value is not None and not skip:
            lines.append(f"{key} = {form.show(value)}")
    return lines


def _rule_changes(service: str, old: tuple[Rule, ...], new: tuple[Rule, ...]) -> list[str]:
    before, after = {rule.name: rule for rule in old}, {rule.name: rule for rule in new}
    whom = "" if service == EVERY else f" for {service}"
    lines = [f"rule {name}{whom}: removed" for name in before if name not in after]
    for name, rule in after.items():
        if name not in before:
            lines.append(f"rule {name}{whom}: added: {describe_rule(rule)}")
        else:
            lines += [f"rule {name}{whom}: {change}" for change in _value_changes(before[name], rule)]
    if [name for name in before if name in after] != [name for name in after if name in before]:
        lines.append(f"rules{whom}: in another order")
    return lines


def _value_changes(old: Rule, new: Rule) -> list[str]:
    return [
        f"{key} {_shown(key, getattr(old, key))} → {_shown(key, getattr(new, key))}"
        for key in RULE_FORMS
        if getattr(old, key) != getattr(new, key)
    ]


def _shown(key: str, value: Any) -> str:
    return "none" if value is None else str(RULE_FORMS[key].show(value)).strip('"')


def _limit_changes(old: Limits, new: Limits) -> list[str]:
    return [
        f"limits: {key} {getattr(old, key)} → {getattr(new, key)}"
        for key in LIMIT_FORMS
        if getattr(old, key) != getattr(new, key)
    ]
