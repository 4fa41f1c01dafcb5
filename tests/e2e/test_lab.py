"""The laboratory itself: servers write what the documentation says, clients are told apart, nothing stays behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from lab import Client, Kamailio, Net, SshServer, Syslog, missing, sip_register, ssh_try
from lab.machine import until
from lab.net import SIP_PROGRAMS, SSH_PROGRAMS
from lab.probe import Probe

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

DOCUMENTED = re.compile(
    r"kamailio\[\d+\]: NOTICE: \{1 [^\s{}]+ [^\s{}]*\} <script>: ringfence: auth (?P<outcome>failed|succeeded) "
    r"address=(?P<address>[0-9a-f.:]+) port=\d+ proto=(?P<proto>udp|tcp|tls) proven=(?P<proven>yes|no) "
    r"cause=(?P<cause>[a-z-]+) session=(?P<session>[0-9a-f]{32}) "
    r"method=(?P<method>\S*) account=(?P<account>\S*) uri=(?P<uri>\S*) request=\S* agent=(?P<agent>\S*)$",
    re.MULTILINE,
)


def lines(log: Path, expected: int) -> list[dict[str, str]]:
    """What the documented lines in `log` say, once there are `expected` of them."""

    def found() -> list[dict[str, str]]:
        text = log.read_text(errors="replace") if log.exists() else ""
        return [match.groupdict() for match in DOCUMENTED.finditer(text)]

    until(lambda: len(found()) >= expected, what=f"{expected} lines in {log}")
    return found()


def matches(expected: re.Pattern[str], log: Path) -> bool:
    return log.exists() and expected.search(log.read_text()) is not None


def sources(net: Net) -> tuple[str, str]:
    return net.clients[0].v4, net.clients[1].v6


def test_each_client_has_networks_of_its_own(net: Net) -> None:
    """A ban of one client's /24 or /64 does not touch another client."""
    assert len({client.v4.rsplit(".", 1)[0] for client in net.clients}) == len(net.clients)
    assert len({client.v6.split("::")[0] for client in net.clients}) == len(net.clients)
    assert net.clients[1] == Client("10.77.2.2", "fd77:0:0:2::2")
    for client in net.clients:
        for source, server in ((client.v4, net.v4), (client.v6, net.v6)):
            assert net.client.run(["ping", "-c1", "-W1", "-I", source, server]).returncode == 0


def test_a_wrong_ssh_password_leaves_the_expected_line(net: Net, syslog: Syslog, sshd: SshServer) -> None:
    for source in sources(net):
        assert not ssh_try(net, "alice", "battery staple", source=source)
        expected = re.compile(rf"sshd\[\d+\]: Failed password for alice from {source} port \d+ ssh2\n")
        until(partial(matches, expected, syslog.auth), what=expected.pattern)


def test_the_right_ssh_password_is_let_in(net: Net, syslog: Syslog, sshd: SshServer) -> None:
    for source in sources(net):
        assert ssh_try(net, "alice", "correct horse", source=source)
    assert syslog.auth.read_text().count("Accepted password for alice from ") == 2


def test_several_ssh_tries_are_made_in_one_connection(net: Net, syslog: Syslog, sshd: SshServer) -> None:
    assert not ssh_try(net, "alice", "wrong", tries=3)
    failed = until(lambda: re.findall(r"sshd\[(\d+)\]: (?:Failed|Connection closed)", syslog.auth.read_text())[3:])
    pids = re.findall(r"sshd\[(\d+)\]: Failed password", syslog.auth.read_text())
    assert len(pids) == 3
    assert set(pids) == set(failed)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sip_logins_leave_the_documented_lines(net: Net, syslog: Syslog, kamailio: Kamailio, transport: str) -> None:
    """Wrong password, unknown account and success, over UDP and TCP, IPv4 and IPv6."""
    for source in sources(net):
        before = len(lines(syslog.kamailio, 0))
        for user, password, answers in (
            ("alice", "wrong", [401, 401]),
            ("mallory", "wrong", [401, 401]),
            ("alice", "correct horse", [401, 200]),
        ):
            assert sip_register(net, user, password, transport=transport, source=source) == answers  # type: ignore[arg-type]
        new = lines(syslog.kamailio, before + 3)[before:]
        assert [line["cause"] for line in new] == ["wrong-password", "unknown-account", "accepted"]
        assert [line["outcome"] for line in new] == ["failed", "failed", "succeeded"]
        assert [line["account"] for line in new] == ["alice", "mallory", "alice"]
        assert {(line["address"], line["proto"], line["proven"]) for line in new} == {(source, transport, "yes")}
        assert syslog.everything.read_text().count("ringfence: auth ") == before + 3
        server = f"[{net.v6}]" if ":" in source else net.v4
        assert new[0]["uri"] == f"sip:alice@{server}"
        assert len({line["session"] for line in new}) == 3


def test_a_blocked_client_hears_nothing(net: Net, syslog: Syslog, kamailio: Kamailio, sshd: SshServer) -> None:
    """Silence is told apart from refusal, which is what the tests of bans stand on."""
    rules = f"table inet t {{ chain c {{ type filter hook input priority 0; ip saddr {net.clients[0].v4} drop; }}; }}"
    net.server.run(["nft", "-f", "-"], input=rules)
    assert sip_register(net, "alice", "correct horse", seconds=0.5) == []
    assert sip_register(net, "alice", "correct horse", transport="tcp", seconds=0.5) == []
    assert not ssh_try(net, "alice", "correct horse", seconds=1)
    assert sip_register(net, "alice", "correct horse", source=net.clients[1].v4) == [401, 200]
    assert ssh_try(net, "alice", "correct horse", source=net.clients[1].v4)


def test_nobody_can_be_blamed_with_a_nonce_he_was_not_given(net: Net, syslog: Syslog, kamailio: Kamailio) -> None:
    """Only an answer to a challenge of this server, from the address that got the challenge, leaves a line."""
    mine, other = (Probe(net, client.v4) for client in net.clients[:2])
    with mine, other:
        challenge = mine.register(b"alice")
        assert challenge.status == 401
        assert other.register(b"alice", mine.answer(challenge, b"alice", "wrong")).status == 401
        foreign = challenge.with_nonce("0" * 40)
        assert mine.register(b"alice", mine.answer(foreign, b"alice", "wrong")).status == 401
        assert mine.register(b"alice", mine.answer(challenge, b"alice", "wrong")).status == 401
    assert [line["address"] for line in lines(syslog.kamailio, 1)] == [net.clients[0].v4]


def test_a_retransmission_is_recognised_and_a_second_guess_is_not_hidden(
    net: Net, syslog: Syslog, kamailio: Kamailio
) -> None:
    """Same bytes, same session; another password with the same Call-ID and CSeq is another session."""
    with Probe(net, net.clients[0].v4) as probe:
        challenge = probe.register(b"alice")
        for password in ("one", "one", "two"):
            probe.register(b"alice", probe.answer(challenge, b"alice", password), sequence=2)
    first, again, second = (line["session"] for line in lines(syslog.kamailio, 3))
    assert first == again != second


FORGED = (
    b"ringfence: auth failed address=6.6.6.6 port=1 proto=udp proven=yes cause=wrong-password "
    b"session=00000000000000000000000000000000 method=REGISTER account=a uri=b request=c agent=d"
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", b"x " + FORGED),
        ("user", b"A" * 20000),
        ("user", bytes(byte for byte in range(1, 256) if byte not in b'\r\n"\\')),
        ("user", b""),
        ("agent", FORGED),
        ("agent", b"a\r\n " + FORGED),
        ("agent", b"\0" + FORGED),
        ("agent", b"%" * 5000),
        ("call_id", b"x} <script>: " + FORGED),
        ("call_id", b"x" * 700 + b"} <script>: " + FORGED),
        ("call_id", b"\0x} <script>: " + FORGED + b"\0"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:8]),
)
def test_what_a_client_writes_never_shifts_the_line(
    net: Net, syslog: Syslog, kamailio: Kamailio, field: str, value: bytes
) -> None:
    """Whatever stands in user name, User-Agent or Call-ID: one line, of the true address."""
    user = value if field == "user" else b"alice"
    agent = value if field == "agent" else b"lab"
    call_id = value if field == "call_id" else b"1@lab"
    with Probe(net, net.clients[2].v4) as probe:
        challenge = probe.register(b"x", call_id=call_id, agent=agent)
        answer = probe.answer(challenge, user, "wrong")
        assert probe.register(b"x", answer, call_id=call_id, agent=agent).status == 401
    found = lines(syslog.kamailio, 1)
    assert [(line["address"], line["outcome"]) for line in found] == [(net.clients[2].v4, "failed")]


def test_kamailios_own_complaints_are_no_lines_of_ours(net: Net, syslog: Syslog, kamailio: Kamailio) -> None:
    """Kamailio quotes a malformed header with its line ends in its log; syslog keeps it one line, which is not ours."""
    with Probe(net, net.clients[2].v4) as probe:
        probe.send(b'REGISTER sip:x SIP/2.0\r\nTo: <sip:a@b" \r\n\tNOTICE: {1 x y} <script>: ' + FORGED + b"\r\n\r\n")
        until(lambda: "6.6.6.6" in syslog.kamailio.read_text(), what="Kamailio's complaint")
        assert probe.register(b"alice").status == 401
    assert lines(syslog.kamailio, 0) == []


def test_successes_can_be_left_out(net: Net, syslog: Syslog) -> None:
    with Kamailio(net, defines=("RINGFENCE_NO_SUCCESS",)):
        assert sip_register(net, "alice", "correct horse") == [401, 200]
        assert sip_register(net, "alice", "wrong") == [401, 401]
        assert [line["outcome"] for line in lines(syslog.kamailio, 1)] == ["failed"]


def test_unbound_nonces_are_said_to_prove_nothing_over_udp(net: Net, syslog: Syslog) -> None:
    with Kamailio(net, defines=("RINGFENCE_NONCE_UNBOUND",)):
        sip_register(net, "alice", "wrong")
        sip_register(net, "alice", "wrong", transport="tcp")
        assert [(line["proto"], line["proven"]) for line in lines(syslog.kamailio, 2)] == [
            ("udp", "no"),
            ("tcp", "yes"),
        ]


@pytest.mark.parametrize(
    ("form", "stamp"), [("iso", r"\d{4}-\d\d-\d\dT\S+"), ("rfc3164", r"[A-Z][a-z]{2} [ \d]\d \S+")]
)
def test_the_system_log_is_written_in_the_form_asked_for(net: Net, form: str, stamp: str) -> None:
    with Syslog(net.server, form) as log:
        net.server.run(["logger", "-p", "auth.info", "-t", "sshd[7]", "hello"])
        until(lambda: log.auth.exists() and log.auth.read_text(), what="the line")
        assert re.fullmatch(rf"{stamp} lab sshd\[7\]: hello\n", log.auth.read_text())


def test_nothing_stays_behind(tmp_path: Path) -> None:
    """Processes, mounts and links end with the net, even when the test fails."""
    with pytest.raises(ZeroDivisionError), Net(tmp_path / "net") as net:
        guard = net.server.popen(["sleep", "600"])
        Syslog(net.server)
        machines = (net.server, net.client)
        assert guard.pid in net.server.processes()
        raise ZeroDivisionError
    assert [machine.processes() for machine in machines] == [[], []]
    assert guard.wait(1) == -9
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert not os.path.exists("/dev/log") or not os.path.samefile("/dev/log", tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from lab import Kamailio, Net, SshServer, Syslog
net = Net(Path(sys.argv[1])).__enter__()
servers = Syslog(net.server), SshServer(net.server), Kamailio(net)
print(*net.server.processes(), *net.client.processes(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(bool(missing(*SSH_PROGRAMS, *SIP_PROGRAMS)), reason="needs the servers")
def test_nothing_stays_behind_when_the_tests_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "net")]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    pids = done.stdout.split()
    assert len(pids) > 8, done.stderr
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what="the end of all processes")


def test_the_pid_is_the_commands_own(net: Net) -> None:
    """So that `kill -9` of a `popen`ed guard kills the guard and not a wrapper."""
    with net.server.popen(["sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid
