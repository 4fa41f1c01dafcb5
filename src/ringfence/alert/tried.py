"""Which accounts an address tried before a rule fired: looked up when somebody reads the warning."""

from __future__ import annotations

from typing import Final

from ringfence.ledger import Ledger
from ringfence.model import Alert

ACCOUNTS: Final = 20


def accounts_tried(ledger: Ledger, alert: Alert, *, events: int) -> tuple[str, ...]:
    """At most 20 of them, the last one first, among the newest `events` of the address; none for other warnings."""
    address, since = alert.facts.get("address"), alert.facts.get("since")
    if alert.kind != "rule" or not isinstance(address, str) or not isinstance(since, float | int):
        return ()
    tried = [
        event.account
        for _, event in ledger.events_of(address, limit=events)
        if event.failed and event.account and event.service == alert.service and since <= event.time <= alert.time
    ]
    return tuple(dict.fromkeys(tried))[:ACCOUNTS]
