"""The text of the settings of warnings as administrators see and change it: secrets hidden, single values edited. Pure.

A password, a key or a URL (which may hold a key) never leaves the server again: `HIDDEN` stands in its place. What is
sent back with `HIDDEN` keeps the secret that stood there, a channel's by the channel's name.
"""

from __future__ import annotations

import copy
import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

from ringfence.alert.alerting import load_alerting
from ringfence.alert.declared import MailSettings
from ringfence.declared import docs_of
from ringfence.errors import SettingsError
from ringfence.policy_lines import Lines

ORIGIN: Final = "settings of warnings"
HIDDEN: Final = "(unchanged)"
OF_MAIL: Final = ("password",)
OF_CHANNEL: Final = ("url", "secret")
MOST_LINES: Final = 60
"""Lines of a difference that are told."""

_COMMENTED: Final = re.compile(r"^(\s*#.*?\b(?:password|secret|url)\s*=\s*)\S.*$", re.MULTILINE)
_FAULTS: Final = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What tomlkit raises at texts that it can't edit; all its own errors about texts and keys are among these."""

Place = tuple[str, str]
"""A channel's name (empty: [mail]) and a key."""


def hidden(text: str) -> str:
    """`text` with `HIDDEN` in place of every secret. Raises SettingsError where it can't be told where they stand."""
    if not secrets_in(text):
        return text
    return _edited(text, {place: HIDDEN for place in secrets_in(text)})


def readable(text: str) -> str:
    """The same for who only looks: what is commented out is hidden too, and nothing is raised."""
    try:
        return _COMMENTED.sub(rf'\g<1>"{HIDDEN}"', hidden(text))
    except SettingsError as error:
        return f"# {error}\n"


def restored(text: str, before: str) -> str:
    """`text` with the secrets that `before` had where `HIDDEN` stands. Raises SettingsError where there was none."""
    try:
        found = secrets_in(text)
    except SettingsError:
        return text  # whoever checks it says what is wrong with it
    kept = secrets_in(before)
    wanted = {place for place, value in found.items() if value == HIDDEN}
    for name, key in sorted(wanted - set(kept)):
        where = f'[[channel]] name = "{name}"' if name else "[mail]"
        raise SettingsError(f"{ORIGIN}: {where} {key}: nothing stood there that could be kept; write it out")
    return _edited(text, {place: kept[place] for place in wanted}) if wanted else text


def secrets_in(text: str) -> dict[Place, str]:
    """Every secret that is set, by its place. Raises SettingsError for what is no TOML."""
    try:
        top = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{ORIGIN}: not valid TOML: {error}") from error
    return {place: table[place[1]] for place, table in _places(top)}


def _places(top: Mapping[str, Any]) -> Iterator[tuple[Place, MutableMapping[str, Any]]]:
    """Where secrets stand, with the table that holds each."""
    mail, channels = top.get("mail"), top.get("channel")
    tables = [("", mail, OF_MAIL)]
    if isinstance(channels, list):
        tables += [(str(one.get("name", "")), one, OF_CHANNEL) for one in channels if isinstance(one, dict)]
    for name, table, keys in tables:
        for key in keys:
            if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
                yield (name, key), table


def _edited(text: str, values: Mapping[Place, str]) -> str:
    """`text` with other secrets, every other character as it was."""
    import tomlkit  # rarely needed, and some megabytes

    try:
        document: Any = tomlkit.parse(text.removeprefix("\ufeff"))
        for place, table in list(_places(document)):
            if place in values:
                table[place[1]] = values[place]
        edited = tomlkit.dumps(document)
        wanted = tomllib.loads(text.removeprefix("\ufeff"))
        for place, table in list(_places(wanted)):
            if place in values:
                table[place[1]] = values[place]
        if tomllib.loads(edited) == wanted:
            return edited
    except _FAULTS as error:
        raise SettingsError(f"{ORIGIN}: their secrets can't be hidden, so they are not shown: {error}") from error
    raise SettingsError(f"{ORIGIN}: their secrets can't be hidden, so they are not shown")


# ---- single values


def with_mail(text: str, values: Mapping[str, Any]) -> str:
    """`text` with these values of [mail]; comments and everything else stay.

    Raises SettingsError where the result could not be applied, or the text is written in a way that can't be edited.
    """
    if not values:
        load_alerting(text, ORIGIN)
        return text
    docs = docs_of(MailSettings)
    shown = {key: docs[key].form.show(value) for key, value in values.items()}
    wanted = copy.deepcopy(tomllib.loads(text.removeprefix("\ufeff")))
    wanted.setdefault("mail", {}).update({key: _value(one) for key, one in shown.items()})
    for edit in (_by_lines, _by_tomlkit):
        edited = edit(text, shown)
        if _reads_as(edited, wanted):
            load_alerting(edited, ORIGIN)
            return edited
    raise SettingsError(f"{ORIGIN}: [mail] is written in a way that can't be edited here: change its text")


def _value(shown: str) -> Any:
    return tomllib.loads(f"x = {shown}")["x"]


def _by_lines(text: str, shown: Mapping[str, str]) -> str:
    lines = Lines(text)
    for key, one in shown.items():
        lines.set(("mail",), key, one)
    return lines.text()


def _by_tomlkit(text: str, shown: Mapping[str, str]) -> str:
    import tomlkit

    try:
        document: Any = tomlkit.parse(text.removeprefix("\ufeff"))
        if "mail" not in document:
            document["mail"] = tomlkit.table()
        for key, one in shown.items():
            document["mail"][key] = tomlkit.value(one)
        return tomlkit.dumps(document)
    except _FAULTS:
        return ""


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(text) and tomllib.loads(text.removeprefix("\ufeff")) == wanted
    except (ValueError, RecursionError):
        return False


# ---- history


def difference(old: str, new: str) -> list[str]:
    """What `new` has other than `old`: lines that begin with "+" or "-", and which secrets changed (no secret)."""
    lines = list(difflib.unified_diff(readable(old).splitlines(), readable(new).splitlines(), n=0, lineterm=""))
    found = [line for line in lines[2:] if not line.startswith("@@") and line[1:].strip()]  # without the names of files
    found += [f"~ {f'channel {name}' if name else 'mail'}: another {key}" for name, key in _other_secrets(old, new)]
    more = len(found) - MOST_LINES
    return found if more <= 0 else [*found[:MOST_LINES], f"… {more:,} more"]


def _other_secrets(old: str, new: str) -> list[Place]:
    try:
        before, after = secrets_in(old), secrets_in(new)
    except SettingsError:
        return []
    return sorted(place for place in before.keys() & after.keys() if before[place] != after[place])
