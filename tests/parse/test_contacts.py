"""A connection that comes to nothing is a probe; one that is followed by a login is none."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.parser import Parser

KIND = """
kind = "gate"
title = "Gate"
service = "gate"
envelope = "none"
[[pattern]]
name = "connected"
template = '{stamp} connected {address}'
attempt = "contact"
cause = "probe"
examples = [{ line = '1700000000 connected 203.0.113.7', address = "203.0.113.7" }]
[[pattern]]
name = "refused"
template = '{stamp} refused {account} {address}'
cause = "wrong password"
examples = [{ line = '1700000000 refused bob 203.0.113.7', account = "bob" }]
[[pattern]]
name = "welcome"
template = '{stamp} welcome {account} {address}'
outcome = "succeeded"
examples = [{ line = '1700000000 welcome bob 203.0.113.7', account = "bob" }]
[[pattern]]
name = "command"
template = '{stamp} command {address}'
attempt = "none"
examples = [{ line = '1700000000 command 203.0.113.7', address = "203.0.113.7" }]
"""


@pytest.fixture
def parser(tmp_path: Path) -> Parser:
    (tmp_path / "gate.toml").write_text(KIND)
    found = load_catalogue([tmp_path])
    return Parser(
        Catalogue(kinds={"gate": found.kinds["gate"]}, services=found.services, problems=found.problems), zone=UTC
    )


def read(parser: Parser, *lines: str, source: str = "log") -> list[tuple[str, str]]:
    text = "".join(f"{line}\n" for line in lines)
    return told(parser.attempts.feed(parser.reader(source, reference=1.8e9).read(text.encode(), 1)))


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.address, event.cause if event.failed else "succeeded") for event in events]


def test_a_connection_that_nothing_follows_is_one_probe(parser: Parser) -> None:
    assert read(parser, "1700000000 connected 203.0.113.7", "1700000001 command 203.0.113.7") == []
    assert told(parser.attempts.finish(1700000014.9)) == []
    assert told(parser.attempts.finish(1700000015.0)) == [("203.0.113.7", "probe")]
    assert told(parser.attempts.finish(1700001000.0)) == []


@pytest.mark.parametrize(("line", "cause"), [("refused bob", "wrong password"), ("welcome bob", "succeeded")])
def test_a_login_withdraws_the_probe(parser: Parser, line: str, cause: str) -> None:
    found = read(parser, "1700000000 connected 203.0.113.7", f"1700000009 {line} 203.0.113.7")
    assert found + told(parser.attempts.finish(1700000100.0)) == [("203.0.113.7", cause)]


def test_a_password_after_the_probe_was_told_counts_all_the_same(parser: Parser) -> None:
    """Nobody hides an attempt by dawdling."""
    read(parser, "1700000000 connected 203.0.113.7")
    assert told(parser.attempts.finish(1700000020.0)) == [("203.0.113.7", "probe")]
    assert read(parser, "1700000021 refused bob 203.0.113.7") == [("203.0.113.7", "wrong password")]


def test_a_probe_that_was_counted_before_a_restart_is_not_counted_again(parser: Parser, tmp_path: Path) -> None:
    read(parser, "1700000000 connected 203.0.113.7")
    counted = parser.attempts.finish(1700000020.0)
    after = Parser(load_catalogue([tmp_path]), zone=UTC)
    after.attempts.restore(counted)
    assert read(after, "1700000000 connected 203.0.113.7", source="other") == []
    assert read(after, "1700000021 refused bob 203.0.113.7") == [("203.0.113.7", "wrong password")]
    assert told(after.attempts.finish(1700000100.0)) == []


def test_another_address_withdraws_nothing(parser: Parser) -> None:
    read(parser, "1700000000 connected 203.0.113.7", "1700000001 refused bob 203.0.113.8")
    assert told(parser.attempts.finish(1700000100.0)) == [("203.0.113.7", "probe")]


def test_the_same_connection_in_two_logs_is_one_probe(parser: Parser) -> None:
    read(parser, "1700000000 connected 203.0.113.7", source="one")
    read(parser, "1700000000 connected 203.0.113.7", source="two")
    assert told(parser.attempts.finish(1700000100.0)) == [("203.0.113.7", "probe")]
    assert read(parser, "1700000000 connected 203.0.113.7", source="three") == []
    assert told(parser.attempts.finish(1700000200.0)) == []


def test_what_waits_outlives_a_restart_and_what_was_withdrawn_is_gone(parser: Parser, tmp_path: Path) -> None:
    read(parser, "1700000000 connected 203.0.113.7", "1700000000 connected 203.0.113.8")
    held = parser.attempts.held()
    assert [event.address for event in held.added] == ["203.0.113.7", "203.0.113.8"]
    read(parser, "1700000001 welcome bob 203.0.113.8")
    gone = parser.attempts.held().dropped
    assert [event.address for event in gone] == ["203.0.113.8"]
    after = Parser(load_catalogue([tmp_path]), zone=UTC)
    after.attempts.restore((), [event for event in held.added if event not in gone])
    assert told(after.attempts.finish(1700000100.0)) == [("203.0.113.7", "probe")]
