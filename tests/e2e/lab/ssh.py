"""Real sshd and real ssh clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from .machine import Machine, stop, until
from .net import Net

_CONFIGURATION = """\
Port {port}
AddressFamily any
HostKey {key}
PidFile none
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
StrictModes no
PrintMotd no
PrintLastLog no
UseDNS no
SyslogFacility AUTH
LogLevel {level}
"""


class SshServer:
    """sshd inside the server, logging to its syslog. `extra`: lines of sshd_config that go before ours and win."""

    def __init__(self, machine: Machine, *, level: str = "INFO", port: int = 22, extra: str = "") -> None:
        self.port = port
        key = machine.root / f"ssh_host_{port}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        configuration = machine.root / f"sshd_config_{port}"
        text = extra + "\n" + _CONFIGURATION.format(port=port, key=key, level=level)
        if "MaxStartups" not in extra:  # the one option of which sshd takes the last value, not the first
            text += "MaxStartups 1000:30:1000\n"
        configuration.write_text(text)
        self._process = machine.popen(["/usr/sbin/sshd", "-D", "-f", str(configuration)])
        until(lambda: self._listening(machine), what=f"sshd on port {port}")

    def _listening(self, machine: Machine) -> bool:
        assert self._process.poll() is None, "sshd ended; its error stands in the log"
        table = Path(f"/proc/{machine.pid}/net/tcp").read_text()
        return f":{self.port:04X} 00000000:0000 0A" in table

    def close(self) -> None:
        """End the listening sshd; open sessions end with the machine."""
        stop(self._process)

    def __enter__(self) -> SshServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def ssh_try(
    net: Net,
    user: str,
    password: str,
    *,
    source: str | None = None,
    port: int = 22,
    tries: int = 1,
    key: Path | None = None,
    method: Literal["password", "keyboard-interactive"] = "password",
    options: Sequence[str] = (),
    seconds: float = 5.0,
) -> bool:
    """Log in to the server by the real client and return whether it let us in; False as well when nothing answers.

    `source` is one of the clients' addresses and decides between IPv4 and IPv6; `tries` is how often the same
    password is offered within one connection, by `method` and no other; with `key` only that key is offered, once.
    """
    source = source or net.clients[0].v4
    server = net.v6 if ":" in source else net.v4
    how = [f"PreferredAuthentications={'publickey' if key else method}", *([f"IdentityFile={key}"] if key else [])]
    wanted = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        f"NumberOfPasswordPrompts={tries}",
        f"ConnectTimeout={max(1, round(seconds))}",
        "LogLevel=ERROR",
        *how,
        *options,
    ]
    command = ["ssh", "-F", "none", "-b", source, "-p", str(port), "-l", user]
    for option in wanted:
        command += ["-o", option]
    command += [server, "true"]
    environment = {**os.environ, "SSHPASS": password}
    try:
        done = net.client.run(_prompted(command, tries), check=False, timeout=seconds + 5, env=environment)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _prompted(command: list[str], tries: int) -> list[str]:
    """sshpass answers one prompt only; several are answered by ssh's own helper program."""
    if tries == 1:
        return ["sshpass", "-e", *command]
    helper = str(Path(__file__).with_name("askpass.sh"))
    return ["env", f"SSH_ASKPASS={helper}", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none:0", *command]
