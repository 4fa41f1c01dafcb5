"""A real Kamailio with the documented ringfence.cfg, and real SIP logins by sipp."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

from .machine import Machine, stop, until
from .net import Net

HERE = Path(__file__).parent
FRAGMENT = HERE.parents[2] / "docs" / "kamailio" / "ringfence.cfg"

_TABLES = Path("/usr/share/kamailio/dbtext/kamailio")
_STATUS = re.compile(r"message received .*?^SIP/2\.0 (\d{3}) ", re.DOTALL | re.MULTILINE)


class Kamailio:
    """Kamailio inside the server on UDP and TCP, IPv4 and IPv6, logging to the syslog's local0.

    It runs lab/kamailio.cfg, which includes docs/kamailio/ringfence.cfg as a user would. `accounts` (name to
    password) default to those of the server. `defines` are written in front of the fragment, as `#!define NAME`;
    `modules` (loadmodule, modparam) and `checks` (the beginning of request_route) are added to the configuration,
    `tables` are rows of further tables of its database in text, which begin as Debian's package has them.
    """

    def __init__(
        self, net: Net, accounts: dict[str, str] | None = None, *, port: int = 5060, defines: tuple[str, ...] = (),
        modules: str = "", checks: str = "", tables: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.port = port
        folder = net.server.root / f"kamailio_{port}"
        self._write(folder, net, net.accounts if accounts is None else accounts, defines)
        _extend(folder, modules, checks, tables or {})
        run = ["-Y", str(folder), "-P", str(folder / "pid"), "-m", "16", "-M", "4"]
        self._process = net.server.popen(
            ["kamailio", "-DD", "-f", str(folder / "kamailio.cfg"), *run],
            stdout=(folder / "output").open("wb"),
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        self._output = folder / "output"
        until(lambda: self._listening(net.server), what=f"Kamailio on port {port}")

    def _write(self, folder: Path, net: Net, accounts: dict[str, str], defines: tuple[str, ...]) -> None:
        (folder / "accounts").mkdir(parents=True)
        shutil.copy(HERE / "kamailio.cfg", folder)
        (folder / "ringfence.cfg").write_text("".join(f"#!define {name}\n" for name in defines) + FRAGMENT.read_text())
        hosts = (net.v4, f"[{net.v6}]")
        listen = [f"listen={proto}:{host}:{self.port}\n" for host in hosts for proto in ("udp", "tcp")]
        (folder / "listen.cfg").write_text("".join(listen))
        rows = "".join(f"{name}:ringfence.test:{password}\n" for name, password in accounts.items())
        (folder / "accounts" / "subscriber").write_text("username(string) domain(string) password(string)\n" + rows)
        (folder / "accounts" / "version").write_text("table_name(string) table_version(int)\nsubscriber:7\n")

    def _listening(self, machine: Machine) -> bool:
        assert self._process.poll() is None, f"Kamailio ended: {self._output.read_text()}"
        tables = (Path(f"/proc/{machine.pid}/net/{name}").read_text() for name in ("udp", "udp6", "tcp", "tcp6"))
        return all(f":{self.port:04X} " in table for table in tables)

    def close(self) -> None:
        """End the server and its children."""
        stop(self._process)

    def __enter__(self) -> Kamailio:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _extend(folder: Path, modules: str, checks: str, tables: dict[str, str]) -> None:
    """Add to the configuration in `folder`, in front of what is there."""
    path = folder / "kamailio.cfg"
    text = path.read_text().replace('include_file "ringfence.cfg"', f'{modules}\ninclude_file "ringfence.cfg"')
    text = text.replace("request_route {", f"request_route {{\n{checks}", 1)
    path.write_text(text.replace("text://accounts", f"text://{folder}/accounts"))
    for name, rows in tables.items():
        (folder / "accounts" / name).write_text((_TABLES / name).read_text().splitlines()[0] + "\n" + rows)
    if tables:
        shutil.copy(_TABLES / "version", folder / "accounts")


class StockKamailio:
    """Kamailio with the configuration that Debian installs, unchanged but for `defines` such as WITH_ANTIFLOOD."""

    def __init__(self, net: Net, *, defines: tuple[str, ...] = ()) -> None:
        folder = net.server.root / "kamailio_stock"
        folder.mkdir()
        self._output = folder / "output"
        command = ["kamailio", "-DD", "-f", "/etc/kamailio/kamailio.cfg", "-Y", "/run", "-P", str(folder / "pid")]
        for name in defines:
            command += ["-A", name]
        for host in (net.v4, f"[{net.v6}]"):
            command += ["-l", f"udp:{host}:5060", "-l", f"tcp:{host}:5060"]
        self._process = net.server.popen(
            [*command, "-m", "16", "-M", "4"], stdout=self._output.open("wb"), stderr=subprocess.STDOUT, cwd=folder
        )
        until(lambda: self._listening(net.server), what="Kamailio's ports")

    def _listening(self, machine: Machine) -> bool:
        assert self._process.poll() is None, f"Kamailio ended: {self._output.read_text()}"
        tables = (Path(f"/proc/{machine.pid}/net/{name}").read_text() for name in ("udp", "udp6", "tcp", "tcp6"))
        return all(":13C4 " in table for table in tables)

    def close(self) -> None:
        """End the server and its children."""
        stop(self._process)

    def __enter__(self) -> StockKamailio:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def sip_register(
    net: Net,
    user: str,
    password: str,
    *,
    transport: Literal["udp", "tcp"] = "udp",
    source: str | None = None,
    port: int = 5060,
    calls: int = 1,
    seconds: float = 1.5,
) -> list[int]:
    """Register by sipp, `calls` times one after the other, and return the status codes that came back, in order.

    A right password gives [401, 200] for each call, a wrong one [401, 401], silence within `seconds` (blocked) [].
    `source` is one of the clients' addresses and decides between IPv4 and IPv6.
    """
    source = source or net.clients[0].v4
    server = f"[{net.v6}]" if ":" in source else net.v4
    folder = Path(tempfile.mkdtemp(dir=net.client.root))
    wait = str(round(seconds * 1000))
    command = ["sipp", f"{server}:{port}", "-sf", str(HERE / "register.xml"), "-i", source, "-s", user]
    command += ["-au", user, "-ap", password, "-t", "t1" if transport == "tcp" else "u1"]
    command += ["-m", str(calls), "-l", "1", "-r", "1000", "-nostdin", "-recv_timeout", wait]
    command += ["-timeout", f"{seconds * (calls + 1):.0f}s"]
    command += ["-trace_msg", "-message_file", str(folder / "messages"), "-message_overwrite", "true"]
    try:
        net.client.run(command, check=False, cwd=folder, timeout=seconds * (calls + 2) + 10)
        messages = folder / "messages"
        return [int(code) for code in _STATUS.findall(messages.read_text())] if messages.exists() else []
    finally:
        shutil.rmtree(folder)
