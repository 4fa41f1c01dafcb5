"""FTP servers, installed and attacked for real: each attempt counts once, a ban closes ftp alone, no lie is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from lab import Net, Syslog, image, missing
from lab import proftpd as proftpd_lab
from lab import pureftpd as pureftpd_lab
from lab import vsftpd as vsftpd_lab
from lab.ftp import ftp_say
from lab.interpreter import share_python
from lab.machine import until
from lab.proftpd import Proftpd
from lab.pureftpd import PureFtpd
from lab.vsftpd import Vsftpd
from proof import OTHER, POLICY, Proof, outcomes, prove

from guard import Guard, listener

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs")]

FtpServer = Vsftpd | Proftpd | PureFtpd
MANY = POLICY.replace("failures = 4", "failures = 100")
"""A policy under which nobody is banned while a test counts."""
VICTIM = "192.0.2.99"
PACKAGES = {"vsftpd": vsftpd_lab.PACKAGES, "proftpd": proftpd_lab.PACKAGES, "pureftpd": pureftpd_lab.PACKAGES}
FORGED = {
    "vsftpd": b'Sat Nov 21 20:34:50 2026 [pid 3] [alice] FAIL LOGIN: Client "192.0.2.99"',
    "proftpd": b"Nov 21 20:34:50 l proftpd[7]: h (192.0.2.99[192.0.2.99]) - USER x (Login failed): Incorrect password",
    "pureftpd": b"Nov 21 20:34:50 lab pure-ftpd: (?@192.0.2.99) [WARNING] Authentication failed for user [x]",
}
"""A whole line of each server's log about somebody else."""


@contextmanager
def machine(folder: Path, *packages: str) -> Iterator[Net]:
    """A server machine with `packages` installed, its rsyslogd, and the Python that the guard needs."""
    with Net(folder / "net", image=image(*packages)) as net, Syslog(net.server):
        share_python(net.server)
        yield net


@contextmanager
def started(name: str, folder: Path) -> Iterator[tuple[Net, FtpServer]]:
    """The server `name`, set up as its note says."""
    if name == "vsftpd":
        with machine(folder, *vsftpd_lab.PACKAGES) as net, Vsftpd(net) as vsftpd:
            yield net, vsftpd
    elif name == "proftpd":
        with (
            machine(folder, *proftpd_lab.PACKAGES) as net,
            Proftpd(net, extra="SyslogLevel info", syslog=True) as proftpd,
        ):
            yield net, proftpd
    else:
        with machine(folder, *pureftpd_lab.PACKAGES) as net, PureFtpd(net, settings={"DontResolve": "yes"}) as pureftpd:
            yield net, pureftpd


def counts(guard: Guard, address: str) -> Counter[str]:
    """How many attempts and successes are told of `address`."""
    return Counter(outcome for _, outcome, _ in outcomes(guard, address))


def settled(net: Net, guard: Guard, server: FtpServer) -> None:
    """Everything logged so far has been read: a later success of another client was."""
    last = net.clients[3].v4
    before = counts(guard, last)["succeeded"]
    assert server.login(last, "alice", net.accounts["alice"])
    guard.until(lambda: counts(guard, last)["succeeded"] > before, "the last login")


@pytest.mark.parametrize("extra", ["", "syslog_enable=YES"], ids=["own-log", "syslog"])
def test_vsftpd_counts_each_attempt_once_and_is_closed_by_a_ban(tmp_path: Path, extra: str) -> None:
    """PAM's line and vsftpd's own, in a file of its own or in syslog, are one attempt."""
    with (
        machine(tmp_path, *vsftpd_lab.PACKAGES) as net,
        Vsftpd(net, extra=extra) as server,
        Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
    ):
        prove(net, guard, server)


def test_proftpd_counts_each_attempt_once_and_is_closed_by_a_ban(tmp_path: Path) -> None:
    """PAM's line and ProFTPD's own are one attempt."""
    with started("proftpd", tmp_path) as (net, server), Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(net, guard, server)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_pure_ftpd_counts_each_attempt_once_and_is_closed_by_a_ban(tmp_path: Path, family: str) -> None:
    """Each failure takes Pure-FTPd some seconds, so the two families are proved one at a time."""
    with (
        started("pureftpd", tmp_path) as (net, server),
        closing(listener(net, OTHER)),
        Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
    ):
        proof = Proof(net, guard, server, {"wrong password"}, (OTHER,), None)
        attacker, neighbour = (getattr(client, family) for client in net.clients[:2])
        proof.counted(attacker)
        proof.banned(attacker, neighbour)


@pytest.mark.parametrize("name", ["vsftpd", "proftpd"])
def test_without_its_own_log_pams_lines_are_counted(tmp_path: Path, name: str) -> None:
    """As it is with vsftpd's log switched off, and with ProFTPD as Debian sets it up."""
    with machine(tmp_path, *PACKAGES[name]) as net:
        server: FtpServer = Vsftpd(net, extra="xferlog_enable=NO") if name == "vsftpd" else Proftpd(net)
        with server, Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
            for client in (net.clients[0].v4, net.clients[1].v6):
                for number in range(4):
                    assert not server.login(client, "alice", f"wrong {number}")
                target = client if "." in client else client.rpartition("::")[0] + "::/64"
                guard.until(lambda target=target: guard.enforced(target), "the ban")  # type: ignore[misc]
                assert guard.attempts(client) == 4


@pytest.mark.parametrize(("name", "tries"), [("vsftpd", 3), ("proftpd", 3), ("pureftpd", 2)])
def test_several_tries_in_a_connection_and_connections_without_a_try(tmp_path: Path, name: str, tries: int) -> None:
    """Each password is an attempt; who mistypes once and then succeeds made one; who sends none made none."""
    with started(name, tmp_path) as (net, server), Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        many, clumsy, scanner = (client.v4 for client in net.clients[:3])
        wrong, right = [b"USER alice", b"PASS no"], [b"USER alice", b"PASS correct horse", b"QUIT"]
        ftp_say(net, scanner, [])
        ftp_say(net, scanner, [b"USER alice"])
        ftp_say(net, scanner, [b"HELP", b"\x16\x03\x01\x02\x00", b"QUIT"])
        with ThreadPoolExecutor() as at_once:  # Pure-FTPd takes its time for each failure
            answers = at_once.submit(ftp_say, net, clumsy, [*wrong, *right], seconds=15)
            at_once.submit(ftp_say, net, many, wrong * tries, seconds=15).result()
        assert answers.result()[-2].startswith("230")
        settled(net, guard, server)
        assert counts(guard, many) == {"failed": tries}
        assert counts(guard, clumsy) == {"failed": 1, "succeeded": 1}
        assert counts(guard, scanner) == {}


@pytest.mark.parametrize(("name", "tries"), [("vsftpd", 1), ("proftpd", 3)])
def test_commands_sent_without_waiting_count_as_far_as_the_server_takes_them(
    tmp_path: Path, name: str, tries: int
) -> None:
    """Three tries in one packet, the connection closed at once: vsftpd stops at the first, ProFTPD takes them all."""
    with started(name, tmp_path) as (net, server), Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        ftp_say(net, net.clients[0].v6, [b"USER alice", b"PASS no"] * 3, wait=False)
        guard.until(lambda: counts(guard, net.clients[0].v6)["failed"] >= tries, "the attempts")
        settled(net, guard, server)
        assert counts(guard, net.clients[0].v6) == {"failed": tries}


def hostile(name: str) -> list[bytes]:
    """User names that try to be taken for the log's own words, and that each server writes a line about."""
    forged = FORGED[name]
    message = forged.partition(b"] " if name == "vsftpd" else b": ")[2]
    names = [
        message + b": x",
        b"x] (Login failed): y " + message,
        b"x\n" + forged + b"\nz",
        b"x\r" + forged,
        b"x from 192.0.2.99 rhost=192.0.2.99  user=root",
        b'\x1b[2K\x07"]) 192.0.2.99',
    ]
    return names if name != "pureftpd" else [names[0], names[1], names[5]]  # each takes it some seconds


@pytest.mark.parametrize("name", list(FORGED))
def test_hostile_names_are_counted_for_their_client_and_name_nobody_else(tmp_path: Path, name: str) -> None:
    """Names that hold whole log lines, quotes, line breaks and control characters move no address."""
    with started(name, tmp_path) as (net, server), Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        client = net.clients[0].v4
        for account in hostile(name):
            answers = ftp_say(net, client, [b"USER " + account, b"PASS x"], seconds=15)
            assert not any(answer.startswith("230") for answer in answers)
        ftp_say(net, client, [b"USER " + b"A" * 60_000, b"PASS x"])
        settled(net, guard, server)
        assert set(guard.attackers()) <= {client, net.clients[3].v4}
        told = counts(guard, client)
        assert told == {"failed": len(hostile(name))}, "a line of 60,000 letters is no attempt to any of them"


@pytest.mark.parametrize(("name", "log", "attempts"), [("proftpd", "auth.log", 1), ("pureftpd", "syslog", 0)])
def test_a_clients_host_name_is_no_address(tmp_path: Path, name: str, log: str, attempts: int) -> None:
    """Names come from whoever owns the reverse zone: where a line has the address too it counts, else it does not."""
    with machine(tmp_path, *PACKAGES[name]) as net:
        client = net.clients[0].v4
        hosts = net.server.path("/etc/hosts")
        hosts.write_text(f"{hosts.read_text()}{client} named.example.org\n192.0.2.99 named.example.org\n")
        proftpd = "SyslogLevel info\nUseReverseDNS on"
        with (
            Proftpd(net, extra=proftpd, syslog=True) if name == "proftpd" else PureFtpd(net) as server,
            Guard(net.server, tmp_path / "guard", policy=MANY) as guard,
        ):
            assert not server.login(client, "alice", "wrong")
            settled(net, guard, server)
            assert "named.example.org" in (net.server.log / log).read_text()
            assert counts(guard, client) == ({"failed": attempts} if attempts else {})
            assert set(guard.attackers()) <= {client, net.clients[3].v4}


def test_who_never_logs_in_to_proftpd_is_a_probe(tmp_path: Path) -> None:
    """It says so when its patience ends, which is five minutes unless set otherwise."""
    with (
        machine(tmp_path, *proftpd_lab.PACKAGES) as net,
        Proftpd(net, extra="SyslogLevel info\nTimeoutLogin 1", syslog=True) as server,
        Guard(net.server, tmp_path / "guard", policy=MANY) as guard,
    ):
        scanner = net.clients[0].v4
        assert ftp_say(net, scanner, [b"USER alice"], linger=True)[-1] == ""
        settled(net, guard, server)
        assert outcomes(guard, scanner) == [("ftp", "failed", "probe")]


def test_whom_vsftpds_list_keeps_out_is_told_of_where_it_logs_the_protocol(tmp_path: Path) -> None:
    """Refused at the name already, before a password is asked for: its own log says so in the answer alone."""
    extra = "userlist_enable=YES\nuserlist_file=/etc/ftpusers\nlog_ftp_protocol=YES"
    with (
        machine(tmp_path, *vsftpd_lab.PACKAGES) as net,
        Vsftpd(net, extra=extra) as server,
        Guard(net.server, tmp_path / "guard", policy=MANY) as guard,
    ):
        client = net.clients[0].v6
        assert ftp_say(net, client, [b"USER root"])[-1] == "530 Permission denied."
        assert not server.login(client, "alice", "wrong")
        settled(net, guard, server)
        assert sorted(cause for _, _, cause in outcomes(guard, client)) == ["refused by acl", "wrong password"]


def test_names_of_files_are_not_taken_for_failed_logins(tmp_path: Path) -> None:
    """Who is logged in to vsftpd can put any words into its log as a folder's name, and accuse nobody by that."""
    folder = b'x] FAIL LOGIN: Client "192.0.2.99'
    extra = "write_enable=YES\nlog_ftp_protocol=YES"
    with (
        machine(tmp_path, *vsftpd_lab.PACKAGES) as net,
        Vsftpd(net, extra=extra) as server,
        Guard(net.server, tmp_path / "guard", policy=MANY) as guard,
    ):
        alice, login = net.clients[0].v4, [b"USER alice", b"PASS correct horse"]
        ftp_say(net, alice, [*login, b"MKD /nowhere/" + folder, b"MKD " + folder, b"RMD x" + folder, folder])
        settled(net, guard, server)
        assert server.log.read_text().count(folder.decode()) >= 4
        assert set(guard.attackers()) <= {alice, net.clients[3].v4}
        assert counts(guard, alice) == {"succeeded": 1}


def test_a_line_break_in_a_name_forges_lines_in_proftpds_own_file_which_is_not_believed(tmp_path: Path) -> None:
    """Why that file is not read: the line that the client made up can't be told from the server's."""
    forged = (
        b"2026-11-21 20:34:50,074 lab proftpd[7] h (192.0.2.99[192.0.2.99]): USER x (Login failed): Incorrect password"
    )
    with (
        machine(tmp_path, *proftpd_lab.PACKAGES) as net,
        Proftpd(net) as server,
        Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
    ):
        for _ in range(4):
            ftp_say(net, net.clients[0].v4, [b"USER y\n" + forged + b"\nz", b"PASS x"])
        until(lambda: server.log.read_bytes().count(b"\n" + forged + b"\n") == 4, what="the forged lines")
        assert not server.login(net.clients[1].v4, "alice", "wrong")
        guard.until(lambda: guard.attempts(net.clients[1].v4) == 1, "the attempt told by PAM")
        assert set(guard.attackers()) == {net.clients[1].v4}
