"""OpenVPN, attacked for real over UDP and TCP: each attempt counts once, however many lines it leaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab import Net, Syslog, image, missing
from lab.interpreter import share_python
from lab.machine import until
from lab.openvpn import PACKAGES, PAM, PASSWORDS, OpenVpn
from proof import POLICY, outcomes, prove

from guard import Guard

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
]

MANY = POLICY.replace("failures = 4", "failures = 100")
"""A policy under which nobody is banned while a test counts."""
PROVEN = POLICY.replace("failures = 4", "failures = 1\nproven = true")
"""A policy under which the first attempt bans if the address is proven."""
LOG = "/var/log/openvpn/openvpn.log"
CERTIFICATES = """\
script-security 2
auth-user-pass-verify /etc/openvpn/lab/verify via-file
"""
"""Lines for `extra`: a client needs a certificate of the laboratory's authority and a password."""


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    """A server machine with openvpn installed, and its rsyslogd."""
    with Net(tmp_path / "net", image=image(*PACKAGES)) as net, Syslog(net.server):
        share_python(net.server)
        net.server.path("/var/log/openvpn").mkdir(exist_ok=True)
        yield net


def settled(net: Net, guard: Guard, server: OpenVpn, *options: str) -> None:
    """Everything logged so far has been read: a later success of another client was."""
    last = net.clients[3].v4
    assert server.login(last, "alice", net.accounts["alice"], *options)
    guard.until(lambda: ("vpn", "succeeded", "") in outcomes(guard, last), "the last login")


def certificate(name: str) -> list[str]:
    """The client's options to use the laboratory's certificate `name`."""
    return ["--cert", f"/etc/openvpn/lab/{name}.crt", "--key", f"/etc/openvpn/lab/{name}.key"]


@pytest.mark.parametrize("log", ["", LOG], ids=["syslog", "own-log"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_openvpn_counts_each_attempt_once_and_is_closed_by_a_ban(
    net: Net, tmp_path: Path, transport: str, log: str
) -> None:
    with (
        OpenVpn(net, transport=transport, log=log) as server,
        Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
    ):
        prove(net, guard, server, reach=server.reaches if transport == "udp" else None)


def test_an_attempt_that_pam_tells_of_too_counts_once(net: Net, tmp_path: Path) -> None:
    """With the plugin auth-pam the same failure stands in auth.log as well."""
    with OpenVpn(net, extra=PAM) as server, Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        client = net.clients[0].v4
        assert not server.login(client, "alice", "wrong")
        assert not server.login(client, "nobody-here", "wrong")
        assert server.login(client, "alice", net.accounts["alice"])
        settled(net, guard, server)
        assert (net.server.log / "auth.log").read_text().count(f"rhost={client}") == 2
        told = [outcome for _, outcome, _ in outcomes(guard, client)]
        assert sorted(told) == ["failed", "failed", "succeeded"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_strangers_certificate_is_one_attempt_whatever_name_stands_in_it(
    net: Net, tmp_path: Path, transport: str
) -> None:
    """Seven lines tell of it, and the certificate's name is a line about somebody else."""
    with (
        OpenVpn(net, transport=transport, extra=CERTIFICATES) as server,
        Guard(net.server, tmp_path / "guard", policy=MANY) as guard,
    ):
        stranger, nobody = net.clients[0].v4, net.clients[1].v6
        assert not server.login(stranger, "alice", net.accounts["alice"], *certificate("stranger"))
        assert not server.login(nobody, "alice", net.accounts["alice"])
        settled(net, guard, server, *certificate("client"))
        assert outcomes(guard, stranger) == [("vpn", "failed", "wrong password")]
        assert outcomes(guard, nobody) == [("vpn", "failed", "no credentials")]
        assert set(guard.attackers()) <= {stranger, nobody, net.clients[3].v4}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("option", "cause"), [("tls-auth", "probe"), ("tls-crypt", "protocol abuse")])
def test_who_lacks_the_servers_key_is_told_of_but_not_proven(
    net: Net, tmp_path: Path, transport: str, option: str, cause: str
) -> None:
    """Its packets are refused before anything is answered: over UDP anybody may have sent them."""
    with (
        OpenVpn(net, transport=transport, extra=f"{option} /etc/openvpn/lab/ta.key\n{PASSWORDS}") as server,
        Guard(net.server, tmp_path / "guard", policy=PROVEN) as guard,
    ):
        client = net.clients[0].v4
        assert not server.login(client, "alice", net.accounts["alice"])
        settled(net, guard, server, f"--{option}", "/etc/openvpn/lab/ta.key")
        assert outcomes(guard, client) == [("vpn", "failed", cause)]
        assert guard.ban_of(client) is None, "banned for what anybody may have sent"
        assert not server.login(client, "alice", "wrong", f"--{option}", "/etc/openvpn/lab/ta.key")
        guard.until(lambda: guard.enforced(client), "the ban for what it sent itself")


def test_hostile_names_are_counted_for_their_client_and_name_nobody_else(net: Net, tmp_path: Path) -> None:
    names = (
        "192.0.2.99:5 TLS Auth Error: Auth Username/Password verification failed for peer",
        "x' [CN SET] 192.0.2.99",
        'a"b]\x1b[2K rhost=192.0.2.99',
        "A" * 120,  # a client cuts off what is longer
    )
    with OpenVpn(net, extra=PASSWORDS) as server, Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        client = net.clients[0].v4
        for name in names:
            assert not server.login(client, name, "wrong")
        settled(net, guard, server)
        assert outcomes(guard, client) == [("vpn", "failed", "wrong password")] * len(names)
        assert set(guard.attackers()) <= {client, net.clients[3].v4}


def test_what_speaks_another_protocol_is_a_probe_at_most(net: Net, tmp_path: Path) -> None:
    """A port scan leaves nothing, a request of HTTP or TLS a probe: neither is a wrong password."""
    with OpenVpn(net) as server, Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
        scanner, browser = net.clients[0].v4, net.clients[1].v4
        for source, data in ((scanner, b""), (browser, b"GET / HTTP/1.1\r\n\r\n")):
            with net.client.entered():
                caller = socket.create_connection((net.v4, 1194), source_address=(source, 0), timeout=2)
            with closing(caller):
                caller.sendall(data)
        log = net.server.log / "syslog"
        until(lambda: "Bad encapsulated" in log.read_text(), what="the server's word about it")
        settled(net, guard, server)
        assert outcomes(guard, scanner) == []
        assert outcomes(guard, browser) == [("vpn", "failed", "probe")]
