"""What reading costs for each page of the administrator, from a ledger as a busy machine has it after a month."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench import web_ledger
from bench.tools import Result
from ringfence.ledger import Ledger
from ringfence.ledger.holders import AccountIndex
from ringfence.ledger.listed import AttackFilter, AttackSort, BanFilter, BanSort, EventFilter

HOUR: Final = 3600.0
DAY: Final = 86_400.0
ROUNDS: Final = 8
MILLISECONDS: Final = 1000
ATTACK_SORTS: Final[tuple[AttackSort, ...]] = ("attempts", "last_seen", "first_seen", "address")
BAN_SORTS: Final[tuple[BanSort, ...]] = ("since", "until", "target", "service")


def _attack_filters(now: float) -> dict[str, AttackFilter]:
    return {
        "all": AttackFilter(),
        "threatening": AttackFilter(level="threatening"),
        "harmless": AttackFilter(level="harmless"),
        "a frequent service": AttackFilter(service="ssh"),
        "a rare service": AttackFilter(service="rsync"),
        "last hour": AttackFilter(since=now - HOUR),
        "last day": AttackFilter(since=now - DAY),
        "before the last 29 days": AttackFilter(until=now - 29 * DAY),
        "part of an address": AttackFilter(text=".7."),
        "address that is not there": AttackFilter(text="nowhere"),
        "a /24": AttackFilter(network="1.70.7.0/24"),
        "a /8": AttackFilter(network="1.0.0.0/8"),
        "a /48": AttackFilter(network="2001:db8:1::/48"),
        "banned": AttackFilter(banned=True),
        "not banned": AttackFilter(banned=False),
        "account, frequent": AttackFilter(account="root"),
        "account, rare": AttackFilter(account="1234"),
        "harmless, ssh, not banned": AttackFilter(level="harmless", service="ssh", banned=False),
    }


def _ban_filters() -> dict[str, BanFilter]:
    return {
        "running": BanFilter(),
        "all": BanFilter(show="all"),
        "ended": BanFilter(show="ended"),
        "a frequent service": BanFilter(service="ssh"),
        "a rare service": BanFilter(service="rsync"),
        "wanted": BanFilter(state="wanted"),
        "by a rule": BanFilter(rule="standard"),
        "by hand": BanFilter(author="user:root"),
        "part of a target": BanFilter(text=".7."),
        "account, frequent": BanFilter(account="root"),
    }


def queries(ledger: Ledger, now: float, index: AccountIndex) -> dict[str, Callable[[], object]]:
    """Everything that pages ask, by name."""
    found: dict[str, Callable[[], object]] = {}
    for name, some in _attack_filters(now).items():
        for sort in ATTACK_SORTS:
            found[f"attacks: {name}, by {sort}"] = partial(ledger.attack_page, some, sort)
        found[f"attacks counted: {name}"] = partial(ledger.attack_count, some)
    for title, which in _ban_filters().items():
        for order in BAN_SORTS:
            found[f"bans: {title}, by {order}"] = partial(ledger.ban_page, which, order)
        found[f"bans counted: {title}"] = partial(ledger.ban_count, which)
    worst = ledger.attack_page(limit=1).rows[0].address
    mine = ["100", "1234", "user77@example.org"]
    return found | {
        "events of the worst address": lambda: ledger.event_page(worst),
        "events of an address, rare": lambda: ledger.event_page(worst, EventFilter(account="nowhere")),
        "newest events": ledger.event_page,
        "newest events, rare": lambda: ledger.event_page(None, EventFilter(account="nowhere")),
        "attempts, last hour by minute": lambda: ledger.attempts_by_minute(now - HOUR, now, 60),
        "attempts, last day by 5 minutes": lambda: ledger.attempts_by_minute(now - DAY, now, 300),
        "attempts, 30 days by hour": lambda: ledger.attempts_by_minute(now - 30 * DAY, now, 3600),
        "bans, 30 days by hour": lambda: ledger.bans_by_slot(now - 30 * DAY, now, 3600),
        "top attackers, last day": lambda: ledger.top_attackers(now - DAY),
        "top attackers, 30 days": lambda: ledger.top_attackers(now - 30 * DAY),
        "top accounts, 30 days": lambda: ledger.top_accounts(now - 30 * DAY),
        "newest bans": ledger.newest_bans,
        "bans by service": ledger.service_counts,
        "totals": ledger.totals,
        "audit": ledger.audit_page,
        "versions": ledger.versions,
        "events of an account holder": lambda: ledger.holder_events(index, mine),
        "bans of an account holder": lambda: ledger.holder_bans(index, mine),
    }


def _timed(name: str, query: Callable[[], object], rounds: int) -> Result:
    """The first time apart: a search for an account reads every event then and remembers what it found."""
    took, busy = [], []
    for _ in range(rounds):
        begin, began = time.perf_counter(), time.process_time()
        query()
        took.append((time.perf_counter() - begin) * MILLISECONDS)
        busy.append((time.process_time() - began) * MILLISECONDS)
    later = sorted(took[1:])
    return {
        "tool": name, "first": took[0], "median": statistics.median(later), "p95": later[int(len(later) * 0.95)],
        "cpu": statistics.median(busy[1:]),
    }  # fmt: skip


def measure(options: argparse.Namespace | None = None, path: Path | None = None, rounds: int = ROUNDS) -> list[Result]:
    """One table, in milliseconds: median and 95th percentile of each query."""
    with tempfile.TemporaryDirectory(prefix="rfbench") as directory:
        file = path or Path(directory, "ledger.db")
        if path is None:
            web_ledger.make(file, time.time())
        ledger = Ledger.open_reader(file)
        rows: list[Result] = [_timed("(once) what a reader remembers", ledger.warm, 3)]
        index = AccountIndex()
        index.assign(str(number) for number in (100, 1234, *range(2000, 2100)))
        begin = time.perf_counter()
        while index.advance(ledger):
            pass
        rows.append({"tool": "(once) index of 102 accounts", "first": (time.perf_counter() - begin) * MILLISECONDS})
        newest = ledger.event_page(limit=1).rows[0].event.time
        rows += [_timed(name, query, rounds) for name, query in queries(ledger, newest, index).items()]
        ledger.close()
    return [{"title": "Reading for pages, milliseconds", "key": "median", "rows": rows}]


def main() -> None:
    """Print what `measure` finds; an existing ledger may be named."""
    parser = argparse.ArgumentParser(prog="bench.reading_pages", description="What reading costs for each page.")
    parser.add_argument("path", type=Path, nargs="?", help="a ledger of bench.web_ledger; made when left out")
    options = parser.parse_args()
    for row in measure(options, options.path)[0]["rows"]:
        figures = "".join(f"{row.get(name, 0.0):9.1f}" for name in ("first", "median", "p95", "cpu"))
        print(f"{row['tool']:48}{figures}")


if __name__ == "__main__":
    main()
