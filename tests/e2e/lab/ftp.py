"""FTP clients: Python's own, and one that writes what it is told, however wrong."""

from __future__ import annotations

import ftplib
import socket
from collections.abc import Sequence
from contextlib import closing

from .machine import until
from .net import Net


def ftp_try(net: Net, account: str, password: str, *, source: str, seconds: float = 3.0) -> bool:
    """Log in by `ftplib` from `source` and out again; False when refused and as well when nothing answers."""
    with net.client.entered():
        client = ftplib.FTP(timeout=seconds)
        try:
            client.connect(net.v6 if ":" in source else net.v4, 21, source_address=(source, 0))
            client.login(account, password)
            client.quit()
        except ftplib.all_errors:
            return False
        finally:
            client.close()
    return True


def ftp_say(
    net: Net, source: str, commands: Sequence[bytes], *, wait: bool = True, linger: bool = False, seconds: float = 5.0
) -> list[str]:
    """One connection in which `commands` are sent as they are (each with its line end added); the answers' first lines.

    With `wait` each is sent after the answer to the one before; without, all at once, and the connection is closed
    as soon as the greeting has come. With `linger` the end is the server's: what it says last is an answer too.
    A server that hangs up ends the conversation.
    """
    with net.client.entered():
        caller = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    with closing(caller):
        caller.settimeout(seconds)
        caller.bind((source, 0))
        caller.connect((net.v6 if ":" in source else net.v4, 21))
        answers = [_answer(caller)]
        try:
            if not wait:
                caller.sendall(b"".join(command + b"\r\n" for command in commands))
                return answers
            for command in commands:
                caller.sendall(command + b"\r\n")
                answers.append(_answer(caller))
            while linger and answers[-1]:
                answers.append(_answer(caller))
        except OSError:
            pass
    return answers


def _answer(caller: socket.socket) -> str:
    """The last line of one answer (RFC 959 section 4.2: its number is followed by a blank); empty at the end."""
    data = b""
    while True:
        piece = caller.recv(4096)
        data += piece
        lines = data.decode("latin-1").split("\r\n")
        if not piece:
            return ""
        if lines[-1] == "" and len(lines) > 1 and lines[-2][3:4] == " ":
            return lines[-2]


def listens(pid: int, port: int) -> bool:
    """Whether something in the network of process `pid` accepts TCP connections on `port`."""
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as lines:
            if any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines):
                return True
    return False


def until_listens(pid: int, port: int) -> None:
    """Wait for a server's port."""
    until(lambda: listens(pid, port), what=f"something on port {port}")
