"""The canary's score: which log is ok, broken or can't be tested, and that nobody else's lines do anything."""

from __future__ import annotations

import math
from datetime import UTC

import pytest

from ringfence.canary import DEADLINE, STEPS, Canary, Line, Log
from ringfence.parse.attempts import Attempts
from ringfence.parse.canary import KIND, PATTERN, PROGRAM, SERVICE, message
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader

AUTH, MAIL = "/var/log/auth.log", "/var/log/mail.log"
TOKEN, OTHER = "ab" * 16, "cd" * 16
ADDRESS = "192.0.2.17"
LINES = [Line("authpriv", TOKEN, ADDRESS), Line("mail", OTHER, "2001:db8:17::1")]
NOW = 1000.0

Result = tuple[str, bool, str, str]


class Score:
    """A run over some logs, and what it told."""

    def __init__(self, *logs: Log) -> None:
        self.told: list[Result] = []
        self.canary = Canary(lambda *result: self.told.append(result))
        self.canary.start(LINES, logs, NOW)

    def carry(self, source: str, upto: str = "kernel", token: str = TOKEN, address: str = ADDRESS) -> None:
        """Let a line come back through `source`, step by step, each a millisecond after the last."""
        for number, step in enumerate(STEPS[: STEPS.index(upto) + 1], 1):
            now = NOW + number / 1000
            if step == "source":
                self.canary.seen(source, token, now)
            elif step == "parse":
                self.canary.parsed(source, token, address, now)
            else:
                self.canary.reached(source, step, now)

    def state(self, source: str) -> str:
        return next(row.state for row in self.canary.rows() if row.source == source)


def test_every_step_is_told_with_its_time_since_the_writing() -> None:
    score = Score(Log(source=AUTH))
    score.carry(AUTH)
    (row,) = score.canary.rows()
    assert (row.state, row.facility) == ("ok", "authpriv")
    assert [(step.name, step.ms) for step in row.steps] == [(name, n) for n, name in enumerate(STEPS, 1)]
    assert score.told == [(AUTH, True, "", "")]
    assert score.canary.state("then").ok and not score.canary.running


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_step_that_is_not_reached_in_time_is_named(step: str) -> None:
    score = Score(Log(source=AUTH))
    score.carry(AUTH, upto=STEPS[STEPS.index(step) - 1])
    score.canary.expire(NOW + DEADLINE - 0.01)
    assert score.state(AUTH) == "waiting" and score.told == []
    score.canary.expire(NOW + DEADLINE)
    (row,) = score.canary.rows()
    assert (row.state, row.step) == ("broken", step) and row.why
    assert score.told == [(AUTH, False, step, row.why)]
    assert score.canary.problems() == [f"canary: {AUTH}: {step}: {row.why}"]
    assert not score.canary.running and not score.canary.state("").ok


def test_a_log_that_no_line_reached_is_broken_only_if_one_did_before() -> None:
    score = Score(Log(source=AUTH, last=5.0), Log(source=MAIL))
    score.canary.expire(NOW + DEADLINE)
    assert (score.state(AUTH), score.state(MAIL)) == ("broken", "untestable")
    assert [(source, good, step) for source, good, step, _ in score.told] == [(AUTH, False, "source")]


def test_what_is_known_of_a_log_from_which_nothing_comes_is_told() -> None:
    score = Score(Log(source=AUTH, last=5.0, why="it is not there"), Log(source=MAIL, why="permission denied"))
    score.canary.expire(NOW + DEADLINE)
    assert [(row.state, row.why) for row in score.canary.rows()] == [
        ("broken", "it is not there"), ("untestable", "permission denied"),
    ]  # fmt: skip


def test_a_log_of_its_own_program_is_not_waited_for_and_makes_nothing_ok() -> None:
    score = Score(Log(source="/var/log/asterisk/full", fed=False, why="only its program writes there"))
    state = score.canary.state("")
    assert state.done and not state.ok and score.told == []
    assert [(row.state, row.why) for row in state.rows] == [("untestable", "only its program writes there")]


def test_a_log_of_its_own_program_that_gets_the_line_all_the_same_is_tested() -> None:
    """Asterisk can be told to log through syslog."""
    score = Score(Log(source=AUTH), Log(source=MAIL, fed=False, why="only its program writes there"))
    score.carry(MAIL, token=OTHER, address="2001:db8:17::1")
    score.carry(AUTH)
    assert (score.state(AUTH), score.state(MAIL)) == ("ok", "ok")


def test_a_syslog_that_takes_nothing_ends_the_run_at_once() -> None:
    score = Score(Log(source=AUTH, last=5.0), Log(source=MAIL))
    score.canary.refused("nobody listens")
    assert not score.canary.running
    assert score.told == [(AUTH, False, "source", "nobody listens")]
    assert score.state(MAIL) == "untestable"


def test_a_ledger_that_keeps_the_guard_from_reading_is_what_is_called_broken() -> None:
    score = Score(Log(source=AUTH))
    score.canary.expire(NOW + DEADLINE, "the disk is full")
    assert score.told == [(AUTH, False, "ledger", "the disk is full")]


@pytest.mark.parametrize(
    ("token", "address"),
    [("0" * 32, ADDRESS), (TOKEN, "192.0.2.18"), (TOKEN, "2001:db8:17::1"), ("", ADDRESS), (TOKEN.upper(), ADDRESS)],
)
def test_a_line_that_we_did_not_write_does_nothing(token: str, address: str) -> None:
    score = Score(Log(source=AUTH))
    score.canary.seen(AUTH, TOKEN, NOW)
    before = score.canary.rows()
    assert not score.canary.parsed(AUTH, token, address, NOW)
    assert score.canary.rows() == before


def test_the_line_of_an_earlier_run_does_nothing() -> None:
    score = Score(Log(source=AUTH))
    score.carry(AUTH)
    score.canary.start([Line("authpriv", OTHER, ADDRESS)], [Log(source=AUTH)], NOW + 60)
    score.carry(AUTH)
    assert score.state(AUTH) == "waiting" and score.canary.rows()[0].steps == []


def test_a_second_line_in_the_same_log_is_not_carried_again() -> None:
    """The facilities auth and authpriv mostly go to one file."""
    score = Score(Log(source=AUTH))
    score.canary.seen(AUTH, TOKEN, NOW)
    assert score.canary.parsed(AUTH, TOKEN, ADDRESS, NOW)
    score.canary.seen(AUTH, OTHER, NOW)
    assert not score.canary.parsed(AUTH, OTHER, "2001:db8:17::1", NOW)


def test_a_step_can_be_neither_skipped_nor_taken_again() -> None:
    score = Score(Log(source=AUTH))
    score.canary.reached(AUTH, "kernel", NOW)
    score.carry(AUTH, upto="ledger")
    score.canary.reached(AUTH, "detect", NOW)
    assert [step.name for step in score.canary.rows()[0].steps] == ["source", "parse", "detect", "ledger"]
    assert score.state(AUTH) == "waiting"


def test_the_timer_is_off_by_default_and_counts_from_the_last_run() -> None:
    canary = Canary()
    assert canary.due(NOW, 0) == math.inf
    assert canary.due(NOW, 3600) == 3600
    assert canary.due(NOW + 3599, 3600) == 1
    assert canary.due(NOW + 3600, 3600) == 0
    canary.start(LINES, [Log(source=AUTH)], NOW + 3600)
    assert canary.due(NOW + 3601, 3600) == math.inf
    canary.expire(NOW + 3600 + DEADLINE)
    assert canary.due(NOW + 3700, 3600) == 3500
    assert canary.due(NOW + 9000, 0) == math.inf


# --- the line


def read(*lines: str, journal: bool = False) -> list[tuple[str, str, str]]:
    """Address, service and token of what a reader that believes only test lines makes of these."""
    reader = Reader("log", Matcher([PATTERN]), zone=UTC, reference=1_800_000_000.0, kinds=(KIND,), journal=journal)
    events = reader.read("".join(line + "\n" for line in lines).encode(), 1)
    assert Attempts([PATTERN]).feed(events) == []  # whatever is understood is never an attempt
    return [(event.address, event.service, event.token) for event in events]


@pytest.mark.parametrize("example", PATTERN.examples, ids=lambda example: example.line[:20])
def test_the_examples_of_the_line_are_understood(example: object) -> None:
    line, address = example.line, example.address  # type: ignore[attr-defined]
    assert [(found[0], found[1]) for found in read(line)] == [(address, SERVICE)]


@pytest.mark.parametrize(
    "head",
    [
        f"Nov 21 20:34:50 pbx {PROGRAM}[77]: ",
        f"2026-11-21T20:34:50.1+01:00 pbx {PROGRAM}[77]: ",
        f"<86>1 2026-11-21T20:34:50.1+01:00 pbx {PROGRAM} 77 - - ",
        f"<86>1 2026-11-21T20:34:50.1+01:00 pbx {PROGRAM} 77 - -  ",
    ],
)
def test_what_we_write_is_understood_in_every_form_that_syslog_gives_it(head: str) -> None:
    assert read(head + message(ADDRESS, TOKEN)) == [(ADDRESS, SERVICE, TOKEN)]


def test_what_we_write_is_understood_in_the_journal() -> None:
    entry = (
        '{"__REALTIME_TIMESTAMP":"1790000000000000","_HOSTNAME":"pbx","SYSLOG_IDENTIFIER":"'
        f'{PROGRAM}","_PID":"7","MESSAGE":"{message(ADDRESS, TOKEN)}"}}'
    )
    assert read(entry, journal=True) == [(ADDRESS, SERVICE, TOKEN)]


HEAD = f"Nov 21 20:34:50 pbx {PROGRAM}[77]: "


@pytest.mark.parametrize(
    "line",
    [
        *PATTERN.counter_examples,
        HEAD + message("203.0.113.7", TOKEN),
        HEAD + message("192.0.2.17 203.0.113.7", TOKEN),
        HEAD + message("192.0.2.999", TOKEN),
        HEAD + message("2001:db8:::::1", TOKEN),
        HEAD + message(ADDRESS, TOKEN) + " failed login of 203.0.113.7",
        HEAD + message(ADDRESS, TOKEN[:-1]),
        HEAD + message(ADDRESS, TOKEN + "0"),
        f"Nov 21 20:34:50 pbx sshd[1]: Invalid user {PROGRAM}[77]: {message(ADDRESS, TOKEN)} from 203.0.113.7 port 1",
        f" {PROGRAM}" * 1000,
        "\x00\x1b[31m" + HEAD + "\xff" * 100,
    ],
)
def test_hostile_lines_name_nobody(line: str) -> None:
    assert read(line) == []
