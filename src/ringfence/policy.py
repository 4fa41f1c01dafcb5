"""The policy as TOML → `Policy`: reading, inheritance, checks, and the policy a fresh installation starts with.

Form: `[rules.NAME]` holds for every service, `[rules.NAME.SERVICE]` overrides single values for one; within
`[rules.NAME]` what is a table is an override and everything else a value. `[services.NAME] enabled = false` switches a
service off; `whitelist` is a list of texts; `[limits]` as in `model.Limits`. Writing and comparing: `policy_text`.
Every error is a `SettingsError` that names file, rule, service, key, value and what is permitted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from typing import Any, Final

from ringfence.errors import SettingsError
from ringfence.model import EVERY, Limits, Policy, Rule
from ringfence.values import (
    NAME,
    Form,
    address,
    as_table,
    choice,
    duration,
    listed,
    parse_table,
    quote,
    read_toml,
    refuse,
    show_key,
    switch,
    text,
    unknown,
    whole,
)

MOST_COUNTED: Final = 100_000
USUAL: Final = frozenset(
    {"ssh", "telnet", "sip", "iax", "ami", "smtp", "pop3", "imap", "http", "proxy", "ftp", "vpn", "mysql", "postgresql",
     "login", "web"}
)  # fmt: skip
"""Services that a policy may speak of though nothing on this machine writes about them (yet)."""


def _actions() -> Form[tuple[str, ...]]:
    several = listed(choice("block", "mail"), single=True)
    permitted = 'any of "block" and "mail", or "NONE" to record only'

    def parse(raw: object) -> tuple[str, ...]:
        alone = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        if isinstance(alone, str) and alone.upper() == "NONE":
            return ()
        try:
            return several.parse(raw)
        except ValueError as error:
            raise ValueError(f"must be {permitted}") from error

    return Form(parse, permitted, several.show)


def _causes() -> Form[tuple[str, ...]]:
    several = listed(text(r"!?[^!\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,63}", "the name of a cause"), single=True)

    def parse(raw: object) -> tuple[str, ...]:
        causes = several.parse(raw)
        if len({cause.startswith("!") for cause in causes}) > 1:
            raise ValueError('must name either causes that count or, each with a "!" before it, causes that do not')
        return causes

    return Form(parse, several.permitted, several.show)


RULE_FORMS: Final[dict[str, Form[Any]]] = {
    "failures": whole(1, MOST_COUNTED),
    "bans": whole(1, MOST_COUNTED),
    "within": duration(),
    "ban": duration(forever=True),
    "actions": _actions(),
    "count": choice("attempts", "accounts"),
    "per": choice("address", "network", "account"),
    "scope": choice("service", "all"),
    "causes": _causes(),
    "proven": switch(),
    "enabled": switch(),
}
LIMIT_FORMS: Final[dict[str, Form[Any]]] = {
    "harmless": whole(0, MOST_COUNTED),
    "ipv4_network": whole(8, 32),
    "ipv6_network": whole(16, 128),
    "ipv6_prefix": whole(16, 128),
}
SERVICE_FORMS: Final[dict[str, Form[Any]]] = {"enabled": switch()}
WHITELIST: Final = listed(address(hosts=True))
TOP: Final = ("rules", "services", "whitelist", "limits")

_CORE: Final = frozenset({"failures", "bans", "within", "ban"})
_AT_FIRST_START: Final = {
    "MAXRETRY": ("failures", RULE_FORMS["failures"]),
    "FINDTIME": ("within", RULE_FORMS["within"]),
    "BANTIME": ("ban", RULE_FORMS["ban"]),
}


def load_policy(text: str, origin: str = "policy.toml", *, services: Collection[str] = ()) -> Policy:
    """The policy written in `text`; `origin` is the file's name for messages.

    With `services` (the names known besides `USUAL`) another one is an error; without, any name is taken.
    """
    top = read_toml(text, origin)
    for key in top:
        if key not in TOP:
            unknown(f"{origin}:", key, TOP, "key of a policy")
    rules, overrides = _rules(top.get("rules", {}), origin, services)
    return Policy(
        rules=rules,
        overrides=overrides,
        disabled=_disabled(top.get("services", {}), origin, services),
        whitelist=_whitelist(top.get("whitelist", []), origin),
        limits=_limits(top.get("limits", {}), origin),
    )


def tables(text: str, origin: str = "policy.toml") -> dict[tuple[str, str], frozenset[str]]:
    """Which keys each rule sets itself: (rule, service or `EVERY`) → keys. What is missing there is inherited."""
    rules = as_table(f"{origin}: [rules]", read_toml(text, origin).get("rules", {}))
    return {
        (rule, service): frozenset(values)
        for rule, table in rules.items()
        for service, values in _split(as_table(f"{origin}: [rules.{show_key(rule)}]", table))
    }


def default_policy_text(environ: Mapping[str, str]) -> str:
    """The built-in policy; `SIP_MAXRETRY`, `SIP_FINDTIME`, `SIP_BANTIME` (else `KAMAILIO_…`) set its SIP rule."""
    text = resources.files("ringfence").joinpath("default-policy.toml").read_text(encoding="utf-8")
    for suffix, (key, form) in _AT_FIRST_START.items():
        variable = next((v for v in (f"SIP_{suffix}", f"KAMAILIO_{suffix}") if environ.get(v, "").strip()), None)
        if variable is None:
            continue
        value = _from_environment(variable, environ[variable].strip(), key, form)
        pattern = rf"(?m)(^\[rules\.standard\.sip\]\n(?:[^\[\n].*\n)*?{key} = ).*$"
        text = re.sub(pattern, rf"\g<1>{value}  # {variable}", text)
    return text


def _from_environment(variable: str, raw: str, key: str, form: Form[Any]) -> str:
    """The TOML value for `key`; -1 as a time to ban is "forever", as fail2ban has it."""
    value: object = "forever" if key == "ban" and raw == "-1" else raw
    if key == "failures":
        value = int(raw) if re.fullmatch(r"[0-9]{1,9}", raw) else raw
    try:
        return form.show(form.parse(value))
    except ValueError as error:
        raise SettingsError(f"environment variable {variable} = {quote(raw)}: {error}") from error


def _rules(raw: object, origin: str, known: Collection[str]) -> tuple[tuple[Rule, ...], dict[str, tuple[Rule, ...]]]:
    """The rules for all services, and the complete rules of each service that overrides one."""
    resolved: list[dict[str, Rule]] = []  # rule by rule in file order: service or EVERY -> rule
    for rule, table in as_table(f"{origin}: [rules]", raw).items():
        _check_name(f"{origin}: [rules.{show_key(rule)}]", rule, "rule")
        resolved.append(_resolve(rule, as_table(f"{origin}: [rules.{rule}]", table), origin, known))
    services = dict.fromkeys(service for rules in resolved for service in rules if service != EVERY)
    base = tuple(rules[EVERY] for rules in resolved if EVERY in rules)
    overrides = {
        service: tuple(rules.get(service) or rules[EVERY] for rules in resolved if service in rules or EVERY in rules)
        for service in services
    }
    # A table that only repeats what it would inherit overrides nothing.
    return base, {service: rules for service, rules in overrides.items() if rules != base}


def _split(table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The values of a rule's table, first those for `EVERY`, then those of each service's table."""
    yield EVERY, {key: value for key, value in table.items() if not isinstance(value, dict)}
    yield from ((key, value) for key, value in table.items() if isinstance(value, dict))


def _resolve(name: str, table: dict[str, Any], origin: str, known: Collection[str]) -> dict[str, Rule]:
    """The rule for `EVERY` (if it is whole) and for each service with a table of its own."""
    (_, general), *special = _split(table)
    where = f"{origin}: [rules.{name}]"
    base = _rule_values(where, general)
    found = {}
    if _CORE & base.keys() or not special:  # otherwise the rule exists for single services only
        found[EVERY] = _build(where, name, base)
    for service, raw in special:
        if service in RULE_FORMS:
            raise SettingsError(f"{where} {service}: must be {RULE_FORMS[service].permitted}, not a table")
        inner = f"{origin}: [rules.{name}.{show_key(service)}]"
        _check_service(inner, service, known)
        own = _rule_values(inner, raw)
        inherited = base if not own.keys() & {"failures", "bans"} else _without(base, "failures", "bans")
        found[service] = _build(inner, name, inherited | own)
    return found


def _without(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _rule_values(where: str, table: dict[str, Any]) -> dict[str, Any]:
    for key, raw in table.items():
        if isinstance(raw, dict):
            raise SettingsError(f"{where} {show_key(key)}: a service's table holds values only, no further table")
    values = parse_table(where, table, RULE_FORMS)
    if "failures" in values and "bans" in values:
        raise SettingsError(f"{where} failures and bans: a rule counts one or the other; remove one of them")
    return values


def _build(where: str, name: str, values: dict[str, Any]) -> Rule:
    """The rule, if nothing is missing and it can ever fire."""
    if not values.keys() & {"failures", "bans"}:
        raise SettingsError(f"{where} failures: is missing (or bans); {RULE_FORMS['failures'].permitted}")
    for key in ("within", "ban"):
        if key not in values:
            raise SettingsError(f"{where} {key}: is missing; {RULE_FORMS[key].permitted}")
    rule = Rule(name=name, **values)
    if rule.count == "accounts" and (rule.bans is not None or rule.per == "account"):
        beside = "bans" if rule.bans is not None else 'per = "account"'
        refuse(where, "count", rule.count, f'would never fire beside {beside}; use "attempts"')
    if rule.bans is not None and rule.per == "account":
        refuse(where, "per", rule.per, 'earlier bans are of addresses; use "address" or "network"')
    return rule


def _whitelist(raw: object, origin: str) -> tuple[str, ...]:
    entries: tuple[str, ...] = parse_table(f"{origin}:", {"whitelist": raw}, {"whitelist": WHITELIST})["whitelist"]
    return entries


def _disabled(raw: object, origin: str, known: Collection[str]) -> frozenset[str]:
    found = set()
    for service, table in as_table(f"{origin}: [services]", raw).items():
        where = f"{origin}: [services.{show_key(service)}]"
        _check_service(where, service, known)
        if not parse_table(where, as_table(where, table), SERVICE_FORMS).get("enabled", True):
            found.add(service)
    return frozenset(found)


def _limits(raw: object, origin: str) -> Limits:
    where = f"{origin}: [limits]"
    limits = Limits(**parse_table(where, as_table(where, raw), LIMIT_FORMS))
    if limits.ipv6_network > limits.ipv6_prefix:
        reason = f"must be at most ipv6_prefix ({limits.ipv6_prefix}): a network holds whole addresses"
        refuse(where, "ipv6_network", limits.ipv6_network, reason)
    return limits


def _check_name(where: str, name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where}: a {what}'s name is 1 to 32 of a-z, 0-9, _ and -")


def _check_service(where: str, service: str, known: Collection[str]) -> None:
    _check_name(where, service, "service")
    if known and service not in known and service not in USUAL:
        unknown(where, service, USUAL.union(known), "service")
