"""Telnet, whoever starts telnetd, and other programs that ask PAM: what a user sees counted, and what a ban closes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from expectations import NO_BANS, expect
from lab import Net, SshServer, Syslog, image, missing, ssh_try
from lab.interpreter import share_python
from lab.telnet import INETD, XINETD, Telnet, TelnetClient
from proof import FAILURES, OTHER, POLICY, prove

from guard import Guard, listener, reaches

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

VICTIM = "192.0.2.99"
HOSTILE = [
    f"x' from '{VICTIM}' FOR 'root",
    f"x FROM {VICTIM} FOR root",
    f"x rhost={VICTIM}  user=root",
    f"x ({VICTIM})",
    '"',
    "\x1b[31mred\x07",
    "\udcfe\udcfd",
    "L" * 1500,
]


@pytest.fixture
def inetd_net(tmp_path: Path) -> Iterator[Net]:
    with Net(tmp_path / "net", clients=10, image=image(*INETD)) as net:
        share_python(net.server)
        yield net


@pytest.fixture
def xinetd_net(tmp_path: Path) -> Iterator[Net]:
    with Net(tmp_path / "net", image=image(*XINETD)) as net:
        share_python(net.server)
        yield net


def test_telnet_counts_each_attempt_once_and_is_closed_by_a_ban(inetd_net: Net, tmp_path: Path) -> None:
    net = inetd_net
    with Syslog(net.server), Telnet(net) as server, Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(net, guard, server)


def test_telnet_tells_attempts_from_probes_and_chatter(inetd_net: Net, tmp_path: Path) -> None:
    """Whoever mistypes once and then gets in has one attempt; who hangs up before anything was asked is a probe."""
    net = inetd_net
    mistypes, gives_up, several, probes, waits, alice = (client.v4 for client in net.clients[:6])
    six, gives_up_six = net.clients[6].v6, net.clients[7].v6
    right = ("alice", net.accounts["alice"])
    with Syslog(net.server), Telnet(net) as server, Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
        assert server.attempts(mistypes, [("alice", "correct hose"), right])
        assert not server.attempts(gives_up, [("alice", "wrong")] * 5)
        assert not server.attempts(several, [("alice", "wrong"), ("nobody-here", "x"), ("root", "x")])
        for _ in range(2):
            TelnetClient(net, probes).close()
        with TelnetClient(net, waits) as client:
            client.asked("login: ")
        for _ in range(3):
            assert server.login(alice, *right)
        assert server.attempts(six, [("nobody-here", "x"), right])
        assert not server.attempts(gives_up_six, [("alice", "wrong")] * 2)
        expected: dict[str, dict[str, int]] = {
            mistypes: {"wrong password": 1, "succeeded": 1},
            gives_up: {"wrong password": 5},
            several: {"wrong password": 2, "unknown account": 1},
            probes: {"probe": 2},
            alice: {"succeeded": 3},
            six: {"unknown account": 1, "succeeded": 1},
            gives_up_six: {"wrong password": 2},
        }
        expect(guard, expected, "telnet")


def test_names_given_to_login_move_no_address(inetd_net: Net, tmp_path: Path) -> None:
    """Also where login writes the names that it does not know (LOG_UNKFAIL_ENAB)."""
    net = inetd_net
    settings = net.server.path("/etc/login.defs")
    settings.write_text(settings.read_text().replace("LOG_UNKFAIL_ENAB\tno", "LOG_UNKFAIL_ENAB\tyes"))
    with Syslog(net.server) as syslog, Telnet(net) as server:
        with Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
            sources = [client.v6 if number % 2 else client.v4 for number, client in enumerate(net.clients)]
            for source, name in zip(sources, HOSTILE, strict=False):
                assert not server.login(source, name, "wrong")
            expect(guard, {source: {"wrong password": 1} for source in sources[: len(HOSTILE)]}, "telnet")
        assert VICTIM in syslog.auth.read_text(errors="replace")


def test_telnet_started_by_xinetd_counts_the_same_and_is_closed_by_a_ban(xinetd_net: Net, tmp_path: Path) -> None:
    net = xinetd_net
    with Syslog(net.server) as syslog, Telnet(net, "xinetd") as server:
        with Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
            prove(net, guard, server)
        assert "xinetd[" in syslog.everything.read_text()


def test_whom_xinetd_refuses_is_told(xinetd_net: Net, tmp_path: Path) -> None:
    net = xinetd_net
    friend, stranger, stranger_six = net.clients[0].v4, net.clients[1].v4, net.clients[2].v6
    with (
        Syslog(net.server),
        Telnet(net, "xinetd", extra=f"only_from = {friend}") as server,
        Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard,
    ):
        assert server.login(friend, "alice", net.accounts["alice"])
        assert not server.login(stranger, "alice", net.accounts["alice"])
        assert not server.login(stranger_six, "alice", net.accounts["alice"])
        refused = {"refused by acl": 1}
        expect(guard, {friend: {"succeeded": 1}, stranger: refused, stranger_six: refused}, "telnet")


@pytest.mark.parametrize("believed", [False, True])
def test_a_host_name_in_the_log_is_believed_only_if_the_settings_say_so(
    xinetd_net: Net, tmp_path: Path, believed: bool
) -> None:
    """telnetd writes the name that the machine's resolver gives it, and no address."""
    net = xinetd_net
    named, plain = net.clients[0].v4, net.clients[1].v4
    hosts = net.server.path("/etc/hosts")
    hosts.write_text(f"{hosts.read_text()}{named} scan.example.org\n")
    guard = Guard(net.server, tmp_path / "guard", policy=NO_BANS)
    if believed:
        guard.config.write_text(guard.config.read_text().replace("[logs]", "[logs]\nnames = true"))
    with Syslog(net.server) as syslog, Telnet(net, "xinetd") as server:
        with guard:
            assert not server.login(named, "alice", "wrong")
            assert not server.login(plain, "alice", "wrong")
            expected = {plain: {"wrong password": 1}} | ({named: {"wrong password": 1}} if believed else {})
            expect(guard, expected, "telnet")
        assert "from 'scan.example.org' FOR 'alice'" in syslog.auth.read_text()


@pytest.fixture
def pam_net(tmp_path: Path) -> Iterator[Net]:
    with Net(tmp_path / "net", image=image("pamtester", "sudo")) as net:
        share_python(net.server)
        net.server.path("/run/sshd").mkdir(mode=0o755)  # Debian's ssh.service makes it
        yield net


def ask_pam(net: Net, service: str, source: str, account: str, password: str, *items: str) -> bool:
    """Have PAM judge a login as the server `service` would, with `source` for its peer."""
    asked = [word for item in (f"rhost={source}", *items) for word in ("-I", item)]
    done = net.server.run(["pamtester", *asked, service, account, "authenticate"], input=f"{password}\n", check=False)
    return done.returncode == 0


def test_logins_of_programs_without_a_kind_are_counted_by_what_pam_says(pam_net: Net, tmp_path: Path) -> None:
    net = pam_net
    one, several, six, liar, good = "203.0.113.7", "203.0.113.8", "2001:db8::7", "203.0.113.9", "203.0.113.10"
    with Syslog(net.server), Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
        assert not ask_pam(net, "xrdp-sesman", one, "alice", "wrong")
        for _ in range(3):
            assert not ask_pam(net, "xrdp-sesman", several, "alice", "wrong")
        assert not ask_pam(net, "xrdp-sesman", several, "nobody-here", "wrong")
        assert not ask_pam(net, "other", six, "alice", "wrong")
        assert not ask_pam(net, "other", liar, f"x rhost={VICTIM}  user=root", "wrong")
        assert not ask_pam(net, "other", liar, "alice", "wrong", f"ruser=x rhost={VICTIM}  user=y")
        assert ask_pam(net, "xrdp-sesman", good, "alice", net.accounts["alice"])
        expected = {one: 1, several: 4, six: 1, liar: 1}  # a line that says rhost= twice is not believed
        expect(guard, {address: {"wrong password": count} for address, count in expected.items()}, "login")


def test_what_a_kind_of_its_own_tells_is_not_counted_by_pam_too(pam_net: Net, tmp_path: Path) -> None:
    """sshd's and PAM's lines about a wrong password are one attempt; sudo's and su's are nobody's."""
    net = pam_net
    source = net.clients[0].v4
    as_alice = ["setpriv", "--reuid=5000", "--regid=5000", "--clear-groups"]
    with Syslog(net.server) as syslog, SshServer(net.server):
        with Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
            net.server.run([*as_alice, "sudo", "-S", "-k", "true"], input="x\nx\nx\n", check=False)
            net.server.run([*as_alice, "su", "-c", "true"], input="x\n", check=False)
            assert not ssh_try(net, "alice", "wrong", source=source, tries=2)
            expect(guard, {source: {"wrong password": 2}}, "ssh")
        log = syslog.auth.read_text()
        assert all(f"pam_unix({name}:auth): authentication failure" in log for name in ("sshd", "sudo", "su"))


def test_a_ban_for_pams_logins_closes_the_ports_that_the_settings_name(pam_net: Net, tmp_path: Path) -> None:
    """PAM does not say which port was used, so the administrator does."""
    net = pam_net
    attacker, port = net.clients[0].v4, 3389
    settings = f'[services.login]\nports = ["{port}/tcp"]\n'
    with (
        Syslog(net.server),
        closing(listener(net, port)),
        closing(listener(net, OTHER)),
        Guard(net.server, tmp_path / "guard", policy=POLICY, settings=settings) as guard,
    ):
        for _ in range(FAILURES):
            assert reaches(net, attacker, port)
            assert not ask_pam(net, "xrdp-sesman", attacker, "alice", "wrong")
        assert guard.until(lambda: guard.enforced(attacker), "the ban").service == "login"
        assert not reaches(net, attacker, port)
        assert reaches(net, attacker, OTHER)
        assert reaches(net, net.clients[1].v4, port)
