"""The guard before a real sshd: guessers are kept out after exactly what the policy says, nobody else is touched."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from lab import Net, SshServer, Syslog, missing, ssh_try
from lab.machine import until

from guard import Guard, listener, reaches

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

SSH = 22
OTHER = 8080
FAILURES = 4
POLICY = f"""
[rules.standard]
failures = {FAILURES}
within = "1h"
ban = "2h"
"""
SHORT = POLICY.replace('"2h"', '"3s"')


@pytest.fixture
def guard(net: Net, syslog: Syslog, sshd: SshServer, tmp_path: Path) -> Iterator[Guard]:
    """A guard with the settings of a new installation and a policy of four failures."""
    with Guard(net.server, tmp_path / "guard", policy=POLICY) as one:
        yield one


def guess(net: Net, source: str, times: int = 1) -> None:
    """Offer a wrong password, once a connection."""
    for _ in range(times):
        assert not ssh_try(net, "alice", "battery staple", source=source)


def target_of(source: str) -> str:
    """What is banned for `source`: IPv6 counts by /64."""
    return source if "." in source else source.rpartition("::")[0] + "::/64"


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_guesser_is_banned_at_exactly_the_configured_failure(net: Net, guard: Guard, family: str) -> None:
    """One less leaves the door open; the last one closes it, of this service, to this address only."""
    attacker, neighbour = (getattr(client, family) for client in net.clients[:2])
    with closing(listener(net, OTHER)):
        guess(net, attacker, FAILURES - 1)
        guard.until(lambda: guard.attempts(attacker) == FAILURES - 1, "three counted attempts")
        assert guard.bans() == [] and guard.kernel() == {}
        assert reaches(net, attacker, SSH)

        guess(net, attacker)
        ban = guard.until(lambda: guard.enforced(target_of(attacker)), "the ban")
        assert (ban.service, ban.author) == ("ssh", "rule:standard")
        length = datetime.fromisoformat(ban.until) - datetime.fromisoformat(ban.since)
        assert abs(length.total_seconds() - 7200) < 1.1
        assert set(guard.kernel()) == {target_of(attacker)}
        assert not reaches(net, attacker, SSH)
        assert not ssh_try(net, "alice", "correct horse", source=attacker, seconds=1)
        assert reaches(net, attacker, OTHER)
        assert ssh_try(net, "alice", "correct horse", source=neighbour)

    guard.until(lambda: (guard.bans()[0].packets or 0) > 0, "the dropped packets")
    rows = guard.json("bans")["rows"]
    assert [row["target"] for row in rows] == [target_of(attacker)]
    assert rows[0]["packets"] > 0
    assert [(row["address"], row["attempts"]) for row in guard.json("attacks")["rows"] if row["attempts"]] == [
        (attacker, FAILURES)
    ]
    why = guard.json("explain", attacker)
    assert why["banned"] and len(why["evidence"]) == FAILURES
    assert {event["cause"] for event in why["evidence"]} == {"wrong password"}
    assert {event["account"] for event in why["evidence"]} == {"alice"}


def test_an_ipv6_guesser_is_banned_with_his_whole_64_and_no_more(net: Net, guard: Guard) -> None:
    attacker = net.clients[0].v6
    sibling = attacker.removesuffix("2") + "3"
    net.client.run(["ip", "address", "add", f"{sibling}/32", "dev", "wire", "nodad"])
    guess(net, attacker, FAILURES // 2)
    guess(net, sibling, FAILURES - FAILURES // 2)
    guard.until(lambda: guard.enforced(target_of(attacker)), "the ban of the /64")
    assert not reaches(net, attacker, SSH) and not reaches(net, sibling, SSH)
    assert reaches(net, net.clients[1].v6, SSH)
    assert guard.json("explain", sibling)["banned"]


def test_several_passwords_in_one_connection_are_several_attempts(net: Net, guard: Guard) -> None:
    """sshd writes seven lines about three wrong passwords in one connection: three attempts."""
    attacker = net.clients[0].v4
    ssh_try(net, "mallory", "wrong", source=attacker, tries=3)
    guard.until(lambda: guard.attempts(attacker) == 3, "three attempts")
    assert guard.bans() == []
    guess(net, attacker)
    guard.until(lambda: guard.enforced(attacker), "the ban")
    assert guard.attempts(attacker) == 4


def test_the_whitelist_beats_the_same_attack(net: Net, guard: Guard) -> None:
    friend, other = net.clients[0].v4, net.clients[1].v4
    assert guard.json("allow", friend, "--note", "office")["entry"]["target"] == friend
    guess(net, friend, 2 * FAILURES)
    guess(net, other, FAILURES)
    guard.until(lambda: guard.enforced(other), "the ban of the other one")
    assert guard.attempts(friend) == 2 * FAILURES
    assert guard.ban_of(friend) is None
    assert ssh_try(net, "alice", "correct horse", source=friend)
    why = guard.json("explain", friend)
    assert not why["banned"] and [entry["target"] for entry in why["whitelist"]] == [friend]


def test_allowing_a_banned_address_lets_it_in_at_once(net: Net, guard: Guard) -> None:
    address = net.clients[0].v6
    guess(net, address, FAILURES)
    guard.until(lambda: guard.enforced(target_of(address)), "the ban")
    assert not reaches(net, address, SSH)
    assert [row["target"] for row in guard.json("allow", target_of(address))["lifted"]] == [target_of(address)]
    assert reaches(net, address, SSH)


@pytest.mark.parametrize("alive", [True, False], ids=["guard alive", "guard killed"])
def test_a_ban_ends_on_time_even_if_the_guard_is_dead(
    net: Net, syslog: Syslog, sshd: SshServer, tmp_path: Path, alive: bool
) -> None:
    """The kernel itself ends it: three seconds after the deciding line, and not before."""
    attacker = net.clients[0].v4
    with Guard(net.server, tmp_path / "guard", policy=SHORT) as guard:
        guess(net, attacker, FAILURES)
        ban = guard.until(lambda: guard.enforced(attacker), "the ban")
        assert attacker in guard.kernel()
        if not alive:
            guard.kill()
        assert not reaches(net, attacker, SSH, 0.2)
        until(lambda: reaches(net, attacker, SSH, 0.1), 5, "the end of the ban")
        assert -0.1 <= time.time() - datetime.fromisoformat(ban.until).timestamp() <= 1
        if alive:
            guard.until(lambda: not guard.bans(), "the end in the ledger", 3)
            assert [row.state for row in guard.bans(history=True)] == ["expired"]


def test_unban_lets_in_at_once_and_counting_begins_anew(net: Net, guard: Guard) -> None:
    attacker = net.clients[0].v4
    guess(net, attacker, FAILURES)
    guard.until(lambda: guard.enforced(attacker), "the ban")
    assert not reaches(net, attacker, SSH)
    assert [row["state"] for row in guard.json("unban", attacker)["rows"]] == ["lifted"]
    assert ssh_try(net, "alice", "correct horse", source=attacker)
    guess(net, attacker, FAILURES - 1)
    guard.until(lambda: guard.attempts(attacker) == 2 * FAILURES - 1, "the further attempts")
    assert guard.bans() == []
    guess(net, attacker)
    guard.until(lambda: guard.enforced(attacker), "the second ban")


def test_an_open_session_of_the_guesser_stops_too(net: Net, guard: Guard) -> None:
    """Dropped before connection tracking: what was established before does not get through either."""
    attacker = net.clients[0].v4
    with session(net, attacker) as shell:
        assert says(shell, "before")
        guess(net, attacker, FAILURES)
        guard.until(lambda: guard.enforced(attacker), "the ban")
        assert not says(shell, "during", 1.0)
        guard.json("unban", attacker)
        assert shell.poll() is None
        assert heard(shell, "during", 8), "what waited did not arrive after the unban"
        shell.kill()


def test_a_success_is_recorded_and_does_not_hide_failures(net: Net, guard: Guard) -> None:
    attacker = net.clients[0].v4
    guess(net, attacker, FAILURES - 1)
    assert ssh_try(net, "alice", "correct horse", source=attacker)
    guard.until(lambda: guard.attackers()[attacker].successes == 1, "the success")
    guess(net, attacker)
    guard.until(lambda: guard.enforced(attacker), "the ban")
    outcomes = [event["outcome"] for event in guard.json("explain", attacker)["events"]]
    assert sorted(outcomes) == ["failed"] * FAILURES + ["succeeded"]


def session(net: Net, source: str) -> subprocess.Popen[bytes]:
    """A login that stays open and answers each line with itself."""
    command = ["sshpass", "-p", "correct horse", "ssh", "-F", "none", "-b", source, "-l", "alice"]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"):
        command += ["-o", option]
    return net.client.popen([*command, net.v4, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def says(shell: subprocess.Popen[bytes], word: str, seconds: float = 5.0) -> bool:
    """Send `word` through the session; whether it comes back."""
    assert shell.stdin is not None
    shell.stdin.write(word.encode() + b"\n")
    shell.stdin.flush()
    return heard(shell, word, seconds)


def heard(shell: subprocess.Popen[bytes], word: str, seconds: float) -> bool:
    assert shell.stdout is not None
    ready, _, _ = select.select([shell.stdout], [], [], seconds)
    return bool(ready) and shell.stdout.readline() == word.encode() + b"\n"
