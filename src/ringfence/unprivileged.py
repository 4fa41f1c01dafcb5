"""Giving up rights: whose rights the processes beside the guard have, and how they take them on for good.

Started by root they become a user of their own, without groups that are not meant for it; in any case they lose every
capability and can never gain one again (capabilities(7), prctl(2)). Linux only.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import signal
import sys
from pathlib import Path
from typing import Final, NamedTuple

from ringfence.errors import RingfenceError

UNUSED: Final = 65527
"""A user and group number that systemd and Debian leave unused (systemd's "Users, Groups, UIDs and GIDs")."""

_SET_PDEATHSIG: Final = 1
_SET_NO_NEW_PRIVS: Final = 38
_CAP_AMBIENT: Final = 47
_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522


class Identity(NamedTuple):
    """A user and the group that may read the ledger and use the control socket."""

    uid: int
    gid: int


def identity(user: str, group: str) -> Identity | None:
    """Who the processes beside the guard become: None where nobody can become another (we are not root)."""
    if os.geteuid() != 0:
        return None
    uid = number_of(user)
    uid = UNUSED if uid is None else uid
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        gid = UNUSED
    return Identity(uid, gid)


def number_of(user: str) -> int | None:
    """The number of `user`, None where there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def share(ledger: Path, reader: Identity | None) -> None:
    """Let the reader's group read the ledger and its folder, where we are root and own them."""
    if reader is None:
        return
    beside = [ledger.with_name(ledger.name + end) for end in ("", "-wal", "-shm")]
    try:
        for path in [ledger.parent, *beside]:
            # Only what is ours alone: a folder that others share (/tmp) keeps its group.
            if path.exists() and path.stat().st_uid == 0 and not path.stat().st_mode & 0o002:
                os.chown(path, -1, reader.gid)
    except OSError as error:
        raise RingfenceError(f"{ledger}: can't be made readable for the page: {error.strerror}") from error


def drop(wanted: Identity | None, *, gain: bool = False) -> None:
    """Become `wanted` (None: stay who we are) without any capability, for good. Raises RingfenceError.

    `gain`: programs that it runs may still gain rights by their set-user-ID and set-group-ID bits.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if wanted is not None and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(wanted.gid, wanted.gid, wanted.gid)
            os.setresuid(wanted.uid, wanted.uid, wanted.uid)
        _call(libc, "prctl", _CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        if not gain:
            _call(libc, "prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        none = (ctypes.c_uint32 * 6)()
        _call(libc, "capset", ctypes.byref(header), ctypes.byref(none))
    except OSError as error:
        raise RingfenceError(f"rights can't be given up: {error.strerror}; nothing is started with more") from error


def end_with(parent: int) -> None:
    """Ask the kernel to end us when the process `parent` ends, however that happens; at once if it is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def give_back() -> None:
    """Return to the system what only the start needed, where the C library can do that: malloc_trim(3)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _call(libc: ctypes.CDLL, name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
