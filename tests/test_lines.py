"""Lines that nobody understands: a user is told of them by `scan`, `status`, `diag` and `check`, and asks about one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, failure, running
from ringfence.answers import Checked, Diag, Status

KNOWN = "Nov 21 20:34:50 pbx sshd[1234]: Failed password for root from 203.0.113.7 port 50122 ssh2"
CHANGED = KNOWN.replace("ssh2", "ssh9")


def explain_line(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringfence", "explain-line", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardProcess]:
    process = GuardProcess(tmp_path_factory.mktemp("lines"))
    process.log.touch()
    with running(process):
        yield process


def test_a_log_that_changes_its_form_is_told_everywhere(guard: GuardProcess) -> None:
    """And only then: lines that are understood are no news."""
    line = failure("203.0.113.50", "one")
    guard.write(line)
    guard.wait_for(lambda: guard.ask(Diag, "diag").sources[0].events == 1 or None, "the line that is understood")
    assert guard.ask(Diag, "diag").unknown == []
    changed = line.replace("Failed to authenticate", "Failed to identify")
    guard.write(changed * 3)
    guard.wait_for(lambda: guard.ask(Diag, "diag").unknown or None, "the lines that are not")
    (row,) = guard.ask(Diag, "diag").unknown
    assert (row.lines, "Failed to identify" in row.shape, "203.0.113" in row.shape) == (3, True, False)
    notices = guard.ask(Status, "status").notices
    assert any("3 lines like a failed login, but of no known form" in notice for notice in notices)
    assert any("no known form" in finding.detail for finding in guard.ask(Checked, "check").findings)
    assert "no known form" in guard.cli("status").stdout
    assert "Failed to identify" in guard.cli("diag").stdout


def test_a_line_is_explained_with_its_fields() -> None:
    done = explain_line(KNOWN)
    assert done.returncode == 0, done.stderr
    assert "taken by ssh-openssh/failed-password" in done.stdout
    assert "203.0.113.7" in done.stdout and "wrong password" in done.stdout


def test_a_line_that_nothing_takes_is_told_up_to_where_it_differs() -> None:
    done = explain_line(given=f"{KNOWN}\n{CHANGED}\n")
    assert done.returncode == 1
    assert done.stdout.count("taken by") == 1
    assert "then wants  the end of the line" in done.stdout and "but finds    ssh9" in done.stdout


def test_the_answer_can_be_had_as_json_and_of_one_kind_alone() -> None:
    told = json.loads(explain_line("--json", "--kind", "ssh-openssh", KNOWN).stdout)
    assert (told["pattern"], told["fields"]["account"]) == ("ssh-openssh/failed-password", "root")
    done = explain_line("--kind", "nonsense", KNOWN)
    assert done.returncode == 4 and "there is no kind 'nonsense'" in done.stderr


def test_a_hostile_line_can_not_break_the_terminal() -> None:
    done = explain_line(given=KNOWN.replace("root", "\x1b]0;owned\x07\x1b[2J") + "\n")
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


def test_scan_tells_of_lines_that_name_a_host_only(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text(
        "Nov 21 20:34:50 pbx login[123]: FAILED LOGIN (1) on '/dev/pts/0' from 'scan.example.org' FOR 'alice', "
        "Authentication failure\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "scan", str(log)], capture_output=True, text=True, timeout=60
    )
    assert "1 line with a host name instead of an address, not counted" in done.stdout


def test_scan_tells_of_lines_of_no_known_form(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text(f"{KNOWN}\n" + f"{CHANGED}\n" * 4)
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "scan", str(log)], capture_output=True, text=True, timeout=60
    )
    assert "4 lines like a failed login, but of no known form" in done.stdout
