"""A filter of fail2ban's, as it is after includes, parameters and tags: which lines it takes.

Source: jail.conf(5), FILTERS. `filter = NAME[key=value,…]` in a jail gives parameters; `<key>` in a filter's values
stands for a parameter or another value of the filter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from ringfence.importing.conf import Conf, ConfError, files_of

KEYS = ("prefregex", "failregex", "ignoreregex", "datepattern", "maxlines", "journalmatch", "usedns")
_ADDRESS_TAGS = frozenset({"HOST", "ADDR", "IP4", "IP6", "DNS", "CIDR", "SUBNET", "SKIPLINES"})
_TAG = re.compile(r"<([^ <>]+)>")
_MOST_REPLACED = 25
_NAME = re.compile(r"([^\[]+)(?:\[(.*)\])?\s*", re.DOTALL)
_OPTION = re.compile(r"""\s*([\w.-]+)=(?:"([^"]*)"|'([^']*)'|([^,\]]*))\s*(?:,|\]\s*\[|\Z)""")


class Filter(Struct, frozen=True, kw_only=True):
    """`failregex` and `ignoreregex` line by line. `added`: those of `failregex` that a `.local` file brought;
    `changed`: the keys of which a `.local` file says something else than the `.conf`; `digest`: of the `.conf`."""

    name: str
    failregex: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    digest: str
    prefregex: str = ""
    ignoreregex: tuple[str, ...] = ()
    datepattern: str = ""
    maxlines: int = 1
    journalmatch: str = ""
    usedns: str = ""
    files: tuple[Path, ...] = ()


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """("sshd", {"mode": "aggressive"}) of "sshd[mode=aggressive]". Raises ConfError for anything else."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        raise ConfError(f"filter {text!r}: is not of the form NAME[key=value]")
    options, position, rest = {}, 0, (found[2] or "").strip()
    while position < len(rest):
        option = _OPTION.match(rest, position)
        if option is None:
            raise ConfError(f"filter {text!r}: can't be read from {rest[position : position + 25]!r} on")
        value = next(value for value in option.groups()[1:] if value is not None)
        options[option[1].lower()] = value.strip()
        position = option.end()
    return found[1].strip(), options


def read_filter(folder: Path, name: str, options: Mapping[str, str], *, systemd: bool) -> Filter:
    """The filter `name` of fail2ban's `folder` with a jail's `options`; `systemd`: the jail reads the journal."""
    base = folder / "filter.d" / name
    files = files_of(base)
    if not files:
        raise ConfError(f"{base}.conf: there is no such filter file")
    values = _values(Conf(files), options, systemd)
    shipped = [file for file in files if file == base.with_name(base.name + ".conf")]
    plain = _values(Conf(shipped), options, systemd) if shipped and len(files) > len(shipped) else values
    lines, before = split_lines(values.get("failregex", "")), split_lines(plain.get("failregex", ""))
    digest = hashlib.sha256(shipped[0].read_bytes()).hexdigest()[:16] if shipped else ""
    maxlines = values.get("maxlines", "").strip()
    return Filter(
        name=name,
        failregex=lines,
        added=tuple(line for line in lines if line not in before) if shipped else lines,
        changed=tuple(key for key in KEYS if not shipped or values.get(key, "") != plain.get(key, "")),
        digest=digest,
        prefregex=values.get("prefregex", ""),
        ignoreregex=split_lines(values.get("ignoreregex", "")),
        datepattern=values.get("datepattern", ""),
        maxlines=int(maxlines) if maxlines.isdigit() else 1,
        journalmatch=values.get("journalmatch", ""),
        usedns=values.get("usedns", ""),
        files=tuple(files),
    )


def split_lines(text: str) -> tuple[str, ...]:
    """The lines of a value, without empty ones."""
    return tuple(line for line in text.split("\n") if line)


def _values(conf: Conf, options: Mapping[str, str], systemd: bool) -> dict[str, str]:
    """What the filter says for each of KEYS, tags replaced."""
    given = dict(options)
    if "logtype" not in given and not conf.has("Definition", "logtype"):
        given["logtype"] = "journal" if systemd else "file"
    for key in conf.sections.get("Init", {}):
        value = conf.get("Init", key) or ""
        given.setdefault(f"known/{key}", value)
        given.setdefault(key, value)

    def value_of(name: str) -> str | None:
        if "/" in name:
            section, _, key = name.partition("/")
            if section in conf.sections:
                return conf.get(section, key, None)
        return conf.get("Definition", name, given)

    values = {key: value_of(key) for key in KEYS}
    return {key: _tagged(key, value, value_of) for key, value in values.items() if value is not None}


def _tagged(key: str, text: str, value_of: Callable[[str], str | None]) -> str:
    """`text` with every `<name>` replaced for which there is a value; others, such as <HOST>, stay."""
    counts: dict[str, int] = {}
    begun = ""
    while begun != text:  # a tag may be made of others: <lt_<logtype>/datepattern>
        begun, position = text, 0
        while found := _TAG.search(text, position):
            name = found[1]
            value = value_of(name.lower() if "/" not in name else name) if name not in _ADDRESS_TAGS else None
            if value is None or name == key:
                position = found.end()
                continue
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > _MOST_REPLACED:
                raise ConfError(f"<{name}> in {key} refers to itself")
            text = text.replace(f"<{name}>", value)
            position = found.start()
    return text
