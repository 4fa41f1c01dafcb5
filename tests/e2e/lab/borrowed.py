"""Client programs of the server's image on the client's side of the cable, each with a source address of choice.

Most database clients can't be told which address to come from: a route to the server decides it for them, or a wire.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

from .machine import die_with_parent
from .net import Net


def run_as(net: Net, source: str, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `command` with the server's files in the client's network, coming from `source`; never raises for its code.

    It ends after 12 seconds unless `timeout` says otherwise (then with code 124). Options as for `subprocess.run`.
    """
    family, server, bits = ("-6", net.v6, 128) if ":" in source else ("-4", net.v4, 32)
    net.client.run(["ip", family, "route", "replace", f"{server}/{bits}", "dev", "wire", "src", source])
    inside = ["nsenter", "--target", str(net.server.pid), "--mount", "--uts", "--root", "--wdns=/"]
    settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 12, "errors": "replace"}
    settings.update(options)
    whole = [*inside, f"--net=/proc/{net.client.pid}/ns/net", "--", *command]
    try:
        return subprocess.run(whole, preexec_fn=die_with_parent, **settings)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(whole, 124, "", "")


class Wire:
    """A connection of a real network: what the client says first arrives `delay` seconds after its connection does.

    Clients on the client machine connect to 127.0.0.1, `port`; the server sees `source` connect to its port `to`.
    """

    def __init__(self, net: Net, source: str, to: int, delay: float) -> None:
        self._net, self._source, self._to, self._delay = net, source, to, delay
        with net.client.entered():
            net.client.run(["ip", "link", "set", "lo", "up"])
            self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            with self._net.client.entered():
                server = socket.socket(socket.AF_INET6 if ":" in self._source else socket.AF_INET)
            with server:
                server.bind((self._source, 0))
                server.connect((self._net.v6 if ":" in self._source else self._net.v4, self._to))
                time.sleep(self._delay)
                threading.Thread(target=_copy, args=(server, client), daemon=True).start()
                _copy(client, server)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()


def _copy(giver: socket.socket, taker: socket.socket) -> None:
    """Hand over what is said until nothing more is, and say that it ended."""
    with contextlib.suppress(OSError):
        while data := giver.recv(65536):
            taker.sendall(data)
        taker.shutdown(socket.SHUT_WR)
