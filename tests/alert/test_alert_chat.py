"""Chats by Apprise: told for what it says, never with the key, never holding anybody up."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import apprise
import pytest
from alert_sending import MESSAGE, NOW, Marked
from msgspec import structs

from ringfence.alert.channels import secrets_of, send_channel
from ringfence.alert.chat import send_to_chat
from ringfence.alert.declared import ChannelSettings
from ringfence.alert.message import Outcome
from ringfence.errors import SettingsError

SECRET = "T0K3N-which-is-secret"


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Apprise reads all its plugins at its first URL, which takes its time and is not what is measured here."""
    assert apprise.Apprise().add("json://127.0.0.1/")


class Receiver:
    """An HTTP server that Apprise's json:// posts to; `status` as text, "" for silence."""

    def __init__(self, status: str = "200 OK") -> None:
        self._status = status
        self.bodies: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        if not self._status:
            await asyncio.Event().wait()
        writer.write(f"HTTP/1.1 {self._status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


async def told(receiver: Receiver, mark: Marked, timeout: float = 10.0) -> Outcome:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    url = f"json://127.0.0.1:{server.sockets[0].getsockname()[1]}/{SECRET}/"
    channel = ChannelSettings(name="chat", type="apprise", timeout=timeout)
    message = structs.replace(MESSAGE, grave=True)
    try:
        return await send_channel(channel, url, "", message, "7", mark, now=NOW)
    finally:
        server.close()


def test_apprise_delivers_subject_and_text() -> None:
    receiver, mark = Receiver(), Marked()
    assert asyncio.run(told(receiver, mark)) == Outcome(state="sent", answer="Apprise (json): delivered")
    (body,) = receiver.bodies
    assert (body["title"], body["type"], mark.count) == (MESSAGE.subject, "warning", 1)
    assert body["message"].split() == MESSAGE.text.split()


def test_what_apprise_could_not_deliver_is_tried_again_and_its_key_is_told_to_nobody(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    outcome = asyncio.run(told(Receiver("500 Not now"), Marked()))
    assert outcome == Outcome(state="later", answer="Apprise (json): could not deliver")
    assert SECRET not in capfd.readouterr().err and SECRET not in caplog.text


def test_time_is_limited_and_what_nobody_knows_is_unclear() -> None:
    begun = time.monotonic()
    outcome = asyncio.run(told(Receiver(""), Marked(), timeout=1.0))
    assert outcome == Outcome(state="unclear", answer="Apprise (json): no answer within 1 s")
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("url", ["nonsense://" + SECRET, SECRET, "json://", "", "://", "json://[" + SECRET])
def test_a_url_that_apprise_does_not_know_is_final_and_not_shown(url: str) -> None:
    mark = Marked()
    outcome = asyncio.run(send_to_chat(url, MESSAGE, mark, timeout=10))
    assert (outcome.state, mark.count) == ("failed", 0) and SECRET not in outcome.answer


def test_what_somebody_else_has_taken_is_not_delivered() -> None:
    receiver = Receiver()
    outcome = asyncio.run(told(receiver, Marked(answer=False)))
    assert outcome.state == "later" and "taken by another" in outcome.answer and receiver.bodies == []


def test_a_plugin_that_fails_badly_does_not_tell_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError(f"json://{SECRET}")

    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    outcome = asyncio.run(send_to_chat("json://127.0.0.1/", MESSAGE, Marked(), timeout=10))
    assert outcome == Outcome(state="unclear", answer="Apprise (json): failed with RuntimeError")


def test_without_apprise_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    mark = Marked()
    outcome = asyncio.run(send_to_chat(f"json://{SECRET}", MESSAGE, mark, timeout=10))
    assert (outcome.state, mark.count) == ("failed", 0)
    assert outcome.answer == "Apprise (json): needs Apprise: pip install 'ringfence[chat]'"


def test_a_channels_secrets_are_taken_from_their_files(tmp_path: Path) -> None:
    """Where there are none, what stands in the settings is meant."""
    (tmp_path / "url").write_text("https://hooks.example.org/x\nsecond line\n")
    (tmp_path / "key").write_text("  a key \n")
    plain = ChannelSettings(name="hook", type="webhook", url="http://a", secret="b")
    assert secrets_of(plain) == ("http://a", "b")
    files = structs.replace(plain, url_file=tmp_path / "url", secret_file=tmp_path / "key")
    assert secrets_of(files) == ("https://hooks.example.org/x", "a key")
    with pytest.raises(SettingsError, match=r"channel.* hook url_file .*none: can't be read"):
        secrets_of(structs.replace(plain, url_file=tmp_path / "none"))


def test_a_channel_that_is_a_program_runs_it() -> None:
    channel = ChannelSettings(name="program", type="command", command=("/bin/cat",))
    outcome = asyncio.run(send_channel(channel, "", "", MESSAGE, "7", Marked(), now=NOW))
    assert outcome == Outcome(state="sent", answer='/bin/cat: done: {"id":"7","kind":"rule","address":"192.0.2.1"}')


def test_nobody_pays_for_parts_that_are_not_used() -> None:
    """Neither Apprise nor the HTTP client is loaded before something is sent through them."""
    program = "import ringfence.alert.channels, sys; print({'apprise', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_thread_that_hangs_does_not_keep_the_program_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(apprise.Apprise, "notify", lambda *_, **__: hanging.wait(20))
    assert asyncio.run(send_to_chat("json://127.0.0.1/", MESSAGE, Marked(), timeout=0.2)).state == "unclear"
    (left,) = [thread for thread in threading.enumerate() if thread.name == "apprise"]
    assert left.daemon
    hanging.set()
    left.join(5)
    assert logging.getLogger("apprise").propagate is False
