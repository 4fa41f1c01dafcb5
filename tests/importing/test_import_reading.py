"""Jails and filters are read as fail2ban itself reads them: files, includes, interpolation, tags, parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fail2ban_machines import everything, folder
from fail2ban_oracle import STOCK, Oracle, missing

from ringfence.importing.conf import Conf, ConfError
from ringfence.importing.filters import read_filter, split_options
from ringfence.importing.jails import read_machine, seconds

needs_fail2ban = pytest.mark.skipif(bool(missing()), reason=missing())
HELPERS = {"common", "apache-common", "botsearch-common", "exim-common", "selinux-common"}
"""Files that filters include, none by themselves."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    one = Oracle()
    yield one
    one.close()


def spelled(value: Any) -> str:
    return "\n".join(value) if isinstance(value, tuple) else str(value)


@needs_fail2ban
@pytest.mark.parametrize("mode", ["", "normal", "aggressive", "ddos"])
@pytest.mark.parametrize("systemd", [False, True])
def test_every_filter_of_debian_comes_out_as_fail2ban_has_it(oracle: Oracle, mode: str, systemd: bool) -> None:
    options = {"mode": mode} if mode else {}
    names = sorted({path.stem for path in (STOCK / "filter.d").glob("*.conf")} - HELPERS)
    assert len(names) > 80
    for name in names:
        theirs = oracle.options(STOCK, name, options, systemd)
        ours = read_filter(STOCK, name, options, systemd=systemd)
        for key in ("prefregex", "failregex", "ignoreregex", "datepattern", "journalmatch"):
            wanted = "\n".join(filter(None, (theirs.get(key) or "").split("\n")))
            assert spelled(getattr(ours, key)) == wanted or spelled(getattr(ours, key)) == theirs.get(key), (name, key)


@needs_fail2ban
def test_every_jail_of_debian_comes_out_as_fail2ban_has_it(oracle: Oracle, tmp_path: Path) -> None:
    made = everything(tmp_path)
    machine = read_machine(made)
    theirs = oracle.jails(made)
    assert machine.broken == () and machine.disabled == ()
    assert {jail.name for jail in machine.jails} == set(theirs) and len(theirs) > 85
    for jail in machine.jails:
        wanted = theirs[jail.name]
        assert jail.maxretry == wanted["maxretry"]
        assert (jail.findtime, jail.bantime) == (seconds(wanted["findtime"]), seconds(wanted["bantime"]))
        assert list(jail.logpaths) == [path.split()[0] for path in wanted["logpath"].split("\n") if path]


JAILS = """
[DEFAULT]
bantime = 3h
findtime = 20m
maxretry = 7
ignoreip = 127.0.0.1/8 198.51.100.0/24
           office.example.org
lowest = 2

[sshd]
enabled = true
port = 2222
maxretry = %(lowest)s

[gate]
enabled = on
filter = gate[kind="wide", extra='a, b']
logpath = /srv/gate.log tail
          /srv/other.log
maxretry = %(sshd/maxretry)s
findtime = %(known/findtime)s
bantime = -1
"""


@needs_fail2ban
def test_files_of_ones_own_are_read_in_fail2bans_order(oracle: Oracle, tmp_path: Path) -> None:
    made = folder(
        tmp_path,
        {
            "jail.local": JAILS,
            "jail.d/10.conf": "[gate]\nfindtime = 5m\nmaxretry = 99\n",
            "jail.d/20.local": "[sshd]\nbantime = 1d 12h\n",
            "filter.d/gate.conf": "[INCLUDES]\nbefore = base.conf\nafter = more.local\n[Definition]\n"
            "failregex = <what-<kind>> of <HOST>\nwhat-wide = ^%(word)s\nwhat-narrow = no\n[Init]\nkind = narrow\n",
            "filter.d/base.conf": "[DEFAULT]\nword = base\n",
            "filter.d/base.local": "[DEFAULT]\nword = local\n",
            "filter.d/more.local": "[Definition]\nignoreregex = %(known/word)s\nword = never\n",
            "filter.d/gate.local": "[Definition]\nfailregex = %(known/failregex)s\n            ^second <HOST>$\n",
        },
    )
    machine = read_machine(made)
    theirs = oracle.jails(made)
    assert {jail.name for jail in machine.jails} == set(theirs) == {"sshd", "gate"}
    for jail in machine.jails:
        wanted = theirs[jail.name]
        assert (jail.maxretry, jail.findtime, jail.bantime) == (
            wanted["maxretry"],
            seconds(wanted["findtime"]),
            seconds(wanted["bantime"]),
        ), jail.name
        assert " ".join(jail.ignoreip) == " ".join(wanted["ignoreip"].split())
    ours = next(jail.filter for jail in machine.jails if jail.name == "gate")
    values = oracle.options(made, "gate", {"kind": "wide", "extra": "a, b"}, False)
    assert list(ours.failregex) == values["failregex"].split("\n")
    assert ours.added == ("^second <HOST>$",)
    assert next(jail.ports for jail in machine.jails if jail.name == "sshd") == ("2222/tcp",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("600", 600), ("10m", 600), ("1d 12h", 129600), ("1h30m", 5400), ("60*60", 3600), ("1hour+30min", 5400),
     ("2 weeks", 1209600), ("6 months", 15778800), ("1mo", 2629800), ("-1", math.inf)],
)  # fmt: skip
def test_durations_are_fail2bans(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "__import__('os')", "10 minutes ago", "1/0", "2**99999999", "(" * 9999])
def test_what_is_no_duration_is_an_error_and_never_run(text: str) -> None:
    with pytest.raises(ConfError, match="is no duration"):
        seconds(text)


def test_parameters_of_a_filter() -> None:
    assert split_options("sshd") == ("sshd", {})
    assert split_options("sshd[mode=aggressive, x=\"a,b]\", y='1'][z=2]") == (
        "sshd",
        {"mode": "aggressive", "x": "a,b]", "y": "1", "z": "2"},
    )
    with pytest.raises(ConfError):
        split_options("sshd[mode")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a]\nx = %(y)s\ny = %(x)s\n", "refers to itself"),
        ("[a]\nx = %(nothing)s\n", r"refers to %\(nothing\)s, which no file gives"),
        ("[a]\nx = 1\nx = 2\n", r"jail.conf:3: option 'x' in section 'a' already exists$"),
        ("no section\n", r"jail.conf:1: File contains no section headers\.$"),
        ("[a]\n\nnonsense\n", r"jail.conf:3: is neither a section nor `key = value`: 'nonsense"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_with_its_name_or_section(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "jail.conf"
    file.write_text(text)
    with pytest.raises(ConfError, match=told):
        Conf([file]).get("a", "x")


def test_a_file_that_includes_itself_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[INCLUDES]\nbefore = b.conf\n[x]\nk = a\n")
    (tmp_path / "b.conf").write_text("[INCLUDES]\nbefore = a.conf\nafter = b.conf\n[x]\nk = b\n")
    assert Conf([tmp_path / "a.conf"]).get("x", "k") == "a"


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfError, match=r"holds neither jail.conf nor jail.local"):
        read_machine(tmp_path)


def test_a_broken_jail_leaves_the_others(tmp_path: Path) -> None:
    made = folder(
        tmp_path,
        {
            "jail.conf": "[good]\nenabled = true\nfilter = f\n[bad]\nenabled = true\nfilter = none\n"
            "[worse]\nenabled = true\nfilter = f\nmaxretry = many\n",
            "filter.d/f.conf": "[Definition]\nfailregex = <HOST>\n",
        },
        stock=False,
    )
    machine = read_machine(made)
    assert [jail.name for jail in machine.jails] == ["good"]
    reasons = dict(machine.broken)
    assert "there is no such filter file" in reasons["bad"] and "is no whole number" in reasons["worse"]
