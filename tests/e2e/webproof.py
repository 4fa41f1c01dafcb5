"""What the proofs of web servers and of the web proxy share: their logs tell of failures only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lab import Net
from lab.http import http_get
from lab.image import image
from lab.interpreter import share_python
from proof import FAILURES, OTHER, POLICY, LoginServer, Proof, target_of

from guard import Guard, listener, reaches

PASSWORDS = POLICY + 'causes = ["!probe", "!forbidden"]\n'
"""As the default policy: browsing bans nobody."""
PATIENT = POLICY.replace(f"failures = {FAILURES}", "failures = 1000")
"""For tests that look at what is counted only."""
VICTIM = "192.0.2.99"


@contextmanager
def machine(folder: Path, *packages: str) -> Iterator[Net]:
    """A server machine with `packages`."""
    with Net(folder, image=image(*packages)) as net:
        share_python(net.server)
        yield net


def told(guard: Guard, address: str) -> Counter[str]:
    """How often each cause was counted from `address`."""
    return Counter(event.cause for event in guard.explain(address).events)


def until_told(guard: Guard, address: str, expected: int) -> None:
    """Wait until as many events of `address` were counted."""
    guard.until(lambda: told(guard, address).total() >= expected, f"{expected} attempts")


def prove(net: Net, guard: Guard, server: LoginServer, causes: set[str]) -> None:
    """As `proof.prove`, but a login that is let in leaves no trace."""
    proof = Proof(net, guard, server, causes, (OTHER,), None)
    with closing(listener(net, OTHER)), closing(listener(net, 443)):
        for attacker, neighbour in ((net.clients[0].v4, net.clients[2].v4), (net.clients[1].v6, net.clients[3].v6)):
            assert server.login(attacker, "alice", net.accounts["alice"]), "the right password was refused"
            for number in range(FAILURES - 1):
                account = "alice" if number % 2 == 0 else "nobody-here"
                assert not server.login(attacker, account, f"wrong {number}"), "a wrong password was taken"
            until_told(guard, attacker, FAILURES - 1)
            events = guard.explain(attacker).events
            assert [event.outcome for event in events] == ["failed"] * (FAILURES - 1), events
            assert {event.service for event in events} == {server.service}
            assert {event.cause for event in events} <= causes
            assert {event.account for event in events} == {"alice", "nobody-here"}
            assert guard.ban_of(target_of(attacker)) is None
            assert proof.reach(attacker)
            proof.banned(attacker, neighbour)
            assert reaches(net, attacker, 443) is (server.service != "http"), "a ban of http closes both its ports"


def settle(guard: Guard, net: Net, server: LoginServer, logs: int = 1) -> None:
    """Wait until the guard has read what was logged until now: a last attempt, of another client, in `logs` logs."""
    marker = net.clients[3].v4
    before = told(guard, marker).total()
    assert not server.login(marker, "marker", "wrong")
    if logs == 2:
        http_get(net, marker, "/marker")
    guard.until(lambda: told(guard, marker).total() >= before + logs, "the marker")


def strangers(guard: Guard, net: Net, *known: str) -> set[str]:
    """Who was recorded besides `known` and the marker."""
    return set(guard.attackers()) - {*known, net.clients[3].v4}
