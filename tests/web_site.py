"""The page as it runs: a real guard, the real application behind a real socket, and clients that are logged in."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn

from guard_process import GuardProcess
from ringfence.passwords import hash_password
from ringfence.people_answers import NewToken, UserRow
from ringfence.settings import Settings
from ringfence.web.app import make_app
from ringfence.web.patience import Patient
from ringfence.web.process import listen, server_config
from ringfence.web.web import Web

PASSWORD = "four words are enough"
HASH = hash_password(PASSWORD)
HERE = "203.0.113.200"
"""Where clients look from unless they say otherwise: named by a proxy, since loopback can never be banned."""
NUMBERS = itertools.count(1)
"""Users of all sites of this process, which may share a guard."""
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Site:
    """The page over one guard. `web` are its parts, `base` its address."""

    def __init__(self, guard: GuardProcess, settings: Settings, http: type[Patient] = Patient) -> None:
        self.guard = guard
        self.settings = settings
        self.web = Web(settings)
        self.app = make_app(self.web)
        self._listener = listen(settings)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = server_config(self.app, settings, http)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)

    def seen(self, address: str) -> int:
        """How many attempts of `address` the page knows of."""
        row = self.web.readers.ledger().listed_attacker(address)
        return row.attempts if row is not None else 0

    def client(self, address: str = HERE) -> httpx.Client:
        """A browser at `address` that is not logged in."""
        return httpx.Client(base_url=self.base, headers={"x-forwarded-for": address}, timeout=30)

    def user(self, role: str, **more: Any) -> str:
        """A new user of `role`, whose password is PASSWORD; returns the name."""
        name = f"{role}{next(NUMBERS)}"
        self.guard.ask(UserRow, "add_user", name=name, role=role, password_hash=HASH, **more)
        return name

    def browser(self, role: str = "administrator", address: str = HERE, **more: Any) -> Browser:
        """A browser that is logged in as a new user of `role`."""
        name = self.user(role, **more)
        client = self.client(address)
        secret, session = self.web.sessions.open(name, address, self.web.clock())
        client.cookies.set(self.web.cookie, secret)
        return Browser(client, name, session.csrf)

    def token(self, role: str = "administrator", scope: str = "write", **more: Any) -> httpx.Client:
        """A program with a token of a new user of `role`."""
        name = self.user(role)
        made = self.guard.ask(NewToken, "add_token", user=name, label="test", scope=scope, **more)
        client = self.client()
        client.headers["authorization"] = f"Bearer {made.secret}"
        return client


class Browser:
    """Who is logged in: `get` and `post` as forms of ours do it; follows redirects."""

    def __init__(self, client: httpx.Client, name: str, csrf: str) -> None:
        self.client = client
        self.name = name
        self.csrf = csrf

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, follow_redirects=True, **more)

    def post(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form and follow where it leads; a field may have several values."""
        return self.client.post(path, data={"csrf": self.csrf, **fields}, follow_redirects=True)

    def send(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form and go nowhere."""
        return self.client.post(path, data={"csrf": self.csrf, **fields})


def lines_of(answer: httpx.Response, within: float = 60.0) -> Iterator[str]:
    """The lines of a stream, which is never silent for long; fails when it goes on for more than so many seconds."""
    end = time.monotonic() + within
    for line in answer.iter_lines():
        yield line
        assert time.monotonic() < end, "the stream goes on, but what was waited for has not come"


def free_port(settings: Settings) -> Settings:
    """The same settings, listening on a port that is free."""
    import socket

    from msgspec import structs

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return structs.replace(settings, web=structs.replace(settings.web, listen=("127.0.0.1", port)))
