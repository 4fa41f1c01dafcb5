"""What is proved of every server that is logged in to: each attempt counts once, a ban closes that service alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

from lab import Net

from guard import Guard, listener, reaches
from ringfence.answers import BanRow

FAILURES = 4
POLICY = f"""
[rules.standard]
failures = {FAILURES}
within = "1h"
ban = "2h"
"""
OTHER = 8181
"""A port of no service: it must stay open to whom a service is closed."""


class LoginServer(Protocol):
    """A real server in the laboratory: `login` uses a real client from `source` and says whether it was let in."""

    service: str
    port: int

    def login(self, source: str, account: str, password: str) -> bool:
        """Log in once; False when refused and as well when nothing answers."""


def target_of(source: str) -> str:
    """What is banned for `source`: IPv6 counts by /64."""
    return source if "." in source else source.rpartition("::")[0] + "::/64"


def outcomes(guard: Guard, address: str) -> list[tuple[str, str, str]]:
    """(service, outcome, cause) of everything counted from `address`, oldest first."""
    return [(event.service, event.outcome, event.cause) for event in guard.explain(address).events]


def prove(
    net: Net,
    guard: Guard,
    server: LoginServer,
    *,
    causes: tuple[str, ...] = ("wrong password",),
    unknown_causes: tuple[str, ...] = ("unknown account", "wrong password"),
    open_ports: tuple[int, ...] = (),
    reach: Callable[[str], bool] | None = None,
) -> None:
    """Log in well and badly over IPv4 and IPv6; what the guard counts must be what was done, and the ban must hold.

    causes, unknown_causes: those permitted for a wrong password and for an account that does not exist.
    open_ports: ports of other services on the same machine that must stay reachable. reach: for other than TCP.
    """
    proof = Proof(net, guard, server, {*causes, *unknown_causes}, (OTHER, *open_ports), reach)
    with closing(listener(net, OTHER)):
        for attacker, neighbour in ((net.clients[0].v4, net.clients[2].v4), (net.clients[1].v6, net.clients[3].v6)):
            proof.counted(attacker)
            proof.banned(attacker, neighbour)


class Proof:
    """The steps of `prove`, for a test that needs some of them alone."""

    def __init__(
        self, net: Net, guard: Guard, server: LoginServer, causes: set[str], open_ports: tuple[int, ...],
        reach: Callable[[str], bool] | None,
    ) -> None:  # fmt: skip
        self.net, self.guard, self.server = net, guard, server
        self.causes, self.open_ports = causes, open_ports
        self.reach = reach or (lambda source: reaches(net, source, server.port))

    def counted(self, attacker: str) -> None:
        """A success and one failure less than the ban needs: just these are told, each once."""
        guard, server = self.guard, self.server
        assert server.login(attacker, "alice", self.net.accounts["alice"]), "the right password was refused"
        for number in range(FAILURES - 1):
            account = "alice" if number % 2 == 0 else "nobody-here"
            assert not server.login(attacker, account, f"wrong {number}"), "a wrong password was taken"
        guard.until(lambda: len(outcomes(guard, attacker)) >= FAILURES, "the success and the attempts")
        told = outcomes(guard, attacker)
        assert sorted(outcome for _, outcome, _ in told) == ["failed"] * (FAILURES - 1) + ["succeeded"], told
        assert {service for service, _, _ in told} == {server.service}
        assert {cause for _, outcome, cause in told if outcome == "failed"} <= self.causes, told
        assert guard.ban_of(target_of(attacker)) is None
        assert self.reach(attacker)

    def banned(self, attacker: str, neighbour: str) -> None:
        """One failure more closes this service to this address, and nothing else to anybody."""
        guard, server = self.guard, self.server
        ban = self._last_attempt(attacker)
        assert (ban.service, ban.author) == (server.service, "rule:standard")
        assert guard.attempts(attacker) == FAILURES
        assert not self.reach(attacker)
        assert all(reaches(self.net, attacker, port) for port in self.open_ports)
        assert server.login(neighbour, "alice", self.net.accounts["alice"]), "somebody else was kept out"
        assert guard.attempts(neighbour) == 0

    def _last_attempt(self, attacker: str) -> BanRow:
        """Fail once more, until the ban. On a busy machine a client may give up before the server has looked: then
        nothing was counted, and it is tried again."""
        for _ in range(2):
            assert not self.server.login(attacker, "alice", "wrong again")
            with contextlib.suppress(AssertionError):
                return self.guard.until(lambda: self.guard.enforced(target_of(attacker)), "the ban", 20)
        raise AssertionError(f"no ban; counted: {outcomes(self.guard, attacker)}")
