"""Faults around a running guard: it recovers or says what is wrong, and nothing is lost or counted twice."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # where `guard_process` is

from lab import Machine, missing
from lab.machine import until

from guard import Guard, seconds_until
from guard_process import failures
from ringfence.answers import Status

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("nft")), reason=missing("nft") or "runs")]

FAILURES = 10
POLICY = f"""
[rules.standard]
failures = {FAILURES}
within = "1h"
ban = "2h"
"""
SETTINGS = """
[[source]]
kind = "sip-asterisk"
files = ["/var/log/asterisk/messages", "/var/log/asterisk/second"]
"""
A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8:1::5"
C_NETWORK, NETWORK = "2001:db8:1::/64", "198.51.100.0/24"


class Place:
    """A machine whose Asterisk writes what we say, and its guard."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder / "machine")
        self.logs = self.machine.log / "asterisk"
        self.logs.mkdir()
        for name in ("messages", "second"):
            (self.logs / name).touch()
        self.guard = Guard(self.machine, folder / "guard", policy=POLICY, settings=SETTINGS)

    def write(self, address: str, times: int = 1, log: str = "messages") -> None:
        """So many failed registrations of `address`."""
        with (self.logs / log).open("a") as file:
            file.write(failures(f"[{address}]" if ":" in address else address, times))

    def attack(self, *addresses: str) -> None:
        """Enough for bans, which are in force afterwards."""
        for address in addresses:
            self.write(address, FAILURES)
        targets = {C_NETWORK if address == C else address for address in addresses}
        self.guard.until(lambda: targets <= self.in_force(), f"the bans of {targets}")

    def in_force(self) -> set[str]:
        """The targets that the guard says the kernel confirmed."""
        return {row.target for row in self.guard.bans() if row.state == "enforced"}

    def agrees(self) -> bool:
        """Whether ledger and kernel hold the same, until the same moments."""
        wanted = {row.target: datetime.fromisoformat(row.until).timestamp() for row in self.guard.bans()}
        now = time.time()
        kernel = {target: now + left for target, left in self.guard.kernel().items()}
        return wanted.keys() == kernel.keys() and all(abs(wanted[one] - kernel[one]) <= 2 for one in wanted)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A machine with a guard that is not started yet."""
    one = Place(tmp_path)
    try:
        yield one
        one.guard.__exit__()
    finally:
        one.machine.close()


def rules(guard: Guard) -> str:
    """Our rules without what changes by itself."""
    return guard.nft("--terse", "--stateless", "list", "table", "inet", "ringfence")


DAMAGE = {
    "everything is flushed": "flush ruleset",
    "our table is deleted": "delete table inet ringfence",
    "our table is flushed": "flush table inet ringfence",
    "one ban is removed": f"delete element inet ringfence sip_hosts4 {{ {A} }}",
    "one IPv6 ban is removed": "delete element inet ringfence sip_prefixes64 { 2001:db8:1:: }",
    "the bans of a service are flushed": "flush set inet ringfence sip_hosts4",
    "a network ban is removed": "flush set inet ringfence all_networks4",
    "the whitelist is flushed": "flush set inet ringfence all_allowed4",
    "a stranger is banned": "add element inet ringfence sip_hosts4 { 203.0.113.99 }",
    "the door is opened": "insert rule inet ringfence prerouting accept",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_others_do_to_our_table_is_put_right_within_two_seconds(place: Place, damage: str) -> None:
    guard = place.guard
    guard.start()
    guard.json("allow", "203.0.113.7")
    assert guard.json("ban", NETWORK)["enforced"]
    place.attack(A, B, C)
    before, allowed, bans = rules(guard), whitelisted(guard), {A, B, C_NETWORK, NETWORK}
    assert set(guard.kernel()) == bans and "203.0.113.7" in allowed
    guard.nft(*damage.split(" "))
    took = seconds_until(
        lambda: set(guard.kernel()) == bans and rules(guard) == before and whitelisted(guard) == allowed,
        f"the table as it was; the guard said:\n{guard.said}",
    )
    assert took <= 2
    guard.until(lambda: "put right" in guard.said, "a word about it")
    guard.until(lambda: guard.ask(Status, "status").guarded, "a guard that is content")
    assert place.in_force() == bans


def whitelisted(guard: Guard) -> set[str]:
    listed = guard.machine.run(["nft", "--json", "list", "set", "inet", "ringfence", "all_allowed4"], check=False)
    elements = json.loads(listed.stdout)["nftables"][1]["set"].get("elem", []) if listed.returncode == 0 else []
    return {str(element) for element in elements}


def test_tables_of_other_programs_are_left_alone(place: Place) -> None:
    """Whatever the guard does from its start to the removal of its table, even where a table bears our name."""
    others = ("table ip ringfence", "table inet filter", "table ip6 nat")
    for table in others:
        hook = "type filter hook input priority 0; policy accept;"
        text = f"{table} {{ set s {{ type ipv4_addr; elements = {{ 192.0.2.200 }}; }}; chain c {{ {hook} }}; }}"
        place.machine.run(["nft", "-f", "-"], input=text)

    def foreign() -> str:
        return "".join(place.guard.nft("list", *table.split()) for table in others)

    before = foreign()
    place.guard.start()
    place.attack(A, C)
    place.guard.json("lockdown", "on", "--for", "1m")
    place.guard.nft("delete", "table", "inet", "ringfence")
    place.guard.until(lambda: A in place.guard.kernel(), "the table's return")
    place.guard.json("unban", "--all")
    assert foreign() == before
    assert place.guard.stop() == 0
    assert place.guard.cli("unfence").returncode == 0
    assert foreign() == before
    assert "inet ringfence" not in place.guard.nft("list", "tables")


def test_without_the_right_to_block_it_says_so_and_blocks_as_soon_as_it_may(place: Place) -> None:
    """No CAP_NET_ADMIN: monitor mode in the first line and in `status`; bans are wanted and enforced later."""
    guard = place.guard
    guard.prefix = ["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"]
    check_monitor_mode(place, "CAP_NET_ADMIN")
    assert guard.nft("list", "ruleset") == ""
    guard.prefix = []
    check_later_enforcement(place)


def test_without_libnftables_the_missing_package_is_named(place: Place) -> None:
    library = place.machine.run(["sh", "-c", "ldconfig -p | sed -n 's/.*libnftables.so.1 .*=> //p' | head -1"])
    path = os.path.realpath(library.stdout.strip())
    nothing = place.machine.root / "nothing"
    nothing.touch()
    place.machine.run(["mount", "--bind", str(nothing), path])
    check_monitor_mode(place, "libnftables1")
    place.machine.run(["umount", path])
    check_later_enforcement(place)


def check_monitor_mode(place: Place, reason: str) -> None:
    guard = place.guard
    guard.start()
    place.write(A, FAILURES)
    guard.until(guard.bans, "the ban")
    first = guard.said.splitlines()[0]
    assert "monitor mode" in first and reason in first and "is blocked" in first
    status = guard.cli("status")
    assert status.returncode == 1 and "monitor mode" in status.stdout.splitlines()[0] and reason in status.stdout
    assert [(row.target, row.state) for row in guard.bans()] == [(A, "wanted")]
    assert "monitor mode" in next(line for line in guard.said.splitlines() if line.startswith(f"banned {A}"))
    by_hand = guard.cli("ban", B)
    assert "not in force" in by_hand.stdout and "monitor mode" in by_hand.stderr
    guard.stop()


def check_later_enforcement(place: Place) -> None:
    place.guard.start()
    assert place.in_force() == set(place.guard.kernel()) == {A, B}
    assert place.guard.ask(Status, "status").guarded


def test_a_firewall_that_refuses_is_said_once_and_tried_until_it_works(place: Place) -> None:
    """Another program owns a table of our name for a while: bans stay wanted, then all of them are in force."""
    guard = place.guard
    guard.start()
    place.attack(A)
    owner = place.machine.popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert owner.stdin is not None
    for _ in range(20):  # the guard puts its table back at once: the owner has to be quicker
        owner.stdin.write(b"delete table inet ringfence; add table inet ringfence { flags owner; }\n")
        owner.stdin.flush()
        time.sleep(0.05)
        if "flags owner" in guard.nft("list", "tables", check=False) + guard.nft("list", "ruleset", check=False):
            break
    guard.until(lambda: "tried again" in guard.said, "a word about the refusal", 15)
    place.write(B, FAILURES)
    row = guard.until(lambda: guard.ban_of(B), "the second ban")
    assert row.state == "wanted"
    status = guard.ask(Status, "status")
    assert not status.guarded and (status.bans_enforced, status.bans_wanted) == (0, 2)
    assert "owns table inet ringfence" in guard.said
    assert {row.target: row.state for row in guard.bans()} == {A: "wanted", B: "wanted"}
    assert B not in guard.nft("list", "ruleset")
    said = guard.said.count("tried again")
    owner.kill()
    owner.wait()
    guard.until(lambda: set(guard.kernel()) == {A, B}, "both bans in the kernel", 15)
    guard.until(lambda: place.in_force() == {A, B}, "both bans confirmed")
    guard.until(lambda: guard.ask(Status, "status").guarded, "a guard that is content")
    assert said == 1 and guard.said.count("works again") == 1


def test_a_full_disk_is_said_and_nothing_is_lost_or_counted_twice(place: Place) -> None:
    guard = place.guard
    place.machine.run(["mkdir", "/var/lib/small"])
    place.machine.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", "/var/lib/small"])
    guard.ledger = Path("/var/lib/small/ringfence.db")
    guard.configure(SETTINGS)
    guard.start()
    place.attack(A)
    place.machine.run(["sh", "-c", "cat /dev/zero > /var/lib/small/ballast"], check=False)
    noise = {f"198.51.100.{number}": 8 for number in range(1, 251)}
    for _ in range(8):
        for address in noise:
            place.write(address)
    place.write(B, FAILURES)
    guard.until(lambda: "make room on its disk" in guard.said, "a word about the disk")
    status = guard.ask(Status, "status")
    assert not status.guarded and any("make room" in problem for problem in status.problems)
    refused = guard.cli("ban", "192.0.2.99")
    assert refused.returncode == 4 and "make room on its disk" in refused.stderr
    assert set(guard.kernel()) == {A}, "what can't be recorded is not done"
    place.machine.run(["rm", "/var/lib/small/ballast"])
    guard.until(lambda: guard.attempts(B) == FAILURES, "the attempts made meanwhile", 20)
    guard.until(lambda: guard.ask(Status, "status").guarded, "a guard that is content")
    assert {address: row.attempts for address, row in guard.attackers().items()} == {**noise, A: FAILURES, B: FAILURES}
    guard.until(place.agrees, "ledger and kernel in agreement")
    assert place.in_force() == {A, B}
    assert guard.said.count("make room on its disk") == 1


def test_a_disk_that_is_full_at_the_start_is_said_in_one_line(place: Place) -> None:
    place.machine.run(["mkdir", "/var/lib/small"])
    place.machine.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/lib/small"])
    place.machine.run(["sh", "-c", "cat /dev/zero > /var/lib/small/ballast"], check=False)
    place.guard.ledger = Path("/var/lib/small/ringfence.db")
    place.guard.configure(SETTINGS)
    process = place.guard.spawn()
    assert process.wait(20) == 4
    assert len(place.guard.said.splitlines()) == 1 and "room" in place.guard.said, place.guard.said


def test_an_unreadable_log_is_said_once_the_others_are_read_and_it_is_taken_up_when_it_can_be(place: Place) -> None:
    """An ordinary user with CAP_NET_ADMIN, as the systemd unit runs it, and a log of mode 0600."""
    guard, state = place.guard, place.machine.root / "lib" / "guard"
    state.mkdir()
    for file in (guard.config, guard.policy):
        shutil.copy(file, state)
    guard.ledger = Path("/var/lib/guard/ringfence.db")
    guard.config, guard.policy = state / "ringfence.toml", Path("/var/lib/guard/policy.toml")
    guard.configure(SETTINGS)
    os.chown(state, 65534, 65534)
    guard.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    guard.prefix += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
    place.machine.run(["mount", "--bind", str(state), "/var/lib/guard"])
    guard.config = Path("/var/lib/guard/ringfence.toml")
    place.write(A, FAILURES)
    place.write(B, FAILURES, "second")
    secret = place.logs / "second"
    secret.chmod(0o600)

    guard.start()
    assert guard.process is not None and Path(f"/proc/{guard.process.pid}").stat().st_uid == 65534
    guard.until(lambda: A in guard.kernel(), "the ban from the readable log")
    guard.until(lambda: "/var/log/asterisk/second" in guard.said, "a word about the other")
    time.sleep(4)  # longer than the pause between two tries
    about = [line for line in guard.said.splitlines() if "/var/log/asterisk/second" in line]
    assert len(about) == 1 and "ermission" in about[0], guard.said
    status = guard.ask(Status, "status")
    assert not status.guarded and any("/var/log/asterisk/second" in problem for problem in status.problems)
    assert guard.attempts(B) == 0

    secret.chmod(0o644)
    guard.until(lambda: B in guard.kernel(), "the ban from the log that can be read now")
    assert guard.attempts(B) == FAILURES
    guard.until(lambda: guard.ask(Status, "status").guarded, "a guard that is content")


def scramble(file: Path) -> None:
    """Overwrite the middle of every page behind the first."""
    data = bytearray(file.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start : start + 2000] = b"\xa5" * 2000
    file.write_bytes(data)


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA user_version = 4000")


def foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE customers (name)")


@pytest.mark.parametrize("damage", [scramble, newer, foreign])
def test_a_ledger_that_cant_be_used_is_refused_with_a_reason_and_left_as_it_is(place: Place, damage) -> None:  # type: ignore[no-untyped-def]
    """Exit code 4, one line that names the file; the bans of the kernel stay."""
    guard = place.guard
    guard.start()
    place.attack(A)
    assert guard.stop() == 0
    damage(guard.ledger)
    before, said = guard.ledger.read_bytes(), guard.said
    process = guard.spawn()
    assert process.wait(20) == 4
    words = guard.said.removeprefix(said)
    assert words.count("\n") == 1 and str(guard.ledger) in words and words.startswith("ringfence: "), words
    assert guard.ledger.read_bytes() == before
    assert set(guard.kernel()) == {A}


def test_logs_rotated_while_the_guard_was_down_are_finished_first(place: Place) -> None:
    """Three rotations, the oldest compressed: each attempt counts once."""
    guard = place.guard
    guard.start()
    place.write(A, 3)
    guard.until(lambda: guard.attempts(A) == 3, "the first attempts")
    guard.kill()
    for number in range(3):
        place.write(A, 2)
        for old in range(number, 0, -1):
            (place.logs / f"messages.{old}").rename(place.logs / f"messages.{old + 1}")
        (place.logs / "messages").rename(place.logs / "messages.1")
    place.write(A)
    guard.start()
    guard.until(lambda: A in guard.kernel(), "the ban by the tenth attempt")
    assert guard.attempts(A) == 10


def test_a_restart_forgets_neither_bans_nor_the_way_to_them(place: Place) -> None:
    """Nine attempts, kill -9, one more: banned. Earlier bans are where they were, in ledger and kernel alike."""
    guard = place.guard
    guard.start()
    place.attack(B, C)
    assert guard.json("ban", NETWORK, "--for", "1h")["enforced"]
    place.write(A, FAILURES - 1)
    guard.until(lambda: guard.attempts(A) == FAILURES - 1, "nine attempts")
    guard.kill()
    guard.nft("flush", "ruleset")
    guard.start()
    assert set(guard.kernel()) == {B, C_NETWORK, NETWORK} and place.agrees()
    assert guard.ban_of(A) is None
    place.write(A)
    guard.until(lambda: A in guard.kernel(), "the ban by the tenth attempt")
    assert guard.attempts(A) == FAILURES
    guard.until(place.agrees, "ledger and kernel in agreement")


def test_whoever_comes_after_a_restart_is_not_taken_for_another(place: Place) -> None:
    """A ban that was lifted stays lifted, and what ended meanwhile is not begun again."""
    guard = place.guard
    guard.start()
    place.attack(A, B)
    guard.json("unban", A)
    assert guard.json("ban", NETWORK, "--for", "1s")["enforced"]
    guard.kill()
    until(lambda: NETWORK not in guard.kernel(), 5, "the end of the short ban")
    guard.start()
    assert set(guard.kernel()) == {B} and {row.target for row in guard.bans()} == {B}
    states = {row.target: row.state for row in guard.bans(history=True)}
    assert states == {A: "lifted", B: "enforced", NETWORK: "expired"}
