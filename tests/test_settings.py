"""ringfence.toml: what a user writes, what holds then, and what is said when it is wrong."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ringfence import settings as module
from ringfence.durations import TEN_YEARS, format_duration, parse_duration
from ringfence.errors import SettingsError
from ringfence.settings import TABLES, Settings, docs_of, load_settings, parse_settings
from ringfence.settings_text import example_file, reference_markdown
from ringfence.values import (
    format_ports,
    format_size,
    parse_address,
    parse_ports,
    parse_size,
    quote,
)

HOME = {"HOME": "/home/anna"}


def read(text: str, environ: dict[str, str] | None = None, *, is_root: bool = True) -> Settings:
    return parse_settings(text, "ringfence.toml", environ or {}, is_root=is_root)


# Durations, sizes, ports, addresses


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172_800), ("1w", 604_800), ("365d", 31_536_000),
        ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), (600, 600), ("10y", TEN_YEARS), ("forever", math.inf),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0s", "soon", "-5m", "5 parsecs", "30m1h", "1h1h", "3651d", "1e3", "٣m", "10M", True, math.nan],
)
def test_what_is_no_duration_is_refused_with_a_reason(text: Any) -> None:
    with pytest.raises(ValueError, match="must be a"):
        parse_duration(text)


def test_forever_is_refused_where_something_has_to_end() -> None:
    with pytest.raises(ValueError, match=r"from 1s to 10 years$"):
        parse_duration("forever", forever=False)


@pytest.mark.parametrize("text", ["1s", "90s", "10m", "2h", "1h30m", "365d", "forever", "7d", "1.5s"])
def test_a_duration_is_shown_as_a_person_would_write_it(text: str) -> None:
    shown = format_duration(parse_duration(text))
    assert shown == {"90s": "1m30s"}.get(text, text)


@given(st.one_of(st.integers(1, TEN_YEARS), st.integers(8, 2**20).map(lambda n: n / 8), st.just(math.inf)))
def test_every_duration_is_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(alphabet="0123456789.smhdwy forev-"))
def test_a_duration_in_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 1 <= seconds <= TEN_YEARS or seconds == math.inf


@pytest.mark.parametrize(("text", "count"), [("1GB", 10**9), ("64 MiB", 2**26), ("500", 500), (10, 10), ("1kB", 1000)])
def test_a_size_is_read_as_people_write_it(text: str | int, count: int) -> None:
    assert parse_size(text) == count
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("5060/udp", ("udp", 5060, 5060)),
        ("10000-20000/udp", ("udp", 10_000, 20_000)),
        ("22", ("tcp", 22, 22)),
        (22, ("tcp", 22, 22)),
    ],
)
def test_ports_are_read_with_their_protocol(text: str | int, ports: tuple[str, int, int]) -> None:
    assert parse_ports(text) == ports
    assert parse_ports(format_ports(ports)) == ports


@pytest.mark.parametrize("text", ["0/tcp", "65536", "20-10/udp", "22/sctp", "ssh", "", "22; drop", True, 2.5])
def test_ports_that_do_not_exist_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="must be ports"):
        parse_ports(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"), ("192.0.2.1/32", "192.0.2.1"), ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8:0::1", "2001:db8::1"), ("2001:db8::/32", "2001:db8::/32"), ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("example.net", None), ("1.2.3", None), ("", None),
    ],
)  # fmt: skip
def test_an_address_gets_its_one_canonical_spelling(text: str, canonical: str | None) -> None:
    assert parse_address(text) == canonical


@pytest.mark.parametrize("text", ["10.0.0.5/8", "2001:db8::1/32", "::ffff:10.0.0.5/104", "fe80::1%eth0"])
def test_a_network_with_host_bits_or_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has bits set|must not name"):
        parse_address(text)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_survives_being_written_as_toml(text: str) -> None:
    assert tomllib.loads(f"a = {quote(text)}") == {"a": text}


# What holds


def test_with_no_file_at_all_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_FILE", tmp_path / "none.toml")
    assert load_settings(None, {}, is_root=True) == Settings()


def test_the_named_file_wins_over_the_variable_and_that_over_the_usual_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: tmp_path / f"{name}.toml" for name in ("usual", "variable", "named")}
    for number, file in enumerate(files.values(), 1):
        file.write_text(f"[bans]\ncapacity = {number}\n")
    monkeypatch.setattr(module, "DEFAULT_FILE", files["usual"])
    variable = {"RINGFENCE_CONFIG": str(files["variable"])}
    assert load_settings(None, {}, is_root=True).bans.capacity == 1
    assert load_settings(None, variable, is_root=True).bans.capacity == 2
    found = load_settings(files["named"], variable, is_root=True)
    assert (found.bans.capacity, found.origin) == (3, str(files["named"]))


def test_a_named_file_that_is_missing_or_unreadable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: there is no such settings file"):
        load_settings(tmp_path / "nowhere.toml", {}, is_root=True)
    with pytest.raises(SettingsError, match=r"can't be read: Is a directory"):
        load_settings(tmp_path, {}, is_root=True)
    (tmp_path / "latin1.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(SettingsError, match=r"latin1\.toml: is not UTF-8 text \(byte 5\)"):
        load_settings(tmp_path / "latin1.toml", {}, is_root=True)


def test_every_table_can_be_set() -> None:
    found = read("""
        [ledger]
        path = "/srv/r.db"
        keep_events = "forever"
        max_size = "2GiB"
        [control]
        socket = "/srv/r.sock"
        group = ""
        [enforce]
        mode = "monitor"
        keep_on_stop = false
        reconcile_every = 30
        [logs]
        timezone = "Europe/Rome"
        catch_up = "0s"
        journal = false
        [[source]]
        kind = "sip-asterisk"
        files = ["/var/log/asterisk/*.log"]
        [[source]]
        kind = ["ssh", "own"]
        units = "ssh.service"
        [services.sip]
        ports = ["5060/udp", "5060-5061/tcp"]
        [lockdown]
        services = ["sip"]
        media_ports = []
        [protect]
        addresses = ["2001:DB8::1", "10.0.0.0/8"]
        [policy]
        file = "/etc/ringfence/policy.toml"
    """)
    assert (found.ledger.path, found.ledger.keep_events, found.ledger.max_size) == (Path("/srv/r.db"), math.inf, 2**31)
    assert (found.control.socket, found.control.group) == (Path("/srv/r.sock"), "")
    assert (found.enforce.mode, found.enforce.keep_on_stop, found.enforce.reconcile_every) == ("monitor", False, 30.0)
    assert (found.logs.timezone, found.logs.catch_up, found.logs.journal) == ("Europe/Rome", 0.0, False)
    assert [source.kind for source in found.source] == [("sip-asterisk",), ("ssh", "own")]
    assert found.source[0].files == (Path("/var/log/asterisk/*.log"),)
    assert found.source[1].units == ("ssh.service",)
    assert found.services["sip"].ports == (("udp", 5060, 5060), ("tcp", 5060, 5061))
    assert (found.lockdown.services, found.lockdown.media_ports) == (("sip",), ())
    assert found.protect.addresses == ("2001:db8::1", "10.0.0.0/8")
    assert found.policy.file == Path("/etc/ringfence/policy.toml")
    assert found.whitelist.resolve_every == 300


def test_who_is_not_root_gets_folders_of_their_own() -> None:
    found = read("", HOME, is_root=False)
    assert found.ledger.path == Path("/home/anna/.local/state/ringfence/ringfence.db")
    assert found.control.socket == Path("/home/anna/.local/state/ringfence/control.sock")
    assert found.catalogue.cache == Path("/home/anna/.cache/ringfence")
    xdg = {**HOME, "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CACHE_HOME": "relative/ignored"}
    found = read("", xdg, is_root=False)
    assert found.ledger.path == Path("/s/ringfence/ringfence.db")
    assert found.control.socket == Path("/run/user/7/ringfence/control.sock")
    assert found.catalogue.cache == Path("/home/anna/.cache/ringfence")


def test_a_unit_with_systemds_directories_uses_them_without_root() -> None:
    unit = {"STATE_DIRECTORY": "/var/lib/ringfence", "RUNTIME_DIRECTORY": "/run/ringfence:/b", "CACHE_DIRECTORY": "/c"}
    found = read("", unit, is_root=False)
    assert (found.ledger.path, found.control.socket) == (Settings().ledger.path, Settings().control.socket)
    assert found.catalogue.cache == Path("/c")


def test_a_path_that_the_file_names_holds_for_everyone() -> None:
    text = '[ledger]\npath = "/a/b.db"\n[control]\nsocket = "/a/c.sock"\n[catalogue]\ncache = "/a/cache"'
    assert read(text, {}, is_root=False).ledger.path == Path("/a/b.db")


def test_without_root_and_home_the_setting_to_set_is_named() -> None:
    with pytest.raises(SettingsError, match=r"\[ledger\] path: is not set, and neither is \$HOME"):
        read("", {}, is_root=False)


# What is said when it is wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ledgr]", "ringfence.toml: ledgr: there is no such table of settings; nearest known: ledger"),
        ("[ledger]\nkeep_evnts = 1", "[ledger] keep_evnts: there is no such setting; nearest known: keep_events"),
        ("[bans]\nzzz = 1", "ringfence.toml: [bans] zzz: there is no such setting; known: capacity"),
        ("ledger = 3", "ringfence.toml: [ledger]: must be a table, not 3"),
        ("[bans]\ncapacity = 0", "[bans] capacity = 0: must be a whole number from 1 to 10000000"),
        ("[bans]\ncapacity = true", "[bans] capacity = true: must be a whole number"),
        ('[bans]\ncapacity = "9"', '[bans] capacity = "9": must be a whole number'),
        (
            '[enforce]\nmode = "nftable"',
            '[enforce] mode = "nftable": must be "auto", "nftables" or "monitor"; nearest: "nftables"',
        ),
        ("[enforce]\nkeep_on_stop = 1", "[enforce] keep_on_stop = 1: must be true or false"),
        ('[enforce]\nreconcile_every = "forever"', 'reconcile_every = "forever": must be a duration from 1s to 1d'),
        ('[ledger]\nmax_size = "1MB"', 'max_size = "1MB": must be a size from 10MB to 10TB'),
        ('[ledger]\npath = "r.db"', 'path = "r.db": must be an absolute path'),
        ('[logs]\njournal = "yes"', 'journal = "yes": must be "auto", true or false'),
        ('[logs]\ntimezone = "Europe/Roma"', '"Europe/Roma": there is no such time zone; nearest known: Europe/Rome'),
        ('[logs]\ntimezone = "../../etc/passwd"', "must be the name of a time zone"),
        ('[[source]]\nfiles = ["/a"]', "[[source]] no. 1 kind: is missing"),
        ('[[source]]\nkind = "ssh"', "[[source]] no. 1 files: is missing (or units)"),
        ('[[source]]\nkind = "ssh"\nfile = "/a"', "no. 1 file: there is no such setting; nearest known: files"),
        ('[source]\nkind = "ssh"', "[source]: is a list of tables; write [[source]]"),
        ('[services.sip]\nports = ["70000/udp"]', '"70000/udp" must be ports from 1 to 65535'),
        ("[services.sip]\nenabled = false", "[services.sip] enabled: belongs in the policy"),
        ('[services."a b"]\nports = []', "a service's name is 1 to 32 of"),
        ("[rules.standard]\nfailures = 3", "[rules]: belongs in the policy"),
        ('[protect]\naddresses = ["example.net"]', '"example.net" must be an address or a network'),
        ("[bans]\ncapacity = = 3", "ringfence.toml:2: not valid TOML"),
        ("[bans]\ncapacity = [", "ringfence.toml:2: not valid TOML"),
        ("a = " + "[" * 5000, "ringfence.toml: nested too deeply"),
        ("a = " + "9" * 5000, "ringfence.toml: not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_key_and_what_is_right(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert message in str(caught.value)


def test_a_message_cannot_move_the_terminal() -> None:
    with pytest.raises(SettingsError) as caught:
        read('"\\u001b[2J\\u009b" = 1')
    assert str(caught.value).isprintable()
    with pytest.raises(SettingsError) as caught:
        read('[ledger]\npath = "\\u001b[2J\\u009b\\n"')
    assert str(caught.value).isprintable()


# What is written about it


def test_every_setting_has_a_meaning_and_a_default_that_it_accepts() -> None:
    defaults = Settings()
    for table, declared in TABLES.items():
        assert declared.__doc__
        docs = docs_of(declared)
        assert list(docs) == [field.name for field in structs.fields(declared)]
        for key, doc in docs.items():
            assert doc.meaning.endswith("."), f"[{table}] {key}"
            value = getattr(declared() if table in ("source", "services") else getattr(defaults, table), key)
            assert doc.form.parse(tomllib.loads(f"a = {doc.form.show(value)}")["a"]) == value, f"[{table}] {key}"


def test_the_settings_page_is_up_to_date() -> None:
    page = Path(__file__).parent.parent / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == reference_markdown(), (
        "run: python -m ringfence.settings --reference > docs/settings.md"
    )


def test_the_example_changes_nothing_as_it_is_and_every_line_of_it_can_be_used() -> None:
    assert read(example_file()) == structs.replace(Settings(), origin="ringfence.toml")
    used = read(re.sub(r"(?m)^#:", "", example_file()))
    assert structs.replace(used, origin="defaults", source=(), services={}) == Settings()
    assert used.source
    assert used.services


def test_reading_settings_and_policy_loads_nothing_heavy() -> None:
    program = "import sys, ringfence.settings, ringfence.policy_text; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"typer", "rich", "pydantic", "sqlite3", "asyncio", "zoneinfo", "hyperscan"} & set(loaded)


def test_page_and_example_come_from_the_command_line() -> None:
    run = [sys.executable, "-m", "ringfence.settings"]
    assert subprocess.run([*run, "--example"], capture_output=True, text=True, check=True).stdout == example_file()
    wrong = subprocess.run([*run, "--exmple"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.strip() == "usage: python -m ringfence.settings --reference | --example"
