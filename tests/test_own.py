"""Which addresses are ours: they can never be banned."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ringfence.own import addresses_of_hosts, canonical, own_addresses, ssh_client


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("gateway", None),
        ("", None),
    ],
)
def test_addresses_have_one_spelling(text: str, address: str | None) -> None:
    assert canonical(text) == address


def test_sessions_tell_the_address_however_they_were_opened() -> None:
    hosts = ["192.0.2.7", "192.0.2.8:S.0", "tmux(311).%0", "pc7.example.org", "2001:db8::9", ":0", ""]
    assert addresses_of_hosts(hosts) == {"192.0.2.7", "192.0.2.8", "2001:db8::9"}


def test_loopback_is_among_our_own_addresses() -> None:
    assert "127.0.0.1" in own_addresses()


def _ssh_client_of_child(environment: dict[str, str], program: list[str]) -> str | None:
    with subprocess.Popen(program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        pid = int(child.stdout.readline())
        found = ssh_client(pid)
        child.stdin.close()
    return found


SAY_PID = "import os,sys; print(os.getpid(), flush=True); sys.stdin.read()"


def test_the_ssh_client_is_found_from_the_process_itself() -> None:
    environment = {"SSH_CONNECTION": "2001:db8::5 50123 2001:db8::1 22"}
    assert _ssh_client_of_child(environment, [sys.executable, "-c", SAY_PID]) == "2001:db8::5"


def test_the_ssh_client_is_found_through_a_sudo_that_drops_the_variables() -> None:
    inner = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {SAY_PID!r}], env={{}})"
    environment = {"SSH_CLIENT": "192.0.2.5 50123 22"}
    assert _ssh_client_of_child(environment, [sys.executable, "-c", inner]) == "192.0.2.5"


@pytest.mark.skipif("SSH_CONNECTION" in os.environ or "SSH_CLIENT" in os.environ, reason="this is an SSH session")
def test_no_ssh_session_no_client() -> None:
    assert _ssh_client_of_child({}, [sys.executable, "-c", SAY_PID]) is None
