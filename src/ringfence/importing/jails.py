"""fail2ban's jails: what is watched, how many failures lead to a ban, how long, of which ports.

Source: jail.conf(5), JAIL CONFIGURATION. Times are seconds; `math.inf` is a ban that does not end (`bantime = -1`).
"""

from __future__ import annotations

import ast
import math
import operator
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from ringfence.importing.conf import Conf, ConfError, files_of
from ringfence.importing.filters import Filter, read_filter, split_lines, split_options

_YEAR: Final = 365.25 * 86400
_UNITS: Final = (
    ("days?|da|dd?", 86400), ("weeks?|wee?|ww?", 7 * 86400), ("months?|mon?", _YEAR / 12), ("years?|yea?|yy?", _YEAR),
    ("seconds?|sec?|ss?", 1), ("minutes?|min?|mm?", 60), ("hours?|hou?|hh?", 3600),
)  # fmt: skip
_OPERATORS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_ACTION: Final = re.compile(
    r"""([^\[\s]+)(?:\s*\[((?:\s*[\w.-]+=(?:"[^"]*"|'[^']*'|[^,\]]*)\s*(?:,|\]\s*\[)?)*)\])?""", re.DOTALL
)
_PORT_RANGE: Final = re.compile(r"(\d{1,5})[:-](\d{1,5})")


class Increment(Struct, frozen=True):
    """How bans of the same address grow: the n-th, from the second on, lasts the ban's time, times `factor`, times
    `multipliers[n - 1]` (the last one from there on), at most `longest`. `formula` and `spread` (random seconds) can't
    be carried over."""

    multipliers: tuple[float, ...]
    factor: float = 1.0
    longest: float = math.inf
    formula: str = ""
    spread: float = 0.0
    over_all_jails: bool = False


class Action(Struct, frozen=True):
    """One action of a jail: `iptables-multiport` with its options."""

    name: str
    options: dict[str, str]


class Jail(Struct, frozen=True, kw_only=True):
    """One jail. `ports` as "22/tcp"; `all_ports`: its action closes everything; `strange_ports` are no known names."""

    name: str
    filter: Filter
    mode: str
    maxretry: int
    findtime: float
    bantime: float
    increment: Increment | None = None
    ignoreip: tuple[str, ...] = ()
    logpaths: tuple[str, ...] = ()
    systemd: bool = False
    ports: tuple[str, ...] = ()
    all_ports: bool = False
    strange_ports: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    left: dict[str, str] = {}
    """Settings without an equal here, with their values."""


class Machine(Struct, frozen=True, kw_only=True):
    """All that a folder of fail2ban's says: enabled jails, names of those that are not, defaults, what is broken."""

    jails: tuple[Jail, ...]
    disabled: tuple[str, ...]
    defaults: Jail
    broken: tuple[tuple[str, str], ...]
    purge_after: float
    files: tuple[Path, ...]


def read_machine(folder: Path) -> Machine:
    """What fail2ban's `folder` says. Raises ConfError when there is no jail file in it, or it can't be read."""
    files = files_of(folder / "jail")
    if not files:
        raise ConfError(f"{folder}: holds neither jail.conf nor jail.local; name fail2ban's folder, as /etc/fail2ban")
    conf = Conf(files)
    jails, disabled, broken = [], [], []
    for name in conf.sections:
        if name == "INCLUDES":
            continue
        try:
            if not _is_true(conf.get(name, "enabled", _given(folder))):
                disabled.append(name)
                continue
            jails.append(_jail(conf, name, folder))
        except ConfError as error:
            broken.append((name, str(error)))
    general = Conf(files_of(folder / "fail2ban"))
    return Machine(
        jails=tuple(jails),
        disabled=tuple(disabled),
        defaults=structs.replace(_values(conf, "DEFAULT", folder, NO_FILTER), ports=(), all_ports=False),
        broken=tuple(broken),
        purge_after=seconds(general.get("Definition", "dbpurgeage") or "1d"),
        files=tuple(conf.files),
    )


def _given(folder: Path) -> dict[str, str]:
    return {"fail2ban_confpath": str(folder), "fail2ban_version": "1"}


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in _TRUE


def _jail(conf: Conf, name: str, folder: Path) -> Jail:
    given = _given(folder)
    filter_name, options = split_options(conf.get(name, "filter", given) or name)
    systemd = (conf.get(name, "backend", given) or "").strip().startswith("systemd")
    found = read_filter(folder, filter_name, options, systemd=systemd)
    given |= {f"known/{key}": "\n".join(map(str, value)) if isinstance(value, tuple) else str(value)
              for key, value in structs.asdict(found).items()}  # fmt: skip
    changes: dict[str, Any] = {}
    for key in ("failregex", "ignoreregex", "prefregex", "datepattern", "journalmatch", "usedns"):
        value = conf.get(name, key, given)
        if value is not None:
            changes[key] = split_lines(value) if key in ("failregex", "ignoreregex") else value
    changes = {key: value for key, value in changes.items() if value != getattr(found, key)}
    changes |= {"changed": tuple(dict.fromkeys((*found.changed, *changes)))} if changes else {}
    maxlines = (conf.get(name, "maxlines", given) or "").strip()
    changes |= {"maxlines": int(maxlines)} if maxlines.isdigit() else {}
    if "failregex" in changes:
        changes["added"] = (*found.added, *(each for each in changes["failregex"] if each not in found.failregex))
    jail = _values(conf, name, folder, structs.replace(found, **changes))
    return structs.replace(jail, mode=options.get("mode", ""), systemd=systemd)


def _values(conf: Conf, name: str, folder: Path, found: Filter) -> Jail:
    def value(key: str) -> str:
        return (conf.get(name, key, _given(folder)) or "").strip()

    actions = tuple(Action(each[1], _options(each[2] or "")) for each in _ACTION.finditer(_quietly(value, "action")))
    ports, strange = _ports(actions, value("port"), value("protocol"))
    every = any("allports" in action.name for action in actions) or any(port.startswith("1-65535/") for port in ports)
    left = {key: value(key) for key in ("ignorecommand", "logtimezone") if value(key)}
    usedns = found.usedns or value("usedns")
    return Jail(
        name=name,
        filter=structs.replace(found, usedns=usedns),
        mode="",
        maxretry=_whole(name, "maxretry", value("maxretry") or "5"),
        findtime=seconds(value("findtime") or "10m"),
        bantime=seconds(value("bantime") or "10m"),
        increment=_increment(value),
        ignoreip=tuple(filter(None, re.split(r"[ ,\n]+", value("ignoreip")))),
        logpaths=tuple(re.sub(r"\s+(?:tail|head)$", "", path.strip()) for path in split_lines(value("logpath"))),
        ports=ports,
        all_ports=every,
        strange_ports=strange,
        actions=actions,
        left=left,
    )


def _quietly(value: Callable[[str], str], key: str) -> str:
    """An action that refers to what nobody gave would stop fail2ban; what it bans can be carried over all the same."""
    try:
        return value(key)
    except ConfError:
        return ""


def _options(text: str) -> dict[str, str]:
    found = re.findall(r"""([\w.-]+)=(?:"([^"]*)"|'([^']*)'|([^,\]\s]*))""", text)
    return {key: one or two or three for key, one, two, three in found}


def _whole(name: str, key: str, text: str) -> int:
    if not text.isdigit():
        raise ConfError(f"[{name}] {key} = {text!r}: is no whole number")
    return int(text)


def _increment(value: Callable[[str], str]) -> Increment | None:
    if not _is_true(value("bantime.increment")):
        return None
    written = value("bantime.multipliers").split()
    multipliers = tuple(float(each) for each in written if each.isdigit())
    formula = value("bantime.formula")
    factor = re.sub(r"[^0-9.]", "", value("bantime.factor")) or "1"
    return Increment(
        multipliers or tuple(float(1 << power) for power in range(21)),
        float(factor),
        seconds(value("bantime.maxtime") or "-1"),
        formula if not multipliers and formula.replace(" ", "") not in ("", _USUAL_FORMULA) else "",
        seconds(value("bantime.rndtime") or "0"),
        _is_true(value("bantime.overalljails")),
    )


NO_FILTER: Final = Filter(name="", failregex=(), added=(), changed=(), digest="")
_USUAL_FORMULA: Final = "ban.Time*(1<<(ban.Countifban.Count<20else20))*banFactor"


def _ports(actions: tuple[Action, ...], port: str, protocol: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """("22/tcp", …) that the actions close, and the names among them that this machine does not know."""
    wanted = [
        (each.options["port"], each.options.get("protocol", protocol)) for each in actions if each.options.get("port")
    ]
    known: dict[str, None] = {}
    strange: dict[str, None] = {}
    for texts, protocols in wanted or [(port, protocol)]:
        for transport in _transports(protocols):
            for text in filter(None, re.split(r"[,\s]+", texts)):
                spelled = _port(text, transport)
                (strange if spelled is None else known)[spelled or text] = None
    return tuple(known), tuple(text for text in strange if not any(each.startswith(text) for each in known))


def _transports(text: str) -> tuple[str, ...]:
    found = tuple(each for each in ("tcp", "udp") if each in text.lower())
    return found or (("tcp", "udp") if text.strip().lower() in ("all", "any") else ("tcp",))


def _port(text: str, transport: str) -> str | None:
    found = _PORT_RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if text.isdigit():
        first = last = int(text)
    elif not found:
        try:
            first = last = socket.getservbyname(text, transport)
        except OSError:
            return None
    first = max(1, first)
    if not first <= last < 65536:
        return None
    return f"{first}/{transport}" if first == last else f"{first}-{last}/{transport}"


def seconds(text: str) -> float:
    """fail2ban's spelling of a duration, "1d 12h", "10m", "60*60", -1 for ever. Raises ConfError for anything else."""
    written = re.sub(r"(?i)(?<=[a-z])(\d)", r" \1", text.strip())
    for names, size in _UNITS:
        written = re.sub(rf"(?i)(?<=[\d\s])(?:{names})\b", f"*{size}", written)
    written = re.sub(r"(\d)\s+(\d)", r"\1+\2", written)
    try:
        value = float(_computed(ast.parse(written.strip(), mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError) as error:
        raise ConfError(f"{text!r} is no duration") from error
    return math.inf if value < 0 else value


def _computed(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_computed(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return float(_OPERATORS[type(node.op)](_computed(node.left), _computed(node.right)))
    raise ValueError("not arithmetic")
