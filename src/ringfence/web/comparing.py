"""The question of a what-if, put together from what the page knows: the ledger, the whitelist, our own addresses."""

from __future__ import annotations

from ringfence.answers import AllowRow
from ringfence.errors import RingfenceError
from ringfence.own import administrators, own_addresses
from ringfence.web.texts import seconds_of
from ringfence.web.web import Web
from ringfence.whatif_judging import Entry, Job


def job_of(web: Web, before: str, after: str, days: float) -> Job:
    """How would policy `after` have judged the last `days`, unlike `before` (both TOML)?"""
    try:
        rows = web.guard.ask_for_page(list[AllowRow], "whitelist")
    except RingfenceError:  # the guard is away: then without the addresses that it found for host names
        rows = [AllowRow.of(entry) for entry in web.readers.ledger().whitelist(web.clock())]
    protected = {*web.settings.protect.addresses, *administrators()}
    return Job(
        ledger=str(web.settings.ledger.path.absolute()), before=before, after=after, days=days, now=web.clock(),
        whitelist=(*map(_entry, rows), *(Entry(target=one, addresses=(one,)) for one in sorted(protected))),
        own=tuple(sorted(own_addresses())), capacity=web.settings.detector.capacity,
    )  # fmt: skip


def _entry(row: AllowRow) -> Entry:
    return Entry(
        target=row.target, service=row.service, note=row.note, author=row.author,
        created=seconds_of(row.created) or 0.0, expires=seconds_of(row.expires), addresses=row.addresses,
    )  # fmt: skip
