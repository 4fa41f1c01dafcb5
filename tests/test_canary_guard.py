"""The canary in a real guard: what syslog is here is a socket that writes what it hears into files."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from guard_process import GuardProcess, elements, failures, namespace, running
from ringfence.answers import Attacks, Bans, Diag, Stats, Status
from ringfence.canary import STEPS, CanaryRow, CanaryState
from ringfence.ledger import Ledger
from ringfence.parse.canary import PROGRAM, message

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")

DATAGRAM = re.compile(rb"<(\d+)>(\w{3} [ \d]\d \d\d:\d\d:\d\d) (.*)", re.DOTALL)


class FakeSyslog:
    """Takes datagrams as /dev/log does; those of some facilities go to a file, in the traditional format."""

    def __init__(self, path: Path, files: dict[int, Path]) -> None:
        self.heard: list[bytes] = []
        self._files = files
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while data := self._socket.recv(4096):
                self.heard.append(data)
                found = DATAGRAM.fullmatch(data)
                assert found is not None, data
                file = self._files.get(int(found[1]) >> 3)
                if file is not None:
                    with file.open("ab") as out:
                        out.write(found[2] + b" pbx " + found[3] + b"\n")

    def close(self) -> None:
        """Hear nothing more; the socket's file stays, as that of a syslog that was killed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()


SETTINGS = """
[[source]]
kind = "ssh-openssh"
files = ["{auth}"]
[[source]]
kind = "smtp-postfix"
files = ["{mail}"]
"""
AUTHPRIV, AUTH, MAIL = 10, 4, 2


class Place:
    """A folder with the logs auth.log and mail.log, which a syslog writes, and messages, which only Asterisk does."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.auth, self.mail, self.device = folder / "auth.log", folder / "mail.log", folder / "dev-log"
        for log in (self.auth, self.mail, folder / "messages"):
            log.touch()
        self.guard = GuardProcess(folder, settings=SETTINGS.format(auth=self.auth, mail=self.mail), **options)

    @contextmanager
    def syslog(self, *facilities: int) -> Iterator[FakeSyslog]:
        """A syslog that writes these facilities to the file of each; anew where there was one before."""
        self.device.unlink(missing_ok=True)
        files = {AUTHPRIV: self.auth, AUTH: self.auth, MAIL: self.mail}
        one = FakeSyslog(self.device, {number: files[number] for number in facilities})
        try:
            yield one
        finally:
            one.close()

    def canary(self) -> CanaryState:
        """A whole run."""
        return self.end_of(self.guard.ask(CanaryState, "canary_start").run)

    def end_of(self, run: int) -> CanaryState:
        """How the run of this number ended."""
        state = self.guard.wait_for(lambda: self._done(run), "the canary does not end")
        assert state is not None
        return state

    def _done(self, run: int) -> CanaryState | None:
        state = self.guard.ask(CanaryState, "canary_state")
        return state if state.run == run and state.done else None

    def row(self, state: CanaryState, log: Path) -> CanaryRow:
        return next(row for row in state.rows if row.source == str(log))

    def nothing_remains(self) -> bool:
        """No list, count or statistic of the guard knows anything of a test line."""
        status, stats = self.guard.ask(Status, "status"), self.guard.ask(Stats, "statistics")
        ledger = Ledger.open_reader(self.guard.ledger)
        events = list(ledger.events_since(0))
        ledger.close()
        return (
            events == []
            and self.guard.ask(Attacks, "attacks").rows == []
            and self.guard.ask(Bans, "bans", history=True).rows == []
            and all(row.attempts == row.bans == row.packets == 0 for row in stats.rows)
            and all(row.name != "canary" for row in status.services)
            and all(source.events == 0 for source in self.guard.ask(Diag, "diag").sources)
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("RINGFENCE_SYSLOG", str(tmp_path / "dev-log"))
    return Place(tmp_path)


def test_a_line_goes_all_the_way_and_leaves_nothing_behind(place: Place) -> None:
    with place.syslog(AUTHPRIV, AUTH, MAIL) as syslog, running(place.guard):
        state = place.canary()
        assert state.ok
        for log, facility in ((place.auth, "authpriv"), (place.mail, "mail")):
            row = place.row(state, log)
            assert (row.state, row.facility, [step.name for step in row.steps]) == ("ok", facility, list(STEPS))
            times = [step.ms for step in row.steps]
            assert times == sorted(times) and times[0] > 0 and times[-1] < 5000
            assert row.steps[-1].note == "not done: monitor mode"
        foreign = place.row(state, place.guard.log)
        assert foreign.state == "untestable" and foreign.why.startswith("only its program writes there")
        assert place.guard.log.read_text() == ""
        assert place.nothing_remains()
        assert len(set(syslog.heard)) == len(syslog.heard) >= 3


def test_the_guard_counts_others_while_it_tests_itself(place: Place) -> None:
    with place.syslog(AUTHPRIV), running(place.guard):
        place.guard.ask(CanaryState, "canary_start")
        place.guard.write(failures("203.0.113.7", 5))
        place.guard.wait_for(lambda: place.guard.ask(Bans, "bans").rows, "no ban")
        (row,) = place.guard.ask(Attacks, "attacks").rows
        assert (row.address, row.attempts) == ("203.0.113.7", 5)


def test_a_log_that_syslog_no_longer_writes_is_broken_and_said(place: Place) -> None:
    with running(place.guard):
        with place.syslog(AUTHPRIV, MAIL):
            assert place.canary().ok
        with place.syslog(AUTHPRIV):
            state = place.canary()
            assert (place.row(state, place.auth).state, place.row(state, place.mail).state) == ("ok", "broken")
            assert place.row(state, place.mail).step == "source" and not state.ok
        assert f"canary: {place.mail} is BROKEN at the step source" in place.guard.output
        assert any("canary" in problem for problem in place.guard.ask(Status, "status").problems)
        with place.syslog(AUTHPRIV, MAIL):
            assert place.canary().ok
        assert not any("canary" in problem for problem in place.guard.ask(Status, "status").problems)


def test_what_was_tested_before_is_remembered_beyond_a_restart_even_when_the_log_is_gone(place: Place) -> None:
    with running(place.guard):
        with place.syslog(AUTHPRIV, MAIL):
            assert place.canary().ok
        place.guard.kill()
        place.auth.unlink()
        place.guard.start()
        row = place.row(place.canary(), place.auth)
        assert (row.state, row.step) == ("broken", "source")


def test_a_syslog_that_was_killed_is_told_at_once(place: Place) -> None:
    with running(place.guard):
        with place.syslog(AUTHPRIV, MAIL):
            assert place.canary().ok
        state = place.guard.ask(CanaryState, "canary_start")
        assert state.done and not state.ok
        for log in (place.auth, place.mail):
            row = place.row(state, log)
            assert (row.state, row.step) == ("broken", "source") and "syslog takes nothing" in row.why


def test_a_syslog_that_takes_nothing_never_holds_the_guard(place: Place) -> None:
    """Its socket is full: nobody reads it."""
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.bind(str(place.device))
    with running(place.guard), full, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filler:
        filler.connect(str(place.device))
        with suppress(BlockingIOError):
            while True:
                filler.send(b"<14>full")
        began = time.monotonic()
        state = place.guard.ask(CanaryState, "canary_start")
        assert time.monotonic() - began < 2 and state.done and not state.ok


def test_forged_lines_do_nothing_at_all(place: Place) -> None:
    head = f"Nov 27 00:00:00 pbx {PROGRAM}[1]: "
    with place.syslog(MAIL) as syslog, running(place.guard):
        place.guard.ask(CanaryState, "canary_start")
        place.guard.wait_for(lambda: len(syslog.heard) >= 3, "no test line")
        with place.auth.open("a") as log:
            for number in range(300):
                log.write(head + message(f"192.0.2.{number % 250 + 1}", f"{number:032x}") + "\n")
        state = place.end_of(1)
        assert place.row(state, place.auth).state == "untestable" and place.row(state, place.mail).state == "ok"
        assert place.guard.ask(Attacks, "attacks").rows == [] and place.guard.ask(Bans, "bans").rows == []


def test_the_command_tells_each_step_and_its_exit_code_is_the_result(place: Place) -> None:
    with running(place.guard):
        with place.syslog(AUTHPRIV, MAIL):
            done = place.guard.cli("canary")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        (told,) = [line for line in done.stdout.splitlines() if line.startswith(str(place.auth))]
        assert len(re.findall(r"\d+\.\d ms", told)) == len(STEPS) and " ok " in told
        assert "2 logs tested, every step works; 1 log could not be tested" in done.stdout
        done = place.guard.cli("canary", "--json")
        assert done.returncode == 1 and '"state": "broken"' in done.stdout


def test_when_nothing_can_be_tested_the_command_says_so_and_fails(tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    guard.log.touch()
    with running(guard):
        done = guard.cli("canary")
        assert done.returncode == 1 and "no log could be tested" in done.stdout
        assert "only its program writes there" in done.stdout


@needs_root
def test_the_kernel_takes_the_address_and_lets_it_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_SYSLOG", str(tmp_path / "dev-log"))
    with namespace(f"rf-canary-{os.getpid()}") as name:
        place = Place(tmp_path, mode="nftables", namespace=name)
        with place.syslog(AUTHPRIV, MAIL), running(place.guard):
            heard = subprocess.Popen(
                ["ip", "netns", "exec", name, "nft", "monitor", "elements"], stdout=subprocess.PIPE, text=True
            )
            time.sleep(0.5)  # nft does not say when it listens
            state = place.canary()
            assert state.ok and all(step.note == "" for row in state.rows for step in row.steps)
            assert elements(name) == set()
            assert place.nothing_remains()
            heard.terminate()
            told, _ = heard.communicate(timeout=10)
            assert re.search(r"add element inet ringfence ssh_hosts4 \{ 192\.0\.2\.\d+ ", told), told
            assert re.search(r"delete element inet ringfence ssh_hosts4 \{ 192\.0\.2\.\d+ ", told), told
