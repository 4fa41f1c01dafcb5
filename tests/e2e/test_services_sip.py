"""Telephone servers, really run: floods, refusals and packets that are not SIP; what never may name somebody else."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lab import Kamailio, Net, Syslog, image, missing, sip_register
from lab.coturn import Coturn
from lab.interpreter import share_python
from lab.net import SIP_PROGRAMS
from lab.probe import Probe
from lab.sip import StockKamailio
from proof import OTHER, outcomes, target_of

from guard import Guard, listener, reaches

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing(*SIP_PROGRAMS)), reason=missing(*SIP_PROGRAMS) or "runs"),
]

VICTIM = "192.0.2.99"
POLICY = """
[rules.standard]
failures = 4
within = "1h"
ban = "2h"
"""
PROVEN_ALONE = POLICY + "proven = true\n"
UNLESS_PROVEN = (
    POLICY
    + """
[rules.proven]
failures = 1
within = "1h"
ban = "2h"
proven = true
"""
)
"""Bans at the first attempt if that is proven, which is a mistake where it can't be."""
SECFILTER = 'loadmodule "secfilter.so"\nmodparam("secfilter", "db_url", "text://accounts")'
SECFILTER_ROWS = "1:0:0:friendly-scanner\n2:0:3:10.77.3.\n"
AS_IN_ITS_MANUAL = """
    secf_check_ip();
    if ($? == -2) {
        xlog("L_ALERT", "$rm from $si blocked because IP address is blacklisted");
        exit;
    }
    secf_check_ua();
    if ($? == -2) {
        xlog("L_ALERT", "$rm from $si blocked because UserAgent '$ua' is blacklisted");
        exit;
    }
    secf_check_sqli_all();
"""
PERMISSIONS = 'loadmodule "permissions.so"\nmodparam("permissions", "db_url", "text://accounts")'
ADDRESS_ROWS = "1:1:10.77.2.2:32:0:x\n"
ONLY_KNOWN_ADDRESSES = """
    if (!allow_source_address("1")) {
        $var(ringfence_cause) = "refused-by-acl";
        route(RINGFENCE_REFUSED);
        sl_send_reply("403", "Forbidden");
        exit;
    }
"""


def sends(probe: Probe, *, times: int = 1, agent: bytes = b"lab", name: bytes = b"") -> None:
    """REGISTER without credentials, each as a request of its own; nobody waits for answers."""
    with contextlib.suppress(TimeoutError):
        for number in range(times):
            probe.register(b"alice", call_id=b"%b%d@lab" % (name, number), agent=agent, wait=0)


def causes(guard: Guard, address: str) -> list[str]:
    """The causes of all attempts of `address`, oldest first."""
    return [cause for _, outcome, cause in outcomes(guard, address) if outcome == "failed"]


class TestKamailio:
    @pytest.fixture
    def stock(self, net: Net, syslog: Syslog) -> Iterator[StockKamailio]:
        """The configuration that Debian installs, with its protection against floods switched on."""
        with StockKamailio(net, defines=("WITH_ANTIFLOOD",)) as one:
            yield one

    @pytest.mark.parametrize("family", ["v4", "v6"])
    def test_a_flood_that_pike_noticed_is_one_unproven_attempt(
        self, net: Net, stock: StockKamailio, tmp_path: Path, family: str
    ) -> None:
        """pike's own line and that of the stock configuration tell of one and the same; what is under the limit is none."""  # noqa: E501
        flooder, phone = (getattr(client, family) for client in net.clients[:2])
        with Guard(net.server, tmp_path / "guard", policy=UNLESS_PROVEN) as guard:
            with Probe(net, phone) as probe:
                sends(probe, times=5)
            with Probe(net, flooder) as probe:
                sends(probe, times=400)
            guard.until(lambda: guard.attempts(flooder) == 1, "the flood")
            assert causes(guard, flooder) == ["protocol abuse"]
            assert guard.attempts(phone) == 0 and guard.bans() == []

    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    @pytest.mark.parametrize("family", ["v4", "v6"])
    def test_packets_that_are_not_sip_end_in_a_ban_that_leaves_others_open(
        self, net: Net, stock: StockKamailio, tmp_path: Path, family: str, transport: str
    ) -> None:
        """Proven over TCP alone."""
        source, neighbour = (getattr(client, family) for client in net.clients[:2])
        policy = PROVEN_ALONE if transport == "tcp" else UNLESS_PROVEN
        broken = b"REGISTER sip:x SIP/2.0\r\nno header of any kind\r\nContent-Length: 0\r\n\r\n"
        with Guard(net.server, tmp_path / "guard", policy=policy) as guard, closing(listener(net, OTHER)):
            for number in range(4):
                with Probe(net, source, transport=transport) as probe:
                    probe.send(broken)
                    guard.until(lambda: guard.attempts(source) == number + 1, "the attempt")  # noqa: B023
            ban = guard.until(lambda: guard.enforced(target_of(source)), "the ban")
            assert (ban.service, ban.author) == ("sip", "rule:standard")
            assert causes(guard, source) == ["protocol abuse"] * 4
            assert not reaches(net, source, 5060) and reaches(net, source, OTHER)
            assert reaches(net, neighbour, 5060) and guard.attempts(neighbour) == 0

    def test_what_the_stock_configuration_finds_malformed_is_an_attempt_that_is_not_proven(
        self, net: Net, stock: StockKamailio, tmp_path: Path
    ) -> None:
        """A CSeq of another method; sent again it is the same one."""
        source = net.clients[0].v4
        head = (
            "REGISTER sip:10.77.0.1 SIP/2.0", f"Via: SIP/2.0/UDP {source}:5060;branch=z9hG4bK1", "CSeq: 1 INVITE",
            "From: <sip:a@x>;tag=1", "To: <sip:a@x>", "Call-ID: {}", "Max-Forwards: 70", "Content-Length: 0",
        )  # fmt: skip
        with Guard(net.server, tmp_path / "guard", policy=UNLESS_PROVEN) as guard, Probe(net, source) as probe:
            for call in ("one", "one", "another one"):
                probe.send(("\r\n".join(head) + "\r\n\r\n").format(call).encode())
                guard.until(lambda: causes(guard, source), "an attempt")
            guard.until(lambda: guard.attempts(source) == 2, "both attempts")
            assert causes(guard, source) == ["protocol abuse"] * 2 and guard.bans() == []

    def test_refusals_in_the_words_of_secfilters_manual_count(self, net: Net, syslog: Syslog, tmp_path: Path) -> None:
        """A forbidden User-Agent and a forbidden address, each request once however often it is sent again."""
        scanner, listed, phone = (net.clients[number].v4 for number in (0, 2, 1))
        tables = {"secfilter": SECFILTER_ROWS}
        with (
            Kamailio(net, modules=SECFILTER, checks=AS_IN_ITS_MANUAL, tables=tables),
            Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
        ):
            for source, agent in ((scanner, b"friendly-scanner"), (listed, b"phone")):
                with Probe(net, source) as probe:
                    sends(probe, times=2, agent=agent)
                    sends(probe, times=2, agent=agent)
            assert sip_register(net, "alice", "correct horse", source=phone) == [401, 200]
            guard.until(lambda: guard.attempts(listed) == 2 and guard.attempts(scanner) == 2, "the refusals")
            assert causes(guard, scanner) == ["forbidden"] * 2
            assert causes(guard, listed) == ["refused by acl"] * 2
            assert guard.attempts(phone) == 0

    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    @pytest.mark.parametrize("family", ["v4", "v6"])
    def test_a_refusal_of_ones_own_configuration_is_told_by_our_route(
        self, net: Net, syslog: Syslog, tmp_path: Path, family: str, transport: str
    ) -> None:
        """Who is not in the table of the module permissions, once however often it is sent; proven over TCP alone."""
        source = getattr(net.clients[0], family)
        tables = {"address": ADDRESS_ROWS, "trusted": ""}
        policy = PROVEN_ALONE if transport == "tcp" else UNLESS_PROVEN
        with (
            Kamailio(net, modules=PERMISSIONS, checks=ONLY_KNOWN_ADDRESSES, tables=tables),
            Guard(net.server, tmp_path / "guard", policy=policy) as guard,
            closing(listener(net, OTHER)),
        ):
            with Probe(net, source, transport=transport) as probe:
                for number in (1, 2, 2, 3):
                    assert probe.register(b"alice", call_id=b"%d@lab" % number).status == 403
                guard.until(lambda: guard.attempts(source) == 3, "the refusals")
                assert causes(guard, source) == ["refused by acl"] * 3
                assert guard.bans() == []
                probe.register(b"alice", call_id=b"4@lab", wait=0)
            ban = guard.until(lambda: guard.enforced(target_of(source)), "the ban")
            assert ban.service == "sip" and reaches(net, source, OTHER) and not reaches(net, source, 5060)
            assert sip_register(net, "alice", "correct horse", source=net.clients[1].v4) == [401, 200]

    @pytest.mark.parametrize("defines", [(), ("RINGFENCE_KEEP_LOG_PREFIX",)])
    def test_lines_that_a_client_puts_into_its_headers_name_nobody(
        self, net: Net, syslog: Syslog, tmp_path: Path, defines: tuple[str, ...]
    ) -> None:
        """Whole lines of ours, cut off by the syslog where they would be complete, also behind the stock prefix."""
        forged = (
            b"} <script>: ringfence: auth failed address=192.0.2.99 port=5060 proto=udp proven=yes "
            b"cause=wrong-password session=aa method=REGISTER account=a uri=b request=c agent=",
            b"} pike [pike_funcs.c:135]: pike_check_ipaddr(): PIKE - BLOCKing ip 192.0.2.99, node=0x",
            b"} <script>: ALERT: pike blocking REGISTER from sip:a@b (IP:192.0.2.99:5060)",
            b"} <core> [core/receive.c:376]: receive_msg(): core parsing of SIP message failed (192.0.2.99:5/1)",
            b"} <script>: REGISTER from 192.0.2.99 blocked because UserAgent '",
        )
        liar = net.clients[0].v4
        with (
            Kamailio(
                net, modules=SECFILTER, checks=AS_IN_ITS_MANUAL, tables={"secfilter": SECFILTER_ROWS}, defines=defines
            ),
            Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
            Probe(net, liar) as probe,
        ):
            for lie in forged:
                for tail in (b"", b"d" * 9000, b"\r\n " + b"d" * 20000):
                    for agent in (b"x' or 1=1;--" + lie + tail, b"friendly-scanner" + lie):
                        probe.register(b"alice", call_id=b"x" + lie + tail, agent=agent, wait=0)
                        probe.register(b"alice", call_id=b"x" + lie, agent=agent, wait=0)
                        probe.register(b"alice" + lie, call_id=b"1@lab", agent=agent, wait=0)
                    probe.send(b"REGISTER sip:x" + lie + tail + b" SIP/2.0\r\nFrom: x\r\n\r\n")
                    assert sip_register(net, "alice", "correct horse", source=net.clients[3].v4) == [401, 200]
            assert sip_register(net, "alice", "battery staple", source=net.clients[1].v4) == [401, 401]
            guard.until(lambda: guard.attempts(net.clients[1].v4) == 1, "the attempt that came last")
            assert set(guard.attackers()) <= {liar, net.clients[1].v4, net.clients[3].v4}
            assert guard.attempts(liar) > 0


class TestCoturn:
    @pytest.fixture
    def net(self, tmp_path: Path) -> Iterator[Net]:
        """A server on which coturn is installed."""
        with Net(tmp_path / "net", image=image("coturn")) as one:
            share_python(one.server)
            yield one

    @pytest.fixture
    def coturn(self, net: Net, syslog: Syslog) -> Iterator[Coturn]:
        with Coturn(net) as one:
            yield one

    @pytest.mark.parametrize("family", ["v4", "v6"])
    def test_sessions_that_are_never_let_in_end_in_a_ban_of_turn_alone(
        self, net: Net, coturn: Coturn, tmp_path: Path, family: str
    ) -> None:
        attacker, neighbour, scanner = (getattr(client, family) for client in net.clients[:3])
        with Guard(net.server, tmp_path / "guard", policy=POLICY) as guard, closing(listener(net, OTHER)):
            assert coturn.login(attacker, "alice", net.accounts["alice"])
            coturn.knock(scanner)
            for account in ("alice", "nobody-here", "alice"):
                assert not coturn.login(attacker, account, "wrong")
            guard.until(lambda: guard.attempts(attacker) == 3 and causes(guard, scanner), "the attempts")
            assert guard.bans() == []
            assert causes(guard, attacker) == ["wrong password"] * 3 and causes(guard, scanner) == ["probe"]
            assert not coturn.login(attacker, "alice", "wrong again")
            ban = guard.until(lambda: guard.enforced(target_of(attacker)), "the ban")
            assert (ban.service, ban.author) == ("turn", "rule:standard")
            assert not coturn.login(attacker, "alice", net.accounts["alice"])
            assert not reaches(net, attacker, coturn.port) and reaches(net, attacker, OTHER)
            assert coturn.login(neighbour, "alice", net.accounts["alice"])
            assert guard.attempts(neighbour) == 0


def security(second: float, address: str) -> str:
    """An event of Asterisk's security log, each of another call."""
    family = "IPV6" if ":" in address else "IPV4"
    return (
        f'SECURITY[25564] res_security_log.c: SecurityEvent="InvalidAccountID",EventTV="2026-11-21T19:54:23.515+0000",'
        f'Severity="Error",Service="PJSIP",EventVersion="1",AccountID="100",SessionID="{second}@lab",'
        f'LocalAddress="{family}/UDP/198.51.100.1/5060",RemoteAddress="{family}/UDP/{address}/5071"'
    )


IAX = "NOTICE[25547] chan_iax2.c: Host {address} failed MD5 authentication for '8001' (aa != bb)"
AMI = "NOTICE[3] manager.c: {address} failed to authenticate as 'admin'"
FREESWITCH = (
    "98.33% [WARNING] sofia_reg.c:1842 SIP auth failure (REGISTER) on sofia profile 'internal' for [1@h] "
    "from ip {address}"
)
ESL = '98.33% [WARNING] mod_event_socket.c:2680 IP {address} Rejected by acl "loopback.auto"'
YATE = "ringfence: auth failed address={address} port=5060 proto=UDP cause=wrong-password account=1001"


class TestLogsOfOthers:
    """Servers that Debian 12 does not have: their lines, in the logs where they write them, close what they serve."""

    @pytest.mark.parametrize("family", ["v4", "v6"])
    @pytest.mark.parametrize(
        ("log", "line", "service", "closed", "open_port"),
        [
            ("asterisk/messages", IAX, "iax", ("udp", 4569), 5060),
            ("asterisk/messages", AMI, "ami", ("tcp", 5038), 5060),
            ("asterisk/security", None, "sip", ("udp", 5060), 4569),
            ("freeswitch/freeswitch.log", FREESWITCH, "sip", ("udp", 5080), 8021),
            ("freeswitch/freeswitch.log", ESL, "esl", ("tcp", 8021), 5060),
            ("yate", YATE, "sip", ("udp", 5060), 4569),
        ],
        ids=["iax", "ami", "asterisk", "freeswitch", "esl", "yate"],
    )
    def test_the_ban_closes_that_service_and_leaves_others_open(
        self, net: Net, tmp_path: Path, family: str, log: str, line: str | None, service: str,
        closed: tuple[str, int], open_port: int,
    ) -> None:  # fmt: skip
        attacker, neighbour = (getattr(client, family) for client in net.clients[:2])
        path = net.server.log / log
        path.parent.mkdir(exist_ok=True)
        with (
            path.open("a", buffering=1) as file,
            Guard(net.server, tmp_path / "guard", policy=POLICY) as guard,
            closing(Door(net, *closed)) as door,
            closing(Door(net, "udp", open_port)) as other,
        ):
            for number in range(4):
                text = security(number, attacker) if line is None else line.format(address=attacker)
                stamp = time.strftime("%F %T", time.gmtime())
                mark = {"yate": f"{time.time():.6f}", "freeswitch/freeswitch.log": f"{stamp}.123456"}
                file.write(f"{mark.get(log, f'[{stamp}]')} {text}\n")
                guard.until(lambda: guard.attempts(attacker) == number + 1, "the attempt")  # noqa: B023
                assert number == 3 or door.lets_in(attacker)
            ban = guard.until(lambda: guard.enforced(target_of(attacker)), "the ban")
            assert ban.service == service
            assert not door.lets_in(attacker) and door.lets_in(neighbour) and other.lets_in(attacker)


class Door:
    """A port of the server behind which somebody listens, UDP or TCP."""

    def __init__(self, net: Net, transport: str, port: int) -> None:
        self._net, self._transport, self._port = net, transport, port
        with net.server.entered():
            kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
            self._socket = socket.socket(socket.AF_INET6, kind)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind(("::", port))
        self._socket.settimeout(0.3)
        if transport == "tcp":
            self._socket.listen()

    def lets_in(self, source: str) -> bool:
        """Whether a datagram or a connection from `source` arrives."""
        if self._transport == "tcp":
            return reaches(self._net, source, self._port)
        with self._net.client.entered():
            caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
        with closing(caller):
            caller.bind((source, 0))
            caller.sendto(b"knock", (self._net.v6 if ":" in source else self._net.v4, self._port))
        try:
            return self._socket.recv(100) == b"knock"
        except TimeoutError:
            return False

    def close(self) -> None:
        self._socket.close()
