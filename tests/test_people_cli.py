"""`ringfence user` and `ringfence token` as a user meets them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, running
from ringfence.ledger import Ledger
from ringfence.passwords import verify
from ringfence.people_commands import sha256

GOOD = "four words by chance"


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardProcess]:
    """One guard for the whole module: each test uses names of its own."""
    process = GuardProcess(tmp_path_factory.mktemp("people"))
    process.log.touch()
    with running(process):
        yield process


def given(guard: GuardProcess, *arguments: str, text: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    """A command with `text` on its standard input."""
    command = [sys.executable, "-m", "ringfence", "--config", str(guard.config), *arguments]
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run(command, input=data, capture_output=True, timeout=60)


def ledger(guard: GuardProcess) -> Ledger:
    return Ledger.open_reader(guard.ledger)


def password_of(guard: GuardProcess, name: str) -> str:
    user = ledger(guard).user(name)
    assert user is not None
    return user.password


def test_a_user_made_with_a_password_on_standard_input_can_log_in_with_it(guard: GuardProcess) -> None:
    done = given(guard, "user", "add", "Ann", "--role", "administrator", "--password-stdin", text=GOOD + "\n")
    assert (done.returncode, done.stdout) == (0, b"user ann is made, role administrator\n")
    assert verify(password_of(guard, "ann"), GOOD)
    assert given(guard, "user", "password", "ann", "--password-stdin", text="another " + GOOD).returncode == 0
    assert verify(password_of(guard, "ann"), "another " + GOOD)


@pytest.mark.parametrize(
    "text", ["short\n", "", "weakling@web\n", b"\xff\xfe\xff\xfe\xff\xfe four words\n", "x" * 9999]
)
def test_a_password_that_will_not_do_makes_nobody(guard: GuardProcess, text: str | bytes) -> None:
    done = given(guard, "user", "add", "weakling@web", "--role", "viewer", "--password-stdin", text=text)
    assert done.returncode == 4 and b"password" in done.stderr and len(done.stderr.splitlines()) == 1
    assert ledger(guard).user("weakling@web") is None


def typed(guard: GuardProcess, *arguments: str, lines: list[str]) -> tuple[int, str]:
    """A command on a terminal on which `lines` are typed, and what the terminal showed."""
    command = [sys.executable, "-m", "ringfence", "--config", str(guard.config), *arguments]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(command[0], command)
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
            if shown.endswith(b": "):
                assert lines, f"it asked once more: {shown!r}"
                os.write(terminal, lines.pop(0).encode() + b"\n")
    except OSError:
        pass  # the program has ended and with it the terminal
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_on_a_terminal_the_password_is_asked_for_twice_and_never_shown(guard: GuardProcess) -> None:
    code, shown = typed(guard, "user", "add", "tess", "--role", "viewer", lines=[GOOD, GOOD])
    assert code == 0 and "user tess is made" in shown and "Password for tess" in shown
    assert GOOD not in shown and verify(password_of(guard, "tess"), GOOD)


def test_without_a_terminal_nothing_is_asked_and_both_ways_are_named(guard: GuardProcess) -> None:
    done = given(guard, "user", "add", "nobody", "--role", "viewer", text=GOOD)
    assert done.returncode == 2 and b"--password-stdin" in done.stderr and b"--link" in done.stderr
    assert given(guard, "user", "add", "nobody", "--role", "viewer", "--link", "--password-stdin").returncode == 2
    assert ledger(guard).user("nobody") is None


def test_a_link_leads_to_the_page_and_only_its_hash_is_kept(guard: GuardProcess) -> None:
    done = guard.cli("user", "add", "lin", "--role", "operator", "--link")
    link = done.stdout.splitlines()[-1]
    assert done.returncode == 0 and link.startswith("http://127.0.0.1:8470/welcome/")
    invitation = ledger(guard).invitation(sha256(link.rpartition("/")[2]))
    assert invitation is not None and (invitation.name, invitation.role) == ("lin", "operator")
    answer = json.loads(guard.cli("user", "password", "LIN", "--link", "--json").stdout)
    assert answer["name"] == "lin" and answer["link"] != link and answer["link_until"]
    assert ledger(guard).invitation(sha256(link.rpartition("/")[2])) is None
    assert guard.cli("user", "password", "stranger", "--link").returncode == 1
    assert "link until" in guard.cli("user", "list").stdout


def test_an_account_holder_is_changed_listed_and_removed(guard: GuardProcess) -> None:
    accounts = ["--account", "100", "--account", "[red]sip:bob@example.org[/red]"]
    assert guard.cli("user", "add", "bob", "--role", "holder", *accounts, "--may-ask", "--link").returncode == 0
    listed = guard.cli("user", "list").stdout
    assert "100, [red]sip:bob@example.org[/red] (may ask for an unban)" in listed
    assert "disabled" in guard.cli("user", "change", "bob", "--disable", "--account", "7").stdout
    (row,) = (row for row in json.loads(guard.cli("user", "list", "--json").stdout) if row["name"] == "bob")
    assert (row["disabled"], row["accounts"], row["may_ask"]) == (True, ["7"], True)
    done = guard.cli("user", "change", "bob", "--enable", "--no-accounts", "--no-may-ask", "--no-totp", "--json")
    row = json.loads(done.stdout)
    assert (row["disabled"], row["accounts"], row["may_ask"]) == (False, [], False)
    assert guard.cli("user", "remove", "bob").returncode == 0
    assert guard.cli("user", "remove", "bob").returncode == 1


def test_tokens_are_made_listed_and_revoked(guard: GuardProcess) -> None:
    guard.cli("user", "add", "tom", "--role", "operator", "--link")
    secret = guard.cli("token", "add", "tom", "branch office", "--for", "1d").stdout.splitlines()[-1]
    token = ledger(guard).token_by_hash(sha256(secret))
    assert secret.startswith("rf_") and token is not None and token.expires - token.created == 86_400
    report = json.loads(
        guard.cli("token", "add", "tom", "login page", "--scope", "report", "--service", "http", "--json").stdout
    )
    listed = guard.cli("token", "list", "--user", "TOM").stdout
    assert "branch office" in listed and "login page" in listed and secret not in listed
    assert guard.cli("token", "revoke", str(report["id"])).returncode == 0
    states = {row["id"]: row["holds"] for row in json.loads(guard.cli("token", "list", "--json").stdout)}
    assert states[token.id] and not states[report["id"]]
    assert guard.cli("token", "add", "tom", "x", "--scope", "report").returncode == 4
    assert guard.cli("token", "revoke", "999").returncode == 1
    assert guard.cli("token", "add", "nobody-known", "x").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    ["user add x", "user add x --role god --link", "user change x", "user change x --account 1 --no-accounts",
     "token add", "token add x y --scope all", "token revoke x", "token revoke 0"],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(guard: GuardProcess, arguments: str) -> None:
    done = guard.cli(*arguments.split())
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_no_guard_is_exit_code_3(tmp_path: Path) -> None:
    for command in ("user list", "token list", "user remove x"):
        arguments = ["--socket", str(tmp_path / "none.sock"), *command.split()]
        assert subprocess.run([sys.executable, "-m", "ringfence", *arguments], capture_output=True).returncode == 3
