"""Web servers, proved like every other server; and what a client may write into their logs.

A page that is shown is not recorded (see http-access.toml), so unlike with other services no successes are expected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from lab import Net, Syslog, missing
from lab.apache import Apache, ApacheDigest
from lab.http import basic, http_digest, http_get, http_raw, nonce_of
from lab.lighttpd import Lighttpd
from lab.nginx import Nginx
from proof import POLICY, target_of
from proof import prove as prove_as_others
from webproof import PASSWORDS, PATIENT, VICTIM, machine, prove, settle, strangers, told, until_told

from guard import Guard

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing() or "runs")]

BOTH_LOGS = """
[[source]]
files = ["/var/log/nginx/error.log"]
kind = ["http-nginx-error"]
"""
FORGED_NGINX = (
    f'2026/11/21 23:45:00 [error] 7#7: *1 user "x": password mismatch, client: {VICTIM}, server: _, '
    'request: "GET / HTTP/1.1", host: "x"'
)
FORGED_ACCESS = f'{VICTIM} - bob [21/Nov/2026 23.45.00 +0000] "GET / HTTP/1.1" 401 179 "-" "-"'
HOSTILE = (
    f'x" was not found in "y", client{VICTIM}, server',
    f"{VICTIM} - alice",
    f"x\n{FORGED_ACCESS}\ny",
    f"{VICTIM} x\r\n",
    f"x IP {VICTIM}",
    "x\x00\x1b[31m\x07",
    "\xff\xfe",
    'q"\\b',
    "- [",
    "\\",
    "b" * 3000,
)
"""Account names, none with a colon: that ends the name in the header."""


@pytest.fixture
def nginx_net(tmp_path: Path) -> Iterator[Net]:
    """A machine with nginx installed."""
    with machine(tmp_path / "net", "nginx") as net:
        yield net


@pytest.fixture
def apache_net(tmp_path: Path) -> Iterator[Net]:
    """A machine with Apache installed."""
    with machine(tmp_path / "net", "apache2", "apache2-utils") as net:
        yield net


@pytest.fixture
def lighttpd_net(tmp_path: Path) -> Iterator[Net]:
    """A machine with lighttpd installed."""
    with machine(tmp_path / "net", "lighttpd") as net:
        yield net


# --- nginx


def test_nginx_counts_each_attempt_once_and_is_closed_by_a_ban(nginx_net: Net, tmp_path: Path) -> None:
    with Nginx(nginx_net) as server, Guard(nginx_net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(nginx_net, guard, server, {"wrong password"})


def test_nginx_tells_of_successes_as_well_when_it_is_set_up_as_its_note_says(nginx_net: Net, tmp_path: Path) -> None:
    """The very lines of the catalogue's note."""
    note = tomllib.loads((resources.files("ringfence.catalogue") / "http-nginx.toml").read_text())["note"]
    users, form, log = re.findall(r"^`(map .*|log_format .*|access_log .*)`", note, re.MULTILINE)
    nginx_net.server.path("/var/log/ringfence").mkdir()
    private = f"{log} access_log /var/log/nginx/access.log combined;"
    guard = Guard(nginx_net.server, tmp_path / "guard", policy=POLICY)
    with Nginx(nginx_net, before=f"{users}\n{form}", private=private) as server, guard:
        prove_as_others(nginx_net, guard, server)


def test_nginx_read_by_both_its_logs_counts_each_attempt_once(nginx_net: Net, tmp_path: Path) -> None:
    """Many in the same second, for two accounts, and forbidden pages among them."""
    net = nginx_net
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT, settings=BOTH_LOGS) as guard:
        for source in (net.clients[0].v4, net.clients[1].v6):
            for number in range(12):
                assert not server.login(source, "alice" if number % 3 else "bob", "wrong")
                if number % 2:
                    assert http_get(net, source, "/denied/").status == 403
            until_told(guard, source, 18)
        settle(guard, net, server)
        for source in (net.clients[0].v4, net.clients[1].v6):
            found = told(guard, source)
            assert found.total() == 18, found
            assert found["wrong password"] + found["unknown account"] == 12
            assert found["forbidden"] == 6


def test_nginx_through_syslog_is_believed_and_tells_of_limits(nginx_net: Net, tmp_path: Path) -> None:
    """The error log sent to syslog: unknown accounts have their own cause, and limit_req's refusals are told of."""
    net, source = nginx_net, nginx_net.clients[0].v4
    extra = "error_log syslog:server=unix:/dev/log,nohostname error; access_log off; location /static/ { }"
    guard = Guard(net.server, tmp_path / "guard", policy=PATIENT)
    with Syslog(net.server), Nginx(net, extra=extra) as server, guard:
        assert not server.login(source, "alice", "wrong")
        assert not server.login(source, "nobody-here", "wrong")
        assert [http_get(net, source, "/slow/").status for _ in range(3)] == [200, 503, 503]
        assert http_get(net, source, "/static/x%0A" + FORGED_NGINX.replace(" ", "%20")).status == 404
        settle(guard, net, server)
        assert told(guard, source) == {"wrong password": 1, "unknown account": 1, "too many attempts": 2}
        assert not strangers(guard, net, source)


def test_nginx_names_that_lie_are_counted_for_who_sent_them(nginx_net: Net, tmp_path: Path) -> None:
    net, source = nginx_net, nginx_net.clients[0].v4
    guard = Guard(net.server, tmp_path / "guard", policy=PATIENT)
    with Nginx(net, extra="location /static/ { }") as server, guard:
        for name in HOSTILE:
            assert not server.login(source, name, "wrong")
        lies = {"User-Agent": f'" 401 0 "-" "-" "{VICTIM}"', "Referer": f'x", client: {VICTIM}', "Host": VICTIM}
        assert http_get(net, source, "/private/", lies, authorization=basic("alice", "wrong")).status == 401
        assert http_get(net, source, "/static/x%0A" + FORGED_NGINX.replace(" ", "%20")).status == 404
        assert http_get(net, source, "/", {"X": "a" * 60_000}).status == 400
        settle(guard, net, server)
        assert told(guard, source) == {"wrong password": len(HOSTILE) + 1, "probe": 1}
        assert not strangers(guard, net, source)


def test_nginx_names_that_lie_in_both_logs_count_once(nginx_net: Net, tmp_path: Path) -> None:
    net, source = nginx_net, nginx_net.clients[0].v4
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT, settings=BOTH_LOGS) as guard:
        for name in HOSTILE:
            assert not server.login(source, name, "wrong")
        settle(guard, net, server)
        settle(guard, net, server)
        found = told(guard, source)
        assert found["wrong password"] + found["unknown account"] == found.total() == len(HOSTILE), found
        assert not strangers(guard, net, source)


def test_browsing_is_no_attack(nginx_net: Net, tmp_path: Path) -> None:
    """A browser is challenged, mistypes once, then reads; health checks come and go; a few things are missing."""
    net, source, health = nginx_net, nginx_net.clients[0].v4, nginx_net.clients[2].v6
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=PASSWORDS) as guard:
        right = basic("alice", net.accounts["alice"])
        assert http_get(net, source, "/private/").status == 401
        assert not server.login(source, "alice", "corect horse")
        for _ in range(20):
            assert http_get(net, source, "/private/", authorization=right).status == 200
            assert http_get(net, source, "/").status == 200
        for name in ("favicon.ico", "apple-touch-icon.png", "apple-touch-icon-precomposed.png", "robots.txt", "x.map"):
            assert http_get(net, source, "/" + name).status == 404
        for _ in range(10):
            assert http_get(net, health, "/", method="HEAD").status == 200
            http_raw(net, health, b"")
            assert http_get(net, health, "/", {"Host": ""}).status in (200, 400)
        settle(guard, net, server)
        assert told(guard, source) == {"wrong password": 1, "probe": 6}
        assert not told(guard, health)
        assert guard.ban_of(source) is None


def test_attempts_in_one_connection_count_each(nginx_net: Net, tmp_path: Path) -> None:
    """Ten requests sent at once, without waiting for an answer; the connection is cut before most answers came."""
    net = nginx_net
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT, settings=BOTH_LOGS) as guard:
        one = f"GET /private/ HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('alice', 'wrong')}\r\n\r\n".encode()
        whole = http_raw(net, net.clients[0].v4, one * 10, seconds=5)
        assert whole.count(b"HTTP/1.1 401 ") == 10
        http_raw(net, net.clients[1].v6, one * 10, seconds=0.001)
        settle(guard, net, server)
        logged = server.access.read_text().count(f"{net.clients[1].v6} - alice ")
        assert told(guard, net.clients[0].v4).total() == 10
        assert told(guard, net.clients[1].v6).total() == logged > 0


def test_by_the_default_policy_a_scanner_is_kept_out_and_a_visitor_is_not(nginx_net: Net, tmp_path: Path) -> None:
    net, scanner, visitor = nginx_net, nginx_net.clients[0].v4, nginx_net.clients[1].v4
    policy = (resources.files("ringfence") / "default-policy.toml").read_text()
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=policy) as guard:
        for number in range(30):
            assert http_get(net, visitor, f"/img/{number}.png").status == 404
            assert http_get(net, visitor, "/private/").status == 401
        assert not server.login(visitor, "alice", "mistyped")
        for number in range(300):
            assert http_get(net, scanner, f"/{number}.php").status == 404
        ban = guard.until(lambda: guard.enforced(scanner), "the ban")
        assert (ban.service, ban.author) == ("http", "rule:probing")
        assert guard.ban_of(visitor) is None
        assert server.login(visitor, "alice", net.accounts["alice"])


def test_scans_of_a_web_server_are_probes(nginx_net: Net, tmp_path: Path) -> None:
    """Missing and forbidden pages, TLS and nonsense on the plain port: recorded apart from passwords."""
    net, source = nginx_net, nginx_net.clients[1].v6
    with Nginx(net) as server, Guard(net.server, tmp_path / "guard", policy=PASSWORDS) as guard:
        for number in range(30):
            assert http_get(net, source, f"/wp-content/plugins/{number}.php").status == 404
        for _ in range(3):
            assert http_get(net, source, "/denied/").status == 403
        for _ in range(10):
            assert http_get(net, source, "/private/").status == 401
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\n\n", b"garbage\r\n\r\n"):
            assert b" 400 " in http_raw(net, source, data)
        settle(guard, net, server)
        found = told(guard, source)
        assert found["forbidden"] == 3
        assert found["probe"] in (33, 34), "the ten challenges are one or two"
        assert guard.ban_of(target_of(source)) is None


@pytest.mark.parametrize("trusted", [True, False], ids=["proxy-named", "proxy-not-named"])
def test_behind_a_proxy_the_client_is_found_only_where_the_proxy_is_named(
    nginx_net: Net, tmp_path: Path, trusted: bool
) -> None:
    net = nginx_net
    proxy, stranger, client = net.clients[0].v4, net.clients[1].v4, "198.51.100.7"
    guard = Guard(net.server, tmp_path / "guard", policy=PATIENT)
    if trusted:
        guard.config.write_text(guard.config.read_text().replace("[logs]", f'[logs]\nproxies = ["{proxy}"]'))
    with Nginx(net, form="main") as server, guard:
        wrong = basic("alice", "wrong")
        for value in (client, f"{VICTIM}, {client}", f'x", {client}'):
            header = {"X-Forwarded-For": value}
            assert http_get(net, proxy, "/private/", header, authorization=wrong).status == 401
            assert http_get(net, stranger, "/private/", header, authorization=wrong).status == 401
        assert http_get(net, proxy, "/nope", {"X-Forwarded-For": client}).status == 404
        settle(guard, net, server)
        expected = {"wrong password": 3, "probe": 1}
        assert told(guard, client if trusted else proxy) == expected
        assert not told(guard, proxy if trusted else client)
        assert told(guard, stranger) == {"wrong password": 3}
        assert not strangers(guard, net, proxy, stranger, client)


def test_the_name_of_the_site_in_front_moves_no_address(nginx_net: Net, tmp_path: Path) -> None:
    """The format with the virtual host first, where a client chooses the host."""
    net, source = nginx_net, nginx_net.clients[0].v6
    with Nginx(net, form="vhosts") as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        for host in ("www.example.org", VICTIM, "[2001:db8:bad::99]", "x"):
            for name in ("alice", f"{VICTIM} - x"):
                answer = http_get(net, source, "/private/", {"Host": host}, authorization=basic(name, "wrong"))
                assert answer.status == 401
        settle(guard, net, server)
        assert told(guard, source) == {"wrong password": 8}
        assert not strangers(guard, net, source)


# --- Apache


@pytest.mark.parametrize("scheme", [Apache, ApacheDigest], ids=["basic", "digest"])
def test_apache_counts_each_attempt_once_and_is_closed_by_a_ban(
    apache_net: Net, tmp_path: Path, scheme: type[Apache]
) -> None:
    """Basic authentication with both its logs read, as they are by default."""
    # Each digest login begins with a request that is refused, which the access log tells of as a probe.
    form = "combined env=never" if scheme is ApacheDigest else "combined"
    guard = Guard(apache_net.server, tmp_path / "guard", policy=PASSWORDS)
    with scheme(apache_net, form=form) as server, guard:
        prove(apache_net, guard, server, {"wrong password", "unknown account"})


def test_apache_names_that_lie_are_counted_for_who_sent_them(apache_net: Net, tmp_path: Path) -> None:
    net, source = apache_net, apache_net.clients[0].v6
    with Apache(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        for name in HOSTILE:
            assert not server.login(source, name, "wrong")
        lies = {"Referer": f"x], [client {VICTIM}:5] AH01618: user bob not found: /", "User-Agent": FORGED_ACCESS}
        assert http_get(net, source, "/private/x%0Ay", lies, authorization=basic("alice", "wrong")).status == 401
        assert http_get(net, source, "/denied/", lies).status == 403
        settle(guard, net, server, logs=2)
        found = told(guard, source)
        assert found["wrong password"] + found["unknown account"] == len(HOSTILE) + 1
        assert found["forbidden"] == 1, "the error log's line and the access log's are one"
        assert found.total() == len(HOSTILE) + 2, found
        assert not strangers(guard, net, source)


def test_apache_read_for_passwords_by_both_its_logs_counts_each_attempt_once(apache_net: Net, tmp_path: Path) -> None:
    """The access log tells of passwords as well when it is named for that."""
    net, source = apache_net, apache_net.clients[0].v4
    named = BOTH_LOGS.replace("nginx/error.log", "apache2/access.log").replace("http-nginx-error", "http-nginx")
    with Apache(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT, settings=named) as guard:
        for name in (*HOSTILE, *(["alice"] * 5), "bob", "alice"):
            assert not server.login(source, name, "wrong")
        settle(guard, net, server)
        settle(guard, net, server)
        found = told(guard, source)
        assert found["wrong password"] + found["unknown account"] == found.total() == len(HOSTILE) + 7, found
        assert not strangers(guard, net, source)


@pytest.mark.parametrize("form", ["common", "vhost_combined", "forwarded"])
def test_the_access_log_of_apache_is_read_in_the_forms_it_has_names_for(
    apache_net: Net, tmp_path: Path, form: str
) -> None:
    net, source, wrong = apache_net, apache_net.clients[1].v6, {"X-Forwarded-For": VICTIM, "Host": VICTIM}
    with Apache(net, form=form) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        assert http_get(net, source, "/nope", wrong).status == 404
        assert http_get(net, source, "/denied/", wrong).status == 403
        assert http_get(net, source, "/../../etc/passwd", wrong).status == 400
        assert http_get(net, source, "/private/", wrong).status == 401
        settle(guard, net, server, logs=2)
        assert told(guard, source) == {"probe": 3, "forbidden": 1}
        assert not strangers(guard, net, source)


def test_an_expired_digest_is_no_attempt_and_a_right_password_without_permission_is(
    apache_net: Net, tmp_path: Path
) -> None:
    """After a restart of Apache all nonces are invalid: browsers log in anew by themselves."""
    net, source, staff = apache_net, apache_net.clients[0].v4, apache_net.clients[1].v4
    with Apache(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        right = net.accounts["alice"]
        nonce = nonce_of(http_get(net, source, "/digest/"))
        for _ in range(6):
            answer = http_digest(net, source, "/digest/", "alice", right, nonce=nonce[:-4] + "0000", realm="lab")
            assert answer.status == 401
        assert http_digest(net, source, "/digest/", "alice", right).status == 200
        assert http_get(net, staff, "/staff/", authorization=basic("alice", right)).status == 401
        settle(guard, net, server, logs=2)
        assert set(told(guard, source)) == {"probe"}
        assert told(guard, staff) == {"refused by acl": 1}


def test_apache_behind_a_proxy_believes_the_proxy_alone(apache_net: Net, tmp_path: Path) -> None:
    """By mod_remoteip, as the catalogue says: a stranger's header is not believed."""
    net = apache_net
    proxy, stranger, client = net.clients[0].v4, net.clients[1].v4, "198.51.100.7"
    net.server.run(["a2enmod", "-q", "remoteip"])
    extra = f"RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy {proxy}"
    with Apache(net, extra=extra) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        header, wrong = {"X-Forwarded-For": f"{VICTIM}, {client}"}, basic("alice", "wrong")
        assert http_get(net, proxy, "/private/", header, authorization=wrong).status == 401
        assert http_get(net, stranger, "/private/", header, authorization=wrong).status == 401
        settle(guard, net, server, logs=2)
        assert told(guard, stranger) == {"wrong password": 1}
        assert told(guard, client)["wrong password"] == 1


# --- lighttpd


def test_lighttpd_counts_each_attempt_once_and_is_closed_by_a_ban(lighttpd_net: Net, tmp_path: Path) -> None:
    with Lighttpd(lighttpd_net) as server, Guard(lighttpd_net.server, tmp_path / "guard", policy=POLICY) as guard:
        prove(lighttpd_net, guard, server, {"wrong password"})


def test_lighttpd_names_that_lie_are_counted_for_who_sent_them(lighttpd_net: Net, tmp_path: Path) -> None:
    net, source = lighttpd_net, lighttpd_net.clients[0].v4
    with Lighttpd(net) as server, Guard(net.server, tmp_path / "guard", policy=PATIENT) as guard:
        names = (f"x IP {VICTIM}", f"{VICTIM} - y", f"x\n2026-11-21 23.59.22 {VICTIM}")
        for name in names:
            assert not server.login(source, name, "wrong")
        settle(guard, net, server)
        assert told(guard, source) == {"wrong password": len(names)}
        assert not strangers(guard, net, source)
