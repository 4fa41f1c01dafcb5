"""From the line of a log to the mail, with a real guard and a real sender; whatever is killed, nobody is told twice."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from guard_process import GuardProcess, failures
from post_office import STEPS, PostOffice, Step
from ringfence.alert_commands import WarningList
from ringfence.control import Client
from ringfence.errors import RefusedError
from ringfence.ledger import Delivery, Ledger

POLICY = """
[rules.standard]
failures = 3
within = "1h"
ban = "2h"
actions = ["block", "mail"]
"""


class Desk:
    """A guard that mails to `post`."""

    def __init__(self, folder: Path, post: PostOffice, mail: str = 'interval = "none"') -> None:
        folder.chmod(0o755)
        self.post = post
        self.guard = GuardProcess(folder, policy=POLICY)
        self.guard.log.write_text("")
        self.guard.start()
        self.apply(f'[mail]\nrecipients = ["boss@example.org"]\nserver = "127.0.0.1"\nport = {post.port}\n{mail}')

    def apply(self, text: str) -> None:
        self.guard.ask(int, "apply_alerting", text=text, name="test")

    def attack(self, *addresses: str) -> None:
        with self.guard.log.open("a") as log:
            log.write("".join(failures(address, 3) for address in addresses))

    def sender(self) -> psutil.Process | None:
        """The process that sends; None while there is none (or it is just becoming our program)."""
        for child in psutil.Process(self.guard.pid).children():
            with contextlib.suppress(psutil.Error):  # it may end while we look
                if "alert" in child.cmdline():
                    return child
        return None

    def deliveries(self) -> list[Delivery]:
        return self.guard.ask(list[Delivery], "deliveries")

    def warnings(self) -> WarningList:
        return self.guard.ask(WarningList, "warnings")

    def ended(self) -> bool:
        found = self.deliveries()
        return bool(found) and all(one.ended is not None for one in found)


@pytest.fixture
def post() -> Iterator[PostOffice]:
    office = PostOffice()
    yield office
    office.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the sender can enter after it gave up its rights."""
    with tempfile.TemporaryDirectory(prefix="ringfence-") as name:
        yield Path(name)


@pytest.fixture
def desk(folder: Path, post: PostOffice) -> Iterator[Desk]:
    made = Desk(folder, post)
    yield made
    made.guard.stop()


def test_a_ban_is_mailed_with_everything_one_has_to_know(desk: Desk) -> None:
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: bool(desk.post.mails), "no mail came")
    (mail,) = desk.post.mails
    assert "203.0.113.9 banned from sip" in mail["Subject"] and mail["To"] == "boss@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for told in ("203.0.113.9", "standard", "3 attempts", "100", "wrong password", "banned from sip"):
        assert told in text, told
    assert max(map(len, text.splitlines())) <= 72
    desk.guard.wait_for(desk.ended, "the message has no end")
    (delivery,) = desk.deliveries()
    assert delivery.state == "sent" and delivery.answer.endswith("250 2.0.0 Ok: queued")


def test_ten_thousand_bans_are_one_mail_in_each_interval_complete_in_number(folder: Path, post: PostOffice) -> None:
    """The first at once, the others together when the interval is over (here: when it is taken away)."""
    desk = Desk(folder, post, mail='interval = "45d"')
    try:
        desk.attack("203.0.113.9")
        desk.guard.wait_for(lambda: desk.ended() and post.mails, "the first mail did not come", 60)
        addresses = [f"198.18.{number // 250}.{number % 250 + 1}" for number in range(9_999)]
        for begin in range(0, len(addresses), 500):
            desk.attack(*addresses[begin : begin + 500])
        desk.guard.wait_for(lambda: desk.warnings().unacknowledged >= 10_000, "not all were banned", 120)
        (first,) = desk.deliveries()
        assert len(post.mails) == first.total == 1
        desk.apply(
            f'[mail]\nrecipients = ["boss@example.org"]\nserver = "127.0.0.1"\nport = {post.port}\ninterval = "none"'
        )
        desk.guard.wait_for(lambda: len(post.mails) == 2, "the second mail did not come", 60)
        body = post.mails[1].get_body(("plain",))
        assert body is not None and "9,999" in body.get_content() and "9,999" in post.mails[1]["Subject"]
        desk.guard.wait_for(desk.ended, "the message has no end")
        assert sum(one.total for one in desk.deliveries()) == 10_000
    finally:
        desk.guard.stop()


@pytest.mark.parametrize("whom", ["sender", "guard"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_a_mail_is_sent_once_or_told_to_be_unclear(desk: Desk, step: Step, whom: str) -> None:
    """kill -9 while the dialogue stands at `step`. What had not been handed over is sent after all, nothing twice."""
    killed: list[Step] = []

    def kill(now_at: Step) -> None:
        if now_at == step and not killed:
            killed.append(now_at)
            os.kill(desk.guard.pid if whom == "guard" else sender.pid, signal.SIGKILL)
            # The kernel ends the sender with its guard.
            gone, alive = psutil.wait_procs([sender], 10)
            assert gone and not alive

    desk.guard.wait_for(lambda: desk.sender() is not None, "nobody sends")
    found = desk.sender()
    assert found is not None
    sender: psutil.Process = found
    desk.post.at = kill
    desk.attack("203.0.113.9")
    deadline = time.monotonic() + 20
    while not killed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert killed
    if whom == "guard":
        desk.guard.kill()
        desk.guard.start()
    desk.guard.wait_for(desk.ended, "the message has no end", 90)
    (delivery,) = desk.deliveries()
    handed_over = step in ("DATA", "content", "accepted")
    assert delivery.state == ("unclear" if handed_over else "sent")
    assert len(desk.post.mails) <= 1
    if step == "accepted" or not handed_over:
        assert len(desk.post.mails) == 1
    kinds = [one.kind for one in desk.warnings().warnings]
    assert kinds == (["delivery", "rule"] if handed_over else ["rule"])


def test_nobody_but_the_sender_can_say_what_became_of_a_message(desk: Desk) -> None:
    """Not even root, and so not a page that was taken over: nothing is counted as sent that was not."""
    desk.post.answers["MAIL"] = "451 4.3.0 later"
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: any(one.tries for one in desk.deliveries()), "it was not tried")
    (delivery,) = desk.deliveries()
    told: dict[str, dict[str, object]] = {
        "mark": {}, "ended": {"state": "sent", "answer": "250 Ok"}, "retry": {"due": 9e9, "answer": ""},
    }  # fmt: skip
    for command, given in told.items():
        with pytest.raises(RefusedError, match="only the process that sends warnings"):
            Client(desk.guard.socket).ask(object, command, id=delivery.id, **given)
    assert desk.deliveries() == [delivery]


def test_a_refusal_for_good_is_given_up_and_said(desk: Desk) -> None:
    desk.post.answers["RCPT"] = "550 5.1.1 no such user"
    desk.attack("203.0.113.9")
    desk.guard.wait_for(desk.ended, "the message has no end")
    (delivery,) = desk.deliveries()
    assert delivery.state == "failed" and "550 5.1.1 no such user" in delivery.answer
    newest = desk.warnings().warnings[0]
    assert newest.kind == "delivery" and newest.subject == "boss@example.org"
    assert "was given up" in desk.guard.output
    time.sleep(2)  # that it could not be told is told to nobody: no message about a message
    assert len(desk.deliveries()) == 1 and desk.post.mails == []


def test_a_refusal_for_now_is_tried_again_with_all_that_happened_meanwhile(desk: Desk) -> None:
    desk.post.answers["MAIL"] = "451 4.3.0 later"
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: any(one.tries for one in desk.deliveries()), "it was not tried")
    (delivery,) = desk.deliveries()
    assert delivery.state == "waiting" and "451 4.3.0 later" in delivery.answer
    assert 20 <= delivery.due - time.time() <= 160
    desk.attack("203.0.113.10")
    desk.guard.wait_for(lambda: desk.warnings().unacknowledged == 2, "the second ban was not noticed")
    time.sleep(1.5)
    assert len(desk.deliveries()) == 1


def test_a_mail_server_that_hangs_delays_no_ban(desk: Desk) -> None:
    """Sending waits in a process of its own; the guard goes on."""
    hang = threading.Event()

    def at(step: Step) -> None:
        if step == "MAIL":
            hang.wait(120)

    desk.post.at = at
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: bool(desk.deliveries()), "nothing is to be sent")
    for number in range(20, 40):
        address = f"203.0.113.{number}"
        begun = time.monotonic()
        desk.attack(address)
        desk.guard.wait_for(lambda wanted=f"banned {address} ": wanted in desk.guard.output, "no ban")  # type: ignore[misc]
        assert time.monotonic() - begun < 10
    hang.set()


def test_mail_test_says_exactly_what_the_server_answered(desk: Desk) -> None:
    desk.post.answers["RCPT"] = "554 5.7.1 relay access denied"
    told = desk.guard.cli("mail", "test")
    assert told.returncode == 1 and "554 5.7.1 relay access denied" in told.stdout
    desk.post.answers["RCPT"] = "250 ok"
    told = desk.guard.cli("mail", "test", "--to", "ann@example.org")
    assert told.returncode == 0 and "ann@example.org: sent:" in told.stdout and "250 2.0.0 Ok: queued" in told.stdout
    assert desk.post.recipients == ["ann@example.org"]


def test_other_settings_are_taken_up_without_a_restart_of_the_guard(desk: Desk) -> None:
    desk.guard.wait_for(
        lambda: "warnings are sent (settings of warnings, revision 1)" in desk.guard.output, "no sender"
    )
    sender = desk.sender()
    desk.apply(
        f'[mail]\nrecipients = ["ann@example.org", "bob@example.org"]\nserver = "127.0.0.1"\nport = {desk.post.port}\n'
    )
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: len(desk.post.mails) == 2, "not both were told")
    assert sorted(desk.post.recipients) == ["ann@example.org", "bob@example.org"]
    desk.guard.wait_for(lambda: sender is None or not sender.is_running(), "the earlier sender is still there")
    desk.apply("")
    desk.guard.wait_for(lambda: desk.sender() is None, "it still sends")


def test_a_command_gets_the_warning_as_json_and_a_hook_a_signature(desk: Desk, folder: Path) -> None:
    told = folder / "told"
    told.touch()
    told.chmod(0o666)
    program = folder / "tell"
    program.write_text(f'#!/bin/sh\ncat >> "{told}"\necho >> "{told}"\n')
    program.chmod(0o755)
    desk.apply(f'[[channel]]\nname = "pager"\ntype = "command"\ncommand = ["{program}"]\n')
    desk.attack("203.0.113.9")
    desk.guard.wait_for(desk.ended, "the message has no end")
    (delivery,) = desk.deliveries()
    assert delivery.channel == "pager" and delivery.state == "sent", delivery
    assert '"203.0.113.9"' in told.read_text() and '"kind":"rule"' in told.read_text().replace(" ", "")


def test_the_password_s_file_need_only_be_readable_for_root(desk: Desk, folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("who is not root can't keep it from itself")
    secret = folder / "secret"
    secret.write_text("http://127.0.0.1:9/hook\n")
    secret.chmod(0o600)
    desk.apply(f'[[channel]]\nname = "hook"\ntype = "webhook"\nurl_file = "{secret}"\n')
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: any(one.answer for one in desk.deliveries()), "it was not tried")
    (delivery,) = desk.deliveries()
    assert delivery.channel == "hook" and "127.0.0.1:9" in delivery.answer
    sender = desk.sender()
    assert sender is not None and sender.uids().real != 0


def test_an_unreadable_file_of_recipients_is_said_on_the_page_and_by_status(desk: Desk, folder: Path) -> None:
    missing = folder / "recipients"
    desk.apply(f'[mail]\nrecipients_file = "{missing}"\nserver = "127.0.0.1"\nport = {desk.post.port}\n')
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: str(missing) in desk.guard.cli("status").stdout, "nobody says so", 20)
    missing.write_text("ann@example.org\n")
    missing.chmod(0o644)
    desk.guard.wait_for(lambda: bool(desk.post.mails), "no mail came", 30)
    desk.guard.wait_for(lambda: str(missing) not in desk.guard.cli("status").stdout, "it is still said", 20)


def test_a_summary_that_is_due_is_mailed_once_with_its_chart(desk: Desk) -> None:
    desk.attack("203.0.113.9")
    desk.guard.wait_for(lambda: len(desk.post.mails) == 1, "no mail came")
    minute = f"{datetime.now():%H:%M}"
    text = f'[mail]\nrecipients = ["boss@example.org"]\nserver = "127.0.0.1"\nport = {desk.post.port}\n'
    desk.apply(f'{text}digest = "daily"\ndigest_at = "{minute}"\n')
    desk.guard.wait_for(lambda: len(desk.post.mails) == 2, "no summary came")
    summary = desk.post.mails[1]
    assert "Summary of the day" in summary["Subject"]
    pictures = [part for part in summary.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == 1 and pictures[0].get_content().startswith(b"\x89PNG")
    desk.apply(f'{text}digest = "daily"\ndigest_at = "{minute}"\ninterval = "none"\n')
    desk.guard.wait_for(
        lambda: "warnings are sent (settings of warnings, revision 3)" in desk.guard.output, "no sender"
    )
    assert [one.kind for one in desk.deliveries()] == ["digest", "rule"]


def test_every_ban_and_its_end_is_a_line_of_the_system_s_log(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open_reader(desk.guard.ledger)
    with closing(ledger), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(folder / "log"))
        (folder / "log").chmod(0o666)
        log.settimeout(60)
        desk.guard.stop()
        monkeypatch.setenv("RINGFENCE_SYSLOG", str(folder / "log"))
        desk.guard.start()
        desk.apply("[journal]\nbans = true\n")
        desk.guard.wait_for(lambda: ("journal", "", "ban") in ledger.told(), "nobody writes")  # from now on
        desk.attack("203.0.113.9")
        ban = log.recv(1000).decode()
        # The log tells whole seconds, and the two hours are counted from there.
        assert re.search(r" ringfence\[\d+\]: ban service=sip address=203\.0\.113\.9 seconds=7(200|19\d) until=", ban)
        assert desk.guard.cli("unban", "203.0.113.9").returncode == 0
        assert "]: unban service=sip address=203.0.113.9 why=lifted at=" in log.recv(1000).decode()
