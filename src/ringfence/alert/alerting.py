"""The settings of warnings as one value: read from their TOML text, and what they mean for one warning.

The text is kept in the ledger, in revisions like the policy, so that the page and `ringfence mail apply` change it
without a restart. An unknown key or a wrong value is a `SettingsError` naming place, value and what is permitted.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from msgspec import Struct, structs

from ringfence.alert.declared import (
    ChannelSettings,
    Hours,
    JournalSettings,
    MailOverride,
    MailSettings,
    WatchSettings,
)
from ringfence.declared import docs_of
from ringfence.errors import SettingsError
from ringfence.values import as_table, parse_table, read_toml, unknown

T = TypeVar("T", bound=Struct)

TABLES: Final[dict[str, type[Struct]]] = {
    "mail": MailSettings,
    "mail_for": MailOverride,
    "channel": ChannelSettings,
    "watch": WatchSettings,
    "journal": JournalSettings,
}
MOST_CHANNELS: Final = 50


class Manner(Struct, frozen=True, kw_only=True):
    """How somebody is mailed of one kind and service, everything inherited filled in."""

    sender: str
    interval: float
    body: str
    language: str
    quiet: Hours | None


class Alerting(Struct, frozen=True, kw_only=True):
    """Who is told what, and how."""

    mail: MailSettings = MailSettings()
    mail_for: tuple[MailOverride, ...] = ()
    channel: tuple[ChannelSettings, ...] = ()
    watch: WatchSettings = WatchSettings()
    journal: JournalSettings = JournalSettings()

    def tells(self) -> bool:
        """Whether anybody or anything is told at all."""
        mail = self.mail.recipients or self.mail.recipients_file
        return bool(mail or self.channel or self.journal.bans or any(
            one.recipients or one.recipients_file for one in self.mail_for
        ))  # fmt: skip

    def recipients(self, kind: str, service: str) -> tuple[str, ...]:
        """Who is mailed of a warning of `kind` about `service` (empty: none in particular). Reads recipients' files.

        Raises SettingsError when such a file can't be used.
        """
        values = self._inherited(kind, service, "")
        listed = _listed(values["recipients_file"]) if values["recipients_file"] is not None else ()
        return tuple(dict.fromkeys((*values["recipients"], *listed)))

    def manner(self, kind: str, service: str, recipient: str) -> Manner:
        """How `recipient` is mailed of such a warning."""
        values = self._inherited(kind, service, recipient)
        return Manner(
            sender=values["sender"], interval=values["interval"], body=values["body"], language=values["language"],
            quiet=values["quiet"] or None,
        )  # fmt: skip

    def _inherited(self, kind: str, service: str, recipient: str) -> dict[str, Any]:
        values: dict[str, Any] = structs.asdict(self.mail)
        fitting = [
            one
            for one in self.mail_for
            if _fits(one.kind, kind) and _fits(one.service, service) and _fits(one.to, recipient)
        ]
        for one in sorted(fitting, key=lambda one: (bool(one.to), bool(one.kind), bool(one.service))):
            given = {key: value for key, value in structs.asdict(one).items() if value is not None}
            if "recipients" in given or "recipients_file" in given:
                given = {"recipients": (), "recipients_file": None} | given
            values |= given
        return values

    def wants(self, channel: ChannelSettings, kind: str, service: str) -> bool:
        """Whether `channel` is told of such warnings."""
        return _fits(channel.kind, kind) and _fits(channel.service, service)


def load_alerting(text: str, origin: str) -> Alerting:
    """The settings written in `text`; `origin` is its name for messages. Raises SettingsError."""
    raw = read_toml(text, origin)
    for key in raw:
        if key not in TABLES:
            unknown(f"{origin}:", key, TABLES, "table of settings of warnings")
    overrides = _list(origin, raw, "mail_for", MailOverride)
    for number, one in enumerate(overrides, 1):
        _check_override(f"{origin}: [[mail_for]] no. {number}", one)
    channels = _list(origin, raw, "channel", ChannelSettings)
    for number, channel in enumerate(channels, 1):
        _check_channel(f"{origin}: [[channel]] no. {number}", channel, [one.name for one in channels[: number - 1]])
    if len(channels) > MOST_CHANNELS:
        raise SettingsError(f"{origin}: [[channel]]: at most {MOST_CHANNELS} are possible")
    found = Alerting(
        mail=_table(origin, raw, "mail", MailSettings), mail_for=overrides, channel=channels,
        watch=_table(origin, raw, "watch", WatchSettings), journal=_table(origin, raw, "journal", JournalSettings),
    )  # fmt: skip
    mail = found.mail
    if mail.user and not (mail.password or mail.password_file):
        raise SettingsError(f"{origin}: [mail] user: needs a password, or better password_file")
    if mail.user and mail.security == "none":
        raise SettingsError(f'{origin}: [mail] user: the password would travel unencrypted; set security = "starttls"')
    return found


def first_line(file: Any, origin: str) -> str:
    """The secret in a file: its first line. Raises SettingsError."""
    try:
        text: str = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{origin} {file}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    line = text.partition("\n")[0].strip()
    if not line:
        raise SettingsError(f"{origin} {file}: its first line is empty")
    return line


def _check_override(where: str, override: MailOverride) -> None:
    if not override.kind and not override.service and not override.to:
        raise SettingsError(f"{where}: says neither kind nor service nor to; [mail] is for all")
    if override.to and (override.recipients is not None or override.recipients_file is not None):
        raise SettingsError(f"{where}: with `to` it is for mails of certain recipients, so it can't name others")


def _check_channel(where: str, channel: ChannelSettings, before: list[str]) -> None:
    if not channel.name or channel.name in before or channel.name == "mail":
        raise SettingsError(f'{where} name: each channel needs one of its own (and not "mail")')
    if not channel.type:
        raise SettingsError(f'{where} type: is missing; "apprise", "webhook" or "command"')
    if channel.type == "command" and not channel.command:
        raise SettingsError(f"{where} command: is missing")
    if channel.type != "command" and not (channel.url or channel.url_file):
        raise SettingsError(f"{where} url: is missing (or url_file)")
    if channel.type == "webhook" and channel.url and not channel.url.startswith(("https://", "http://")):
        raise SettingsError(f"{where} url: must begin with https:// or http://")


def _fits(wanted: tuple[str, ...], value: str) -> bool:
    return not wanted or value in wanted


def _listed(file: Any) -> tuple[str, ...]:
    from ringfence.alert.declared import mailbox

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"recipients_file {file}: can't be read: {reason}") from error
    found = []
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip() if not line.startswith("#") else ""
        if name:
            try:
                found.append(mailbox().parse(name))
            except ValueError as error:
                raise SettingsError(f"recipients_file {file}, line {number}: {error}") from error
    return tuple(found)


def _table(origin: str, raw: dict[str, Any], key: str, declared: type[T]) -> T:
    where = f"{origin}: [{key}]"
    return declared(**_values(where, declared, as_table(where, raw.get(key, {}))))


def _list(origin: str, raw: dict[str, Any], key: str, declared: type[T]) -> tuple[T, ...]:
    tables = raw.get(key, [])
    if not isinstance(tables, list):
        raise SettingsError(f"{origin}: [{key}]: is a list of tables; write [[{key}]]")
    found = []
    for number, table in enumerate(tables, 1):
        where = f"{origin}: [[{key}]] no. {number}"
        found.append(declared(**_values(where, declared, as_table(where, table))))
    return tuple(found)


def _values(where: str, declared: type[Struct], raw: dict[str, Any]) -> dict[str, Any]:
    return parse_table(where, raw, {key: doc.form for key, doc in docs_of(declared).items()})
