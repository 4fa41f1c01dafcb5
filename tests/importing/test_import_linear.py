"""Patterns with `regex`: what the reader makes of their lines, and what a catalogue file with them has to look like."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from ringfence.parse.catalogue import Catalogue, check_examples, load_catalogue
from ringfence.parse.linear import Linear, Searched, expanded
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader

KIND = r"""
kind = "turnstile"
title = "Turnstile"
service = "turnstile"
envelope = "none"
[services]
turnstile = ["7000/tcp"]
[[pattern]]
name = "refused"
prefix = '^ \S+ turnstiled\[\d+\]: (?P<content>.+)$'
regex = [
  '^login refused for "(?P<account>[^"]*)" from <HOST>',
  '^(?P<nofail>probe) of <HOST>',
  '^(?:probe of|session \d+ from) <HOST> was refused',
]
unless = ['"monitor"']
hints = ["refused"]
cause = "wrong password"
join = ["address"]
examples = [
  { line = 'Nov 21 20:34:50 gate turnstiled[812]: login refused for "ann" from 203.0.113.7', account = "ann" },
]
"""
BEGIN = "Nov 21 20:34:50 gate turnstiled[812]: "


def catalogue_of(folder: Path, text: str = KIND) -> Catalogue:
    (folder / "turnstile.toml").write_text(text)
    return load_catalogue([folder])


def reader_of(catalogue: Catalogue, **options: Any) -> Reader:
    patterns = catalogue.kinds["turnstile"].patterns
    return Reader("log", Matcher(patterns), zone=UTC, reference=1_800_000_000.0, **options)


def test_the_kind_is_used_with_its_examples(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path)
    assert [problem for problem in catalogue.problems if "turnstile" in problem] == []
    assert [wrong for wrong in check_examples(catalogue) if wrong.startswith("turnstile")] == []


def test_lines_become_sightings_in_the_order_of_the_expressions(tmp_path: Path) -> None:
    reader = reader_of(catalogue_of(tmp_path))
    lines = [
        'login refused for "ann" from 203.0.113.7 and more',
        "session 4 from 2001:db8::7 was refused",
        "probe of 203.0.113.7 was refused",  # the second expression takes it, and tells of nothing
        'login refused for "monitor" from 203.0.113.7',
        'login refused for "ann" from gate.example.org',  # a name is no address
        'login refused for "é" from ::FFFF:203.0.113.8',
    ]
    events = reader.read("".join(f"{BEGIN}{line}\r\n" for line in lines).encode(), 1)
    assert [(event.address, event.account, event.line) for event in events] == [
        ("203.0.113.7", "ann", 1),
        ("2001:db8::7", "", 2),
        ("203.0.113.8", "é", 6),
    ]
    assert {event.time for event in events} == {1795293290.0}
    assert all(event.failed and event.cause == "wrong password" and event.service == "turnstile" for event in events)


def test_a_name_counts_where_the_settings_allow_names(tmp_path: Path) -> None:
    reader = reader_of(catalogue_of(tmp_path), names=True)
    events = reader.read((BEGIN + 'login refused for "ann" from Gate.Example.org\n').encode(), 1)
    assert len(events) == 1 and events[0].address.endswith("gate.example.org") and not events[0].proven


@pytest.mark.parametrize(
    "line",
    [
        'login refused for "x" from 192.0.2.99" from 203.0.113.7',
        'login refused for "x" from 192.0.2.99 and "y" from evil.example.com',
        'login refused for "" from 192.0.2.99\x00 login refused for "" from 203.0.113.7',
    ],
)
def test_a_line_that_reads_two_ways_is_not_believed_and_counted(tmp_path: Path, line: str) -> None:
    reader = reader_of(catalogue_of(tmp_path))
    assert reader.read((BEGIN + line + "\n").encode(), 1) == []
    assert reader.statistics.unbelieved == 1


def test_a_line_without_a_time_is_not_taken(tmp_path: Path) -> None:
    """A line break in an account begins a line of the attacker's own, but that has no time."""
    reader = reader_of(catalogue_of(tmp_path))
    forged = ' gate turnstiled[812]: login refused for "x" from 192.0.2.99'
    assert reader.read(f"{BEGIN}something\n{forged}\n".encode(), 1) == []


def test_bytes_that_are_no_text_change_nothing(tmp_path: Path) -> None:
    reader = reader_of(catalogue_of(tmp_path))
    line = BEGIN.encode() + b'login refused for "\xff\xfe\xc3 \xf0\x9f" from 203.0.113.7\n'
    events = reader.read(line, 1)
    assert [event.address for event in events] == ["203.0.113.7"]


def test_long_lines_take_a_time_that_grows_with_their_length_only(tmp_path: Path) -> None:
    linear = Linear(Searched((r"(?:\w+\s?)+(?:a+)+b refused .*.*.*from <HOST>$",)))
    times = []
    for size in (10_000, 40_000):
        line = "Nov 21 20:34:50 " + "a " * size + "refused " + "from " * 1000 + "x!"
        begun = time.perf_counter()
        assert linear.takes(line) is None
        times.append(time.perf_counter() - begun)
    assert times[1] < max(0.2, times[0] * 12)


WRONG = {
    "template = 'x refused for {account} from {address}'\nregex = '<HOST>'": "only one",
    "regex = []": "needs one of template and regex",
    "regex = ['x']": "names no address",
    "regex = ['(?=x)<HOST>']": "can't be run in linear time",
    r"regex = ['(a)\1<HOST>']": "can't be run in linear time",
    r"regex = ['[\W]<HOST>']": r"\W can't stand within",
    "regex = ['[a']": "a [ is not closed",
    "regex = '<HOST>'\nprefix = 'x'": "prefix has no group",
    "regex = '<HOST>'\nstamp = ['x']": "stamp has no group",
    "template = '{account} refused from {address}'\nunless = ['x']": "belong to regex",
}


@pytest.mark.parametrize("keys", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_with_a_pattern_is_told_with_file_and_line(tmp_path: Path, keys: str) -> None:
    head, _, rest = KIND.partition("prefix = ")
    catalogue = catalogue_of(tmp_path, head + keys + "\n" + rest[rest.index("hints = ") :])
    problems = [problem for problem in catalogue.problems if "turnstile.toml" in problem]
    assert len(problems) == 1 and WRONG[keys] in problems[0] and "pattern 'refused'" in problems[0]
    assert problems[0].startswith(f"{tmp_path}/turnstile.toml:9:")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('envelope = "none"', 'envelope = "syslog"', 'envelope must be "none"'),
        ('hints = ["refused"]\n', "", "needs hints"),
        ('hints = ["refused"]', 'hints = [""]', "is shorter than"),
    ],
)
def test_what_else_a_regex_needs(tmp_path: Path, old: str, new: str, told: str) -> None:
    catalogue = catalogue_of(tmp_path, KIND.replace(old, new))
    assert any(told in problem for problem in catalogue.problems)


def test_the_engine_is_loaded_only_where_a_kind_asks_for_it(tmp_path: Path) -> None:
    """Idle memory: most machines have no such kind."""
    program = (
        "import sys, pathlib\nfrom ringfence.parse.catalogue import load_catalogue\n"
        "load_catalogue([pathlib.Path(sys.argv[1])])\nprint('re2' in sys.modules)"
    )

    def loaded() -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert loaded() == "False"
    catalogue_of(tmp_path)
    assert loaded() == "True"


def test_classes_are_those_of_every_script_inside_of_sets_too() -> None:
    assert expanded(r"a\$[$\d]$") == r"a\$[$\p{Nd}](?m:$)"
    linear = Linear(Searched((r"^ \w+[\s:]\d[\S]+ <HOST>$",)))
    assert linear.takes("Nov 21 20:34:50 Üser\u00a0\u0663« 203.0.113.7") == "203.0.113.7"
    assert linear.takes("Nov 21 20:34:50 Üser\u00a0x« 203.0.113.7") is None
