"""Servers of ssh: what a user of each sees counted, and what not."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from expectations import NO_BANS, expect, told
from lab import Net, SshServer, Syslog, image, missing, ssh_try
from lab.borrowed import run_as
from lab.dropbear import PACKAGES, Dropbear
from lab.interpreter import share_python
from proof import POLICY, prove

from guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

VICTIM = "192.0.2.99"
HOSTILE = [
    f"x' from {VICTIM}:5",
    f"x from {VICTIM} port 22 ssh2",
    f"x {VICTIM} port 22 [preauth]",
    f"x\nNov 21 23:43:38 lab dropbear[1]: Bad password attempt for 'alice' from {VICTIM}:5",
    f"x\nNov 21 23:43:38 lab sshd[1]: Failed password for root from {VICTIM} port 22 ssh2",
    "\x1b[31mred\x07",
    '"',
    "",
    "\udcff\udcfe",
    "L" * 60_000,
]
"""Names of accounts that try to be taken for something else; the last is longer than these servers read."""


@pytest.fixture
def ssh_net(tmp_path: Path) -> Iterator[Net]:
    """A machine with Dropbear, and Dropbear's client for whom it asks: that one sends any name."""
    with Net(tmp_path / "net", clients=12, image=image(*PACKAGES)) as net:
        share_python(net.server)
        net.server.path("/run/sshd").mkdir(mode=0o755)  # Debian's ssh.service makes it
        yield net


def typed(folder: Path, passwords: Sequence[str]) -> tuple[str, ...]:
    """Options of ssh's environment: one who types `passwords` one after the other."""
    (folder / "typed").write_text("".join(f"{password}\n" for password in passwords))
    helper = folder / "type"
    helper.write_text(f"#!/bin/sh\nhead -n1 {folder}/typed\nsed -i 1d {folder}/typed\n")
    helper.chmod(0o755)
    return ("env", f"SSH_ASKPASS={helper}", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none:0")


def ssh_typing(net: Net, source: str, account: str, folder: Path, passwords: Sequence[str]) -> bool:
    """One connection in which `passwords` are typed until one is right."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PreferredAuthentications=password"]
    command = ["ssh", "-F", "none", "-b", source, "-l", account, *(word for one in options for word in ("-o", one))]
    done = net.client.run([*typed(folder, passwords), *command, net.v4, "true"], check=False)
    return done.returncode == 0


def contact(net: Net, source: str, said: bytes = b"", *, answer: bool = True) -> None:
    """Connect, wait for the server's banner, say something that is no SSH, wait until it hangs up, and go."""
    with net.client.entered():
        caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    with closing(caller):
        caller.settimeout(3)
        caller.bind((source, 0))
        caller.connect((net.v6 if ":" in source else net.v4, 22))
        if answer:
            caller.recv(100)
        if said:
            caller.sendall(said)
            caller.settimeout(0.5)
            try:
                while caller.recv(1000):
                    pass
            except OSError:
                pass


def dbclient(net: Net, source: str, account: str, password: str) -> bool:
    """Dropbear's own client: it sends any name, and the password again until the server hangs up."""
    command = ["dbclient", "-y", "-y", "-l", account, net.v6 if ":" in source else net.v4, "echo in"]
    return run_as(net, source, command, env={**os.environ, "DROPBEAR_PASSWORD": password}).stdout == "in\n"


def test_dropbear_counts_each_attempt_once_and_is_closed_by_a_ban(ssh_net: Net, tmp_path: Path) -> None:
    net = ssh_net
    with Syslog(net.server), Dropbear(net) as server, Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(net, guard, server)


def test_dropbear_tells_attempts_from_probes_and_chatter(ssh_net: Net, tmp_path: Path) -> None:
    """Whoever mistypes once and then gets in has one attempt; who says nothing of himself is a probe."""
    net = ssh_net
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    mistypes, gives_up, greedy, no_shell, scanner, browser, odd, stranger, key_only, alice = (
        client.v4 for client in net.clients[:10]
    )
    six = net.clients[10].v6
    with Syslog(net.server), Dropbear(net) as server, Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
        assert ssh_typing(net, mistypes, "alice", tmp_path, ["correct hose", net.accounts["alice"]])
        assert not server.attempt(gives_up, "alice", "wrong", tries=3)
        assert not dbclient(net, greedy, "alice", "wrong")
        assert not server.attempt(no_shell, "daemon", "wrong", tries=3)
        contact(net, scanner)
        contact(net, browser, b"GET / HTTP/1.0\r\n\r\n")
        assert not ssh_try(net, "alice", "x", source=odd, options=["KexAlgorithms=diffie-hellman-group1-sha1"])
        assert not server.attempt(stranger, "nobody-here", "wrong", tries=3)
        assert not server.attempt(key_only, "alice", "", key=key)
        for _ in range(3):
            assert server.login(alice, "alice", net.accounts["alice"])
        contact(net, six)
        assert dbclient(net, six, "alice", net.accounts["alice"])
        expected = {
            mistypes: {"wrong password": 1, "succeeded": 1},
            gives_up: {"wrong password": 3},
            greedy: {"wrong password": 10},
            no_shell: {"refused by acl": 1, "wrong password": 2},
            scanner: {"probe": 1},
            browser: {"probe": 1},
            odd: {"protocol abuse": 1},
            stranger: {"unknown account": 1},
            key_only: {"no credentials": 1},
            alice: {"succeeded": 3},
            six: {"probe": 1, "succeeded": 1},
        }
        expect(guard, expected, "ssh")


def test_a_name_sent_to_dropbear_names_no_other_address(ssh_net: Net, tmp_path: Path) -> None:
    net = ssh_net
    with Syslog(net.server), Dropbear(net, ["-T", "1"]), Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard:
        sources = [client.v6 if number % 2 else client.v4 for number, client in enumerate(net.clients)]
        for source, name in zip(sources, HOSTILE, strict=False):
            assert not dbclient(net, source, name, "wrong")
        guard.until(lambda: len(guard.attackers()) == len(HOSTILE), "one event for each name")
        assert set(guard.attackers()) == set(sources[: len(HOSTILE)])
        assert all(sum(told(guard, source).values()) == 1 for source in sources[: len(HOSTILE)])
        assert told(guard, sources[0]) == {"unknown account": 1}


@pytest.mark.parametrize("level", ["INFO", "VERBOSE"])
def test_openssh_counts_what_was_refused_and_no_ordinary_use(ssh_net: Net, tmp_path: Path, level: str) -> None:
    """Whoever mistypes once and then gets in has one attempt; a lost connection is none."""
    net = ssh_net
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    alice, mistypes, gives_up, greedy, stranger, key_only, refused, loses = (client.v4 for client in net.clients[:8])
    six = net.clients[8].v6
    password = net.accounts["alice"]
    with (
        Syslog(net.server),
        SshServer(net.server, level=level, extra="AllowUsers alice nobody-here"),
        Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard,
    ):
        for _ in range(3):
            assert ssh_try(net, "alice", password, source=alice)
        assert ssh_typing(net, mistypes, "alice", tmp_path, ["correct hose", password])
        assert not ssh_try(net, "alice", "wrong", source=gives_up, tries=3, method="keyboard-interactive")
        assert not ssh_try(net, "alice", "wrong", source=gives_up, tries=3)
        assert not dbclient(net, greedy, "alice", "wrong")
        assert not ssh_try(net, "nobody-here", "wrong", source=stranger, tries=3)
        assert not ssh_try(net, "alice", "", source=key_only, key=key)
        assert not ssh_try(net, "root", "wrong", source=refused)
        lose_connection(net, loses, password)
        assert not ssh_try(net, "alice", "wrong", source=six)
        assert ssh_try(net, "alice", password, source=six)
        expected = {
            alice: {"succeeded": 3},
            mistypes: {"wrong password": 1, "succeeded": 1},
            gives_up: {"wrong password": 3, "no credentials": 1},  # the server does not offer the other method
            greedy: {"wrong password": 6},
            stranger: {"unknown account": 1, "wrong password": 2},
            key_only: {"no credentials": 1},
            refused: {"refused by acl": 1},
            loses: {"succeeded": 1},
            six: {"wrong password": 1, "succeeded": 1},
        }
        expect(guard, expected, "ssh")


@pytest.mark.parametrize("level", ["INFO", "VERBOSE"])
def test_openssh_tells_of_contacts_without_a_login_once_each(ssh_net: Net, tmp_path: Path, level: str) -> None:
    """Whoever connects and says nothing is a probe; whoever speaks something else than this server abuses the port."""
    net = ssh_net
    scanner, browser, odd = (client.v4 for client in net.clients[:3])
    six = net.clients[3].v6
    with (
        Syslog(net.server),
        SshServer(net.server, level=level),
        Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard,
    ):
        for said in (b"", b"SSH-2.0-scan\r\n"):
            contact(net, scanner, said)
        contact(net, scanner, answer=False)
        contact(net, browser, b"GET / HTTP/1.0\r\n\r\n")
        contact(net, browser, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n")
        contact(net, browser, b"SSH-1.5-old\r\n")
        for option in ("KexAlgorithms=diffie-hellman-group1-sha1", "Ciphers=3des-cbc"):
            assert not ssh_try(net, "alice", "x", source=odd, options=[option])
        assert not ssh_try(net, "alice", "x", source=odd, options=["HostKeyAlgorithms=ecdsa-sha2-nistp256"])
        contact(net, six)
        contact(net, six, b"GET / HTTP/1.0\r\n\r\n")
        expected = {
            scanner: {"probe": 3},
            browser: {"protocol abuse": 3},
            odd: {"protocol abuse": 3},
            six: {"probe": 1, "protocol abuse": 1},
        }
        expect(guard, expected, "ssh")


def lose_connection(net: Net, source: str, password: str) -> None:
    """Log in, and be gone without a word."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PreferredAuthentications=password"]
    command = ["sshpass", "-e", "ssh", "-F", "none", "-b", source, "-l", "alice"]
    command += [word for option in options for word in ("-o", option)] + [net.v4, "echo in; sleep 9"]
    client = net.client.popen(command, stdout=subprocess.PIPE, env={**os.environ, "SSHPASS": password})
    assert client.stdout is not None and client.stdout.readline() == b"in\n"
    client.kill()
    client.wait()
    client.stdout.close()


def test_a_name_sent_to_openssh_names_no_other_address(ssh_net: Net, tmp_path: Path) -> None:
    net = ssh_net
    with (
        Syslog(net.server) as syslog,
        SshServer(net.server, extra="MaxAuthTries 1"),
        Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard,
    ):
        sources = [client.v6 if number % 2 else client.v4 for number, client in enumerate(net.clients)]
        for source, name in zip(sources, HOSTILE, strict=False):
            assert not dbclient(net, source, name, "wrong")
        guard.until(lambda: len(guard.attackers()) == len(HOSTILE), "one event for each name")
        assert set(guard.attackers()) == set(sources[: len(HOSTILE)])
        assert all(sum(told(guard, source).values()) == 1 for source in sources[: len(HOSTILE)])
        assert VICTIM in syslog.auth.read_text(errors="replace")


def test_openssh_tells_whom_access_lists_keep_out_and_whom_it_drops(ssh_net: Net, tmp_path: Path) -> None:
    """A key bound to another place, PAM's list, and more connections at once than MaxStartups has room for."""
    net = ssh_net
    friend, elsewhere, kept_out, crowd = (client.v4 for client in net.clients[:4])
    password = net.accounts["alice"]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    keys = net.server.path("/home/alice/.ssh/authorized_keys")
    keys.write_text(f'from="{friend}" {key.with_suffix(".pub").read_text()}')
    pam = net.server.path("/etc/pam.d/sshd")
    pam.write_text(pam.read_text().replace("# account  required     pam_access.so", "account required pam_access.so"))
    net.server.path("/etc/security/access.conf").write_text(f"-:alice:{kept_out}\n")
    with (
        Syslog(net.server),
        SshServer(net.server, extra="MaxStartups 2:100:2"),
        Guard(net.server, tmp_path / "guard", policy=NO_BANS) as guard,
    ):
        assert ssh_try(net, "alice", "", source=friend, key=key)
        assert not ssh_try(net, "alice", "", source=elsewhere, key=key)
        assert not ssh_try(net, "alice", password, source=kept_out)
        refused = {"refused by acl": 1}
        expect(guard, {friend: {"succeeded": 1}, elsewhere: refused, kept_out: refused}, "ssh")
        crowd_in(net, crowd, 3)
        guard.until(lambda: told(guard, crowd) == {"probe": 3}, "two that hung up and one that was dropped")


def crowd_in(net: Net, source: str, count: int) -> None:
    """So many connections at once, all of which hang up."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            with net.client.entered():
                caller = stack.enter_context(socket.socket())
            caller.settimeout(3)
            caller.bind((source, 0))
            caller.connect((net.v4, 22))
            caller.recv(100)
