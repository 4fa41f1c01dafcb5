"""Addresses that are never banned because they are ours: this machine's own, and those an administrator works from.

Nothing here asks the network: a login whose remote host is a name is left out, for names can be forged by whoever
owns the reverse zone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import psutil

SSH_VARIABLES = (b"SSH_CONNECTION=", b"SSH_CLIENT=")
MAX_ANCESTORS = 32
"""How far up from a caller we look for the session it belongs to."""

LOOPBACK = ("127.0.0.0/8", "::1/128")


def canonical(text: str) -> str | None:
    """`text` as an address in canonical spelling (no zone, IPv4-mapped as IPv4), or None when it is not an address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def own_addresses() -> frozenset[str]:
    """The addresses of this machine's interfaces, in canonical spelling."""
    found: set[str] = set()
    try:
        interfaces = psutil.net_if_addrs()
    except (OSError, psutil.Error):
        return frozenset()
    for addresses in interfaces.values():
        found.update(filter(None, (canonical(entry.address) for entry in addresses)))
    return frozenset(found)


def administrators() -> frozenset[str]:
    """The remote addresses of the login sessions that are open now (from utmp)."""
    try:
        hosts = [user.host for user in psutil.users() if user.host]
    except (OSError, psutil.Error):
        return frozenset()
    return addresses_of_hosts(hosts)


def addresses_of_hosts(hosts: Iterable[str]) -> frozenset[str]:
    """The addresses among utmp host fields such as "192.0.2.7", "192.0.2.7:S.0" (screen), "tmux(311).%0" or "pc7"."""
    found: set[str] = set()
    for host in hosts:
        address = canonical(host) or canonical(host.split(":S.")[0]) or canonical(host.strip("[]"))
        if address is not None:
            found.add(address)
    return frozenset(found)


def ssh_client(pid: int) -> str | None:
    """The address of the SSH client that process `pid` was started from, if it or one of its parents tells.

    sudo and su drop the variables, therefore the parents are asked too; whatever can't be read is passed over.
    """
    for _ in range(MAX_ANCESTORS):
        if pid <= 1:
            return None
        address = _client_in_environment(pid)
        if address is not None:
            return address
        pid = _parent(pid)
    return None


def _client_in_environment(pid: int) -> str | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for variable in variables:
        if variable.startswith(SSH_VARIABLES):
            words = variable.partition(b"=")[2].decode("ascii", "replace").split()
            return canonical(words[0]) if words else None
    return None


def _parent(pid: int) -> int:
    """The parent of `pid` from /proc/PID/stat (proc(5)); 0 when the process is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        return int(after_name.split()[1])
    except (OSError, ValueError, IndexError):
        return 0
