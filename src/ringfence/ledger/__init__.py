"""The truth, in SQLite.

Receives events, verdicts and read positions (all three committed in one transaction) and people's commands.
Returns the bans to put into and take out of the kernel, and every list and number that is shown to people.
Owns the database file: tables in `schema.sql`, statements in `queries.sql`.
May import `model` and `errors`; of what stands left of it (sense, parse, detect) it needs nothing.
"""

from ringfence.ledger.facts import (
    AlertingRevision,
    AuditEntry,
    BanChange,
    BanLine,
    Condition,
    Delivery,
    Invitation,
    Mute,
    Pending,
    PolicyRevision,
    Recorded,
    RecordedVerdict,
    ReportMark,
    ServiceStatistics,
    Size,
    Token,
    Told,
    UnbanRequest,
    User,
)
from ringfence.ledger.store import Ledger
from ringfence.ledger.trials import Trial

__all__ = [
    "AlertingRevision",
    "AuditEntry",
    "BanChange",
    "BanLine",
    "Condition",
    "Delivery",
    "Invitation",
    "Ledger",
    "Mute",
    "Pending",
    "PolicyRevision",
    "Recorded",
    "RecordedVerdict",
    "ReportMark",
    "ServiceStatistics",
    "Size",
    "Token",
    "Told",
    "Trial",
    "UnbanRequest",
    "User",
]
