"""What every handler is given: the parts of the web process, put together once."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar.datastructures import FormMultiDict

from ringfence.errors import RingfenceError
from ringfence.parse.addresses import AddressSet
from ringfence.settings import Settings
from ringfence.web.access import Visitor
from ringfence.web.asking import Guard
from ringfence.web.counting import Counts
from ringfence.web.countries import Countries
from ringfence.web.inforce import InForce
from ringfence.web.kept import Kept
from ringfence.web.live import Live
from ringfence.web.owned import Owned
from ringfence.web.reading import Readers
from ringfence.web.sessions import Sessions
from ringfence.web.templating import Pages

MOST_ADDRESSES: Final = 10_000


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
        self.counts = Counts(self.readers)
        self.guard = Guard(settings.control.socket)
        self.sessions = Sessions(settings.web.idle, settings.web.longest)
        self.live = Live(self.readers, self.guard)
        self.owned = Owned(self.readers)
        self.pages = Pages()
        self.proxies = AddressSet(settings.web.proxies)
        self.tries = Tries()
        self.countries = Countries(settings.web.countries)
        self.in_force = InForce()
        self.kept = Kept()
        self.secure = settings.web.secure or settings.web.base.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; under TLS one that only this host can set (RFC 6265bis, 4.1.3.2)."""
        return "__Host-ringfence" if self.secure else "ringfence"

    def render(
        self, name: str, visitor: Visitor, values: Mapping[str, Any], language: str = "en", *, ask: bool = True
    ) -> str:
        """The page `name` with what every page shows; without `ask` the guard is not waited for."""
        common: dict[str, Any] = {
            "visitor": visitor, "now": self.clock(), "pulse": None, "trouble": "", "flashes": [], "language": language,
            "own": visitor.address, "place": self.countries.of,
            "csrf": visitor.session.csrf if visitor.session is not None else "",
        }  # fmt: skip
        if visitor.session is not None:
            common["flashes"] = visitor.session.told()
        if visitor.name and not ask:
            common["pulse"] = self.guard.known()
        elif visitor.name:
            try:
                common["pulse"] = self.guard.pulse()
            except RingfenceError as error:
                common["trouble"] = str(error)
        return self.pages.render(name, {**common, **values}, language)
