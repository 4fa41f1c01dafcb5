"""`explain-line` tells who writes a pattern what became of a line: taken, with which fields, or how near it came."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from ringfence.parse.catalogue import Catalogue
from ringfence.parse.near import Reading, read_line, told
from ringfence.parse.parser import Parser
from ringfence.parse.template import compile_template, pieces

LINE = "Nov 21 20:34:50 pbx sshd[1234]: Failed password for invalid user x from 203.0.113.7 port 50122 ssh2"


@pytest.fixture
def openssh(catalogue: Catalogue) -> Catalogue:
    kinds = {"ssh-openssh": catalogue.kinds["ssh-openssh"]}
    return Catalogue(kinds=kinds, services=catalogue.services, problems=())


def read(catalogue: Catalogue, line: str | bytes) -> Reading:
    data = line.encode() if isinstance(line, str) else line
    return read_line(data, Parser(catalogue, zone=UTC), catalogue, now=1_795_300_000.0)


def test_a_line_that_is_taken_is_told_with_every_field(openssh: Catalogue) -> None:
    reading = read(openssh, LINE)
    assert reading.pattern is not None and reading.event is not None
    assert reading.pattern.id == "ssh-openssh/failed-password"
    assert "syslog" in reading.envelopes
    wanted = {"account": "x", "address": "203.0.113.7", "port": "50122", "origin": "pbx sshd[1234]:"}
    assert wanted.items() <= reading.fields.items()
    assert told(reading.pattern).startswith("an attempt")


@pytest.mark.parametrize(
    ("line", "begun", "missing", "found"),
    [
        (LINE + " and more", "port 50122 ssh2", "the end of the line", " and more"),
        (LINE.replace(" port ", " at "), "user x from 203.0.113.7", " port", " at 50122 ssh2"),
    ],
)
def test_a_line_that_comes_near_is_told_up_to_where_it_differs(
    openssh: Catalogue, line: str, begun: str, missing: str, found: str
) -> None:
    reading = read(openssh, line)
    assert reading.event is None
    near = reading.nearest[0]
    assert near.pattern == "ssh-openssh/failed-password"
    assert near.begun.endswith(begun)
    assert (near.missing, near.found) == (missing, found)


def test_the_wrong_program_and_the_wrong_envelope_are_told(openssh: Catalogue) -> None:
    near = read(openssh, LINE.replace("sshd", "other")).nearest[0]
    assert near.envelope.startswith("a line of sshd")
    near = read(openssh, LINE.partition(": ")[2]).nearest[0]
    assert near.envelope == "in the envelope 'syslog'"


def test_a_line_like_nothing_known_has_nothing_near(openssh: Catalogue) -> None:
    assert read(openssh, "hello").nearest == ()
    assert read(openssh, b"\xff\xfe\x00").nearest == ()


def test_an_entry_of_the_journal_is_read_as_the_guard_reads_it(openssh: Catalogue) -> None:
    entry = {"MESSAGE": LINE.partition("]: ")[2], "SYSLOG_IDENTIFIER": "sshd", "_PID": "7",
             "__REALTIME_TIMESTAMP": "1795293290000000"}  # fmt: skip
    reading = read(openssh, json.dumps(entry))
    assert reading.event is not None and reading.event.address == "203.0.113.7"


def test_every_pattern_is_found_near_by_the_beginning_of_its_own_example(catalogue: Catalogue) -> None:
    """The pieces that a template is cut into are together the template."""
    for pattern in catalogue.patterns():
        if pattern.template:
            whole = "".join(expression for _, expression in pieces(pattern.template, pattern.types))
            groups = compile_template(pattern.template, pattern.types).fields
            assert all(f"(?P<{name}>" in whole for name in groups), pattern.id
            assert "".join(written for written, _ in pieces(pattern.template, pattern.types)) == pattern.template
