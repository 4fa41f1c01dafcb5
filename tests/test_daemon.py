"""The running guard seen from outside: what it says, what it counts, what survives, and what a fault does to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess, elements, failure, failures, namespace, running
from ringfence.answers import Attacks, Banned, Bans, Diag, Explanation, Lifted, LockdownRow, Stats, Status

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[GuardProcess]:
    process = GuardProcess(tmp_path)
    with running(process):
        yield process


def attempts(guard: GuardProcess) -> int:
    return sum(row.attempts for row in guard.ask(Attacks, "attacks", limit=1000).rows)


def test_the_first_lines_tell_what_is_guarded_and_then_nothing_until_something_happens(guard: GuardProcess) -> None:
    guard.wait_for(lambda: f"socket {guard.socket}" in guard.output, "the end of the greeting")
    guard.write("nothing of interest\n")
    lines = guard.output.splitlines()
    assert lines[0].startswith("ringfence ") and "monitor mode" in lines[0]
    assert re.search("nothing (new )?is blocked", lines[0])
    assert any(str(guard.ledger) in line for line in lines)
    assert any(line == "rule standard: 5 attempts in 1h → ban 2h" for line in lines)
    assert str(guard.socket) in lines[-1]
    time.sleep(0.3)
    assert guard.output.splitlines() == lines


def test_a_ban_is_one_line_that_says_whom_from_what_how_long_and_why(guard: GuardProcess) -> None:
    guard.write(failures("192.0.2.7", 5))
    guard.wait_for(lambda: "banned" in guard.output, "no ban")
    assert "banned 192.0.2.7 from sip for 2h: rule standard, 5 attempts in " in guard.output.splitlines()[-1]


def test_in_monitor_mode_bans_are_recorded_but_never_called_enforced(guard: GuardProcess) -> None:
    guard.write(failures("192.0.2.7", 5))
    row = guard.wait_for(lambda: guard.ask(Bans, "bans").rows, "no ban")[0]
    assert (row.target, row.state) == ("192.0.2.7", "wanted")
    status = guard.ask(Status, "status")
    assert not status.guarded and "monitor mode" in status.headline and status.bans_enforced == 0


def test_windows_bans_and_positions_survive_kill_9(tmp_path: Path) -> None:
    """Four attempts before, one after: the fifth bans, and none is counted again."""
    guard = GuardProcess(tmp_path)
    guard.write(failures("192.0.2.7", 4) + failures("192.0.2.8", 5))
    with running(guard):
        guard.wait_for(lambda: attempts(guard) == 9, "not counted")
        guard.kill()
        guard.write(failures("192.0.2.7", 1))
        guard.start()
        guard.wait_for(lambda: attempts(guard) == 10, "not counted on")
        assert {row.target for row in guard.ask(Bans, "bans").rows} == {"192.0.2.7", "192.0.2.8"}


def test_lines_from_before_the_start_count_by_their_own_time_and_a_ban_that_is_over_is_only_recorded(
    tmp_path: Path,
) -> None:
    guard = GuardProcess(tmp_path)
    guard.write(failures("192.0.2.7", 5, time.time() - 3 * 3600))
    guard.write("".join(failure("192.0.2.9", f"slow-{n}", time.time() - n * 3000) for n in range(5, 0, -1)))
    with running(guard):
        guard.wait_for(lambda: attempts(guard) == 10, "not counted")
        assert guard.ask(Bans, "bans").rows == []
        assert [(row.target, row.state) for row in guard.ask(Bans, "bans", history=True).rows] == [
            ("192.0.2.7", "expired")
        ]


def test_a_log_that_appears_later_is_taken_up(guard: GuardProcess) -> None:
    assert not guard.log.exists()
    assert not guard.ask(Status, "status").guarded
    guard.write(failures("192.0.2.7", 5))
    guard.wait_for(lambda: guard.ask(Bans, "bans").rows, "not taken up")
    assert [row.source for row in guard.ask(Status, "status").sources] == [str(guard.log)]


def test_that_a_log_is_missing_is_said_at_the_start_and_not_after_its_lines_were_acted_on(guard: GuardProcess) -> None:
    guard.write(failures("192.0.2.7", 5))
    guard.wait_for(lambda: "banned 192.0.2.7" in guard.output, "no ban")
    guard.wait_for(lambda: "is being read now" in guard.output, "not said to be there", 10)
    missing = [at for at, line in enumerate(guard.output.splitlines()) if "does not exist" in line]
    socket_line = next(at for at, line in enumerate(guard.output.splitlines()) if line.startswith("socket "))
    assert len(missing) == 1 and missing[0] < socket_line


def test_stop_is_clean_and_the_socket_is_gone(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        guard = GuardProcess(tmp_path)
        with running(guard):
            guard.signal(number)
            assert guard.stop() == 0
            assert not guard.socket.exists()
            assert "Traceback" not in guard.output and guard.output.splitlines()[-1].startswith("stopped")


def test_a_second_guard_on_the_same_ledger_is_refused_and_the_first_goes_on(guard: GuardProcess) -> None:
    second = guard.cli("run")
    assert second.returncode == 2 or "another guard" in second.stderr
    command = [sys.executable, "-m", "ringfence", "run", "--config", str(guard.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 4 and "another guard" in second.stderr and len(second.stderr.splitlines()) == 1
    assert guard.ask(Status, "status").pid == guard.pid


def test_a_ledger_that_is_no_ledger_is_refused_with_a_reason_and_left_alone(tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    guard.ledger.write_bytes(b"precious" * 200)
    command = [sys.executable, "-m", "ringfence", "run", "--config", str(guard.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 4 and "not an SQLite database" in done.stderr and "Traceback" not in done.stderr
    assert guard.ledger.read_bytes() == b"precious" * 200


def test_hangup_takes_up_a_changed_policy_file(guard: GuardProcess) -> None:
    guard.policy.write_text(guard.policy.read_text().replace("failures = 5", "failures = 3"))
    guard.signal(signal.SIGHUP)
    guard.wait_for(lambda: "policy revision 2" in guard.output, "not reloaded")
    guard.write(failures("192.0.2.7", 3))
    guard.wait_for(lambda: guard.ask(Bans, "bans").rows, "not judged by it")


def test_hangup_with_a_broken_policy_file_says_so_and_goes_on_as_before(guard: GuardProcess) -> None:
    guard.policy.write_text("[rules.standard]\nfailuers = 3\n")
    guard.signal(signal.SIGHUP)
    guard.wait_for(lambda: "not reloaded" in guard.output and "failuers" in guard.output, "not said")
    guard.write(failures("192.0.2.7", 5))
    guard.wait_for(lambda: guard.ask(Bans, "bans").rows, "not guarding on")


def test_systemd_hears_of_readiness_life_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with running(GuardProcess(tmp_path)) as guard:
            heard = [systemd.recv(100) for _ in range(4)]
            assert heard[0] == b"READY=1" and heard[1:] == [b"WATCHDOG=1"] * 3
            guard.stop()
            rest = b""
            while rest != b"STOPPING=1":
                rest = systemd.recv(100)


def test_an_unreadable_log_is_said_once_and_the_others_are_read(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    guard = GuardProcess(tmp_path, settings=f'[[source]]\nkind = "sip-asterisk"\nfiles = ["{other}"]\n')
    guard.write(failures("192.0.2.7", 5))
    with running(guard):
        guard.wait_for(lambda: guard.ask(Bans, "bans").rows, "the good log was not read")
        guard.wait_for(lambda: guard.output.count(str(other)) >= 1, "not said", 10)
        time.sleep(4)
        assert guard.output.count(f"{other}:") == 1
        assert any(str(other) in problem for problem in guard.ask(Status, "status").problems)


def test_commands_are_answered_while_a_large_log_is_read(tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    now = time.time()
    with guard.log.open("w") as file:
        for number in range(60_000):
            file.write(failure(f"10.{number % 7}.{number % 250}.{number % 199}", f"c{number}", now - 60))
    with running(guard):
        amid = 0
        while attempts_total(guard) < 60_000:
            amid += 1
            guard.ask(Status, "status")
        assert amid, "it answered before everything was read"


def attempts_total(guard: GuardProcess) -> int:
    return sum(row.events for row in guard.ask(Diag, "diag").sources)


def test_the_guard_loads_no_library_that_only_draws(tmp_path: Path) -> None:
    code = (
        "import sys, ringfence.cli, ringfence.daemon\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('typer', 'rich', 'click', 'pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_a_running_guard_holds_no_library_for_tls(guard: GuardProcess) -> None:
    """It speaks TLS with nobody, and OpenSSL takes 4 MB."""
    mapped = Path(f"/proc/{guard.ask(Status, 'status').pid}/maps").read_text()
    assert "sqlite" in mapped and "libcrypto" not in mapped and "libssl" not in mapped


@pytest.mark.root
@needs_root
def test_a_disk_that_is_full_is_said_and_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        guard = GuardProcess(tmp_path)
        guard.config.write_text(guard.config.read_text().replace(str(guard.ledger), str(disk / "ringfence.db")))
        with running(guard):
            guard.write(failures("192.0.2.1", 2))
            guard.wait_for(lambda: attempts(guard) == 2, "not counted")
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass
            guard.write("".join(failures(f"192.0.2.{n % 50 + 2}", 1) for n in range(8000)))
            guard.wait_for(lambda: "make room on its disk" in guard.output, "not said", 30)
            assert any("make room" in problem for problem in guard.ask(Status, "status").problems)
            ballast.unlink()
            guard.wait_for(lambda: "works again" in guard.output, "did not recover", 30)
            guard.wait_for(lambda: attempts(guard) == 8002, "attempts were lost or doubled", 30)
    finally:
        guard.ensure_gone()
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.root
@needs_root
class TestEnforcing:
    """With a firewall, in a network namespace of its own."""

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[GuardProcess]:
        with namespace(f"rfctl{os.getpid()}") as name:
            process = GuardProcess(tmp_path, mode="nftables", namespace=name)
            process.log.touch()
            process.netns = name  # type: ignore[attr-defined]
            with running(process):
                yield process

    @staticmethod
    def kernel(lab: GuardProcess) -> set[str]:
        return elements(lab.netns)  # type: ignore[attr-defined]

    @staticmethod
    def nft(lab: GuardProcess, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", lab.netns, "nft", *words], check=True)  # type: ignore[attr-defined]

    def test_a_ban_is_enforced_and_an_unban_lets_in_at_once(self, lab: GuardProcess) -> None:
        lab.write(failures("192.0.2.7", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")
        lab.wait_for(lambda: lab.ask(Bans, "bans").rows[0].state == "enforced", "not confirmed")
        assert lab.ask(Status, "status").guarded
        assert lab.cli("unban", "192.0.2.7").returncode == 0
        assert self.kernel(lab) == set()

    def test_a_table_flushed_from_outside_is_put_right_at_once(self, lab: GuardProcess) -> None:
        lab.write(failures("192.0.2.7", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")
        self.nft(lab, "flush", "ruleset")
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not put right", 5)
        lab.wait_for(lambda: "put right" in lab.output, "not said")

    def test_bans_stay_when_the_guard_stops_and_unfence_removes_them(self, lab: GuardProcess) -> None:
        lab.write(failures("192.0.2.7", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")
        assert lab.cli("unfence").returncode == 1
        assert lab.stop() == 0
        assert self.kernel(lab) == {"192.0.2.7"}
        assert lab.cli("unfence").returncode == 0
        assert self.kernel(lab) == set()

    def test_bans_given_while_dead_are_in_force_after_the_start(self, lab: GuardProcess) -> None:
        lab.kill()
        lab.write(failures("192.0.2.7", 5))
        self.nft(lab, "flush", "ruleset")
        lab.start()
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")

    def test_the_whitelist_lifts_a_ban_and_beats_the_next(self, lab: GuardProcess) -> None:
        lab.write(failures("192.0.2.7", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")
        assert "lifted the ban" in lab.cli("allow", "192.0.2.0/24", "--note", "office").stdout
        assert self.kernel(lab) == set()
        lab.write(failures("192.0.2.7", 9) + failures("198.51.100.1", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"198.51.100.1"}, "the other one was not banned")
        assert not lab.ask(Explanation, "explain", address="192.0.2.7").banned

    def test_in_monitor_mode_it_says_that_an_earlier_table_still_holds_until_unfence(self, lab: GuardProcess) -> None:
        lab.write(failures("192.0.2.7", 5))
        lab.wait_for(lambda: self.kernel(lab) == {"192.0.2.7"}, "not in the kernel")
        assert lab.stop() == 0
        before = len(lab.output)
        lab.config.write_text(lab.config.read_text().replace('mode = "nftables"', 'mode = "monitor"'))
        lab.start()
        left = "what an earlier run left in the kernel holds until 'ringfence unfence'"
        assert f"nothing new is blocked; {left}" in lab.output[before:].splitlines()[0]
        assert f"nothing new is blocked; {left}" in lab.cli("status").stdout
        unban = lab.cli("unban", "192.0.2.7")
        assert unban.returncode == 0 and left in unban.stderr and self.kernel(lab) == {"192.0.2.7"}
        assert lab.cli("unfence", "--force").returncode == 0
        assert "nothing is blocked" in lab.cli("status").stdout.splitlines()[0]

    def test_what_the_kernel_does_not_take_is_recorded_said_and_exit_code_1(self, lab: GuardProcess) -> None:
        """Another program owns a table of our name for a while."""
        command = ["ip", "netns", "exec", lab.netns, "nft", "-i"]  # type: ignore[attr-defined]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0) as owner:
            assert owner.stdin is not None
            end = time.monotonic() + 15
            while "owns table" not in lab.output and time.monotonic() < end:
                owner.stdin.write(b"delete table inet ringfence; add table inet ringfence { flags owner; }\n")
                time.sleep(0.1)
            done = lab.cli("ban", "203.0.113.9", "--for", "1h")
            assert done.returncode == 1 and "(1h) is recorded but not in force" in done.stdout and done.stderr
            done = lab.cli("ban", "203.0.113.10", "--json")
            assert done.returncode == 1 and not json.loads(done.stdout)["enforced"]
            done = lab.cli("allow", "203.0.113.11")
            assert done.returncode == 1 and "is on the whitelist" in done.stdout and done.stderr
            assert lab.cli("allow", "203.0.113.11").returncode == 1
            done = lab.cli("lockdown", "on", "--for", "10m")
            assert done.returncode == 1 and "NOT in force" in done.stdout
            owner.kill()
        lab.wait_for(lambda: {"203.0.113.9", "203.0.113.10"} <= self.kernel(lab), "not made good")
        assert lab.ask(LockdownRow, "lockdown").enforced
        assert lab.cli("lockdown", "on").returncode == 0 == lab.cli("lockdown", "off").returncode

    def test_dropped_packets_are_counted_when_asked_and_kept_when_the_ban_is_lifted(self, lab: GuardProcess) -> None:
        def packets() -> int:
            return sum(row.packets for row in lab.ask(Stats, "statistics").rows)

        lab.ask(Banned, "ban", target="203.0.113.9")
        self.knock(lab, 3)
        assert packets() == 3
        self.knock(lab, 2)
        assert lab.ask(Bans, "bans").rows[0].packets == 5
        self.knock(lab, 4)
        lab.ask(Lifted, "unban", target="203.0.113.9")
        assert packets() == 9
        lab.ask(Banned, "ban", target="203.0.113.9")
        self.knock(lab, 20)
        assert packets() == 29

    @staticmethod
    def knock(lab: GuardProcess, count: int) -> None:
        """Let `count` packets come in from 203.0.113.9 on a wire: UDP, with headers (RFC 791, 768) made by hand."""
        code = (
            "import socket, struct\n"
            "one = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)\n"
            "ends = socket.inet_aton('203.0.113.9') + socket.inet_aton('192.0.2.1')\n"
            "head = struct.pack('!BBHHHBB', 0x45, 0, 28, 0, 0, 64, 17)\n"
            "total = sum(struct.unpack('!9H', head + ends))\n"
            "total = (total & 0xFFFF) + (total >> 16)\n"
            "packet = head + struct.pack('!H', 0xFFFF & ~total) + ends + struct.pack('!4H', 9999, 9, 8, 0)\n"
            f"for _ in range({count}): one.sendto(packet, ('wire0', 0x0800, 0, 0, b'\\xff' * 6))"
        )
        inside = ["ip", "netns", "exec", lab.netns]  # type: ignore[attr-defined]
        if subprocess.run([*inside, "ip", "link", "show", "wire0"], capture_output=True).returncode:
            wire = ["type", "veth", "peer", "name", "wire1"]
            subprocess.run([*inside, "ip", "link", "add", "wire0", *wire], check=True)
            for end in ("wire0", "wire1"):
                subprocess.run([*inside, "ip", "link", "set", end, "up"], check=True)
        subprocess.run([*inside, sys.executable, "-c", code], check=True)

    def test_a_lockdown_survives_a_restart_and_ends_on_command(self, lab: GuardProcess) -> None:
        assert lab.cli("lockdown", "on", "--for", "10m").returncode == 0
        lab.kill()
        lab.start()
        row = lab.ask(LockdownRow, "lockdown")
        assert row.on and row.enforced and row.services == ("sip", "iax")
        lab.cli("lockdown", "off")
        assert not lab.ask(LockdownRow, "lockdown").on

    def test_networks_are_banned_and_lifted_by_hand(self, lab: GuardProcess) -> None:
        answer = lab.ask(Banned, "ban", target="203.0.113.0/24", seconds=60.0)
        assert answer.enforced and self.kernel(lab) == {"203.0.113.0/24"}
        inside = lab.cli("unban", "203.0.113.9")
        assert inside.returncode == 1 and "203.0.113.0/24" in inside.stderr
        assert lab.cli("unban", "203.0.113.0/24").returncode == 0
        assert self.kernel(lab) == set()

    def test_idle_it_needs_little_memory(self, lab: GuardProcess) -> None:
        """45 MB resident, as the issue asks."""
        assert lab.ask(Diag, "diag").resident <= 45_000_000
