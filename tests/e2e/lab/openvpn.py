"""A real OpenVPN server and real OpenVPN clients."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .machine import die_with_parent, stop, until
from .net import Net

PACKAGES = ("openvpn",)
_FOLDER = "/etc/openvpn/lab"
_SERVER = """\
port 1194
proto {protocol}
dev tun
ca {folder}/ca.crt
cert {folder}/server.crt
key {folder}/server.key
dh none
topology subnet
server 10.99.0.0 255.255.255.0
keepalive 10 60
verb 3
"""
PASSWORDS = """\
script-security 2
auth-user-pass-verify /etc/openvpn/lab/verify via-file
username-as-common-name
verify-client-cert none
"""
"""Lines for `extra`: accounts with passwords, checked by a script; no certificates of clients."""
PAM = """\
plugin /usr/lib/x86_64-linux-gnu/openvpn/plugins/openvpn-plugin-auth-pam.so login
username-as-common-name
verify-client-cert none
"""
"""Lines for `extra`: the machine's own accounts, checked by PAM."""
SUBJECTS = {
    "ca": "/CN=Lab authority",
    "server": "/CN=server",
    "client": "/CN=client",
    "stranger": "/CN=192.0.2.99:5 TLS Auth Error: x [AF_INET]192.0.2.99:5",
}
"""The names in the certificates `NAME.crt` (with `NAME.key`) of the folder /etc/openvpn/lab."""
_VERIFY = """\
#!/bin/sh
{ read -r name; read -r password; } < "$1"
[ "$name" = alice ] && [ "$password" = "correct horse" ]
"""


class OpenVpn:
    """openvpn on the server's port 1194 over `transport` (udp or tcp), writing to syslog as `ovpn-server`.

    With `log` it writes to that file on the machine instead. `extra`: further lines of its configuration.
    """

    service = "vpn"
    port = 1194

    def __init__(self, net: Net, *, transport: str = "tcp", extra: str = PASSWORDS, log: str = "") -> None:
        self._net = net
        self._transport = transport
        folder = net.server.path(_FOLDER)
        if not folder.exists():
            folder.mkdir()
            _make_certificates(folder)
            (folder / "verify").write_text(_VERIFY)
            (folder / "verify").chmod(0o755)
            net.server.run(["openvpn", "--genkey", "tls-auth", f"{_FOLDER}/ta.key"])
            net.server.run(["mkdir", "-p", "/dev/net"])
            net.server.run(["mknod", "/dev/net/tun", "c", "10", "200"])
        protocol = "udp6" if transport == "udp" else "tcp6-server"
        output = f"log-append {log}" if log else "syslog ovpn-server"
        text = _SERVER.format(protocol=protocol, folder=_FOLDER) + f"{output}\n{extra}"
        (folder / "server.conf").write_text(text)
        self._process = net.server.popen(["openvpn", "--cd", "/etc/openvpn", "--config", f"{_FOLDER}/server.conf"])
        until(self._bound, what=f"openvpn on port 1194/{transport}")

    def _bound(self) -> bool:
        assert self._process.poll() is None, "openvpn ended; its error stands in the log"
        table = Path(f"/proc/{self._net.server.pid}/net/{self._transport}6").read_text()
        return ":04AA 0000" in table

    def login(self, source: str, account: str, password: str, *options: str, seconds: float = 5.0) -> bool:
        """By the openvpn client, whose further options are `options`."""
        return "Initialization Sequence Completed" in self.session(source, account, password, *options, seconds=seconds)

    def session(self, source: str, account: str, password: str, *options: str, seconds: float = 5.0) -> str:
        """Log in as above and hang up when it is decided; what the client said."""
        with tempfile.NamedTemporaryFile("w", suffix=".auth") as secret:
            secret.write(f"{account}\n{password}\n")
            secret.flush()
            command = [*self._client(source), "--auth-user-pass", secret.name, *options]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=die_with_parent
            )
            with contextlib.suppress(subprocess.TimeoutExpired), _killed_after(process, seconds):
                return _until_decided(process)
        return ""

    def _client(self, source: str) -> list[str]:
        """The command line of a client with the server's files and the client's network."""
        inside = ["nsenter", "--target", str(self._net.server.pid), "--mount", "--uts", "--root", "--wdns=/"]
        six = "6" if ":" in source else ""
        protocol = f"udp{six}" if self._transport == "udp" else f"tcp{six}-client"
        server = self._net.v6 if six else self._net.v4
        options = [
            "--client",
            "--dev",
            "null",
            "--proto",
            protocol,
            "--remote",
            server,
            "1194",
            "--local",
            source,
            "--lport",
            "0",
        ]
        options += ["--ca", f"{_FOLDER}/ca.crt", "--connect-retry-max", "1", "--connect-timeout", "2"]
        options += ["--hand-window", "3", "--tls-timeout", "1", "--ifconfig-noexec", "--route-noexec", "--verb", "3"]
        return [*inside, f"--net=/proc/{self._net.client.pid}/ns/net", "--", "openvpn", *options]

    def reaches(self, source: str, seconds: float = 0.6) -> bool:
        """Whether the server answers the first packet of a session over UDP (P_CONTROL_HARD_RESET_CLIENT_V2)."""
        with self._net.client.entered():
            caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.closing(caller):
            caller.settimeout(seconds)
            caller.bind((source, 0))
            caller.connect((self._net.v6 if ":" in source else self._net.v4, self.port))
            try:
                caller.send(b"\x38" + b"12345678" + b"\x00" + b"\x00\x00\x00\x00")
                return bool(caller.recv(2048))
            except OSError:
                return False

    def close(self) -> None:
        """End the server."""
        stop(self._process)

    def __enter__(self) -> OpenVpn:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """`process` does not outlive the block, nor `seconds`."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        stop(process)


def _until_decided(process: subprocess.Popen[str]) -> str:
    """What the client says until it is let in or ends."""
    said = ""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            said += line
            if "Initialization Sequence Completed" in line or "AUTH_FAILED" in line:
                break
    return said


def _make_certificates(folder: Path) -> None:
    """An authority, a server's certificate, a client's one, and one of a stranger with a long story for a name."""
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "9",
    ]
    for name in ("ca", "stranger"):
        keys = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run([*openssl, "-subj", SUBJECTS[name], *keys], check=True, capture_output=True)
    for name in ("server", "client"):
        keys = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        authority = ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
        subprocess.run([*openssl, "-subj", SUBJECTS[name], *authority, *keys], check=True, capture_output=True)
