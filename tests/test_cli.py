"""The command line as a user meets it: text, JSON, exit codes, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, failure, failures, running
from ringfence.cli import app

COMMANDS = tuple(name for names in app.COMMANDS.values() for name in names)
WITHOUT_JSON = {"run", "web", "alert", "policy", "user", "token", "mail"}  # what runs on, and groups of commands

WRONG = (
    ["nonsense"], ["ban"], ["attacks", "--sort", "colour"], ["ban", "192.0.2.7", "--for", "soon"], ["scan"],
    ["ban", "nonsense"], ["ban", "192.0.2.7/24"], ["unban", "nonsense"], ["allow", "no sense"], ["disallow", "-_-"],
    ["explain", "nonsense"],
)  # fmt: skip
QUESTIONS = ("attacks", "bans", "whitelist", "lockdown", "stats", "diag", "policy history", "explain 198.51.100.1")


def ringfence(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ringfence", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
    )


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardProcess]:
    """One guard for the whole module: each test uses addresses of its own."""
    process = GuardProcess(tmp_path_factory.mktemp("cli"))
    process.log.touch()
    with running(process):
        yield process


class TestWithoutGuard:
    def test_help_names_every_command_and_the_exit_codes(self) -> None:
        text = ringfence("--help").stdout
        assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in COMMANDS)
        text = " ".join(text.split())
        assert "Exit codes" in text and "3 the guard can't be reached" in text and "recorded but not in force" in text

    @pytest.mark.parametrize("module", app.COMMANDS)
    def test_each_module_of_commands_adds_just_those_that_it_is_loaded_for(self, module: str) -> None:
        program = (
            f"from ringfence.cli import {module}, app; a = app.app; "
            "print(*[one.name or one.callback.__name__ for one in (*a.registered_commands, *a.registered_groups)])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == list(app.COMMANDS[module]), done.stderr

    @pytest.mark.parametrize("arguments", [[], ["policy"]])
    def test_without_a_command_the_help_is_shown_as_wrong_usage(self, arguments: list[str]) -> None:
        done = ringfence(*arguments)
        assert done.returncode == 2 and (done.stdout + done.stderr).startswith("Usage: ringfence")

    def test_wrong_values_are_named_with_what_they_must_be(self) -> None:
        assert "nonsense: must be an address or a network" in ringfence("ban", "nonsense").stderr
        assert "soon: must be a duration" in ringfence("ban", "192.0.2.7", "--for", "soon").stderr

    @pytest.mark.parametrize("name", [*COMMANDS, "policy apply", "policy rollback"])
    def test_every_command_explains_itself_and_all_that_tell_something_can_do_so_in_json(self, name: str) -> None:
        done = ringfence(*name.split(), "--help")
        assert done.returncode == 0 and done.stdout.startswith("Usage: ringfence")
        assert "--json" in done.stdout or name in WITHOUT_JSON

    @pytest.mark.parametrize("arguments", WRONG)
    def test_wrong_usage_is_exit_code_2(self, arguments: list[str]) -> None:
        done = ringfence(*arguments)
        assert done.returncode == 2 and "Error" in done.stderr and "Traceback" not in done.stderr

    def test_no_guard_is_exit_code_3_and_says_what_to_do(self, tmp_path: Path) -> None:
        done = ringfence("--socket", str(tmp_path / "none.sock"), "status")
        assert done.returncode == 3
        assert done.stderr.splitlines() == [
            f"ringfence: the guard is not running ({tmp_path}/none.sock): start it with 'ringfence run'"
        ]

    def test_a_broken_settings_file_is_one_line_that_names_file_and_key(self, tmp_path: Path) -> None:
        file = tmp_path / "ringfence.toml"
        file.write_text("[ledger]\npaht = '/x'\n")
        for arguments in (["status"], ["run"]):
            done = ringfence("--config", str(file), *arguments)
            assert done.returncode == 4 and len(done.stderr.splitlines()) == 1
            assert str(file) in done.stderr and "paht" in done.stderr and "path" in done.stderr

    def test_an_unexpected_fault_is_one_line_and_its_trace_only_on_request(self) -> None:
        code = (
            "import sys, ringfence.cli.app as app, ringfence.cli as cli\n"
            "def broken(arguments): raise KeyError('spring')\n"
            "app.run = broken\n"
            "sys.exit(cli.main(['status']))"
        )
        for debug, lines in (("0", 1), ("1", 5)):
            environ = {**os.environ, "RINGFENCE_DEBUG": debug}
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
            assert done.returncode != 0 and "spring" in done.stderr
            assert ("Traceback" in done.stderr) == (lines > 1)

    def test_a_reader_that_leaves_early_is_no_fault(self, tmp_path: Path) -> None:
        log = tmp_path / "messages"
        log.write_text("".join(failures(f"198.51.100.{n}", 20) for n in range(200)))
        command = f"{sys.executable} -m ringfence scan --format events {log} | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert len(done.stdout.splitlines()) == 1 and "Traceback" not in done.stderr and "Error" not in done.stderr

    def test_the_shell_can_complete_commands(self) -> None:
        done = ringfence(_RINGFENCE_COMPLETE="complete_bash", COMP_WORDS="ringfence lockd", COMP_CWORD="1")
        assert "lockdown" in done.stdout

    def test_policy_check_needs_no_guard(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.toml"
        file.write_text('[rules.standard]\nfailures = 5\nwithin = "1h"\nban = "2h"\n')
        assert ringfence("policy", "check", str(file)).returncode == 0
        file.write_text('[rules.standard]\nfailures = 0\nwithin = "1h"\nban = "2h"\n')
        done = ringfence("policy", "check", str(file))
        assert done.returncode == 4 and "failures" in done.stderr and str(file) in done.stderr

    def test_check_names_what_is_good_and_what_is_not(self, tmp_path: Path) -> None:
        guard = GuardProcess(tmp_path, settings='[[source]]\nkind = "no-such"\nfiles = ["/var/log/x"]\n')
        guard.log.touch()
        done = guard.cli("check", "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 1 and not found["good"]
        assert any("no-such" in one["detail"] for one in found["findings"] if not one["good"])
        assert any("every example as expected" in one["detail"] for one in found["findings"] if one["good"])


class TestScan:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        log = tmp_path / "messages"
        start = 1_790_000_000.0
        lines = [failure("198.51.100.7", f"a{n}", start + 60 * n, account=f"10{n}") for n in range(20)]
        other = "[2026-09-21 14:13:20] VERBOSE[2552] asterisk.c: Asterisk Ready.\n"
        log.write_text(other + "".join(lines) + failure("198.51.100.8", "b", start))
        return log

    def test_events_are_json_lines_in_order(self, log: Path) -> None:
        done = ringfence("scan", "--format", "events", "--timezone", "UTC", str(log))
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(rows) == 21 and rows[0] == {
            "file": str(log), "line": 2, "time": "2026-09-21T14:13:20Z", "service": "sip", "address": "198.51.100.7",
            "account": "100", "outcome": "failed", "cause": "wrong password", "detail": "<sip:100@192.0.2.1>",
            "pattern": "sip-asterisk/pjsip-wrong-password",
        }  # fmt: skip

    def test_json_is_one_object_with_attackers_and_their_bans(self, log: Path) -> None:
        found = json.loads(ringfence("scan", "--format", "json", "--timezone", "UTC", str(log)).stdout)
        assert set(found) == {"lines", "bytes", "seconds", "unreadable_times", "attackers", "unknown"}
        first = found["attackers"][0]
        assert (first["address"], first["attempts"], first["level"]) == ("198.51.100.7", 20, "threatening")
        assert (first["first_seen"], first["last_seen"]) == ("2026-09-21T14:13:20Z", "2026-09-21T14:32:20Z")
        assert {"rule", "service", "from", "until"} == set(first["bans"][0])
        assert found["attackers"][1]["level"] == "harmless" and found["attackers"][1]["bans"] == []

    def test_the_table_names_addresses_rules_and_totals(self, log: Path) -> None:
        text = ringfence("scan", "--timezone", "UTC", str(log)).stdout
        assert re.search(r"^198\.51\.100\.7 +threatening +20 .*standard \(sip\)", text, re.MULTILINE)
        assert "22 lines" in text and "2 attackers" in text

    def test_standard_input_can_be_scanned(self, log: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "ringfence", "scan", "--json", "-"], input=log.read_bytes(), capture_output=True
        )
        assert json.loads(done.stdout)["lines"] == 22

    def test_only_the_named_service_is_looked_for(self, log: Path) -> None:
        assert json.loads(ringfence("scan", "--json", "--service", "ssh", str(log)).stdout)["attackers"] == []
        unknown = ringfence("scan", "--service", "sipp", str(log))
        assert unknown.returncode == 1 and "known:" in unknown.stderr

    def test_another_policy_gives_other_bans(self, log: Path, tmp_path: Path) -> None:
        policy = tmp_path / "strict.toml"
        policy.write_text('[rules.strict]\nfailures = 1\nwithin = "1m"\nban = "forever"\n')
        found = json.loads(ringfence("scan", "--json", "--policy", str(policy), str(log)).stdout)
        assert [row["bans"][0]["until"] for row in found["attackers"]] == ["forever", "forever"]
        assert [(row["attempts"], row["level"]) for row in found["attackers"]] == [
            (20, "threatening"),
            (1, "threatening"),
        ]

    def test_a_log_that_is_not_there_is_one_line(self, tmp_path: Path) -> None:
        done = ringfence("scan", str(tmp_path / "none"))
        assert done.returncode == 4 and "none" in done.stderr and len(done.stderr.splitlines()) == 1


class TestWithGuard:
    def test_a_ban_is_given_shown_and_lifted(self, guard: GuardProcess) -> None:
        assert guard.cli("ban", "198.51.100.1", "--service", "sip", "--for", "1h", "--note", "test").returncode == 0
        rows = json.loads(guard.cli("bans", "--json", "--service", "sip").stdout)["rows"]
        row = next(row for row in rows if row["target"] == "198.51.100.1")
        assert (row["service"], row["author"], row["note"]) == ("sip", "user:root", "test") or os.geteuid()
        assert "198.51.100.1" in guard.cli("bans").stdout
        assert guard.cli("unban", "198.51.100.1").returncode == 0
        again = guard.cli("unban", "198.51.100.1")
        assert again.returncode == 1 and "is not banned" in again.stderr

    def test_a_ban_says_from_what_and_until_when(self, guard: GuardProcess) -> None:
        done = guard.cli("ban", "198.51.100.61")
        assert done.stdout == "ban of 198.51.100.61 from all services for good is recorded but not in force\n"
        done = guard.cli("ban", "198.51.100.62", "--service", "sip", "--for", "1h")
        assert re.fullmatch(r"ban of 198\.51\.100\.62 from sip until 20.* \(1h\) is recorded .*\n", done.stdout)
        assert guard.cli("unban", "198.51.100.61").stdout == "lifted the ban of 198.51.100.61 from all services\n"

    def test_in_monitor_mode_what_is_recorded_is_done_and_said_not_to_block(self, guard: GuardProcess) -> None:
        for command in (["ban", "198.51.100.63"], ["allow", "198.51.100.64"]):
            done = guard.cli(*command)
            assert done.returncode == 0 and "monitor mode" in done.stderr, command
        done = guard.cli("lockdown", "on")
        assert done.returncode == 0 and "NOT in force: monitor mode" in done.stdout
        assert guard.cli("lockdown", "off").returncode == 0

    def test_lines_that_told_of_logins_are_called_matched(self, guard: GuardProcess) -> None:
        assert "MATCHED" in guard.cli("status").stdout
        assert "matched" in json.loads(guard.cli("diag", "--json").stdout)["sources"][0]

    def test_a_second_guard_is_refused_in_one_clear_line(self, guard: GuardProcess) -> None:
        done = guard.cli("run")
        assert done.returncode == 4 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and "another guard" in done.stderr

    def test_loopback_is_refused_with_exit_code_1(self, guard: GuardProcess) -> None:
        done = guard.cli("ban", "127.0.0.1")
        assert done.returncode == 1 and "--force" in done.stderr

    def test_the_callers_ssh_client_is_refused(self, guard: GuardProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSH_CONNECTION", "198.51.100.99 50000 192.0.2.1 22")
        done = guard.cli("ban", "198.51.100.0/24")
        assert done.returncode == 1 and "your own SSH session" in done.stderr

    def test_unban_wants_an_address_or_all_but_not_both(self, guard: GuardProcess) -> None:
        assert guard.cli("unban").returncode == 2
        assert guard.cli("unban", "198.51.100.1", "--all").returncode == 2

    def test_status_says_in_its_first_line_what_is_wrong(self, guard: GuardProcess) -> None:
        done = guard.cli("status")
        assert done.returncode == 1
        assert done.stdout.splitlines()[0].startswith("Not everything is guarded: monitor mode")
        assert json.loads(guard.cli("status", "--json").stdout)["guarded"] is False

    def test_what_attackers_write_cannot_steer_the_terminal(self, guard: GuardProcess) -> None:
        evil = "\x1b]0;owned\x07\u202e"
        guard.write("".join(failure("198.51.100.44", f"e{n}", account=f"x{evil}y") for n in range(2)))
        guard.write(failures("198.51.100.45", 2))
        guard.wait_for(lambda: "198.51.100.45" in guard.cli("attacks").stdout, "not counted")
        for command in (["attacks"], ["explain", "198.51.100.44"], ["attacks", "--match", evil]):
            done = guard.cli(*command)
            assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)

    def test_the_policy_is_shown_compared_applied_and_rolled_back(self, guard: GuardProcess, tmp_path: Path) -> None:
        before = json.loads(guard.cli("policy", "show", "--json").stdout)
        file = tmp_path / "new.toml"
        file.write_text(before["text"].replace("failures = 5", "failures = 50"))
        difference = guard.cli("policy", "diff", str(file))
        assert difference.returncode == 1 and "50" in difference.stdout
        assert guard.cli("policy", "apply", str(file), "--note", "looser").returncode == 0
        assert guard.cli("policy", "diff", str(file)).returncode == 0
        assert "looser" in guard.cli("policy", "history").stdout
        assert guard.cli("policy", "rollback", str(before["revision"])).returncode == 0
        assert json.loads(guard.cli("policy", "show", "--json").stdout)["text"] == before["text"]
        file.write_text("[rules.standard]\nfailures = 'many'\n")
        wrong = guard.cli("policy", "apply", str(file))
        assert wrong.returncode == 4 and "failures" in wrong.stderr

    def test_whitelist_and_lockdown_are_shown_as_they_are(self, guard: GuardProcess) -> None:
        assert guard.cli("allow", "203.0.113.0/24", "--for", "1h", "--note", "office").returncode == 0
        assert re.search(r"^203\.0\.113\.0/24 .*office", guard.cli("whitelist").stdout, re.MULTILINE)
        assert guard.cli("disallow", "203.0.113.0/24").returncode == 0
        assert guard.cli("disallow", "203.0.113.0/24").returncode == 1
        assert "No lockdown" in guard.cli("lockdown").stdout
        assert "sip, iax" in guard.cli("lockdown", "on", "--for", "5m").stdout
        assert json.loads(guard.cli("lockdown", "--json").stdout)["on"] is True
        assert guard.cli("lockdown", "off").returncode == 0

    def test_every_question_answers_in_json(self, guard: GuardProcess) -> None:
        for question in QUESTIONS:
            done = guard.cli(*question.split(), "--json")
            assert done.returncode == 0, question
            json.loads(done.stdout)

    def test_diag_names_rate_lag_and_last_line_of_every_log(self, guard: GuardProcess) -> None:
        guard.write("a line\n")
        time.sleep(0.2)
        row = next(row for row in json.loads(guard.cli("diag", "--json").stdout)["sources"])
        assert row["source"] == str(guard.log) and row["lag"] == 0 and row["last_line"].startswith("20")

    def test_a_service_can_be_switched_off_and_on(self, guard: GuardProcess) -> None:
        assert guard.cli("service", "iax", "off").returncode == 0
        assert "service iax is switched off" in guard.cli("status").stdout
        assert guard.cli("service", "iax", "on").returncode == 0
        assert guard.cli("service", "nonsense", "on").returncode == 1
