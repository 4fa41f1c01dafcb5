"""Three network namespaces of our own: the guarded machine, a peer that attacks it, and a container behind it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import random
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from ringfence.enforce.nft import Nft
from ringfence.enforce.reconcile import Fence
from ringfence.model import Ban, Service

CLONE_NEWNET = 0x40000000
GUARD4, GUARD6 = "192.0.2.1", "2001:db8:1::1"
BAD4, GOOD4 = "192.0.2.66", "192.0.2.77"
BAD6, SAME64, GOOD6 = "2001:db8:66::1", "2001:db8:66::2", "2001:db8:77::1"
CANARY, CANARY_PORT = "192.0.2.99", 40000
SIP, SSH, MEDIA = 5060, 22, 12000
SERVICES = (
    Service(name="sip", ports=(("udp", 5060, 5061), ("tcp", 5060, 5061))),
    Service(name="ssh", ports=(("tcp", 22, 22), ("udp", 22, 22))),
    Service(name="portless"),
)
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def ban(number: int, target: str, service: str = "sip", *, until: float | None = None) -> Ban:
    """A wanted ban, for an hour unless told otherwise."""
    now = time.time()
    return Ban(
        id=number,
        target=target,
        service=service,
        since=now,
        until=now + 3600 if until is None else until,
        state="wanted",
        author="rule:standard",
    )


class Lab:
    """The namespaces and the packets sent between them."""

    def __init__(self) -> None:
        self.name = f"rfenf-{os.getpid()}-{next(_numbers)}"
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        g, p, c = (f"{self.name}-{each}" for each in "gpc")
        _ip(
            *(f"netns add {each}" for each in (g, p, c)),
            f"link add ge netns {g} type veth peer name pe netns {p}",
            f"link add gc netns {g} type veth peer name ce netns {c}",
        )
        for space, device, addresses in (
            (g, "ge", (f"{GUARD4}/24", f"{GUARD6}/48")),
            (p, "pe", (f"{BAD4}/24", f"{GOOD4}/24", f"{CANARY}/24", *(f"{each}/48" for each in (BAD6, SAME64, GOOD6)))),
            (g, "gc", ("198.51.100.1/24",)),
            (c, "ce", ("198.51.100.2/24",)),
        ):
            _ip(
                *(f"address add {each} dev {device}{' nodad' if ':' in each else ''}" for each in addresses),
                "link set lo up",
                f"link set {device} up",
                space=space,
            )
        _ip("route add 2001:db8::/32 dev ge", space=g)
        _ip("route add 2001:db8::/32 dev pe", space=p)
        _ip("route add default via 198.51.100.1", space=c)
        self._spaces = {each: os.open(f"/run/netns/{self.name}-{each}", os.O_RDONLY) for each in "gpc"}

    def close(self) -> None:
        for descriptor in (self._home, *self._spaces.values()):
            os.close(descriptor)
        _ip(*(f"netns delete {self.name}-{each}" for each in "gpc"))

    def enter(self, space: str) -> None:
        """Move this thread into the namespace g(uard), p(eer) or c(ontainer)."""
        if _libc.setns(self._spaces[space], CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def run(self, test: Callable[[Lab], None]) -> None:
        """Run `test` in a child inside the guarded namespace, so that this process never leaves its own."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            message = b""
            try:
                # On one processor, or a packet that was sent later may come in first (each has a queue of its own).
                os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
                self.enter("g")
                test(self)
            except BaseException:
                message = traceback.format_exc().encode()
            with contextlib.suppress(BaseException):
                os.write(writing, message[-60000:])
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            message = pipe.read()
        os.waitpid(child, 0)
        self.nft("flush ruleset")
        if message:
            pytest.fail(message.decode(), pytrace=False)

    def nft(self, commands: str) -> str:
        """What another program does to the guarded machine's rules."""
        return _run("ip", "netns", "exec", f"{self.name}-g", "nft", commands)

    def socket(self, space: str, family: int, kind: int, address: str, port: int) -> socket.socket:
        """A socket in a namespace, bound."""
        self.enter(space)
        try:
            made = socket.socket(family, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((address, port))
            made.settimeout(3)
            return made
        finally:
            self.enter("g")

    def arrivals(self, port: int, sources: Iterable[str], source_port: int = 0) -> set[str]:
        """Send a datagram from each source to a port of the guarded machine; which of them came in.

        A last datagram to a port that nobody guards tells when all before it have been dealt with: no waiting.
        """
        servers = [
            self.socket("g", socket.AF_INET, socket.SOCK_DGRAM, GUARD4, port),
            self.socket("g", socket.AF_INET6, socket.SOCK_DGRAM, GUARD6, port),
        ]
        with contextlib.ExitStack() as stack:
            for each in servers:
                stack.enter_context(each)
            for source in sources:
                family, to = (socket.AF_INET6, GUARD6) if ":" in source else (socket.AF_INET, GUARD4)
                with self.socket("p", family, socket.SOCK_DGRAM, source, source_port) as sender:
                    sender.sendto(source.encode(), (to, port))
            self.settle()
            return {data.decode() for each in servers for data in _waiting(each)}

    def settle(self) -> None:
        """Return when all that the peer has sent so far was let through or dropped."""
        with (
            self.socket("g", socket.AF_INET, socket.SOCK_DGRAM, GUARD4, CANARY_PORT) as server,
            self.socket("p", socket.AF_INET, socket.SOCK_DGRAM, CANARY, 0) as sender,
        ):
            sender.sendto(b"done", (GUARD4, CANARY_PORT))
            server.recv(100)

    def until_arrival(self, port: int, source: str, patience: float = 4.0) -> float:
        """Try until a datagram gets in; returns the seconds it took."""
        begun = time.monotonic()
        while time.monotonic() - begun < patience:
            if self.arrivals(port, [source]):
                return time.monotonic() - begun
            time.sleep(0.02)
        raise AssertionError(f"{source} is still kept out after {patience} s")


def new_fence(**options: Any) -> Fence:
    """An installed, empty fence."""
    fence = Fence(Nft(), SERVICES, **options)
    fence.install([], [], None, time.time())
    return fence


def inside(test: Callable[[Lab], None]) -> Callable[[Lab], None]:
    """Make a test run on the guarded machine."""

    @functools.wraps(test)
    def forked(lab: Lab) -> None:
        lab.run(test)

    del forked.__wrapped__  # pytest is to see `lab`, not what the test calls it
    return pytest.mark.root(forked)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The namespaces, or a skip with the reason."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def _waiting(server: socket.socket) -> Iterator[bytes]:
    server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield server.recv(100)


def _ip(*commands: str, space: str | None = None) -> None:
    for command in commands:
        _run("ip", *(["-n", space] if space else []), *command.split())


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, (command, done.stderr)
    return done.stdout
