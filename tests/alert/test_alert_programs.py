"""Local programs that are told: the administrator's command, and `sendmail`."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import time
from pathlib import Path

import pytest
from alert_sending import HOST, MESSAGE, NOW, RECIPIENT, SENDER, Marked

from ringfence.alert.channels import payload
from ringfence.alert.command import send_to_command
from ringfence.alert.message import Outcome
from ringfence.alert.mime import build
from ringfence.alert.sendmail import arguments, send_by_program

BODY = payload(MESSAGE, "7")


def script(folder: Path, text: str, name: str = "program") -> str:
    """A program that does `text`, with `$F` being `folder`."""
    file = folder / name
    file.write_text(f"#!/bin/sh\nF={folder}\n{text}\n")
    file.chmod(0o755)
    return str(file)


def ran(command: list[str], *, body: bytes = BODY, timeout: float = 10.0, mark: Marked | None = None) -> Outcome:
    return asyncio.run(send_to_command(command, body, mark or Marked(), timeout=timeout))


def test_a_program_gets_the_event_as_one_json_object_and_no_shell_sees_its_arguments(tmp_path: Path) -> None:
    program = script(tmp_path, 'cat > $F/heard; printf "%s\\n" "$@" > $F/arguments; echo fine; echo all well >&2')
    odd = ["$(touch /tmp/x)", "; true", "two words", "*", ""]
    outcome = ran([program, *odd])
    assert outcome == Outcome(state="sent", answer=f"{program}: done: all well")
    heard = (tmp_path / "heard").read_text()
    assert heard.count("\n") == 1 and json.loads(heard) == {"id": "7", "kind": "rule", "address": "192.0.2.1"}
    assert (tmp_path / "arguments").read_text().split("\n")[:-1] == odd


def test_a_program_sees_nothing_of_our_environment_and_has_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("SECRET", "correct horse")
    program = script(tmp_path, "env > $F/env; pwd > $F/where; ls -l /proc/self/fd > $F/open; ps -o sid= $$ > $F/sid")
    with open("/dev/null") as held:
        os.set_inheritable(held.fileno(), True)
        assert ran([program]).state == "sent"
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names <= {"PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD"}
    assert (tmp_path / "where").read_text() == "/\n"
    assert "/dev/null" not in (tmp_path / "open").read_text()
    assert int((tmp_path / "sid").read_text()) != os.getsid(0)


@pytest.mark.parametrize(
    ("code", "state"), [(0, "sent"), (75, "later"), (71, "later"), (1, "failed"), (67, "failed"), (127, "failed")]
)
def test_the_exit_code_says_what_came_of_it(code: int, state: str, tmp_path: Path) -> None:
    outcome = ran([script(tmp_path, f"echo because; echo; exit {code}")])
    assert outcome.state == state and outcome.answer.endswith("because")
    assert (f"exit code {code}" in outcome.answer) == (code != 0)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = script(tmp_path, "echo $$ > $F/pids\nsleep 600 & echo $! >> $F/pids\necho waiting; trap '' TERM; wait")
    outcome = ran([program], timeout=1.0)
    assert outcome == Outcome(
        state="unclear", answer=f"{program}: ended after 1 s without being done: waiting"
    )  # fmt: skip
    end = time.monotonic() + 5
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, "something goes on running"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_what_a_program_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    outcome = ran([script(tmp_path, "sleep 5 & echo left it running")], timeout=30.0)
    assert outcome.state == "sent" and outcome.answer.endswith("left it running")
    assert time.monotonic() - begun < 4


def test_a_program_that_dies_of_a_signal_leaves_it_unclear(tmp_path: Path) -> None:
    outcome = ran([script(tmp_path, "kill -SEGV $$")])
    assert outcome.state == "unclear" and "signal 11" in outcome.answer


def test_output_without_end_fills_nothing_and_the_last_line_is_told(tmp_path: Path) -> None:
    program = script(tmp_path, "head -c 5000000 /dev/zero | tr '\\0' 'x'; echo; printf 'the \\033[31mend\\n'; exit 3")
    outcome = ran([program])
    assert outcome.answer == f"{program}: exit code 3: the \\x1b[31mend"


def test_a_program_need_not_read_what_it_is_given(tmp_path: Path) -> None:
    assert ran([script(tmp_path, "exec true")], body=b"x" * 5_000_000).state == "sent"


def test_a_program_that_is_not_there_was_not_started_and_it_is_tried_again(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    mark = Marked()
    for program in (str(tmp_path / "none"), str(plain), str(tmp_path)):
        outcome = ran([program], mark=mark)
        assert outcome.state == "later" and outcome.answer.startswith(f"{program}: ")
    assert mark.count == 0
    broken = tmp_path / "broken"
    broken.write_text("#!/does/not/exist\n")
    broken.chmod(0o755)
    assert ran([str(broken)], mark=mark).state == "later", "even though it was marked, it certainly did not run"
    assert mark.count == 1


def test_what_somebody_else_has_taken_is_not_started(tmp_path: Path) -> None:
    outcome = ran([script(tmp_path, "touch $F/ran")], mark=Marked(answer=False))
    assert outcome.state == "later" and "taken by another" in outcome.answer
    assert not (tmp_path / "ran").exists()


def test_sendmail_gets_the_mail_its_sender_and_its_recipient(tmp_path: Path) -> None:
    program = script(tmp_path, 'cat > $F/mail; printf "%s\\n" "$@" > $F/arguments')
    data = build(MESSAGE, SENDER, "-x@example.org", message_id="1@gate", now=NOW, host=HOST)
    mark = Marked()
    outcome = asyncio.run(send_by_program(Path(program), SENDER, "-x@example.org", data, mark, timeout=10))
    assert outcome == Outcome(state="sent", answer=f"{program}: done") and mark.count == 1
    assert (tmp_path / "arguments").read_text().split("\n") == ["-i", "-f", SENDER, "--", "-x@example.org", ""]
    content = (tmp_path / "mail").read_bytes()
    assert b"\r" not in content and b"\n.\n" in content, "lines as this machine has them; -i lets the dot be"
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert (read["To"], read.get_content()) == ("-x@example.org", MESSAGE.text)


@pytest.mark.parametrize(("code", "state"), [(75, "later"), (67, "failed"), (64, "failed")])
def test_sendmail_says_by_its_exit_code_whether_it_may_go_better_later(code: int, state: str, tmp_path: Path) -> None:
    program = script(tmp_path, f"echo 'postdrop: no' >&2; exit {code}")
    outcome = asyncio.run(send_by_program(Path(program), SENDER, RECIPIENT, b"x\r\n", Marked(), timeout=10))
    assert outcome == Outcome(state=state, answer=f"{program}: exit code {code}: postdrop: no")  # type: ignore[arg-type]


def test_options_end_before_the_recipient() -> None:
    assert arguments(Path("/usr/sbin/sendmail"), "a@b", "-oQ/tmp")[-2:] == ["--", "-oQ/tmp"]
