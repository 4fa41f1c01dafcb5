"""Every setting declared once, as a typed field with its form, default and meaning; `settings` reads files by this."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

from msgspec import Struct, structs

from ringfence.values import (
    Endpoint,
    Form,
    PortRange,
    address,
    choice,
    duration,
    endpoint,
    listed,
    maybe,
    name,
    path,
    ports,
    size,
    switch,
    text,
    whole,
)

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


class WebSettings(Struct, frozen=True, kw_only=True):
    """The administrator's page and the API."""

    start: Annotated[
        bool, Doc("Whether `ringfence run` starts the page; `ringfence web` starts it alone.", switch())
    ] = True
    listen: Annotated[
        Endpoint,
        Doc("Where it listens. Other addresses than loopback need a certificate, or a proxy in front.", endpoint()),
    ] = ("127.0.0.1", 8470)  # fmt: skip
    url: Annotated[
        str,
        Doc("How people reach it, such as \"https://pbx.example.org:8470\"; empty: made from `listen`.",
            text(r"(?:https?://[A-Za-z0-9.:\[\]_-]+)?", "http:// or https:// with a host and no path, or empty")),
    ] = ""  # fmt: skip
    certificate: Annotated[
        Path | None,
        Doc("The certificate (PEM, with its chain) for TLS; `ringfence web --make-certificate` makes one.",
            maybe(path())),
    ] = None  # fmt: skip
    key: Annotated[Path | None, Doc("The certificate's private key (PEM).", maybe(path()))] = None
    user: Annotated[
        str,
        Doc("Whose rights the page's process has when root starts it; an unused number if there is no such user.",
            text(r"[A-Za-z0-9_.-]{1,32}", "a user's name")),
    ] = "ringfence-web"  # fmt: skip
    proxies: Annotated[
        tuple[str, ...],
        Doc("Reverse proxies in front of the page: what they say in X-Forwarded-For is the client.",
            listed(address(hosts=False), single=True)),
    ] = ()  # fmt: skip
    idle: Annotated[float, Doc("How long a login holds without a request.", duration(60, 30 * 86_400))] = 3600.0
    longest: Annotated[float, Doc("How long a login holds at most.", duration(300, 90 * 86_400))] = 43_200.0
    undo: Annotated[
        float,
        Doc("How long a risky change holds unless somebody confirms it from a page that still loads.",
            duration(10, 3600)),
    ] = 60.0  # fmt: skip
    countries: Annotated[
        Path | None,
        Doc("A MaxMind database (.mmdb) of countries or networks, shown beside addresses.", maybe(path())),
    ] = None  # fmt: skip

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS itself."""
        return self.certificate is not None

    @property
    def base(self) -> str:
        """The address that people type, without a slash at its end."""
        host, port = self.listen
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared, not listened on)
        return self.url or f"http{'s' if self.secure else ''}://{f'[{here}]' if ':' in here else here}:{port}"


class PolicySettings(Struct, frozen=True, kw_only=True):
    """The policy."""

    file: Annotated[Path | None, Doc("A policy file, applied at start if it changed since.", maybe(path()))] = None


class WarningsSettings(Struct, frozen=True, kw_only=True):
    """Who is told of warnings, and how: see docs/warnings.md."""

    file: Annotated[
        Path | None,
        Doc("A file with the settings of warnings, applied at start if it changed since; else they are changed on the "
            "page or by `ringfence mail apply`.", maybe(path())),
    ] = None  # fmt: skip


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
    web: WebSettings = WebSettings()
    warnings: WarningsSettings = WarningsSettings()


_REPEATED: Final[dict[str, type[Struct]]] = {"source": SourceSettings, "services": ServiceSettings}
TABLES: Final[dict[str, type[Struct]]] = {
    field.name: _REPEATED.get(field.name) or type(field.default)
    for field in structs.fields(Settings)
    if field.name != "origin"
}
"""Table name → its declaration, in the order of the reference."""


def docs_of(table: type[Struct]) -> dict[str, Doc]:
    """Key → `Doc` of each setting that `table` declares."""
    # The module's names only: a setting called `path` must not stand in for the form of that name.
    names = vars(sys.modules[table.__module__])
    hints = get_type_hints(table, names, names, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in structs.fields(table)}
