"""Fixtures of the end-to-end tests; each skips with its reason where the laboratory can't work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests find the laboratory as `lab` in every import mode

from lab import Kamailio, Net, SshServer, Syslog, missing
from lab.net import SIP_PROGRAMS, SSH_PROGRAMS


def _need(*programs: str) -> None:
    reason = missing(*programs)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    """A server (account alice, password "correct horse") and four clients, without any service yet."""
    _need()
    with Net(tmp_path / "net") as one:
        yield one


@pytest.fixture
def syslog(net: Net) -> Iterator[Syslog]:
    """The server's rsyslogd, in Debian 12's traditional format."""
    _need("rsyslogd")
    with Syslog(net.server) as one:
        yield one


@pytest.fixture
def sshd(net: Net, syslog: Syslog) -> Iterator[SshServer]:
    """sshd on the server's port 22; its lines are in `syslog.auth`."""
    _need(*SSH_PROGRAMS)
    with SshServer(net.server) as one:
        yield one


@pytest.fixture
def kamailio(net: Net, syslog: Syslog) -> Iterator[Kamailio]:
    """Kamailio on the server's port 5060, UDP and TCP; its lines are in `syslog.kamailio`."""
    _need(*SIP_PROGRAMS)
    with Kamailio(net) as one:
        yield one
