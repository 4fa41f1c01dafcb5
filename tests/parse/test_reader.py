"""Blocks of a log in, events out: the same events however the blocks are cut, with the right lines and times."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model import Event
from ringfence.parse.catalogue import load_catalogue
from ringfence.parse.parser import Parser
from ringfence.parse.reader import CLOCK_TOLERANCE, Reader

CLIENT = "203.0.113.7"
MOMENT = datetime(2026, 11, 21, 20, 34, 50, tzinfo=UTC).timestamp()
FAILED = f"Nov 21 20:34:50 pbx sshd[1234]: Failed password for root from {CLIENT} port 50122 ssh2"
CATALOGUE = load_catalogue()
CORPUS = Path(__file__).parent.parent / "corpus"


@pytest.fixture
def reader(parser: Parser) -> Reader:
    return parser.reader("/var/log/auth.log", reference=MOMENT)


def lines(*texts: str | bytes) -> bytes:
    return b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in texts)


class TestClock:
    def test_a_live_line_keeps_its_own_time(self, reader: Reader) -> None:
        (event,) = reader.read(lines(FAILED), 1, arrival=MOMENT + 2)
        assert event.time == MOMENT
        assert reader.troubles() == []

    @pytest.mark.parametrize(("off", "side"), [(7200.0, "behind"), (-7200.0, "ahead of")])
    def test_a_wrong_clock_is_said_once_and_the_arrival_counts(self, reader: Reader, off: float, side: str) -> None:
        for second in range(3):
            (event,) = reader.read(lines(FAILED), 1 + second, arrival=MOMENT + off + second)
            assert event.time == MOMENT + off + second
        (trouble,) = reader.troubles()
        assert trouble.startswith("/var/log/auth.log: ")
        assert f"7200 s {side} this machine's clock" in trouble
        assert reader.troubles() == []

    def test_a_clock_that_was_set_right_and_goes_wrong_again_is_said_again(self, reader: Reader) -> None:
        for arrival in (MOMENT + 7200, MOMENT, MOMENT + 7200):
            reader.read(lines(FAILED), 1, arrival=arrival)
        assert len(reader.troubles()) == 2

    def test_some_minutes_of_delay_are_no_wrong_clock(self, reader: Reader) -> None:
        (event,) = reader.read(lines(FAILED), 1, arrival=MOMENT + CLOCK_TOLERANCE)
        assert event.time == MOMENT

    def test_a_log_written_in_another_zone_is_noticed(self) -> None:
        parser = Parser(CATALOGUE, zone=timezone(timedelta(hours=5)))
        reader = parser.reader("log", reference=MOMENT)
        assert reader.read(lines(FAILED), 1, arrival=MOMENT)[0].time == MOMENT
        assert "logs.timezone" in reader.troubles()[0]

    def test_when_catching_up_the_lines_own_time_counts(self, reader: Reader) -> None:
        (event,) = reader.read(lines(FAILED.replace("Nov 21", "Mar  3")), 1)
        assert event.time == datetime(2026, 3, 3, 20, 34, 50, tzinfo=UTC).timestamp()
        assert reader.troubles() == []

    def test_an_unreadable_time_is_counted_and_the_line_is_not_lost(self, reader: Reader) -> None:
        events = reader.read(lines(FAILED, FAILED.replace("Nov 21", "Feb 31"), FAILED.replace("20:34", "27:34")), 1)
        assert [event.time for event in events] == [MOMENT] * 3
        assert reader.statistics.unreadable_times == 2


class TestLines:
    def test_line_numbers_are_right_within_and_across_blocks(self, reader: Reader) -> None:
        first = reader.read(lines("x", FAILED, "", "y", FAILED), 1)
        second = reader.read(lines(FAILED, "z", FAILED), 6)
        assert [event.line for event in first + second] == [2, 5, 6, 8]
        assert reader.statistics.lines == 8

    @pytest.mark.parametrize(
        ("line", "account"),
        [
            (FAILED, "root"),
            (
                f"[2026-11-21 20:34:50] WARNING[25556] chan_iax2.c: Host {CLIENT}:6035 failed to authenticate as 910",
                "910",
            ),
        ],
    )
    def test_lines_that_dos_wrote_are_read_the_same(self, reader: Reader, line: str, account: str) -> None:
        plain, dos = reader.read(lines(line), 1), reader.read(lines(line + "\r"), 1)
        assert plain == dos
        assert [event.account for event in dos] == [account]

    def test_the_bytes_and_matched_lines_are_counted(self, reader: Reader) -> None:
        data = lines("x", FAILED)
        reader.read(data, 1)
        assert (reader.statistics.bytes, reader.statistics.matched, reader.statistics.last_time) == (
            len(data),
            1,
            MOMENT,
        )

    def test_an_empty_block_is_nothing(self, reader: Reader) -> None:
        assert reader.read(b"", 1) == []

    def test_only_the_named_kinds_are_believed(self, parser: Parser) -> None:
        assert parser.reader("log", reference=MOMENT, kinds=["sip-asterisk"]).read(lines(FAILED), 1) == []
        assert len(parser.reader("log", reference=MOMENT, kinds=["ssh-openssh"]).read(lines(FAILED), 1)) == 1

    def test_only_the_services_that_are_looked_for_come(self) -> None:
        line = '{"ringfence": "event", "time": 1795290863, "service": "intranet", "outcome": "failed", "address": "203.0.113.7"}'  # noqa: E501
        for service, found in (("ssh", [0]), ("intranet", [1]), ("sip", [])):
            parser = Parser(CATALOGUE, zone=UTC, services=[service])
            events = parser.reader("log", reference=MOMENT).read(lines(FAILED, line), 1)
            assert [event.line - 1 for event in events] == found


class TestNames:
    @pytest.mark.parametrize(
        ("written", "account"),
        [
            (b"j\xc3\xb6rg", "jörg"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"a\x00b", "a\x00b"),
            (b"a b  c", "a b  c"),
            (b"", ""),
            ("田中".encode(), "田中"),
            (b"a\xe2\x80\xa8b", "a\u2028b"),
            (b"a\x85b\x0bc\x0cd\x1ce", "a\\x85b\x0bc\x0cd\x1ce"),
        ],
    )
    def test_any_bytes_may_stand_in_a_name(self, reader: Reader, written: bytes, account: str) -> None:
        (event,) = reader.read(lines(FAILED.encode().replace(b"for root", b"for invalid user " + written)), 1)
        assert (event.account, event.address) == (account, CLIENT)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b"")))
    def test_no_bytes_in_a_name_yield_another_address(self, written: bytes) -> None:
        reader = Parser(CATALOGUE, zone=UTC).reader("log", reference=MOMENT)
        events = reader.read(lines(FAILED.encode().replace(b"for root", b"for invalid user " + written)), 1)
        assert [event.address for event in events] == [CLIENT]

    def test_a_line_with_two_readings_is_counted_and_not_believed(self, tmp_path: Path) -> None:
        (tmp_path / "door.toml").write_text(
            'kind = "door"\ntitle = "Door"\nservice = "door"\nenvelope = "text"\n'
            "[[pattern]]\nname = 'x'\ntemplate = 'refused {account} from {address} because {detail}'\n"
            "examples = [{ line = '2026-11-21 20:34:50 refused bob from 203.0.113.7 because of it', detail = 'of it' }]\n"  # noqa: E501
        )
        reader = Parser(load_catalogue([tmp_path]), zone=UTC).reader("log", reference=MOMENT)
        good = "2026-11-21 20:34:50 refused bob from 203.0.113.7 because of it"
        for lie in ("bob from 192.0.2.99 because x", "x from y"):
            assert reader.read(lines(good.replace("bob", lie), good.replace("of it", lie)), 1) == []
        assert reader.statistics.unbelieved == 4
        assert len(reader.read(lines(good), 1)) == 1


def mixed() -> list[bytes]:
    """Lines of several servers in one log, as syslog has them."""
    ssh = (CORPUS / "openssh" / "openssh-info-rfc3164.log").read_bytes().splitlines(keepends=True)[:120]
    sip = (CORPUS / "kamailio" / "kamailio-rfc3164.log").read_bytes().splitlines(keepends=True)
    both = [line for pair in zip(ssh, sip, strict=False) for line in pair] + ssh[len(sip) :]
    repeated = FAILED.replace("Failed", "message repeated 3 times: [ Failed") + "]\r\n"
    odd = [b"\x00\xff\n", b"\n", b"Failed password for \n", repeated.encode(), f"{FAILED[:-1]}\n".encode()]
    return [*both[:50], *odd, *both[50:]]


MIXED = mixed()
MANY = Parser(CATALOGUE, zone=UTC)


def read_cut(cuts: list[int]) -> tuple[list[Event], list[Event]]:
    """Sightings and counted events of the mixed log when it is cut before those lines."""
    parser = Parser.__new__(Parser)
    parser.__dict__.update(MANY.__dict__)
    attempts = type(MANY.attempts)(CATALOGUE.patterns())
    reader = parser.reader("log", reference=MOMENT)
    edges = sorted({0, len(MIXED), *cuts})
    sightings: list[Event] = []
    counted: list[Event] = []
    for start, end in itertools.pairwise(edges):
        block = reader.read(b"".join(MIXED[start:end]), start + 1)
        sightings += block
        counted += attempts.feed(block)
    return sightings, counted


def test_the_mixed_log_holds_enough_to_tell() -> None:
    sightings, counted = read_cut([])
    assert {event.service for event in counted} == {"ssh", "sip"}
    assert len(counted) > 50
    assert len(sightings) > len(counted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(MIXED)), max_size=40))
def test_the_same_events_come_however_the_lines_are_cut_into_blocks(cuts: list[int]) -> None:
    assert read_cut(cuts) == read_cut([])


def test_the_same_events_come_line_by_line() -> None:
    assert read_cut(list(range(len(MIXED)))) == read_cut([])
