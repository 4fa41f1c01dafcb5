"""One small tree of exceptions. Every message says where, what and what to do; the cause is chained."""

from __future__ import annotations


class RingfenceError(Exception):
    """Anything that we tell the user in one sentence instead of a traceback."""


class SettingsError(RingfenceError):
    """A settings or policy file can't be used: names file, key and the nearest known key."""


class CatalogueError(RingfenceError):
    """A catalogue file can't be used: names file, line and reason."""


class SensorError(RingfenceError):
    """A log or journal can't be read. `permanent` says that trying again is pointless."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class LedgerError(RingfenceError):
    """The database can't be opened or written. `refused` says it is corrupt or too new and was left untouched."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class EnforceError(RingfenceError):
    """The kernel did not take a change; nothing of it is in force."""


class RefusedError(RingfenceError):
    """A command is not carried out for a reason the user can overrule with --force."""


class NotFoundError(RingfenceError):
    """A command names something that does not exist."""


class UnreachableError(RingfenceError):
    """The guard does not answer on its socket."""
