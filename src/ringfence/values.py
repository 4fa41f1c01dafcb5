"""Single values at the edge: what a settings or policy key accepts, checked, in words, and written back as TOML.

A `Form` is declared once per kind of value; loading, error messages, the reference page and the example file all
use the same one. `Form.parse` raises `ValueError` with the reason; `refuse` turns that into our `SettingsError`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, TypeVar

from msgspec import Struct

from ringfence.durations import TEN_YEARS, describe, format_duration, parse_duration
from ringfence.errors import SettingsError

T = TypeVar("T")
PortRange = tuple[str, int, int]
Endpoint = tuple[str, int]

NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
"""Names of rules, services and kinds."""

_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_BYTES: Final = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp))?")
_ENDPOINT: Final = re.compile(r"(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TOML_PLACE: Final = re.compile(r"^(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$", re.DOTALL)


class Form(Struct, Generic[T], frozen=True):
    """One kind of value: `parse` checks what TOML gave, `permitted` says what is right, `show` writes it as TOML."""

    parse: Callable[[object], T]
    permitted: str
    show: Callable[[T], str]


def read_toml(text: str, origin: str) -> dict[str, Any]:
    """The tables of a TOML text; a syntax error is a `SettingsError` "origin:line: reason"."""
    import tomllib  # here only: most commands never read a file

    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise SettingsError(f"{origin}: nested too deeply to be read") from error
    except ValueError as error:
        match = _TOML_PLACE.match(str(error))
        if match is None:
            raise SettingsError(f"{origin}: not valid TOML: {error}") from error
        line = match[2] or str(text.count("\n") + (not text.endswith("\n")))
        raise SettingsError(f"{origin}:{line}: not valid TOML: {match[1]}") from error


def refuse(where: str, key: str, value: object, reason: object, cause: Exception | None = None) -> NoReturn:
    """Raise the `SettingsError` for one value: `where` is "file: [table]"."""
    raise SettingsError(f"{where} {key} = {show_any(value)}: {reason}") from cause


def unknown(where: str, key: str, known: Iterable[str], what: str = "setting") -> NoReturn:
    """Raise the `SettingsError` for a key that does not exist, with the nearest one that does."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"nearest known: {near[0]}" if near else f"known: {', '.join(names)}"
    raise SettingsError(f"{where} {show_key(key)}: there is no such {what}; {hint}")


def parse_table(where: str, table: Mapping[str, object], forms: Mapping[str, Form[Any]]) -> dict[str, Any]:
    """The values of one table by `forms`; unknown keys and wrong values are `SettingsError`s naming `where` and key."""
    values = {}
    for key, raw in table.items():
        if key not in forms:
            unknown(where, key, forms)
        try:
            values[key] = forms[key].parse(raw)
        except ValueError as error:
            refuse(where, key, raw, error, error)
    return values


def as_table(where: str, raw: object) -> dict[str, Any]:
    """`raw` if it is a table, else the `SettingsError` that one is expected at `where`."""
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: must be a table, not {show_any(raw)}")
    return raw


def quote(text: str) -> str:
    """`text` as a TOML basic string (JSON's escapes are TOML's, but for DEL)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def show_key(key: str) -> str:
    """A key as TOML wants it: bare where it may be, quoted otherwise."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else show_any(key)


def show_any(value: object) -> str:
    """Any value from TOML for a message: one line, cut to a readable length, nothing that moves a terminal."""
    shown = quote(value) if isinstance(value, str) else repr(value)
    shown = {"True": "true", "False": "false"}.get(shown, shown)
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in shown)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def whole(least: int, most: int) -> Form[int]:
    """A whole number within `least` … `most`."""
    permitted = f"a whole number from {least} to {most}"

    def parse(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            raise ValueError(f"must be {permitted}")
        return raw

    return Form(parse, permitted, str)


def switch() -> Form[bool]:
    """true or false."""

    def parse(raw: object) -> bool:
        if not isinstance(raw, bool):
            raise ValueError("must be true or false")
        return raw

    return Form(parse, "true or false", lambda value: "true" if value else "false")


def choice(*options: str | bool) -> Form[Any]:
    """One of `options` (texts, or true and false beside them)."""
    shown = [show_any(option) for option in options]
    permitted = " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

    def parse(raw: object) -> Any:
        if not isinstance(raw, str | bool) or raw not in options:
            near = difflib.get_close_matches(str(raw), [option for option in options if isinstance(option, str)], n=1)
            raise ValueError(f"must be {permitted}" + (f"; nearest: {quote(near[0])}" if near else ""))
        return raw

    return Form(parse, permitted, show_any)


def duration(least: float = 1, most: float = TEN_YEARS, *, forever: bool = False) -> Form[float]:
    """A duration in seconds, written "10m" or as a number of seconds."""

    def parse(raw: object) -> float:
        return parse_duration(raw, least=least, most=most, forever=forever)  # type: ignore[arg-type]

    return Form(parse, describe(least, most, forever), lambda seconds: quote(format_duration(seconds)))


def size(least: int, most: int) -> Form[int]:
    """A number of bytes, written "500MB", "1GiB" or as a number."""
    permitted = f"a size from {format_size(least)} to {format_size(most)}"

    def parse(raw: object) -> int:
        count = parse_size(raw)
        if not least <= count <= most:
            raise ValueError(f"must be {permitted}")
        return count

    return Form(parse, permitted, lambda count: quote(format_size(count)))


def parse_size(raw: object) -> int:
    """Bytes of "1GB", "64MiB" or a plain number; `ValueError` otherwise."""
    match = _SIZE.fullmatch(str(raw)) if isinstance(raw, str | int) and not isinstance(raw, bool) else None
    if match is None:
        raise ValueError('must be a size such as "500MB" or "1GiB"')
    return int(match[1]) * _BYTES[match[2] or "B"]


def format_size(count: int) -> str:
    """The shortest exact spelling of `count` bytes."""
    spellings = [f"{count // unit}{name}" for name, unit in _BYTES.items() if count % unit == 0 and count >= unit]
    return min(spellings, key=len, default=f"{count}B")


def text(pattern: str = "", permitted: str = "a text") -> Form[str]:
    """A text without control characters, of the form `pattern` where one is given."""
    compiled = re.compile(pattern or r"[^\x00-\x1f\x7f]*")

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or not compiled.fullmatch(raw):
            raise ValueError(f"must be {permitted}")
        return raw

    return Form(parse, permitted, quote)


def name(what: str = "a name") -> Form[str]:
    """A name of a rule, service or kind."""
    return text(NAME.pattern, f"{what} of 1 to 32 of a-z, 0-9, _ and -")


def path() -> Form[Path]:
    """An absolute path."""

    def parse(raw: object) -> Path:
        if not isinstance(raw, str) or not raw.startswith("/") or "\0" in raw:
            raise ValueError("must be an absolute path")
        return Path(raw)

    return Form(parse, "an absolute path", lambda value: quote(str(value)))


def maybe(form: Form[T]) -> Form[T | None]:
    """As `form`, or "" for none."""
    return Form(
        lambda raw: None if raw == "" else form.parse(raw),
        f'{form.permitted}, or "" for none',
        lambda value: '""' if value is None else form.show(value),
    )


def listed(form: Form[T], *, single: bool = False) -> Form[tuple[T, ...]]:
    """A list of `form`, each once; with `single` one value may stand alone."""

    def parse(raw: object) -> tuple[T, ...]:
        if single and isinstance(raw, str):
            raw = [raw]
        if not isinstance(raw, list):
            raise ValueError(f"must be {permitted}")
        found: dict[T, None] = {}
        for item in raw:
            try:
                found[form.parse(item)] = None
            except ValueError as error:
                raise ValueError(f"{show_any(item)} {error}") from error
        return tuple(found)

    permitted = f"a list, each {form.permitted}" + (" (one may stand alone)" if single else "")
    return Form(parse, permitted, lambda values: f"[{', '.join(map(form.show, values))}]")


def ports() -> Form[PortRange]:
    """A port or range of ports with its protocol."""
    permitted = '"PORT/tcp", "PORT/udp" or "FIRST-LAST/udp" with ports from 1 to 65535'
    return Form(parse_ports, permitted, lambda value: quote(format_ports(value)))


def parse_ports(raw: object) -> PortRange:
    """("udp", 5060, 5060) of "5060/udp", ("udp", 10000, 20000) of "10000-20000/udp"; "22" alone is TCP."""
    match = _PORTS.fullmatch(str(raw)) if isinstance(raw, str | int) and not isinstance(raw, bool) else None
    if match is None:
        raise ValueError('must be ports such as "5060/udp", "10000-20000/udp" or "22/tcp"')
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError("must be ports from 1 to 65535, the lower one first")
    return (match[3] or "tcp", first, last)


def format_ports(ports: PortRange) -> str:
    """The spelling that `parse_ports` reads."""
    protocol, first, last = ports
    return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"


def endpoint() -> Form[Endpoint]:
    """An address of this machine with a port, as "127.0.0.1:8470" or "[::1]:8470"."""
    permitted = 'an address and a port such as "127.0.0.1:8470" or "[::]:443"'

    def parse(raw: object) -> Endpoint:
        match = _ENDPOINT.fullmatch(raw) if isinstance(raw, str) else None
        try:
            host = ipaddress.ip_address(match[1] or match[2]) if match else None
        except ValueError:
            host = None
        if match is None or host is None or not 1 <= int(match[3]) <= 65535 or (host.version == 6) != bool(match[1]):
            raise ValueError(f"must be {permitted}")
        return str(host), int(match[3])

    def show(value: Endpoint) -> str:
        host, port = value
        return quote(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    return Form(parse, permitted, show)


def address(*, hosts: bool) -> Form[str]:
    """An address or network in canonical spelling; with `hosts` also a host name."""
    permitted = "an address, a network or a host name" if hosts else "an address or a network"

    def parse(raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError(f"must be {permitted}")
        found = parse_address(raw)
        if found is None and hosts and is_host(raw.lower().removesuffix(".")):
            return raw.lower().removesuffix(".")
        if found is None:
            raise ValueError(f"must be {permitted}")
        return found

    return Form(parse, permitted, quote)


def parse_address(raw: str) -> str | None:
    """The canonical spelling of an address or network, None for anything else; host bits are a `ValueError`."""
    try:
        network = ipaddress.ip_network(raw, strict=False)
    except ValueError:
        return None
    if "%" in raw:
        raise ValueError("must not name an interface")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        mapped = ipaddress.ip_interface(raw.partition("/")[0]).ip.ipv4_mapped  # type: ignore[union-attr]
        return parse_address(f"{mapped}/{network.prefixlen - 96}")
    if "/" in raw and ipaddress.ip_interface(raw).ip != network.network_address:
        raise ValueError(f"has bits set beyond its prefix: the network is {network}")
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def is_host(name: str) -> bool:
    """Whether `name` is spelled like a host name (RFC 1123); if its last label is a number it is a mistyped address."""
    labels = name.split(".")
    return len(name) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
