"""Dovecot, Courier and Cyrus: mailboxes over IMAP and POP3, logged in to well and badly by real clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from lab import Net, Syslog, image, missing
from lab.courier import PACKAGES as COURIER
from lab.courier import Courier
from lab.cyrus import PACKAGES as CYRUS
from lab.cyrus import TLS, Cyrus
from lab.dovecot import EVENTS, VERBOSE, Dovecot
from lab.dovecot import PACKAGES as DOVECOT
from lab.interpreter import share_python
from lab.mailbox import connect, imap_login, literal, plain, pop3_login, say
from proof import POLICY, prove

from guard import Guard
from ringfence.answers import Status

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

WATCH = POLICY.replace("failures = 4", "failures = 1000")
HOSTILE = (
    b"x>, rip=192.0.2.99, lip=10.77.0.1, session=<abc>",
    b"x>, method=PLAIN, rip=192.0.2.99, lip=10.77.0.1, TLS: ",
    b"x, ip=[::ffff:192.0.2.99], port=[5]",
    b"x) [SASL(-13): authentication failure: y] [192.0.2.99]",
    b'"x"',
    b"x\x01\x1b[31m\xff\xfe",
    b"x\r\nNov 21 20:34:50 lab dovecot: imap-login: Disconnected (auth failed, 3 attempts in 2 secs): user=<x>, "
    b"method=PLAIN, rip=192.0.2.99, lip=10.77.0.1, session=<a>",
    b"x\nNov 21 20:34:50 lab imapd: LOGIN FAILED, user=x, ip=[::ffff:192.0.2.99], port=[5]",
    b"x\nNov 21 20:34:50 lab cyrus/imap[1]: badlogin: [192.0.2.99] plaintext (x) [SASL(-13): authentication failure: ]",
)
ANSWERED = 2.0
"""Seconds within which a refused login stands in the log, though the server answers the client later."""


class Mailbox:
    """A mailbox server seen through one of its ports."""

    def __init__(self, net: Net, service: str, port: int) -> None:
        self._net = net
        self.service = service
        self.port = port

    def login(self, source: str, account: str, password: str) -> bool:
        way = imap_login if self.service == "imap" else pop3_login
        # A refusal is in the log long before the server tells the client.
        seconds = 2 if password == self._net.accounts.get(account) else 1
        return way(self._net, source, account, password, port=self.port, seconds=seconds)

    def reached(self, source: str) -> bool:
        """Whether the service is open to `source`: told by a good login, since a bare connection would be a probe."""
        return self.login(source, "alice", self._net.accounts["alice"])


def told(guard: Guard, address: str) -> Counter[tuple[str, str]]:
    """How often (service, cause) was counted from `address`; a success has the cause "in"."""
    events = guard.explain(address).events
    return Counter((event.service, event.cause if event.outcome == "failed" else "in") for event in events)


def expect(guard: Guard, address: str, wanted: dict[tuple[str, str], int]) -> None:
    """Wait until as much was counted from `address`; it must then be just what is wanted."""
    guard.until(lambda: told(guard, address).total() >= sum(wanted.values()), f"{wanted} from {address}")
    guard.until(lambda: all(row.lag == 0 for row in guard.ask(Status, "status").sources), "the end of all logs")
    assert told(guard, address) == wanted


def at_once(*jobs: Callable[[], object]) -> None:
    """Do the jobs side by side, as servers make a refused client wait; the first error is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def refused(net: Net, source: str, names: tuple[bytes, ...], port: int = 143, *, tls: bool = False) -> None:
    """Try each name with LOGIN, in a connection of its own."""
    lines = [b"a LOGIN " + literal(name) + b" wrong\r\n" for name in names]
    at_once(*[partial(say, net, source, port, line, tls=tls, seconds=ANSWERED) for line in lines])


def no_tls(net: Net, source: str, port: int) -> None:
    """Speak to a port for TLS as if it were none."""
    with connect(net, source, port) as caller:
        caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
        caller.recv(100)


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[Net]:
    """A server with Dovecot as Debian sets it up, and its syslog."""
    with Net(tmp_path / "net", image=image(*DOVECOT)) as net, Syslog(net.server), Dovecot(net):
        share_python(net.server)
        yield net


@pytest.fixture
def talkative(tmp_path: Path) -> Iterator[Net]:
    """The same, with all that Dovecot can log about logins switched on, and a file of passwords asked after PAM."""
    with Net(tmp_path / "net", image=image(*DOVECOT)) as net, Syslog(net.server):
        net.server.path("/etc/dovecot/more-users").write_text("alice:{PLAIN}other horse\n")
        second = "passdb {\n  driver = passwd-file\n  args = /etc/dovecot/more-users\n}\n"
        with Dovecot(net, VERBOSE + EVENTS + second):
            share_python(net.server)
            yield net


@pytest.fixture
def courier(tmp_path: Path) -> Iterator[Net]:
    """A server with Courier as Debian sets it up, and its syslog."""
    with Net(tmp_path / "net", image=image(*COURIER)) as net, Syslog(net.server), Courier(net):
        share_python(net.server)
        yield net


@pytest.fixture
def cyrus(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Net]:
    """A server with Cyrus as Debian sets it up, and its syslog; a parameter is more of Cyrus's settings."""
    settings = getattr(request, "param", "")
    with Net(tmp_path / "net", image=image(*CYRUS)) as net, Syslog(net.server), Cyrus(net, settings):
        share_python(net.server)
        yield net


# --- Dovecot


@pytest.mark.parametrize(("service", "port", "other"), [("imap", 143, 110), ("pop3", 995, 993)])
def test_dovecot_counts_each_attempt_once_and_a_ban_closes_only_what_was_attacked(
    dovecot: Net, tmp_path: Path, service: str, port: int, other: int
) -> None:
    with Guard(dovecot.server, tmp_path / "guard", policy=POLICY) as guard:
        server = Mailbox(dovecot, service, port)
        prove(dovecot, guard, server, open_ports=(other,), reach=server.reached)


def test_dovecot_attempts_are_as_many_as_were_made_and_contact_without_a_login_is_a_probe(
    dovecot: Net, tmp_path: Path
) -> None:
    """Several attempts in a connection each count; a user who mistypes once and then gets in made one attempt."""
    scanner, stubborn, user = dovecot.clients[0].v4, dovecot.clients[1].v6, dovecot.clients[2].v4
    with Guard(dovecot.server, tmp_path / "guard", policy=WATCH) as guard:
        say(dovecot, scanner, 143)
        say(dovecot, scanner, 993, tls=True)
        say(dovecot, scanner, 110, b"QUIT\r\n")
        say(dovecot, scanner, 143, b"GET / HTTP/1.0\r\n\r\n")
        no_tls(dovecot, scanner, 995)
        say(dovecot, scanner, 993, b"a AUTHENTICATE PLAIN\r\n", b"*\r\n", tls=True)
        say(dovecot, scanner, 993, b"a AUTHENTICATE PLAIN\r\n", tls=True)
        say(dovecot, scanner, 143, b"a LOGIN alice secret\r\n")
        say(dovecot, scanner, 110, b"USER alice\r\n", b"PASS secret\r\n", b"QUIT\r\n")
        say(dovecot, stubborn, 993, *(b"%d LOGIN alice wrong\r\n" % number for number in range(3)), tls=True)
        say(dovecot, stubborn, 995, b"USER bob\r\n", b"PASS a\r\n", b"USER bob\r\n", b"PASS b\r\n", tls=True)
        say(dovecot, stubborn, 993, b"a LOGIN alice wrong\r\n", tls=True, patient=False)
        assert not imap_login(dovecot, user, "alice", "correct hrose")
        assert imap_login(dovecot, user, "alice", "correct horse")
        expect(guard, user, {("imap", "wrong password"): 1, ("imap", "in"): 1})
        expect(guard, stubborn, {("imap", "wrong password"): 4, ("pop3", "wrong password"): 2})
        expect(
            guard,
            scanner,
            {
                ("imap", "probe"): 5,
                ("pop3", "probe"): 2,
                ("imap", "no credentials"): 1,
                ("pop3", "no credentials"): 1,
            },
        )


def test_dovecot_failures_before_a_success_are_told_where_its_event_is_logged_and_no_other_log_counts_again(
    talkative: Net, tmp_path: Path
) -> None:
    """mail.log, syslog and auth.log tell of an attempt up to nine times, and of failures in a good login too."""
    guesser, failing, user = talkative.clients[0].v4, talkative.clients[1].v6, talkative.clients[2].v4
    lines = (b"a LOGIN alice wrong\r\n", b"b LOGIN nobody wrong\r\n", b'c LOGIN alice "correct horse"\r\n')
    with Guard(talkative.server, tmp_path / "guard", policy=WATCH) as guard:
        say(talkative, guesser, 993, *lines, b"d LOGOUT\r\n", tls=True)
        say(talkative, guesser, 995, b"USER bob\r\n", b"PASS wrong\r\n", b"QUIT\r\n", tls=True)
        say(talkative, failing, 993, *lines[:2], tls=True)
        say(talkative, failing, 143, b"a LOGIN alice secret\r\n")
        say(talkative, failing, 143)
        assert imap_login(talkative, user, "alice", "other horse"), "PAM refuses this password, the file takes it"
        expect(guard, guesser, {("imap", "wrong password"): 2, ("imap", "in"): 1, ("pop3", "wrong password"): 1})
        expect(guard, user, {("imap", "in"): 1})
        wanted = {("imap", "wrong password"): 2, ("imap", "no credentials"): 1, ("imap", "probe"): 1}
        expect(guard, failing, wanted)


def test_dovecot_names_that_look_like_log_lines_move_no_address(dovecot: Net, tmp_path: Path) -> None:
    """Each attempt counts, from the address it came from, whatever the name holds; 60 KB are cut off by Dovecot."""
    v4, v6 = dovecot.clients[0].v4, dovecot.clients[1].v6
    with Guard(dovecot.server, tmp_path / "guard", policy=WATCH) as guard:
        refused(dovecot, v4, (*HOSTILE, b"A" * 900), 993, tls=True)
        lines = [b"a AUTHENTICATE PLAIN " + plain(name) + b"\r\n" for name in HOSTILE]
        lines.append(b"a LOGIN " + literal(b"A" * 60_000) + b" wrong\r\n")
        lines.append(b'a AUTHENTICATE "X, rip=192.0.2.99, lip=10.77.0.1"\r\n')
        at_once(
            *[partial(say, dovecot, v6, 993, line, tls=True) for line in lines],
            partial(say, dovecot, v6, 995, b"USER " + HOSTILE[0] + b"\r\n", b"PASS wrong\r\n", tls=True),
        )
        expect(guard, v4, {("imap", "wrong password"): len(HOSTILE) + 1})
        counts = {("imap", "wrong password"): len(HOSTILE), ("pop3", "wrong password"): 1, ("imap", "probe"): 2}
        expect(guard, v6, counts)
        assert set(guard.attackers()) == {v4, v6}


def test_dovecot_submission_and_sieve_are_services_of_their_own(tmp_path: Path) -> None:
    with (
        Net(tmp_path / "net", image=image(*DOVECOT)) as net,
        Syslog(net.server),
        Dovecot(net, "disable_plaintext_auth = no\n"),
    ):
        share_python(net.server)
        v4, v6 = net.clients[0].v4, net.clients[1].v6
        good = plain(b"alice", b"correct horse")
        with Guard(net.server, tmp_path / "guard", policy=WATCH) as guard:
            say(net, v4, 587, b"EHLO x\r\n", *[b"AUTH PLAIN " + plain(b"alice") + b"\r\n"] * 2, b"QUIT\r\n")
            say(net, v4, 587, b"EHLO x\r\n", b"AUTH PLAIN " + good + b"\r\n", b"QUIT\r\n")
            say(net, v6, 4190, *[b'AUTHENTICATE "PLAIN" "' + plain(b"alice") + b'"\r\n'] * 2)
            say(net, v6, 4190, b'AUTHENTICATE "PLAIN" "' + good + b'"\r\n')
            say(net, v6, 4190)
            say(net, v4, 143, b"a LOGIN alice wrong\r\n")
            expect(guard, v4, {("smtp", "wrong password"): 2, ("smtp", "in"): 1, ("imap", "wrong password"): 1})
            expect(guard, v6, {("sieve", "wrong password"): 2, ("sieve", "in"): 1, ("sieve", "probe"): 1})


# --- Courier


@pytest.mark.parametrize(("service", "port", "other"), [("imap", 993, 110), ("pop3", 110, 143)])
def test_courier_counts_each_attempt_once_and_a_ban_closes_only_what_was_attacked(
    courier: Net, tmp_path: Path, service: str, port: int, other: int
) -> None:
    with Guard(courier.server, tmp_path / "guard", policy=POLICY) as guard:
        server = Mailbox(courier, service, port)
        prove(courier, guard, server, open_ports=(other,), reach=server.reached)


def test_courier_attempts_are_as_many_as_were_made_and_contact_without_a_login_is_a_probe(
    courier: Net, tmp_path: Path
) -> None:
    """Several attempts in a connection each count; a user who mistypes once and then gets in made one attempt."""
    scanner, stubborn, user = courier.clients[0].v4, courier.clients[1].v6, courier.clients[2].v4
    good = b'c LOGIN alice "correct horse"\r\n'
    with Guard(courier.server, tmp_path / "guard", policy=WATCH) as guard:
        at_once(
            partial(say, courier, scanner, 143),
            partial(say, courier, scanner, 143, b"a LOGOUT\r\n"),
            partial(say, courier, scanner, 110, b"QUIT\r\n"),
            partial(say, courier, scanner, 143, b"GET / HTTP/1.0\r\n\r\n"),
            partial(no_tls, courier, scanner, 995),
            partial(say, courier, scanner, 993, b"a AUTHENTICATE PLAIN\r\n", tls=True),
            partial(say, courier, stubborn, 993, b"a LOGIN alice wrong\r\n", b"b LOGIN bob wrong\r\n", good, tls=True),
            partial(say, courier, stubborn, 110, b"USER bob\r\n", b"PASS a\r\n", b"USER bob\r\n", b"PASS b\r\n"),
            partial(say, courier, stubborn, 143, b"a AUTHENTICATE PLAIN " + plain(b"alice") + b"\r\n", seconds=1),
            partial(say, courier, user, 143, b"a LOGIN alice wrong\r\n", good),
        )
        expect(guard, user, {("imap", "wrong password"): 1, ("imap", "in"): 1})
        wanted = {("imap", "wrong password"): 3, ("imap", "in"): 1, ("pop3", "wrong password"): 2}
        expect(guard, stubborn, wanted)
        expect(guard, scanner, {("imap", "probe"): 4, ("pop3", "probe"): 2})


def test_courier_names_that_look_like_log_lines_move_no_address_even_where_courier_cuts_a_line_there(
    courier: Net, tmp_path: Path
) -> None:
    """Courier cuts long lines, so that a name can end one line with a foreign address and be the whole next one."""
    v4, v6 = courier.clients[0].v4, courier.clients[1].v6
    begun, ended = b"LOGIN FAILED, user=", b", ip=[192.0.2.99], port=[50122]"
    first = b"A" * (505 - len(begun) - len(ended)) + ended
    second = b"A" * (505 - len(begun)) + begun + b"B" * (511 - len(begun) - len(ended)) + ended
    with Guard(courier.server, tmp_path / "guard", policy=WATCH) as guard:
        at_once(
            *[
                partial(say, courier, v4, 143, b"a LOGIN {%d}\r\n" % len(name), name + b" x\r\n", seconds=ANSWERED)
                for name in HOSTILE
            ],
            partial(say, courier, v6, 110, b"USER " + HOSTILE[2] + b"\r\n", b"PASS x\r\n", seconds=ANSWERED),
            partial(say, courier, v6, 110, b"AUTH x" + ended + b"\r\n", seconds=ANSWERED),
        )
        expect(guard, v4, {("imap", "wrong password"): len(HOSTILE)})
        expect(guard, v6, {("pop3", "wrong password"): 2})
        for name in (first, second):
            say(courier, v6, 110, b"USER " + name + b"\r\n", b"PASS x\r\n", seconds=2)
        say(courier, v6, 143, b"a LOGIN " + b"A" * 60_000 + b" wrong\r\n", seconds=2)
        log = courier.server.log / "mail.log"
        guard.until(lambda: log.read_bytes().count(ended + b"\n") == 2, "the forged lines: Courier cuts elsewhere")
        guard.until(lambda: told(guard, v6)["pop3", "probe"], "the ends of the connections with long names")
        assert told(guard, v6)["pop3", "wrong password"] == 2
        assert set(guard.attackers()) == {v4, v6}


# --- Cyrus


@pytest.mark.parametrize(
    ("cyrus", "service", "port", "other"),
    [("", "imap", 143, 110), (TLS, "pop3", 995, 993)],
    indirect=["cyrus"],
    ids=["imap-143", "pop3-995"],
)
def test_cyrus_counts_each_attempt_once_and_a_ban_closes_only_what_was_attacked(
    cyrus: Net, tmp_path: Path, service: str, port: int, other: int
) -> None:
    with Guard(cyrus.server, tmp_path / "guard", policy=POLICY) as guard:
        server = Mailbox(cyrus, service, port)
        prove(cyrus, guard, server, open_ports=(other,), reach=server.reached)


@pytest.mark.parametrize("cyrus", [TLS], indirect=True, ids=["tls"])
def test_cyrus_attempts_are_as_many_as_were_made_though_its_processes_serve_one_client_after_the_other(
    cyrus: Net, tmp_path: Path
) -> None:
    """Several attempts in a connection each count; a user who mistypes once and then gets in made one attempt."""
    scanner, stubborn, user = cyrus.clients[0].v4, cyrus.clients[1].v6, cyrus.clients[2].v4
    good = b'c LOGIN alice "correct horse"\r\n'
    with Guard(cyrus.server, tmp_path / "guard", policy=WATCH) as guard:
        at_once(
            partial(say, cyrus, scanner, 143),
            partial(say, cyrus, scanner, 110, b"QUIT\r\n"),
            partial(no_tls, cyrus, scanner, 993),
            partial(no_tls, cyrus, scanner, 995),
            partial(say, cyrus, scanner, 143, b"a AUTHENTICATE PLAIN\r\n", b"*\r\n"),
            partial(say, cyrus, scanner, 143, b"a AUTHENTICATE X\r\n"),
            partial(say, cyrus, stubborn, 143, b"a LOGIN alice wrong\r\n", b"b LOGIN bob wrong\r\n", good),
            partial(say, cyrus, stubborn, 110, b"USER bob\r\n", b"PASS a\r\n", b"USER alice\r\n", b"PASS b\r\n"),
            partial(say, cyrus, user, 143, b"a LOGIN alice wrong\r\n", good),
        )
        # The processes that served them serve these now.
        say(cyrus, user, 110, b"USER alice\r\n", b"PASS wrong\r\n")
        say(cyrus, scanner, 143, b"a LOGIN alice wrong\r\n", patient=False)
        expect(guard, user, {("imap", "wrong password"): 1, ("imap", "in"): 1, ("pop3", "wrong password"): 1})
        wanted = {
            ("imap", "wrong password"): 1,
            ("imap", "unknown account"): 1,
            ("imap", "in"): 1,
            ("pop3", "wrong password"): 1,
            ("pop3", "unknown account"): 1,
        }
        expect(guard, stubborn, wanted)
        wanted = {
            ("imap", "no credentials"): 1,
            ("imap", "wrong password"): 1,
            ("imap", "probe"): 1,
            ("pop3", "probe"): 1,
        }
        expect(guard, scanner, wanted)


def test_cyrus_names_that_look_like_log_lines_move_no_address(cyrus: Net, tmp_path: Path) -> None:
    """Each attempt counts, from the address it came from, whatever the name holds; 60 KB fill the line."""
    v4, v6 = cyrus.clients[0].v4, cyrus.clients[1].v6
    with Guard(cyrus.server, tmp_path / "guard", policy=WATCH) as guard:
        refused(cyrus, v4, (*HOSTILE, b"A" * 60_000))
        lines = [b"a AUTHENTICATE PLAIN " + plain(name) + b"\r\n" for name in HOSTILE]
        at_once(
            *[partial(say, cyrus, v6, 143, line, seconds=ANSWERED) for line in lines],
            partial(say, cyrus, v6, 110, b"USER " + HOSTILE[3] + b"\r\n", b"PASS wrong\r\n", seconds=ANSWERED),
        )
        guard.until(lambda: guard.attempts(v4) >= len(HOSTILE) + 1, "the attempts")
        guard.until(lambda: guard.attempts(v6) >= len(HOSTILE) + 1, "the attempts over IPv6")
        assert (guard.attempts(v4), guard.attempts(v6)) == (len(HOSTILE) + 1, len(HOSTILE) + 1)
        assert set(guard.attackers()) == {v4, v6}
