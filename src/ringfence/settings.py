"""ringfence.toml → `Settings`: each setting declared once, as a typed field with its form, default and meaning.

Loading, the checks, the example file and docs/settings.md all come from the declarations here (see `settings_text`).
An unknown key or a wrong value is a `SettingsError` naming file, table, key, value and what is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

from msgspec import Struct, structs

from ringfence.errors import SettingsError
from ringfence.values import (
    NAME,
    Form,
    PortRange,
    address,
    as_table,
    choice,
    duration,
    listed,
    maybe,
    name,
    parse_table,
    path,
    ports,
    read_toml,
    show_key,
    size,
    switch,
    text,
    unknown,
    whole,
)

DEFAULT_FILE: Final = Path("/etc/ringfence/ringfence.toml")
SYSTEM_SOCKET: Final = Path("/run/ringfence/control.sock")
"""Where the machine's own guard listens; a client that finds no guard of its own may try here."""


class Doc(Struct, frozen=True):
    """What a setting means and accepts. `own` is the default for who is not root, as (kind of folder, name in it)."""

    meaning: str
    form: Form[Any]
    own: tuple[Literal["state", "runtime", "cache"], str] | None = None


class LedgerSettings(Struct, frozen=True, kw_only=True):
    """Where events, bans and everything else is kept."""

    path: Annotated[Path, Doc("The database, an SQLite file.", path(), ("state", "ringfence.db"))] = Path(
        "/var/lib/ringfence/ringfence.db"
    )
    keep_events: Annotated[
        float, Doc("How long single events are kept. Bans and the attack list stay.", duration(60, forever=True))
    ] = 30 * 86_400.0
    max_size: Annotated[
        int, Doc("How large the database may grow; then the oldest events go first.", size(10**7, 10**13))
    ] = 10**9


class BanSettings(Struct, frozen=True, kw_only=True):
    """The list of bans."""

    capacity: Annotated[
        int, Doc("How many bans hold at once; when full, the automatic ban that ends soonest goes.", whole(1, 10**7))
    ] = 1_000_000


class DetectorSettings(Struct, frozen=True, kw_only=True):
    """The counting of attempts."""

    capacity: Annotated[
        int, Doc("How many addresses are counted at once; when full, the one seen longest ago goes.", whole(1, 10**7))
    ] = 1_000_000


class ControlSettings(Struct, frozen=True, kw_only=True):
    """The socket on which the guard takes commands."""

    socket: Annotated[Path, Doc("The Unix socket.", path(), ("runtime", "control.sock"))] = SYSTEM_SOCKET
    group: Annotated[str, Doc("The group whose members may give commands; empty: only root and the guard's user.",
                              text(r"[A-Za-z0-9_.-]{0,32}", "a group's name, or empty"))] = "ringfence"  # fmt: skip


class EnforceSettings(Struct, frozen=True, kw_only=True):
    """What happens to banned addresses."""

    mode: Annotated[
        Literal["auto", "nftables", "monitor"],
        Doc('"nftables" blocks; "monitor" only records; "auto" blocks where it can.',
            choice("auto", "nftables", "monitor")),
    ] = "auto"  # fmt: skip
    keep_on_stop: Annotated[bool, Doc("Whether bans stay in the kernel when the guard stops.", switch())] = True
    reconcile_every: Annotated[float, Doc("How often kernel and database are compared.", duration(1, 86_400))] = 60.0


class LogSettings(Struct, frozen=True, kw_only=True):
    """The reading of logs."""

    timezone: Annotated[
        str, Doc('The zone of stamps that name none, such as "Europe/Rome"; empty: the system\'s.',
                 text(r"(?:[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*)?", "the name of a time zone, or empty")),
    ] = ""  # fmt: skip
    find: Annotated[bool, Doc("Whether the logs usual for each kind of server are looked for.", switch())] = True
    names: Annotated[
        bool,
        Doc("Whether a line counts that names a host instead of an address: the name is resolved, and not proven. "
            "Whoever owns an address writes its name, so a lie may hit somebody else.", switch()),
    ] = False  # fmt: skip
    proxies: Annotated[
        tuple[str, ...],
        Doc("Our own proxies, as addresses and networks: whom they name in X-Forwarded-For is taken for the client. "
            "They are never banned.", listed(address(hosts=False), single=True)),
    ] = ()  # fmt: skip
    catch_up: Annotated[
        float,
        Doc("How old a line may be that was in a log before it was first read; older ones do not count.",
            duration(0, forever=True)),
    ] = 86_400.0  # fmt: skip
    journal: Annotated[
        Literal["auto"] | bool,
        Doc('Whether the systemd journal is read; "auto": where there is one.', choice("auto", True, False)),
    ] = "auto"


class SourceSettings(Struct, frozen=True, kw_only=True):
    """A log to read: files, journal units or both; it takes the place of the usual logs of its kinds."""

    kind: Annotated[tuple[str, ...], Doc("What kinds of server write it, such as \"sip-asterisk\".",
                                         listed(name("a kind"), single=True))] = ()  # fmt: skip
    files: Annotated[tuple[Path, ...], Doc("Its files; * and ? stand for any name.", listed(path(), single=True))] = ()
    units: Annotated[
        tuple[str, ...],
        Doc("Its journal units, such as \"ssh.service\".",
            listed(text(r"[A-Za-z0-9:_.@\\*-]{1,255}", "a unit's name"), single=True)),
    ] = ()  # fmt: skip


class CatalogueSettings(Struct, frozen=True, kw_only=True):
    """What the logs of each kind of server look like."""

    directories: Annotated[tuple[Path, ...], Doc("Folders with kinds of your own.", listed(path()))] = (
        Path("/etc/ringfence/catalogue.d"),
    )
    cache: Annotated[Path, Doc("Where compiled patterns are kept.", path(), ("cache", ""))] = Path(
        "/var/cache/ringfence"
    )


class ServiceSettings(Struct, frozen=True, kw_only=True):
    """A service whose ports differ from the usual ones, or a new one."""

    title: Annotated[str, Doc("What it is called in lists; empty: as in the catalogue.", text())] = ""
    ports: Annotated[tuple[PortRange, ...], Doc("The ports that a ban closes.", listed(ports(), single=True))] = ()


class LockdownSettings(Struct, frozen=True, kw_only=True):
    """What `ringfence lockdown on` closes."""

    services: Annotated[tuple[str, ...], Doc("The services that it closes.", listed(name("a service")))] = (
        "sip",
        "iax",
    )
    media_ports: Annotated[tuple[PortRange, ...], Doc("The ports of voice and video.", listed(ports()))] = (
        ("udp", 10_000, 20_000),
    )
    include_media: Annotated[bool, Doc("Whether it closes the media ports too.", switch())] = True


class WhitelistSettings(Struct, frozen=True, kw_only=True):
    """The whitelist."""

    resolve_every: Annotated[float, Doc("How often its host names are resolved.", duration(10, 7 * 86_400))] = 300.0


class ProtectSettings(Struct, frozen=True, kw_only=True):
    """Addresses that are never banned, besides loopback, this machine's own and the administrator's."""

    addresses: Annotated[
        tuple[str, ...], Doc("Addresses and networks.", listed(address(hosts=False), single=True))
    ] = ()


class PolicySettings(Struct, frozen=True, kw_only=True):
    """The policy."""

    file: Annotated[Path | None, Doc("A policy file, applied at start if it changed since.", maybe(path()))] = None


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. `origin` is the file they came from, or "defaults"."""

    origin: str = "defaults"
    ledger: LedgerSettings = LedgerSettings()
    bans: BanSettings = BanSettings()
    detector: DetectorSettings = DetectorSettings()
    control: ControlSettings = ControlSettings()
    enforce: EnforceSettings = EnforceSettings()
    logs: LogSettings = LogSettings()
    source: tuple[SourceSettings, ...] = ()
    catalogue: CatalogueSettings = CatalogueSettings()
    services: dict[str, ServiceSettings] = {}
    lockdown: LockdownSettings = LockdownSettings()
    whitelist: WhitelistSettings = WhitelistSettings()
    protect: ProtectSettings = ProtectSettings()
    policy: PolicySettings = PolicySettings()


_REPEATED: Final[dict[str, type[Struct]]] = {"source": SourceSettings, "services": ServiceSettings}
TABLES: Final[dict[str, type[Struct]]] = {
    field.name: _REPEATED.get(field.name) or type(field.default)
    for field in structs.fields(Settings)
    if field.name != "origin"
}
"""Table name → its declaration, in the order of the reference."""


def docs_of(table: type[Struct]) -> dict[str, Doc]:
    """Key → `Doc` of each setting that `table` declares."""
    # Our names only: a setting called `path` must not stand in for the form of that name.
    hints = get_type_hints(table, globals(), globals(), include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in structs.fields(table)}


def main() -> None:
    """`python -m ringfence.settings --reference | --example`: the page docs/settings.md, or a commented file."""
    import sys

    from ringfence.settings_text import example_file, reference_markdown

    written = {"--reference": reference_markdown, "--example": example_file}
    if len(sys.argv) != 2 or sys.argv[1] not in written:
        raise SystemExit("usage: python -m ringfence.settings --reference | --example")
    sys.stdout.write(written[sys.argv[1]]())


def load_settings(file: Path | None, environ: Mapping[str, str], *, is_root: bool) -> Settings:
    """The settings of `file`, else of $RINGFENCE_CONFIG, else of /etc/ringfence/ringfence.toml if there is one.

    Who is not root keeps things in folders of their own unless the file says otherwise: those that systemd made
    ($STATE_DIRECTORY …), else those of the XDG base directory specification.
    """
    chosen = file or (Path(environ["RINGFENCE_CONFIG"]) if environ.get("RINGFENCE_CONFIG") else None)
    text = _read(chosen or DEFAULT_FILE, must_exist=chosen is not None)
    if text is None:
        return parse_settings("", "defaults", environ, is_root=is_root)
    return parse_settings(text, str(chosen or DEFAULT_FILE), environ, is_root=is_root)


def parse_settings(text: str, origin: str, environ: Mapping[str, str], *, is_root: bool) -> Settings:
    """The settings written in `text`; `origin` is the file's name for messages."""
    tables: dict[str, Any] = {}
    raw = read_toml(text, origin)
    for key in raw:
        if key in ("rules", "limits"):
            raise SettingsError(f"{origin}: [{key}]: belongs in the policy, see `ringfence policy`")
        if key not in TABLES:
            unknown(f"{origin}:", key, TABLES, "table of settings")
    for key, declared in TABLES.items():
        if key == "source":
            tables[key] = _sources(origin, raw.get(key, []))
        elif key == "services":
            tables[key] = _services(origin, raw.get(key, {}))
        else:
            where = f"{origin}: [{key}]"
            values = _values(where, declared, as_table(where, raw.get(key, {})))
            tables[key] = declared(**(({} if is_root else _own(where, declared, values, environ)) | values))
    settings = Settings(origin=origin, **tables)
    _check_zone(origin, settings.logs.timezone)
    return settings


def _read(file: Path, *, must_exist: bool) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if not must_exist:
            return None
        raise SettingsError(f"{file}: there is no such settings file") from error
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text (byte {error.start})") from error


def _values(where: str, declared: type[Struct], raw: dict[str, Any]) -> dict[str, Any]:
    return parse_table(where, raw, {key: doc.form for key, doc in docs_of(declared).items()})


def _sources(origin: str, raw: object) -> tuple[SourceSettings, ...]:
    if not isinstance(raw, list):
        raise SettingsError(f"{origin}: [source]: is a list of tables; write [[source]]")
    found = []
    for number, table in enumerate(raw, 1):
        where = f"{origin}: [[source]] no. {number}"
        source = SourceSettings(**_values(where, SourceSettings, as_table(where, table)))
        if not source.kind:
            raise SettingsError(f'{where} kind: is missing; name what writes the log, such as "ssh"')
        if not source.files and not source.units:
            raise SettingsError(f"{where} files: is missing (or units); name what to read")
        found.append(source)
    return tuple(found)


def _services(origin: str, raw: object) -> dict[str, ServiceSettings]:
    found = {}
    for service, table in as_table(f"{origin}: [services]", raw).items():
        where = f"{origin}: [services.{show_key(service)}]"
        if not NAME.fullmatch(service):
            raise SettingsError(f"{where}: a service's name is 1 to 32 of a-z, 0-9, _ and -")
        if isinstance(table, dict) and "enabled" in table:
            raise SettingsError(f"{where} enabled: belongs in the policy, see `ringfence policy`")
        found[service] = ServiceSettings(**_values(where, ServiceSettings, as_table(where, table)))
    return found


def _own(where: str, declared: type[Struct], given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Path]:
    """The defaults of `declared` for who is not root, for the keys that are not given."""
    return {
        key: own_folder(doc.own[0], environ, f"{where} {key}") / doc.own[1]
        for key, doc in docs_of(declared).items()
        if doc.own and key not in given
    }


def own_folder(kind: Literal["state", "runtime", "cache"], environ: Mapping[str, str], wanted_by: str) -> Path:
    """The folder that `kind` of files of an ordinary user go to (systemd.exec(5), XDG base directory 0.8)."""
    made = environ.get(f"{kind.upper()}_DIRECTORY", "").split(":")[0]
    if made:
        return Path(made)
    base = environ.get({"state": "XDG_STATE_HOME", "runtime": "XDG_RUNTIME_DIR", "cache": "XDG_CACHE_HOME"}[kind], "")
    if base.startswith("/"):
        return Path(base) / "ringfence"
    if not environ.get("HOME", "").startswith("/"):
        raise SettingsError(f"{wanted_by}: is not set, and neither is $HOME; set it to an absolute path")
    return Path(environ["HOME"]) / (".cache" if kind == "cache" else ".local/state") / "ringfence"


def _check_zone(origin: str, zone: str) -> None:
    if not zone:
        return
    import zoneinfo  # here only: most machines use the system's zone

    try:
        zoneinfo.ZoneInfo(zone)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        try:
            unknown(f"{origin}: [logs] timezone", zone, zoneinfo.available_timezones(), "time zone")
        except SettingsError as named:
            raise named from error


if __name__ == "__main__":
    from ringfence.settings import main as run  # the module under its own name, which `settings_text` imports too

    run()
