"""The thin layer over libnftables, the C library behind the `nft` command, called in-process through ctypes.

A fork of `nft` costs milliseconds, a call of the library some ten microseconds. The library is loaded when the
first `Nft` is made, so that `scan` and monitor mode run without it. Interface: libnftables(3).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import socket
from pathlib import Path
from typing import Final

from ..errors import EnforceError

LIBRARY: Final = "libnftables.so.1"
NETLINK_NETFILTER: Final = 12
CAP_NET_ADMIN: Final = 12

_SHOWN = 400
NO_RIGHT = (
    "the kernel refuses changes of nftables: this process lacks CAP_NET_ADMIN; run as root, or give the systemd "
    "unit AmbientCapabilities=CAP_NET_ADMIN"
)
OWNED = (
    "the kernel refuses changes of nftables although this process has CAP_NET_ADMIN: another program owns table inet "
    'ringfence ("flags owner" in `nft list ruleset`), or this container may not change the firewall'
)


class Nft:
    """One libnftables context, bound to the network namespace of the thread that made it.

    Every `run` is one transaction: the kernel takes all its commands or none.
    """

    def __init__(self) -> None:
        self._library = _load()
        _need_netlink()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise EnforceError(f"{LIBRARY} can't be initialised: out of memory?")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self.run("list tables")  # gives the socket its port, by which the monitor knows our own changes

    def run(self, commands: str, flags: int = 0) -> str:
        """Carry out `commands` (the language of nft(8)) as one transaction; returns what they print.

        Raises `EnforceError` with nft's own first words when the kernel or nft refuses; nothing is changed then.
        """
        library, context = self._library, self._context
        library.nft_ctx_output_set_flags(context, flags)
        failed = library.nft_run_cmd_from_buffer(context, commands.encode())
        output = bytes(library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
        error = bytes(library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace")
        if failed:
            raise EnforceError(_explain(error))
        return output

    def check(self, commands: str) -> None:
        """Let nft and the kernel judge `commands` without carrying them out; raises `EnforceError`."""
        self._library.nft_ctx_set_dry_run(self._context, True)
        try:
            self.run(commands)
        finally:
            self._library.nft_ctx_set_dry_run(self._context, False)

    def close(self) -> None:
        """Give the context and its socket back; the object is of no use afterwards."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self.close()


def usable() -> str | None:
    """None when this process may enforce, else the reason and what to do, in one sentence."""
    try:
        if not may_administer():
            _load()
            return NO_RIGHT
        nft = Nft()
        try:
            nft.check("add table inet ringfence")
        finally:
            nft.close()
    except EnforceError as error:
        return str(error)
    return None


def forbidden() -> str:
    """Why the kernel said EPERM, and what to do."""
    return OWNED if may_administer() else NO_RIGHT


def may_administer() -> bool:
    """Whether this thread holds CAP_NET_ADMIN, by `CapEff` of proc(5)."""
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return False


@functools.cache
def _load() -> ctypes.CDLL:
    """The library with its prototypes declared; a missing one is told with its Debian package."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise EnforceError(
            f"{LIBRARY} is missing, so nothing can be blocked: install the Debian package libnftables1 "
            "(apt-get install libnftables1)"
        ) from error
    context = ctypes.c_void_p
    prototypes: dict[str, tuple[object, list[object]]] = {
        "nft_ctx_new": (context, [ctypes.c_uint32]),
        "nft_ctx_free": (None, [context]),
        "nft_ctx_buffer_output": (ctypes.c_int, [context]),
        "nft_ctx_buffer_error": (ctypes.c_int, [context]),
        "nft_ctx_get_output_buffer": (ctypes.c_char_p, [context]),
        "nft_ctx_get_error_buffer": (ctypes.c_char_p, [context]),
        "nft_ctx_output_set_flags": (None, [context, ctypes.c_uint]),
        "nft_ctx_set_dry_run": (None, [context, ctypes.c_bool]),
        "nft_run_cmd_from_buffer": (ctypes.c_int, [context, ctypes.c_char_p]),
    }
    for name, (result, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _need_netlink() -> None:
    """libnftables ends the whole process when it can't open its socket, so we try that ourselves before."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()
    except OSError as error:
        raise EnforceError(
            f"no netlink socket to the firewall ({error.strerror}): the kernel lacks nf_tables, or the systemd unit's "
            "RestrictAddressFamilies lacks AF_NETLINK"
        ) from error


def _explain(error: str) -> str:
    """nft's message in one line; the lines that quote our commands can be megabytes long and are left out."""
    first = error[:_SHOWN].partition("\n")[0].strip() or "no reason given"
    if "Operation not permitted" in first:
        return forbidden()
    return f"nftables refused a change: {first}"
