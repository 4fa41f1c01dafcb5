"""Makes a new ledger file, and looks at an existing one before anything may be written to it.

A file that is not ours, corrupt or of a newer version is refused and stays as it is. The first look reads the header
only (SQLite file format, section 1.3): the magic, `user_version` at offset 60, `application_id` at offset 68.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ringfence.errors import LedgerError
from ringfence.ledger.sql import MIGRATIONS, SCHEMA

APPLICATION_ID: Final = 0x52464E43  # "RFNC"
VERSION: Final = 3
OLDEST: Final = 1
"""The oldest version that can be brought up to date."""
CHECKED_WHOLE: Final = 16 << 20
"""Bytes up to which a file is checked page by page at opening; above, only its header and its tables are looked at."""

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER: Final = 100
_ADVICE: Final = "move it away to begin a new one, or restore it from a backup; it was left as it is"


def ensure_file(path: Path) -> None:
    """Make an empty ledger (mode 0640) where there is none, with its directory; check the one that is there.

    Raises LedgerError, with `refused` when the file must not be used.
    """
    try:
        if not path.exists():
            _create(path)
            return
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"{path}: can't make the ledger: {error}; check directory, owner and room") from error
    version = check_header(path, oldest=OLDEST)
    _check_content(path)
    if version < VERSION:
        _migrate(path, version)


def check_header(path: Path, *, oldest: int = VERSION) -> int:
    """The version of a ledger that this program can use; down to `oldest`, as far as it can be brought up to date.

    Raises LedgerError when the file does not begin like such a ledger.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise LedgerError(f"{path}: can't read the ledger: {error}; check its owner and rights") from error
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise LedgerError(f"{path}: not an SQLite database, or damaged; {_ADVICE}", refused=True)
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise LedgerError(f"{path}: a database of another program; {_ADVICE}", refused=True)
    version = int.from_bytes(header[60:64], "big")
    check_version(path, version, oldest=oldest)
    return version


def _create(path: Path) -> None:
    """Written under another name and renamed when complete, so that a kill never leaves half a ledger."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    for leftover in (new, new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640))
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.executescript(
            f"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = {APPLICATION_ID};"
            f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT; PRAGMA journal_mode = WAL;"
        )
    finally:
        connection.close()
    new.rename(path)


def _migrate(path: Path, version: int) -> None:
    """Bring a ledger of an earlier version up to date: all steps in one transaction, so a kill leaves the old one."""
    steps = "".join(MIGRATIONS[f"to_{number}"] for number in range(version + 1, VERSION + 1))
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise LedgerError(
            f"{path}: can't be brought from version {version} to {VERSION}: {error}; it was left as it is; "
            "check its disk and that no other guard uses it"
        ) from error


def check_version(path: Path, version: int, *, oldest: int = VERSION) -> None:
    """Raise LedgerError(refused) unless this program can use a ledger of `version`."""
    if not oldest <= version <= VERSION:
        raise LedgerError(
            f"{path}: a ledger of version {version}, this program knows version {VERSION}; "
            f"use the program that wrote it, or {_ADVICE}",
            refused=True,
        )


def _check_content(path: Path) -> None:
    """Through a read-only connection, which never writes to the file; without a log left over from a kill beside it
    not even the log's files are made."""
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if path.stat().st_size <= CHECKED_WHOLE:
                fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if fault != "ok":
                    raise LedgerError(f"{path}: the ledger is damaged ({fault}); {_ADVICE}", refused=True)
            if not {"event", "ban", "position"} <= tables:
                raise LedgerError(f"{path}: the ledger lacks its tables; {_ADVICE}", refused=True)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise LedgerError(f"{path}: the ledger is damaged ({error}); {_ADVICE}", refused=True) from error
        raise LedgerError(f"{path}: can't read the ledger: {error}; check owner, rights and room") from error


def sync(path: Path) -> None:
    """Bring what was committed to the disk. For a thread: it waits for the disk. Raises LedgerError."""
    try:
        descriptor = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LedgerError(
            f"{path}: it is done, but may be undone by a power cut: the write-ahead log could not be brought to the "
            f"disk: {error.strerror}; check its disk"
        ) from error


def checkpoint(path: Path) -> None:
    """Carry what the write-ahead log holds into the file, from a connection of its own and without holding up anybody.

    For a thread: it waits for the disk. What fails is left to the next time, or to the writer.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error:
        return
