"""Squid, proved like every other server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Net, missing
from lab.http import basic, http_raw
from lab.squid import Squid
from proof import POLICY
from webproof import PATIENT, VICTIM, machine, prove, settle, strangers, told

from guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]


@pytest.fixture
def squid_net(tmp_path: Path) -> Iterator[Net]:
    """A machine with Squid installed."""
    with machine(tmp_path / "net", "squid") as net:
        yield net


def test_squid_counts_each_attempt_once_and_is_closed_by_a_ban(squid_net: Net, tmp_path: Path) -> None:
    with Squid(squid_net) as server, Guard(squid_net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(squid_net, guard, server, {"wrong password"})


def test_what_squid_asks_of_every_browser_is_no_attempt(squid_net: Net, tmp_path: Path) -> None:
    """Challenges and silent connections leave no trace; denied pages are recorded apart; lies move nothing."""
    net, source, liar = squid_net, squid_net.clients[0].v4, squid_net.clients[1].v6
    with Squid(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        for _ in range(10):
            assert server.get(source).status == 407
            assert server.login(source, "alice", net.accounts["alice"])
            http_raw(net, source, b"", port=server.port)
        for _ in range(3):
            assert server.get(source, url="http://evil.example.org/").status == 403
        names = (f"x {VICTIM}", f"GET http://x/ bob HIER_NONE/- text/html {VICTIM}", 'q"\\b', "\xff\xfe", "b" * 3000)
        for name in names:
            assert not server.login(liar, name, "wrong")
        lie = f"http://{net.v4}:8080/%0A1795305579.748%20%203%20{VICTIM}%20TCP_DENIED/407%203480"
        assert server.get(liar, basic("alice", "wrong"), url=lie).status == 407
        assert b" 400 " in http_raw(net, liar, b"garbage\r\n\r\n", port=server.port)
        settle(guard, net, server)
        assert told(guard, source) == {"forbidden": 1}
        assert told(guard, liar) == {"wrong password": len(names) + 1, "probe": 1}
        assert not strangers(guard, net, source, liar)
