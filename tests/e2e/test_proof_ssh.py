"""OpenSSH, proved like every other server."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import Net, SshServer, Syslog, missing, ssh_try
from proof import POLICY, prove

from guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]


class OpenSsh:
    """OpenSSH's sshd and ssh."""

    service = "ssh"
    port = 22

    def __init__(self, net: Net) -> None:
        self._net = net

    def login(self, source: str, account: str, password: str) -> bool:
        return ssh_try(self._net, account, password, source=source, seconds=2)


def test_openssh_counts_each_attempt_once_and_is_closed_by_a_ban(
    net: Net, syslog: Syslog, sshd: SshServer, tmp_path: Path
) -> None:
    with Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(net, guard, OpenSsh(net))
