"""The canary through the parts of a guard without a loop: a fault of any of them is named and stays where it is."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from guard_process import GuardProcess
from ringfence.assemble import assemble, restore
from ringfence.canary import DEADLINE, CanaryRow
from ringfence.canary_commands import CanaryCommands
from ringfence.control import Caller
from ringfence.errors import LedgerError
from ringfence.parse.canary import PROGRAM
from ringfence.parse.catalogue import load_catalogue
from ringfence.settings import load_settings
from ringfence.watch import Plan

START = 1_790_000_000.0
ROOT = Caller(user="root", pid=1)
STAMP = "Sep 21 14:13:20"
SOURCE = """
[[source]]
kind = "ssh-openssh"
files = ["{}"]
"""
DATAGRAM = re.compile(rb"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d (.*)")


class Desk:
    """A guard whose time is set by hand and whose syslog is this class: it writes authpriv to a log, or fails."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "auth.log"
        self.log.touch()
        self.process = GuardProcess(folder, settings=SOURCE.format(self.log))
        self.process.log.touch()
        self.now, self.ticks = START, 0.0
        self.said: list[str] = []
        self.told: list[tuple[str, bool, str, str]] = []
        self.fault: OSError | None = None
        self.writes = 0
        settings = load_settings(self.process.config, {}, is_root=True)
        self.guard = assemble(settings, {}, lambda: self.now, self.said.append)
        for _ in restore(self.guard):
            pass
        self.work = self.guard.canary
        self.work.write = self.write
        self.work._moment = lambda: self.ticks
        self.work.on_result = lambda *result: self.told.append(result)
        self.read()

    def write(self, device: Path, datagrams: list[bytes]) -> None:
        self.writes += 1
        if self.fault is not None:
            raise self.fault
        for one in datagrams:
            found = DATAGRAM.fullmatch(one)
            assert found is not None, one
            if int(found[1]) >> 3 == 10:
                self.append(found[2].decode())

    def append(self, message: str) -> None:
        """One line of the log."""
        with self.log.open("a") as log:
            log.write(f"{STAMP} pbx {message}\n")

    def read(self) -> None:
        """Let the guard read what there is, and carry on what it found."""
        self.guard.watch.rescan()
        self.guard.watch.files.notice()
        with contextlib.suppress(LedgerError):
            while self.guard.pipeline.take(100):
                pass
        while self.work.step():
            pass

    def run(self) -> CanaryRow:
        """A whole run; how it went in the log."""
        self.work.start()
        self.read()
        self.ticks += DEADLINE
        self.read()
        return next(row for row in self.work.state().rows if row.source == str(self.log))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.guard.watch.close()
    one.guard.ledger.close()


def test_whoever_wants_to_know_hears_the_result_of_each_log(desk: Desk) -> None:
    assert desk.run().state == "ok"
    desk.fault = OSError(errno.ECONNREFUSED, "Connection refused")
    row = desk.run()
    assert desk.told == [(str(desk.log), True, "", ""), (str(desk.log), False, "source", row.why)]
    assert "Connection refused" in row.why and any("BROKEN" in line for line in desk.said)


Break = Callable[[Desk, pytest.MonkeyPatch], None]


def no_ledger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, now: float) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(desk.guard.ledger, "note_canary", full)


def forgetful_ledger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.guard.ledger, "note_canary", lambda source, now: None)


def replace_detector(monkeypatch: pytest.MonkeyPatch, feed: Callable[[object], object]) -> None:
    """Another detector for the canary's own; that of the guard stays."""
    monkeypatch.setattr("ringfence.canary_work.Detector", lambda *_, **__: SimpleNamespace(feed=feed))


def blind_detector(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_detector(monkeypatch, lambda events: [])


def failing_detector(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(events: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    replace_detector(monkeypatch, fail)


def failing_kernel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.guard.barrier, "probe", lambda *_: (False, "the table is gone"))


def failing_parser(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RecursionError("a fault of ours")

    monkeypatch.setattr("ringfence.parse.reader.Reader.read", fail)


@pytest.mark.parametrize(
    ("breaks", "step", "why"),
    [
        (failing_parser, "parse", "not understood"),
        (blind_detector, "detect", "gave 0 verdicts"),
        (failing_detector, "detect", "a fault of ours"),
        (no_ledger, "ledger", "the disk is full"),
        (forgetful_ledger, "ledger", "is not there"),
        (failing_kernel, "kernel", "the table is gone"),
    ],
)
def test_the_step_that_breaks_is_named_with_its_reason(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, breaks: Break, step: str, why: str
) -> None:
    with monkeypatch.context() as patch:
        breaks(desk, patch)
        row = desk.run()
        assert (row.state, row.step) == ("broken", step) and why in row.why
        assert desk.told == [(str(desk.log), False, step, row.why)]
        assert any("canary" in problem for problem in desk.guard.problems())
    assert desk.run().state == "ok"
    assert not any("canary" in problem for problem in desk.guard.problems())


def test_a_guard_whose_ledger_fails_reads_nothing_and_says_that_instead_of_blaming_syslog(desk: Desk) -> None:
    assert desk.run().state == "ok"
    desk.guard.ledger_trouble = "the disk is full"
    desk.work.write = lambda device, datagrams: None
    row = desk.run()
    assert (row.state, row.step, row.why) == ("broken", "ledger", "the disk is full")


def test_two_who_ask_at_once_share_one_run(desk: Desk) -> None:
    commands = CanaryCommands(desk.guard)
    first = commands.canary_start(ROOT)
    again = commands.canary_start(ROOT)
    assert (first.run, again.run, desk.writes) == (1, 1, 1) and not first.done
    assert {row.source for row in first.rows} == {str(desk.log), str(desk.process.log)}


def test_before_the_first_run_there_is_nothing_to_tell(desk: Desk) -> None:
    state = CanaryCommands(desk.guard).canary_state(ROOT)
    assert (state.run, state.began, state.done, state.ok, state.rows) == (0, "", True, False, [])


def test_after_a_run_nothing_looks_at_lines_any_more(desk: Desk) -> None:
    desk.run()
    assert desk.guard.watch.probing is None


def test_a_line_that_comes_after_its_run_does_nothing(desk: Desk) -> None:
    held: list[bytes] = []
    desk.work.write = lambda device, datagrams: held.extend(datagrams)
    desk.run()
    for one in held:
        desk.append(one.decode().partition(">")[2][16:])
    desk.read()
    assert PROGRAM in desk.log.read_text()
    assert desk.guard.ledger.canaries() == {} and desk.guard.ledger.attackers() == []


def test_a_log_that_is_watched_no_longer_is_forgotten(desk: Desk) -> None:
    desk.guard.ledger.note_canary("/var/log/gone.log", 5.0)
    assert desk.run().state == "ok"
    assert set(desk.guard.ledger.canaries()) == {str(desk.log)}


def test_the_timer_runs_the_canary_by_itself_and_only_when_it_is_on(desk: Desk) -> None:
    async def keep(every: float) -> int:
        """How many runs there were after the loop had something to do."""
        desk.work.every = lambda: every
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await desk.work.keep()
        return desk.writes

    async def off_then_on() -> tuple[int, int]:
        off = await keep(0.0)
        desk.work.score.due(0.0, 60.0)  # the timer is switched on, and an interval goes by
        desk.ticks = 60.0
        return off, await keep(60.0)

    assert asyncio.run(off_then_on()) == (0, 1)


def test_the_journal_is_asked_for_test_lines_wherever_it_is_watched(tmp_path: Path) -> None:
    config = tmp_path / "ringfence.toml"
    config.write_text('[logs]\nfind = false\n[[source]]\nkind = "ssh-openssh"\nunits = ["ssh"]\n')
    plan = Plan(load_settings(config, {}, is_root=True), load_catalogue())
    assert plan.identifiers == {PROGRAM}
    config.write_text("[logs]\nfind = false\njournal = false\n")
    assert Plan(load_settings(config, {}, is_root=True), load_catalogue()).identifiers == set()
