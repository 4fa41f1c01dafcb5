"""`ringfence web`: listens, gives up every right, serves until told to stop.

In this order: the process that will start comparisons is forked, certificate, socket and everything that is loaded
from files come first, then the rights go, then the first request is read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ringfence import unprivileged
from ringfence.child import CHILD
from ringfence.errors import RingfenceError
from ringfence.settings import Settings, load_settings

BACKLOG: Final = 512
CONNECTIONS: Final = 1_200
"""Connections at once, over all clients; more are answered with 503."""


CLEAR: Final = (
    "passwords for the page travel unencrypted: set [web] certificate and key (`ringfence web --make-certificate` makes"
    " them), or put a proxy with TLS in front and name it in [web] proxies"
)


def main(arguments: list[str] | None = None) -> int:
    """The command `ringfence web`; returns the exit code. Raises RingfenceError."""
    parser = argparse.ArgumentParser(prog="ringfence web", description="Serve the administrator's page and the API.")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings file")
    parser.add_argument(
        "--make-certificate", metavar="NAME", nargs="?", const="",
        help="write a self-signed certificate for NAME (default: this machine) to [web] certificate and key, and stop",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    settings = load_settings(given.config, os.environ, is_root=os.geteuid() == 0)
    if given.make_certificate is not None:
        from ringfence.web.certificate import make_certificate

        return make_certificate(settings, given.make_certificate)
    serve(settings, os.environ)
    return 0


def serve(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until a signal says stop. Raises RingfenceError when it can't begin."""
    listener = listen(settings)
    with listener:
        from ringfence.web.workers import Nursery

        nursery = Nursery(unprivileged.identity(settings.web.user, settings.control.group))
        # Only now: what is imported takes longer than anything above, and a busy port should be told at once.
        import uvicorn

        from ringfence.web.app import make_app
        from ringfence.web.web import Web

        web = Web(settings)
        web.jobs.spawn = nursery.spawn
        app = make_app(web)
        config = server_config(app, settings)
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise RingfenceError(f"{settings.web.certificate}: the certificate can't be used: {error}") from error
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        asyncio.run(warm(app))
        give_up(settings, environ)
        if in_the_clear(settings):
            print(f"problem: {CLEAR}", flush=True)
        print(f"page {settings.web.base}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def in_the_clear(settings: Settings) -> bool:
    """Whether other machines can read what is sent to the page."""
    local = ipaddress.ip_address(settings.web.listen[0]).is_loopback
    return not (local or settings.web.secure or settings.web.proxies)


def server_config(app: Any, settings: Settings, protocol: Any = None) -> Any:
    """How `app` is served: no name of the server, no log of requests, limits; `protocol`: else `Patient`."""
    import uvicorn

    from ringfence.web.patience import Patient

    return uvicorn.Config(
        app, http=protocol or Patient, ws="none", loop="asyncio", lifespan="on", log_config=None, access_log=False,
        server_header=False, date_header=True, proxy_headers=False, limit_concurrency=CONNECTIONS,
        backlog=BACKLOG, timeout_keep_alive=20, timeout_graceful_shutdown=2,
        ssl_certfile=settings.web.certificate, ssl_keyfile=settings.web.key,
    )  # fmt: skip


def listen(settings: Settings) -> socket.socket:
    """A listening socket at `[web] listen`. Raises RingfenceError."""
    host, port = settings.web.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY) instead of 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise RingfenceError(
            f"[web] listen = {host} port {port}: {error.strerror}; stop what listens there, or set another port"
        ) from error
    return listener


async def warm(app: Any) -> None:
    """Ask for some pages before rights are given up: whatever is loaded late is loaded now, while it can be read."""
    app.state.web.description.json(app)
    for path in ("/login", "/favicon.ico", "/healthz", "/api/v1/openapi.json", "/missing"):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
            "client": ("127.0.0.1", 0), "server": ("127.0.0.1", 0), "state": {},
        }  # fmt: skip
        with contextlib.suppress(Exception):  # no guard, no ledger: it is about the loading
            await app(scope, _nothing, _ignore)


async def _nothing() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignore(message: object) -> None:
    pass


def give_up(settings: Settings, environ: Mapping[str, str]) -> None:
    """Have no right any more but to read the ledger and to ask the guard. Raises RingfenceError."""
    who = unprivileged.identity(settings.web.user, settings.control.group)
    unprivileged.drop(who)
    parent = environ.get(CHILD, "")
    if parent.isdigit():
        unprivileged.end_with(int(parent))
    folder = settings.ledger.path.parent
    if not os.access(folder, os.X_OK):
        print(f"problem: {folder} is closed to user {os.geteuid()}, so the page can't read the ledger", flush=True)


if __name__ == "__main__":
    from ringfence.cli import main as entry

    sys.exit(entry(["web", *sys.argv[1:]]))
