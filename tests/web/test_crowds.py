"""Who is slow on purpose, or many at once, takes nothing from the others."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard_process import GuardProcess
from ringfence.settings import load_settings
from ringfence.web.patience import Patient
from web_site import Site, free_port, lines_of

READERS = 200


class Hasty(Patient):
    """The same protocol with less patience, so that tests need not wait for it."""

    whole = 0.4
    of_one = 40


@pytest.fixture(scope="module")
def hasty(guard: GuardProcess) -> Iterator[Site]:
    found = Site(guard, free_port(load_settings(Path(guard.config), {}, is_root=True)), Hasty)
    try:
        yield found
    finally:
        found.stop()


def connect(site: Site) -> socket.socket:
    host, port = site.base.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def ended(connection: socket.socket) -> bool:
    """Whether the server hangs up before the test's patience ends."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /login HT",
        b"GET /login HTTP/1.1\r\nHost: x\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncsrf=",
        b"GET /login HTTP/1.1\r\nHost: x\r\n\r\nGET /login HT",
        b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncsrf=\r\n",
    ],
    ids=["silent", "first line", "headers", "body", "second request", "chunks"],
)
def test_a_request_that_never_ends_is_cut_within_its_time(hasty: Site, beginning: bytes) -> None:
    with connect(hasty) as connection:
        begun = time.monotonic()
        connection.sendall(beginning)
        assert ended(connection)
        assert time.monotonic() - begun < 5


def test_a_request_that_drips_byte_by_byte_is_cut_too(hasty: Site) -> None:
    """Each byte comes well in time; the whole does not."""
    with connect(hasty) as connection:
        connection.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            for _ in range(200):
                connection.sendall(b"a")
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1 << 16):
                        return
        with pytest.raises(OSError):
            connection.sendall(b"a" * 1000)
            connection.sendall(b"a" * 1000)


def test_who_takes_their_time_after_the_request_was_whole_is_not_cut(hasty: Site) -> None:
    """The stream of changes lasts as long as the reader likes."""
    browser = hasty.browser("viewer")
    with browser.client.stream("GET", "/live") as stream:
        lines = lines_of(stream)
        assert next(lines) == "retry: 3000"
        time.sleep(2 * Hasty.whole)
        hasty.web.live._versions["status"] = hasty.web.live._versions.get("status", 0) + 1
        hasty.guard.write("a line\n")
        assert any("changed" in line or "here" in line for line in lines)


def test_one_address_has_only_so_many_connections(hasty: Site) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(Hasty.of_one):
            stack.enter_context(connect(hasty))
        begun = time.monotonic()
        assert ended(stack.enter_context(connect(hasty)))
        assert time.monotonic() - begun < Hasty.whole
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if hasty.client().get("/login").status_code == 200:
                return
    raise AssertionError("once they have gone, others get in again")


def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(site: Site) -> None:
    with connect(site) as connection:
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"a" * 8192)
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(1 << 16)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert ended(connection)


def test_two_hundred_readers_at_once_hear_of_a_change_while_pages_still_answer(site: Site) -> None:
    browser = site.browser("viewer")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    request = f"GET /live HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connect(site)) for _ in range(READERS)]
        for reader in readers:
            reader.sendall(request)
        for reader in readers:
            assert b"200 OK" in until(reader, b"retry: 3000")
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            assert browser.client.get("/audit").status_code == 200
            took.append(time.perf_counter() - begun)
        assert sorted(took)[10] < 0.25
        site.guard.ask(dict, "allow", target="198.51.100.77", seconds=60.0)
        for reader in readers:
            assert b"whitelist" in until(reader, b"whitelist")
        assert site.web.live.streams >= READERS
    end = time.monotonic() + 30
    while site.web.live.streams and time.monotonic() < end:
        site.guard.ask(dict, "allow", target="198.51.100.77", seconds=60.0)
        time.sleep(0.2)
    assert site.web.live.streams == 0


def until(reader: socket.socket, text: bytes) -> bytes:
    """What comes up to `text`."""
    found = b""
    while text not in found:
        part = reader.recv(1 << 16)
        assert part, found
        found += part
    return found


def test_a_stream_ends_with_the_login(site: Site) -> None:
    browser = site.browser("viewer")
    with browser.client.stream("GET", "/live") as stream:
        lines = lines_of(stream)
        assert next(lines) == "retry: 3000"
        site.web.sessions.close_all(browser.name)
        site.guard.ask(dict, "allow", target="198.51.100.78", seconds=60.0)
        assert "event: ended" in lines


def test_bytes_that_are_no_request_are_no_fault(site: Site) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01", b"\0" * 100, b"GET\r\n\r\n", b"BREW /pot HTCPCP/1.0\r\n\r\n"):
        with connect(site) as connection:
            connection.sendall(junk)
            answer = connection.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 4") or answer == b""
