"""The country and the network of an address, where the settings name a database of them (MaxMind DB format 2.0).

A file that is missing or broken is told as a notice; the pages do without it. A newer file is taken up by itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

import maxminddb
from msgspec import Struct

LOOK_AGAIN: Final = 60.0
"""Seconds after which it is looked whether the file was replaced."""


class Place(Struct, frozen=True):
    """Where an address is from: `code` and `country` (either may be empty), and the `network` it belongs to."""

    code: str
    country: str
    network: str = ""


class Countries:
    """Looks addresses up in the database at `path`; without one, nothing is known. For any thread.

    `trouble` says why nothing is known though a database is set.
    """

    def __init__(self, path: Path | None) -> None:
        self.trouble = ""
        self._path = path
        self._reader: Any = None
        self._mark: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._follow()

    @property
    def known(self) -> bool:
        """Whether there is a database."""
        return self._path is not None

    def of(self, target: str) -> Place | None:
        """The place of an address, or of the first address of a network; None when it is not known."""
        if self._path is None:
            return None
        if time.monotonic() >= self._look_at:
            self._follow()
        if self._reader is None:
            return None
        try:
            found = self._reader.get(target.partition("/")[0])
        except ValueError:  # no address
            return None
        except maxminddb.InvalidDatabaseError as error:
            self._fails(f"is broken: {error}")
            return None
        return place_of(found) if isinstance(found, dict) else None

    def _follow(self) -> None:
        """Open the file, or the new one that took its place."""
        self._look_at = time.monotonic() + LOOK_AGAIN
        if self._path is None:
            return
        try:
            state = self._path.stat()
            mark = (state.st_ino, state.st_size, state.st_mtime_ns)
            if mark == self._mark:
                return
            self._mark = mark
            self._reader = maxminddb.open_database(os.fspath(self._path))
            self.trouble = ""
        except OSError as error:
            self._fails(f"can't be read: {error.strerror or error}")
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            self._fails(f"is no database of this kind: {error}")

    def _fails(self, why: str) -> None:
        self.trouble = f"[web] countries = {self._path}: {why}; addresses are shown without country and network"


def place_of(record: dict[str, Any]) -> Place | None:
    """What a record tells, in the words of the usual databases: GeoLite2 and GeoIP2, DB-IP, IPinfo."""
    country = record.get("country") or record.get("registered_country") or {}
    if isinstance(country, dict) and (country or "country_code" not in record):
        code, name = _text(country.get("iso_code")), _text(_dict(country.get("names")).get("en"))
    else:
        code, name = _text(record.get("country_code") or country), _text(record.get("country_name") or country)
    number = record.get("autonomous_system_number")
    system = f"AS{number}" if isinstance(number, int) else _text(record.get("asn"))
    owner = _text(record.get("autonomous_system_organization") or record.get("as_name") or record.get("organization"))
    network = " ".join(filter(None, (system, owner)))
    return Place(code, name, network) if code or name or network else None


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:80] if isinstance(value, str) else ""
