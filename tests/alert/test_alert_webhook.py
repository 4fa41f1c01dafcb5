"""Web hooks: signed, never redirected, and told for what they answered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from alert_sending import MESSAGE, NOW, Certificate, Marked
from alert_sending import certificate as make

from ringfence.alert.channels import payload, send_channel
from ringfence.alert.declared import ChannelSettings
from ringfence.alert.message import Outcome
from ringfence.alert.webhook import judged, post, signature

KEY = "a shared key"
BODY = payload(MESSAGE, "7")
PATH = "/hooks/T0K3N-in-the-path?token=S3CR3T-in-the-query"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Hook:
    """An HTTP server of one answer; keeps what it was sent."""

    def __init__(self, answer: str | Behaviour = "200 OK", body: bytes = b"", *, more: str = "") -> None:
        self._answer = answer
        self._body = body
        self._more = more
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.heard = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((first, headers, body))
        if callable(self._answer):
            await self._answer(reader, writer)
        else:
            length = f"Content-Length: {len(self._body)}\r\n"
            writer.write(f"HTTP/1.1 {self._answer}\r\n{length}{self._more}\r\n".encode() + self._body)
            await writer.drain()
        writer.close()


async def posted(hook: Hook, *, tls: ssl.SSLContext | None = None, mark: Marked | None = None, **more: Any) -> Outcome:
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}{PATH}"
    try:
        return await post(url, KEY, "7", BODY, mark or Marked(), **({"timeout": 5.0, "now": NOW} | more))
    finally:
        server.close()


def test_a_hook_gets_the_event_signed_and_can_tell_it_from_any_other() -> None:
    hook = Hook("204 No Content")
    mark = Marked()
    outcome = asyncio.run(posted(hook, mark=mark))
    assert outcome.state == "sent" and re.fullmatch(r"localhost:\d+: 204 No Content", outcome.answer)
    assert mark.count == 1
    ((first, headers, body),) = hook.requests
    assert first == f"POST {PATH} HTTP/1.1" and headers["content-type"] == "application/json"
    assert json.loads(body) == {"id": "7", "kind": "rule", "address": "192.0.2.1"}
    assert (headers["ringfence-id"], headers["ringfence-timestamp"]) == ("7", str(int(NOW)))
    signed = headers["ringfence-timestamp"].encode() + b"." + body
    assert headers["ringfence-signature"] == "v1=" + hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()


def test_the_signature_is_of_time_and_body_under_the_key() -> None:
    """A value worked out with openssl: printf '1.{}' | openssl dgst -sha256 -hmac key."""
    assert signature(b"{}", "key", "1") == "v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
    assert len({signature(b"{}", "key", "1"), signature(b"{}", "key", "2"), signature(b"{}", "kex", "1")}) == 3


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, "sent"), (202, "sent"), (301, "failed"), (400, "failed"), (401, "failed"), (404, "failed"), (410, "failed"),
     (408, "later"), (425, "later"), (429, "later"), (500, "later"), (502, "later"), (503, "later"), (599, "later")],
)  # fmt: skip
def test_the_status_says_what_came_of_it(status: int, state: str) -> None:
    assert judged(status) == state
    assert asyncio.run(posted(Hook(f"{status} Said"))).state == state


def test_the_reason_is_told_and_neither_key_nor_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    said = f"no\r\n such \x1b[31m hook T0K3N-in-the-path S3CR3T-in-the-query {KEY} {PATH}".encode() + b"x" * 1_000_000
    outcome = asyncio.run(posted(Hook("400 Bad Request", said)))
    assert outcome.state == "failed" and "400 Bad Request no such \\x1b[31m hook *** *** *** " in outcome.answer
    assert len(outcome.answer) <= 400 and "T0K3N" not in outcome.answer and "S3CR3T" not in outcome.answer
    assert "T0K3N" not in caplog.text and KEY not in caplog.text


def test_a_redirect_is_not_followed() -> None:
    other = Hook()

    async def there() -> Outcome:
        server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
        where = f"Location: http://127.0.0.1:{server.sockets[0].getsockname()[1]}/\r\n"
        outcome = await posted(Hook("307 Temporary Redirect", more=where))
        server.close()
        return outcome

    assert asyncio.run(there()).state == "failed" and other.requests == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert asyncio.run(posted(Hook())).state == "sent"


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def gone(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mx.example.org ESMTP\r\n")


@pytest.mark.parametrize("behaviour", [silent, gone, nonsense])
def test_without_an_answer_it_is_unclear(behaviour: Behaviour) -> None:
    mark = Marked()
    outcome = asyncio.run(posted(Hook(behaviour), timeout=2, mark=mark))
    assert (outcome.state, mark.count) == ("unclear", 1), outcome


def test_an_answer_counts_even_when_its_rest_never_comes() -> None:
    hook = Hook("503 Busy", more="Transfer-Encoding: chunked\r\n")
    assert asyncio.run(posted(hook)).state == "later"


def test_nobody_there_is_later() -> None:
    mark = Marked()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}{PATH}"
        outcome = asyncio.run(post(url, KEY, "7", BODY, mark, timeout=5.0, now=NOW))
    assert (outcome.state, mark.count) == ("later", 0) and "T0K3N" not in outcome.answer
    for url in ("http://nowhere.invalid/T0K3N", "http://[/T0K3N", "http://a b/T0K3N", "ftp://a/T0K3N", "T0K3N"):
        outcome = asyncio.run(post(url, KEY, "7", BODY, mark, timeout=5.0, now=NOW))
        assert (outcome.state, mark.count) == ("later", 0) and "T0K3N" not in outcome.answer, outcome


def test_what_somebody_else_has_taken_is_not_posted() -> None:
    hook = Hook()
    outcome = asyncio.run(posted(hook, mark=Marked(answer=False)))
    assert outcome.state == "later" and "taken by another" in outcome.answer and hook.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificate"))


def test_only_a_hook_with_a_right_certificate_is_told(certificate: Certificate) -> None:
    hook, mark = Hook(), Marked()
    outcome = asyncio.run(posted(hook, tls=certificate.served(), mark=mark))
    assert (outcome.state, mark.count) == ("later", 0) and "the certificate is not right" in outcome.answer
    trusting = ssl.create_default_context(cafile=str(certificate.file))
    assert asyncio.run(posted(hook, tls=certificate.served(), verify=trusting)).state == "sent"
    assert len(hook.requests) == 1


def test_a_channel_of_that_type_is_told_so() -> None:
    hook = Hook()

    async def there() -> Outcome:
        server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
        channel = ChannelSettings(name="hook", type="webhook")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcome = await send_channel(channel, url, "", MESSAGE, "7", Marked(), now=NOW)
        server.close()
        return outcome

    assert asyncio.run(there()).state == "sent"
    ((_, headers, _),) = hook.requests
    assert "ringfence-signature" not in headers, "without a key nothing is signed"
