"""What every handler is given: the parts of the web process, put together once."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from litestar.datastructures import FormMultiDict

from ringfence.errors import RingfenceError
from ringfence.parse.addresses import AddressSet
from ringfence.phrases import in_words
from ringfence.settings import Settings
from ringfence.web.access import Permission, Visitor
from ringfence.web.asking import Guard
from ringfence.web.counting import Counts
from ringfence.web.countries import Countries
from ringfence.web.description import Description
from ringfence.web.feeding import Feeds
from ringfence.web.inforce import InForce
from ringfence.web.jobs import Jobs
from ringfence.web.kept import Kept
from ringfence.web.live import Live
from ringfence.web.measuring import Latencies
from ringfence.web.owned import Owned
from ringfence.web.reading import Readers
from ringfence.web.sessions import Sessions
from ringfence.web.templating import Pages

T = TypeVar("T")

MOST_ADDRESSES: Final = 10_000
MOST_UNSEEN: Final = 1_000
"""Warnings that are counted for every page; of more it says that there are more."""


class Form:
    """The fields of a form that was sent: always text, at most once each unless asked for with `all`."""

    def __init__(self, fields: FormMultiDict | None = None) -> None:
        self._fields = fields or FormMultiDict()

    def __getitem__(self, name: str) -> str:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, default: str = "") -> str:
        """The field `name` without blanks around it."""
        value = self._fields.get(name, default)
        return value.strip() if isinstance(value, str) else default

    def raw(self, name: str) -> str:
        """The field `name` as it was typed (a password, a text of several lines)."""
        value = self._fields.get(name, "")
        return value if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """Every value of `name` (check boxes)."""
        return [value for value in self._fields.getall(name, []) if isinstance(value, str)]

    def numbers(self, name: str) -> list[int]:
        """Every value of `name` that is a number."""
        return [int(value) for value in self.all(name) if value.isascii() and value.isdigit() and len(value) < 19]

    def items(self) -> list[tuple[str, str]]:
        """All fields in order, each value."""
        return [(name, value) for name, value in self._fields.multi_items() if isinstance(value, str)]


class Tries:
    """Failed logins by address (IPv6: by /64), in memory: what holds even while the guard is away or only monitors."""

    def __init__(self, most: int = 20, within: float = 600.0) -> None:
        self._most = most
        self._within = within
        self._times: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def failed(self, address: str, now: float) -> None:
        """One more of `address`."""
        address = whole(address)
        with self._lock:
            times = self._times.setdefault(address, [])
            times.append(now)
            del times[: -self._most]
            self._times.move_to_end(address)
            while len(self._times) > MOST_ADDRESSES:
                self._times.popitem(last=False)

    def wait(self, address: str, now: float) -> float:
        """Seconds until `address` may try again; 0 when it may now."""
        times = self._times.get(whole(address), [])
        if len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._within - now)

    def forget(self, address: str) -> None:
        """A login from `address` was good."""
        with self._lock:
            self._times.pop(whole(address), None)


def whole(address: str) -> str:
    """What one person can easily have: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))


class Web:
    """The parts. `clock` gives seconds UTC."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.started = clock()
        self.readers = Readers(settings.ledger.path)
        self.guard = Guard(settings.control.socket)
        self.sessions = Sessions(settings.web.idle, settings.web.longest)
        self.live = Live(self.readers, self.guard)
        self.owned = Owned(self.readers)
        self.jobs = Jobs()
        self.pages = Pages()
        self.proxies = AddressSet(settings.web.proxies)
        self.tries = Tries()
        self.countries = Countries(settings.web.countries)
        self.in_force = InForce()
        self.kept = Kept()
        self.counts = Counts(self.readers, self.kept)
        self.guesses = Tries()
        self.feeds = Feeds(self.readers, clock)
        self.latencies = Latencies()
        self.description = Description()
        self._aside = ThreadPoolExecutor(1, "aside")
        self.secure = settings.web.secure or settings.web.base.startswith("https://")

    def report(self, address: str, cause: str, path: str, account: str = "") -> None:
        """Our own logins are events like any others, failed where there is a cause: judged by the same policy."""
        event = {
            "service": "web", "outcome": "failed" if cause else "succeeded", "address": address, "account": account,
            "cause": cause, "detail": path, "proven": True,
        }  # fmt: skip
        try:
            self.guard.ask_for_page(dict, "report_events", events=[event])
        except RingfenceError as error:
            print(f"web: a login could not be reported to the guard: {error}", flush=True)

    def guessed(self, address: str, path: str) -> float:
        """Somebody sent a token that never was: an attempt on service web. Returns the seconds they have to wait."""
        now = self.clock()
        wait = self.guesses.wait(address, now)
        if not wait:
            self.guesses.failed(address, now)
            self.report(address, "unknown token", path)
        return wait

    async def aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do what takes a while one after the other, by one thread: its reader of the ledger remembers for all."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work, *arguments)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; under TLS one that only this host can set (RFC 6265bis, 4.1.3.2)."""
        return "__Host-ringfence" if self.secure else "ringfence"

    def render(
        self, name: str, visitor: Visitor, values: Mapping[str, Any], *, ask: bool = True
    ) -> str:  # fmt: skip
        """The page `name` in the visitor's language, with what every page shows; `ask`: the guard, too."""
        language = visitor.words.language
        common: dict[str, Any] = {
            "visitor": visitor, "now": self.clock(), "pulse": None, "trouble": "", "flashes": [],
            "language": language.replace("_", "-"),
            "own": visitor.address, "place": self.countries.of, "unseen": 0, "most_unseen": MOST_UNSEEN,
            "csrf": visitor.session.csrf if visitor.session is not None else "",
        }  # fmt: skip
        if visitor.session is not None and not visitor.renewing:
            common["flashes"] = visitor.session.told()
        if visitor.may(Permission.SEE) and ask:
            with contextlib.suppress(RingfenceError):
                common["unseen"] = self.readers.ledger().unseen(MOST_UNSEEN)
        if visitor.name and not ask:
            common["pulse"] = self.guard.known()
        elif visitor.name:
            try:
                common["pulse"] = self.guard.pulse()
            except RingfenceError as error:
                common["trouble"] = in_words(str(error), visitor.words)
        return self.pages.render(name, {**common, **values}, language)
