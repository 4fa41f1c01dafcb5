"""ringfence.toml → `Settings`: loading and checks. What can be set is declared, each setting once, in `declared`.

Loading, the checks, the example file and docs/settings.md all come from those declarations (see `settings_text`).
An unknown key or a wrong value is a `SettingsError` naming file, table, key, value and what is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from ringfence.declared import (
    SYSTEM_SOCKET,
    TABLES,
    BanSettings,
    ControlSettings,
    Doc,
    EnforceSettings,
    LedgerSettings,
    LockdownSettings,
    LogSettings,
    ServiceSettings,
    Settings,
    SourceSettings,
    WebSettings,
    docs_of,
)
from ringfence.errors import SettingsError
from ringfence.values import NAME, as_table, parse_table, read_toml, show_key, unknown

__all__ = [
    "DEFAULT_FILE",
    "SYSTEM_SOCKET",
    "TABLES",
    "BanSettings",
    "ControlSettings",
    "Doc",
    "EnforceSettings",
    "LedgerSettings",
    "LockdownSettings",
    "LogSettings",
    "ServiceSettings",
    "Settings",
    "SourceSettings",
    "WebSettings",
    "docs_of",
    "load_settings",
    "own_folder",
    "parse_settings",
]

DEFAULT_FILE: Final = Path("/etc/ringfence/ringfence.toml")


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
    if (settings.web.certificate is None) != (settings.web.key is None):
        raise SettingsError(f"{origin}: [web] certificate and key: one is missing; TLS needs both")
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
