"""Mail servers, installed and attacked for real: each refused login counts once, a ban closes SMTP alone.

What is said of each server in `TOLD` is what its log can tell, see `blind` in its catalogue file.
"""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest
from lab import Net, Syslog, missing
from lab.courier_mta import CourierMta, courier_mta_image
from lab.exim import Exim, exim_image
from lab.interpreter import share_python
from lab.opensmtpd import OpenSmtpd, opensmtpd_image
from lab.postfix import Postfix, PostfixDovecot, postfix_dovecot_image, postfix_image
from lab.sendmail import Sendmail, sendmail_image
from lab.smtp import SmtpServer, greets, plain, smtp_login, smtp_send, word
from proof import POLICY, prove

from guard import Guard, reaches

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing("rsyslogd")), reason=missing("rsyslogd") or "runs")]

SERVERS: dict[str, tuple[Callable[[], Path], Callable[[Net], SmtpServer]]] = {
    "postfix": (postfix_image, Postfix),
    "postfix-dovecot": (postfix_dovecot_image, PostfixDovecot),
    "exim": (exim_image, Exim),
    "sendmail": (sendmail_image, Sendmail),
    "opensmtpd": (opensmtpd_image, OpenSmtpd),
    "courier": (courier_mta_image, CourierMta),
}
MANY = POLICY.replace("failures = 4", "failures = 1000")
"""A policy under which nobody is banned while a test counts."""
GOOD, BAD = "correct horse", "wrong word"
VICTIM = "192.0.2.99"
EHLO, QUIT = b"EHLO client.example.org", b"QUIT"
GUESS = b"AUTH PLAIN " + plain("alice", BAD)

WRONG = ("failed", "wrong password")
ABUSE = ("failed", "protocol abuse")
PROBE = ("failed", "probe")
DENIED = ("failed", "forbidden")
EMPTY = ("failed", "no credentials")
IN = ("succeeded", "")
Told = list[tuple[str, str]]


@contextmanager
def started(name: str, folder: Path, clients: int = 4) -> Iterator[tuple[Net, SmtpServer]]:
    """The server `name` on a machine of its own."""
    make_image, make = SERVERS[name]
    with Net(folder / "net", clients=clients, image=make_image()) as net, Syslog(net.server):
        share_python(net.server)
        with make(net) as server:
            yield net, server


def both_logs(server: SmtpServer) -> str:
    """Settings under which the guard reads all logs that hold the server's lines."""
    return f"[[source]]\nkind = [{server.kind!r}]\nfiles = {list(server.logs)}\n"


def told(guard: Guard, address: str) -> Told:
    """(outcome, cause) of everything counted from `address`, in order of outcome and cause."""
    return sorted((event.outcome, event.cause) for event in guard.explain(address).events)


def settled(guard: Guard, server: SmtpServer) -> None:
    """Everything logged so far has been read: later failures of another client were."""
    last = server.net.clients[-1].v4
    before = guard.attempts(last)
    server.login(last, "alice", BAD)
    server.login(last, "alice", BAD)
    guard.until(lambda: guard.attempts(last) >= before + 2, "the last logins")


def forged(server: SmtpServer) -> list[str]:
    """Whole lines of this server's log about somebody else: a refused login, and what tells of an address."""
    file = resources.files("ringfence.catalogue") / f"{server.kind}.toml"
    patterns = tomllib.loads(file.read_text())["pattern"]
    wanted = [entry for entry in patterns if entry["name"].endswith("-failed") or entry.get("attempt") == "opens"]
    return [entry["examples"][0]["line"].replace("203.0.113.7", VICTIM) for entry in wanted]


@pytest.mark.parametrize("name", SERVERS)
def test_each_attempt_counts_once_and_a_ban_closes_the_mail_server_alone(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as (net, server), Guard(net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(net, guard, server, reach=lambda source: greets(net, source))
        banned, free = net.clients[0].v4, net.clients[2].v4
        assert reaches(net, free, 587) and not reaches(net, banned, 587), "the ban closes all ports of the service"


# --- what clients do, and what each server's log can tell of it


def mistyped(server: SmtpServer, source: str) -> None:
    assert not server.login(source, "alice", BAD)
    assert server.login(source, "alice", GOOD)


def login_method(server: SmtpServer, source: str) -> None:
    for password in (BAD, GOOD):
        to = "alice@lab.test" if server.mails else ""
        smtp_login(server.net, source, "alice", password, mechanism="login", tls=server.tls, mail_to=to)


def three_in_one(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO, GUESS, GUESS, GUESS, QUIT, seconds=15)


def pipelined(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO, GUESS, GUESS, QUIT, at_once=True, seconds=15)


def hung_up(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO, GUESS, hang_up=2)


def broken_off(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO, b"AUTH LOGIN", b"*", QUIT)


def garbled(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO, b"AUTH PLAIN !!!!", QUIT)


def polite(server: SmtpServer, source: str) -> None:
    assert greets(server.net, source, seconds=3)


def looked(server: SmtpServer, source: str) -> None:
    server.say(source, EHLO)


def web_browser(server: SmtpServer, source: str) -> None:
    tls, server.tls = server.tls, None
    server.say(source, b"GET / HTTP/1.0")
    server.tls = tls


def relayed(server: SmtpServer, source: str) -> None:
    smtp_send(server.net, source, "alice@lab.test", ["x@example.com", "y@example.com"])


def unknown_mailbox(server: SmtpServer, source: str) -> None:
    smtp_send(server.net, source, "alice@lab.test", ["nobody-here@lab.test"])


DOES: tuple[Callable[[SmtpServer, str], None], ...] = (
    mistyped, login_method, three_in_one, pipelined, hung_up, broken_off, garbled, polite, looked, web_browser,
    relayed, unknown_mailbox,
)  # fmt: skip
USUAL: dict[Callable[[SmtpServer, str], None], Told] = {
    mistyped: [WRONG, IN],
    login_method: [WRONG, IN],
    three_in_one: [WRONG] * 3,
    pipelined: [WRONG] * 2,
    hung_up: [WRONG],
    broken_off: [EMPTY],
    garbled: [ABUSE],
    polite: [],
    looked: [PROBE],
    web_browser: [ABUSE],
    relayed: [DENIED],
    unknown_mailbox: [],
}
TOLD: dict[str, dict[Callable[[SmtpServer, str], None], Told]] = {
    "postfix": USUAL | {pipelined: [PROBE, WRONG, WRONG]},
    "postfix-dovecot": USUAL | {pipelined: [PROBE, WRONG, WRONG]},
    "exim": USUAL | {looked: []},
    "sendmail": USUAL | {broken_off: [PROBE], pipelined: [ABUSE]},
    "opensmtpd": USUAL | {relayed: [], pipelined: [ABUSE], broken_off: [ABUSE]},
    "courier": USUAL | {looked: []},
}


@pytest.mark.parametrize("name", SERVERS)
def test_what_clients_do_counts_as_what_it_is_whichever_logs_are_read(name: str, tmp_path: Path) -> None:
    """All logs that hold a line are read at once: mail.log and syslog, or mainlog and rejectlog."""
    with (
        started(name, tmp_path, clients=len(DOES) + 1) as (net, server),
        Guard(net.server, tmp_path / "guard", policy=MANY, settings=both_logs(server)) as guard,
    ):
        for act, client in zip(DOES, net.clients, strict=False):
            act(server, client.v4)
        settled(guard, server)
        seen = {act.__name__: told(guard, client.v4) for act, client in zip(DOES, net.clients, strict=False)}
        assert seen == {act.__name__: sorted(TOLD[name][act]) for act in DOES}


# --- what clients write is never believed

HOSTILE: tuple[bytes | str, ...] = (
    f"alice from {VICTIM}",
    f"x, relay=[{VICTIM}]",
    f"alice, sasl_username=bob unknown[{VICTIM}]",
    f'x" result=permfail unknown[{VICTIM}]:25',
    "x' \" \\ ; | `",
    "\x1b[31mred\x1b[2K\r",
    b"\xff\xfe\x80",
    "ä€" * 8,
    " ",
    "y" * 200,
)
ENDING = f"x) [{VICTIM}]: 535 Incorrect authentication data (set_id=x"
"""As the end of Exim's line; such a name is refused altogether, see `blind`."""
RECIPIENT = b"RCPT TO:<x@example.com>"
GREETINGS = (
    f"[{VICTIM}]",
    f"x)[{VICTIM}]:",
    f"x ([{VICTIM}])",
    f"x H=[{VICTIM}]: 535 x",
    f'x" relay=[{VICTIM}]',
    "z" * 900,
)


def guesses(server: SmtpServer, source: str, names: tuple[bytes | str, ...]) -> None:
    """One connection and one refused login for each name."""
    with ThreadPoolExecutor(4) as pool:
        heard = pool.map(lambda name: server.say(source, EHLO, b"AUTH PLAIN " + plain(name, BAD), QUIT), names)
        for name, answers in zip(names, heard, strict=True):
            assert answers[2:] and answers[2].startswith(b"535"), (name, answers)


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "postfix-dovecot"])
def test_whatever_a_client_writes_no_other_address_is_accused(name: str, tmp_path: Path) -> None:
    with (
        started(name, tmp_path) as (net, server),
        Guard(net.server, tmp_path / "guard", policy=MANY, settings=both_logs(server)) as guard,
    ):
        first, second = net.clients[0].v4, net.clients[1].v4
        lines = forged(server)
        broken = [f"x{end}{line}" for line in lines for end in ("\n", "\r\n")]
        names = HOSTILE if name == "exim" else (*HOSTILE, *broken)
        guesses(server, first, names)
        said: list[tuple[bytes, ...]] = []
        for text in (*lines, *broken, ENDING, "v" * 440 + lines[0], "x\0\n" + lines[0], "w" * 60_000):
            said.append((EHLO, b"AUTH PLAIN " + plain(text, BAD)))
            said.append((EHLO, b"AUTH LOGIN", word(text), word(BAD)))
        for text in (*GREETINGS, *lines, *broken, "w" * 60_000):
            data = text.encode()
            said.append((b"EHLO " + data, GUESS, b"MAIL FROM:<" + data + b">"))
            said.append((EHLO, data, b'MAIL FROM:<"' + data + b'"@x>', RECIPIENT))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda words: server.say(second, *words), said))
        settled(guard, server)
        assert told(guard, first) == [WRONG] * len(names)
        assert set(guard.attackers()) <= {client.v4 for client in net.clients}
        assert guard.attempts(VICTIM) == 0


# --- what only some servers have


OWNED = (
    "smtpd_sender_login_maps = inline:{ alice@lab.test=alice }",
    "smtpd_sender_restrictions = reject_sender_login_mismatch",
)
"""Only alice, logged in, may send as alice@lab.test."""


def test_postfix_counts_on_every_port_and_knows_its_own_trouble(tmp_path: Path) -> None:
    """When the server that checks passwords is down, nobody can log in and nobody is blamed."""
    with (
        Net(tmp_path / "net", image=postfix_image()) as net,
        Syslog(net.server),
        Postfix(net, settings=OWNED) as server,
    ):
        share_python(net.server)
        with Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
            first, second, third = (client.v4 for client in net.clients[:3])
            for port in (25, 465, 587):
                assert not smtp_login(net, first, "alice", BAD, port=port)
                assert smtp_login(net, first, "alice", GOOD, port=port)
            settled(guard, server)
            assert told(guard, first) == [WRONG] * 3 + [IN] * 3
            smtp_send(net, second, "alice@lab.test", ["alice@lab.test"])
            settled(guard, server)
            assert told(guard, second) == [DENIED]
            server.stop_passwords()
            assert not smtp_login(net, third, "alice", GOOD)
            later = net.clients[3].v6
            smtp_send(net, later, "alice@lab.test", ["alice@lab.test"])
            guard.until(lambda: told(guard, later) == [DENIED], "a line behind those of the failed login")
            assert told(guard, third) in ([], [PROBE])


def test_postscreen_tells_robots_from_mail_servers(tmp_path: Path) -> None:
    """Who speaks before the greeting or leaves before it is known; who waits for it is let through."""
    wait = ("postscreen_greet_wait = 1s", "postscreen_greet_action = enforce")
    with (
        Net(tmp_path / "net", image=postfix_image()) as net,
        Syslog(net.server),
        Postfix(net, settings=wait, postscreen=True) as server,
    ):
        share_python(net.server)
        with Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
            eager, gone, fine = (client.v6 for client in net.clients[:3])
            speak_first(net, eager, EHLO + b"\r\n")
            speak_first(net, gone, b"")
            assert greets(net, fine, seconds=3)
            server.port = 587
            settled(guard, server)
            guard.until(lambda: told(guard, eager) and told(guard, gone), "what postscreen said")
            assert (told(guard, eager), told(guard, gone), told(guard, fine)) == ([ABUSE], [PROBE], [])


def speak_first(net: Net, source: str, text: bytes) -> None:
    """Connect and say `text` without waiting for a greeting, then leave."""
    with net.client.entered():
        caller = socket.create_connection((net.v6, 25), 5, (source, 0))
    with caller:
        caller.sendall(text)
        if text:
            caller.recv(1000)


def test_exim_with_a_talkative_log_tells_connections_apart(tmp_path: Path) -> None:
    """With the recommended log_selector (and others) a login without a mail and a mere look are known, too."""
    selector = "+smtp_no_mail +incoming_port +incoming_interface +pid +smtp_connection +millisec"
    with Net(tmp_path / "net", image=exim_image()) as net, Syslog(net.server), Exim(net, selector=selector) as server:
        share_python(net.server)
        with Guard(net.server, tmp_path / "guard", policy=MANY, settings=both_logs(server)) as guard:
            first, second, third = (client.v6 for client in net.clients[:3])
            assert smtp_login(net, first, "alice", GOOD)
            assert not smtp_login(net, first, "alice", BAD)
            looked(server, second)
            polite(server, third)
            settled(guard, server)
            assert (told(guard, first), told(guard, second), told(guard, third)) == ([WRONG, IN], [PROBE], [])


def test_sendmail_knows_who_speaks_before_the_greeting(tmp_path: Path) -> None:
    with (
        Net(tmp_path / "net", image=sendmail_image()) as net,
        Syslog(net.server),
        Sendmail(net, greeting=500) as server,
    ):
        share_python(net.server)
        with Guard(net.server, tmp_path / "guard", policy=MANY) as guard:
            eager = net.clients[0].v6
            speak_first(net, eager, EHLO + b"\r\n")
            settled(guard, server)
            assert told(guard, eager) == [ABUSE]
