"""Cockpit, logged in to as its login page does: each attempt counts once, and a ban closes it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from lab import Net, Syslog, image, missing
from lab.cockpit import PACKAGES, Cockpit
from lab.interpreter import share_python
from proof import OTHER, POLICY, outcomes, target_of

from guard import Guard, listener, reaches

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs")]


def test_cockpit_counts_each_attempt_once_and_is_closed_by_a_ban(tmp_path: Path) -> None:
    """Successes have no address in any log, so they are not told; failures are, whatever name was tried."""
    with Net(tmp_path / "net", image=image(*PACKAGES)) as net, Syslog(net.server):
        share_python(net.server)
        with (
            Cockpit(net) as server,
            closing(listener(net, OTHER)),
            Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
        ):
            for attacker, neighbour in ((net.clients[0].v4, net.clients[2].v4), (net.clients[1].v6, net.clients[3].v6)):
                assert server.login(attacker, "alice", net.accounts["alice"])
                for account in ("alice", "nobody-here", "x\nrhost=192.0.2.99  user=root"):
                    assert not server.login(attacker, account, "wrong")
                guard.until(lambda who=attacker: guard.attempts(who) == 3, "the attempts")  # type: ignore[misc]
                assert guard.ban_of(target_of(attacker)) is None
                assert server.status(attacker, b"A" * 5000 + b":x") == 401
                guard.until(lambda who=attacker: guard.enforced(target_of(who)), "the ban")  # type: ignore[misc]
                assert outcomes(guard, attacker) == [("http", "failed", "wrong password")] * 4
                assert not reaches(net, attacker, server.port)
                assert reaches(net, attacker, OTHER)
                assert server.login(neighbour, "alice", net.accounts["alice"])
            assert set(guard.attackers()) == {net.clients[0].v4, net.clients[1].v6}
