"""fail2ban's numbers -> our policy: `maxretry`, `findtime`, `bantime` and growing bans of each jail, as rules.

A service has the numbers of the first jail that watches it; each further jail with other numbers is a rule of its own,
since several rules hold at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from ringfence.durations import TEN_YEARS
from ringfence.importing.jails import Increment, Jail, Machine
from ringfence.policy import MOST_COUNTED, RULE_FORMS, WHITELIST

_MOST_STEPS: Final = 7
_BLOCKS: Final = (
    "iptables", "nftables", "firewallcmd", "ufw", "shorewall", "hostsdeny", "ipfw", "pf", "ipset", "route", "npf",
    "ipfilter", "bsd-ipfw", "osx",
)  # fmt: skip
_NO_PROBES: Final = ("!probe",)
_NOT_COUNTED: Final = {"http": ("!probe", "!forbidden"), "proxy": ("!probe", "!forbidden")}
"""Causes that a jail did not count, by service; as in the built-in policy."""
_MODES_WITH_PROBES: Final = ("aggressive", "ddos", "extra")
_MAILS: Final = ("sendmail", "mail", "mailx", "mynetwatchman", "complain")


class Policy:
    """Collects rules; `text()` is the policy as TOML, `differs` what is not quite as it was."""

    def __init__(self, machine: Machine) -> None:
        self.differs: list[str] = []
        self._machine = machine
        self._rules: dict[str, dict[str, dict[str, object]]] = {
            "standard": {"": _standard(machine.defaults, _NO_PROBES)}
        }
        self._taken: dict[str, Jail] = {}
        self._whitelist: tuple[str, ...] = ()
        if machine.defaults.increment is not None:
            self._grow("", machine.defaults)

    def allow(self, entries: Iterable[str]) -> None:
        """Entries of the whitelist, in canonical spelling."""
        self._whitelist = tuple(dict.fromkeys((*self._whitelist, *entries)))

    def add(self, service: str, jail: Jail, *, own: bool = False) -> str:
        """The numbers of `jail` for `service`; the table that holds them. own: only this jail's filter tells of it.

        Our kinds tell of contacts without a login too, which few of fail2ban's filters do: these do not count then.
        """
        counts_all = own or jail.mode in _MODES_WITH_PROBES
        values = _standard(jail, () if counts_all else _NOT_COUNTED.get(service, _NO_PROBES))
        first = self._taken.setdefault(service, jail)
        if first is jail:
            self._rules["standard"][service] = values
            if jail.increment is not None or self._machine.defaults.increment is not None:
                self._grow(service, jail)
            return f"[rules.standard.{service}]" if values != self._rules["standard"][""] else "[rules.standard]"
        if values == self._rules["standard"][service]:
            return f"[rules.standard.{service}], the same numbers as jail {first.name}"
        name = rule_name(jail.name)
        self._rules.setdefault(name, {})[service] = values
        self.differs.append(
            f"jail {jail.name}: its numbers are the rule {name} for the service {service}, which counts all failures "
            f"there, also those that jail {first.name} counted"
        )
        self.differs = list(dict.fromkeys(self.differs))
        return f"[rules.{name}.{service}]"

    def recidive(self, jail: Jail) -> None:
        """Who is banned again and again."""
        values = _standard(jail, ())
        del values["causes"]
        values["bans"] = values.pop("failures")
        values["scope"] = '"all"'
        self._rules["recidive"] = {"": values}
        self.differs.append(
            "jail recidive: fail2ban counted the bans of all jails together; here earlier bans count per service"
        )

    def _grow(self, service: str, jail: Jail) -> None:
        """Rules for the second, third … ban of the same address; switched off for a service whose bans don't grow."""
        increment = jail.increment
        steps = _steps(jail, increment) if increment else []
        within = 0.0
        for place, length in enumerate(steps):
            within += (steps[place - 1] if place else jail.bantime) + self._machine.purge_after
            values = {"bans": place + 2, "within": within, "ban": length}
            self._rules.setdefault(f"again-{place + 2}", {})[service] = _shown(values | {"scope": _scope(jail)})
        if service:
            for name, tables in self._rules.items():
                if name.startswith("again-") and "" in tables and service not in tables:
                    tables[service] = {"enabled": "false"}
        inherited = service and increment == self._machine.defaults.increment
        if increment is not None and steps and not inherited:
            self._say_what_differs(jail, increment, len(steps))

    def _say_what_differs(self, jail: Jail, increment: Increment, steps: int) -> None:
        who = f"jail {jail.name}" if jail.name != "DEFAULT" else "[DEFAULT]"
        self.differs.append(
            f"{who}: bans that grow are {steps} rules, again-2 to again-{steps + 1}; after the last of them it begins "
            "anew, and a ban counts as an earlier one for a fixed time"
        )
        if increment.formula:
            self.differs.append(f"{who}: bantime.formula {increment.formula} has no equal; doubling was taken instead")
        if increment.spread:
            self.differs.append(f"{who}: bantime.rndtime has no equal; every ban of a kind is of the same length")
        if increment.over_all_jails:
            self.differs.append(f"{who}: bantime.overalljails has no equal; earlier bans count per service")

    def text(self, source: str) -> str:
        """The policy as TOML."""
        lines = [
            f"# Ringfence's policy, taken over from fail2ban ({source}).",
            "# Check it with `ringfence policy check FILE`; `ringfence policy show` without it shows the built-in one.",
            "",
            f"whitelist = {WHITELIST.show(self._whitelist)}",
        ]
        for name, tables in self._rules.items():
            for service, values in tables.items():
                inherited = tables.get("", {}) if service else {}
                if "scope" in inherited and "scope" not in values and "enabled" not in values:
                    values = values | {"scope": '"service"'}
                own = {key: value for key, value in values.items() if inherited.get(key) != value}
                if own or not service:
                    lines += ["", f"[rules.{name}{'.' + service if service else ''}]"]
                    lines += [f"{key} = {value}" for key, value in own.items()]
        return "\n".join(lines) + "\n"


def _standard(jail: Jail, causes: tuple[str, ...]) -> dict[str, object]:
    values: dict[str, object] = {
        "failures": max(1, min(jail.maxretry, MOST_COUNTED)),
        "within": jail.findtime,
        "ban": jail.bantime,
        "actions": actions_of(jail),
        "causes": causes,
    }
    return _shown(values | ({"scope": "all"} if jail.all_ports else {}))


def _scope(jail: Jail) -> str:
    return "all" if jail.all_ports else "service"


def _shown(values: dict[str, object]) -> dict[str, object]:
    """The values as TOML, durations within what a policy permits."""
    shown: dict[str, object] = {}
    for key, value in values.items():
        if key in ("within", "ban"):
            assert isinstance(value, float | int)
            endless = key == "ban" and value == math.inf
            value = value if endless else float(round(max(1.0, min(value, TEN_YEARS))))
        shown[key] = RULE_FORMS[key].show(value)
    if shown.get("scope") == '"service"':
        del shown["scope"]
    return shown


def _steps(jail: Jail, increment: Increment) -> list[float]:
    """How long the second, third … ban lasts, as long as they grow."""
    if jail.bantime == math.inf:
        return []
    grown = [min(jail.bantime * increment.factor * each, increment.longest) for each in increment.multipliers[1:]]
    steps: list[float] = []
    for before, length in pairwise([jail.bantime, *grown]):  # the first ban is not changed
        if length <= before or len(steps) == _MOST_STEPS:
            break
        steps.append(min(length, TEN_YEARS))
    return steps


def actions_of(jail: Jail) -> tuple[str, ...]:
    """ "block" and "mail", as far as the jail's actions do that; an action of somebody's own is taken to block."""
    names = [action.name.lower() for action in jail.actions]
    mails = any(name.split("-")[0] in _MAILS for name in names)
    blocks = not names or any(name.startswith(_BLOCKS) for name in names) or any(is_strange(name) for name in names)
    return (*(("block",) if blocks else ()), *(("mail",) if mails else ()))


_REPORTS: Final = (
    "abuseipdb", "blocklist_de", "badips", "cloudflare", "dshield", "xarf", "nsupdate", "smtp.py", "netscaler",
    "helpers", "apprise", "nginx-block-map", "dummy", "blackhole",
)  # fmt: skip


def is_strange(name: str) -> bool:
    """Whether an action is none of fail2ban's that is known here."""
    return not name.lower().startswith((*_BLOCKS, *_REPORTS)) and name.lower().split("-")[0] not in _MAILS


def left_actions(jail: Jail) -> list[str]:
    """The jail's actions that do something else than to block or to write a mail."""
    names = dict.fromkeys(action.name for action in jail.actions)
    return [name for name in names if name.lower().startswith(_REPORTS) or is_strange(name)]


def rule_name(jail: str) -> str:
    """A rule's name of a jail's."""
    name = "".join(character if character.isascii() and character.isalnum() else "-" for character in jail.lower())
    name = name[:28] or "jail"
    return f"f2b-{name}" if name in ("standard", "recidive") or name.startswith("again-") else name
