"""The guard before a real Kamailio: telephone accounts are guessed no further, and lockdown silences the telephones."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from lab import Kamailio, Net, SshServer, Syslog, missing, sip_register, ssh_try
from lab.machine import until
from lab.net import SIP_PROGRAMS, SSH_PROGRAMS
from lab.probe import Probe

from guard import Guard, listener, reaches

NEEDED = (*SIP_PROGRAMS, *SSH_PROGRAMS)
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing(*NEEDED)), reason=missing(*NEEDED) or "runs"),
]

SIP = 5060
OTHER = 8080
MEDIA = 12000
FAILURES = 5
POLICY = f"""
[rules.standard]
failures = 50
within = "10m"
ban = "10m"
[rules.standard.sip]
failures = {FAILURES}
within = "1h"
ban = "2h"
"""
GOOD = [401, 200]
WRONG = [401, 401]


@pytest.fixture
def guard(net: Net, syslog: Syslog, kamailio: Kamailio, tmp_path: Path) -> Iterator[Guard]:
    """A guard with the settings of a new installation and a policy of five failures for SIP."""
    with Guard(net.server, tmp_path / "guard", policy=POLICY) as one:
        yield one


def guess(net: Net, source: str, times: int, transport: str = "udp") -> None:
    """Register with a wrong password."""
    answers = sip_register(net, "alice", "battery staple", source=source, transport=transport, calls=times)  # type: ignore[arg-type]
    assert answers == WRONG * times


def silent(net: Net, source: str, transport: str = "udp") -> bool:
    """Whether the right password gets no answer at all."""
    return sip_register(net, "alice", "correct horse", source=source, transport=transport, seconds=0.5) == []  # type: ignore[arg-type]


def answered(net: Net, source: str, transport: str = "udp") -> bool:
    """Whether the right password registers."""
    return sip_register(net, "alice", "correct horse", source=source, transport=transport) == GOOD  # type: ignore[arg-type]


def target_of(source: str) -> str:
    """What is banned for `source`: IPv6 counts by /64."""
    return source if "." in source else source.rpartition("::")[0] + "::/64"


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_guesser_is_banned_at_exactly_the_configured_failure(
    net: Net, guard: Guard, transport: str, family: str
) -> None:
    """Every attempt is counted once, with the SIP URI it was made for; the last one closes SIP, UDP and TCP."""
    attacker, neighbour = (getattr(client, family) for client in net.clients[:2])
    with closing(listener(net, OTHER)):
        guess(net, attacker, FAILURES - 1, transport)
        guard.until(lambda: guard.attempts(attacker) == FAILURES - 1, "the attempts")
        assert guard.bans() == [] and guard.kernel() == {}
        assert answered(net, attacker, transport)

        guess(net, attacker, 1, transport)
        ban = guard.until(lambda: guard.enforced(target_of(attacker)), "the ban")
        assert (ban.service, ban.author) == ("sip", "rule:standard")
        assert set(guard.kernel()) == {target_of(attacker)}
        assert silent(net, attacker, "udp") and silent(net, attacker, "tcp")
        assert reaches(net, attacker, OTHER)
        assert answered(net, neighbour, transport)

    guard.until(lambda: (guard.bans()[0].packets or 0) > 0, "the dropped packets")
    rows = guard.json("bans")["rows"]
    assert [row["target"] for row in rows] == [target_of(attacker)] and rows[0]["packets"] > 0
    listed = {row["address"]: row for row in guard.json("attacks")["rows"]}
    assert (listed[attacker]["attempts"], listed[attacker]["successes"]) == (FAILURES, 1)
    assert listed[attacker]["accounts"] == ["alice"] and listed[attacker]["services"] == ["sip"]
    why = guard.json("explain", attacker)
    host = f"[{net.v6}]" if ":" in attacker else net.v4
    assert [event["detail"] for event in why["evidence"]] == [f"sip:alice@{host}"] * FAILURES
    assert {event["cause"] for event in why["evidence"]} == {"wrong password"}


def test_each_service_is_closed_for_itself(net: Net, sshd: SshServer, guard: Guard) -> None:
    """Who guesses telephone accounts still logs in by SSH, until he is banned from that as well."""
    attacker = net.clients[0].v4
    guess(net, attacker, FAILURES)
    guard.until(lambda: guard.enforced(attacker), "the ban")
    assert silent(net, attacker)
    assert ssh_try(net, "alice", "correct horse", source=attacker)
    assert guard.json("ban", attacker, "--service", "ssh", "--for", "1m")["enforced"]
    assert not reaches(net, attacker, 22)
    assert {row["service"] for row in guard.json("bans")["rows"]} == {"sip", "ssh"}
    guard.json("unban", attacker, "--service", "sip")
    assert answered(net, attacker) and not reaches(net, attacker, 22)


def test_a_challenge_is_no_attempt_and_a_good_registration_is_a_success(net: Net, guard: Guard) -> None:
    phone, other = net.clients[0].v4, net.clients[1].v4
    with Probe(net, phone) as probe:
        for number in range(3 * FAILURES):
            assert probe.register(b"alice", call_id=b"%d@lab" % number).status == 401
    assert sip_register(net, "alice", "correct horse", source=phone, calls=3) == GOOD * 3
    guess(net, other, 1)
    guard.until(lambda: guard.attempts(other) == 1, "the attempt that came last")
    row = guard.attackers().get(phone)
    assert row is None or row.attempts == 0
    outcomes = [event["outcome"] for event in guard.json("explain", phone)["events"]]
    assert outcomes == ["succeeded"] * 3
    assert guard.bans() == []


def test_a_request_sent_again_is_one_attempt(net: Net, guard: Guard) -> None:
    """UDP clients repeat what was not answered in time; another guess in the same dialogue is another attempt."""
    phone = net.clients[0].v4
    with Probe(net, phone) as probe:
        challenge = probe.register(b"alice")
        for password in ("one", "one", "one", "two"):
            probe.register(b"alice", probe.answer(challenge, b"alice", password), sequence=2)
    guess(net, net.clients[1].v4, 1)
    guard.until(lambda: guard.attempts(net.clients[1].v4) == 1, "the attempt that came last")
    assert guard.attempts(phone) == 2


def test_the_whitelist_beats_the_same_attack_for_its_service(net: Net, guard: Guard) -> None:
    friend, other = net.clients[0].v4, net.clients[1].v4
    guard.json("allow", friend, "--service", "sip")
    for source in (friend, other):
        guess(net, source, FAILURES)
    guard.until(lambda: guard.enforced(other), "the ban of the other one")
    assert guard.attempts(friend) == FAILURES and guard.ban_of(friend) is None
    assert answered(net, friend) and silent(net, other)


def test_a_ban_ends_on_time_and_unban_lets_in_at_once(
    net: Net, syslog: Syslog, kamailio: Kamailio, tmp_path: Path
) -> None:
    one, two = net.clients[0].v4, net.clients[1].v6
    with Guard(net.server, tmp_path / "guard", policy=POLICY.replace('"2h"', '"3s"')) as guard:
        guess(net, one, FAILURES)
        ban = guard.until(lambda: guard.enforced(one), "the ban")
        assert silent(net, one)
        until(lambda: answered(net, one), what="the end of the ban")
        assert -0.1 <= time.time() - datetime.fromisoformat(ban.until).timestamp() <= 4
        assert guard.bans() == []
        guess(net, two, FAILURES)
        guard.until(lambda: guard.enforced(target_of(two)), "the second ban")
        guard.json("unban", two)
        assert answered(net, two)


def test_a_manual_ban_of_all_services_silences_everything(net: Net, guard: Guard) -> None:
    enemy, friend = net.clients[0], net.clients[1]
    with closing(listener(net, OTHER)):
        for target in (enemy.v4, target_of(enemy.v6)):
            answer = guard.json("ban", target, "--for", "1h", "--note", "by hand")
            assert answer["enforced"] and answer["ban"]["service"] == "*"
        for source in enemy:
            assert not reaches(net, source, OTHER) and silent(net, source) and not pings(net, source)
        for source in friend:
            assert reaches(net, source, OTHER) and answered(net, source) and pings(net, source)
    assert len(guard.json("unban", "--all")["rows"]) == 2
    assert answered(net, enemy.v4) and answered(net, enemy.v6)


def test_who_is_ours_or_whitelisted_or_at_work_here_is_banned_only_by_force(net: Net, guard: Guard) -> None:
    """Exit code 1 and a sentence that says why; nothing is recorded."""
    friend, home = net.clients[0].v4, net.clients[1].v4
    guard.json("allow", friend)
    session = {"SSH_CONNECTION": f"{home} 50000 {net.v4} 22"}
    for words, environment, because in (
        ([friend], {}, "whitelist"),
        ([net.v4], {}, net.v4),
        (["127.0.0.1"], {}, "127.0.0.0/8"),
        (["10.77.0.0/16"], {}, ""),
        ([home], session, "your own SSH session"),
    ):
        refused = guard.cli("ban", *words, environment=environment)
        assert (refused.returncode, refused.stdout) == (1, ""), refused
        assert because in refused.stderr and "--force" in refused.stderr and refused.stderr.count("\n") == 1
    assert guard.bans(history=True) == []
    done = guard.cli("ban", home, "--for", "1h", "--force", environment=session)
    assert done.returncode == 0 and guard.enforced(home), done


def test_lockdown_silences_the_telephones_for_all_but_the_whitelist(net: Net, guard: Guard) -> None:
    """SIP over UDP and TCP, open connections and media; everything else goes on."""
    friend, other = net.clients[0], net.clients[1]
    for address in friend:
        guard.json("allow", address)
    with closing(listener(net, OTHER)), Media(net, other.v4) as call, Media(net, friend.v4) as kept:
        with closing(connect(net, other.v4)) as phone:
            assert rings(phone) and call.flows() and kept.flows()
            answer = guard.json("lockdown", "on", "--for", "10m")
            assert answer["on"] and answer["enforced"] and answer["services"] == ["sip", "iax"]
            assert not rings(phone) and not call.flows()
        for source in other:
            assert silent(net, source, "udp") and silent(net, source, "tcp") and reaches(net, source, OTHER)
        for source in friend:
            assert answered(net, source, "udp") and answered(net, source, "tcp")
        assert kept.flows()
        assert not guard.json("lockdown", "off")["on"]
        assert answered(net, other.v4, "udp") and answered(net, other.v6, "tcp") and call.flows()


def test_lockdown_ends_by_itself_even_if_the_guard_is_dead(net: Net, guard: Guard) -> None:
    phone = net.clients[0].v4
    end = datetime.fromisoformat(guard.json("lockdown", "on", "--for", "3s")["until"]).timestamp()
    guard.kill()
    assert silent(net, phone)
    until(lambda: answered(net, phone), 10, "the end of the lockdown")
    assert -0.1 <= time.time() - end <= 4
    guard.start()
    assert not guard.json("lockdown")["on"]
    assert answered(net, phone)


def test_lockdown_survives_a_restart_even_of_the_machine(net: Net, guard: Guard) -> None:
    """After a start with an empty kernel it is in force again."""
    phone = net.clients[0].v4
    guard.json("lockdown", "on")
    guard.kill()
    assert silent(net, phone)
    guard.nft("flush", "ruleset")
    assert answered(net, phone)
    guard.start()
    assert guard.json("lockdown")["enforced"]
    assert silent(net, phone)
    guard.json("lockdown", "off")
    assert answered(net, phone)


def test_bans_survive_a_restart_of_guard_and_machine(net: Net, guard: Guard) -> None:
    attacker = net.clients[0].v4
    guess(net, attacker, FAILURES)
    guard.until(lambda: guard.enforced(attacker), "the ban")
    assert guard.stop() == 0
    assert silent(net, attacker), "the ban outlives the guard"
    guard.nft("flush", "ruleset")
    guard.start()
    assert guard.enforced(attacker) and silent(net, attacker)
    assert 7100 < guard.kernel()[attacker] <= 7200
    assert guard.attempts(attacker) == FAILURES


def pings(net: Net, source: str) -> bool:
    server = net.v6 if ":" in source else net.v4
    return net.client.run(["ping", "-c1", "-W1", "-I", source, server], check=False).returncode == 0


def connect(net: Net, source: str) -> socket.socket:
    """An open connection to Kamailio."""
    with net.client.entered():
        return socket.create_connection((net.v4, SIP), timeout=3, source_address=(source, 0))


def rings(phone: socket.socket) -> bool:
    """Whether Kamailio answers over an open connection."""
    phone.settimeout(0.5)
    head = "OPTIONS sip:x SIP/2.0", "Via: SIP/2.0/TCP x;branch=z9hG4bK1", "From: <sip:a@x>;tag=1", "To: <sip:a@x>"
    phone.sendall("\r\n".join((*head, "Call-ID: 1", "CSeq: 1 OPTIONS", "Content-Length: 0", "", "")).encode())
    try:
        return phone.recv(4096).startswith(b"SIP/2.0")
    except TimeoutError:
        return False


class Media:
    """Voice towards the server: datagrams to a port of the range that RTP uses."""

    _port = MEDIA

    def __init__(self, net: Net, source: str) -> None:
        Media._port += 2
        with net.server.entered():
            self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with net.client.entered():
            self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind((net.v4, Media._port))
        self._client.bind((source, 0))
        self._client.connect((net.v4, Media._port))
        self._server.settimeout(0.3)
        self._sent = 0

    def flows(self) -> bool:
        """Whether a datagram arrives."""
        self._sent += 1
        self._client.send(b"%d" % self._sent)
        try:
            return self._server.recv(100) == b"%d" % self._sent
        except TimeoutError:
            return False

    def __enter__(self) -> Media:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._client.close()
