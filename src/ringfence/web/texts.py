"""Values as they stand on a page: times, durations, numbers; and everything from outside made harmless.

Every text that a template prints passes `printed`, so nothing an attacker wrote can steer, hide or turn what is read:
control and bidirectional characters are shown as escapes, and the template engine escapes the rest for HTML.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from ringfence.answers import FOREVER_TEXT, stamp
from ringfence.model import EVERY
from ringfence.render import author_name as author_name
from ringfence.render import duration, safe


def printed(value: Any) -> Any:
    """What is put in place of `{{ value }}`: texts from outside without anything that is not to be read."""
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return safe(value)
    return value


def plain(value: Any) -> Markup:
    """`value` escaped for HTML and otherwise as it is: for form fields, whose text has to come back the same."""
    return escape("" if value is None else str(value))


def seconds_of(when: str | float | None) -> float | None:
    """Seconds UTC of an ISO 8601 text of ours or of a number; None for none, an end that never comes and never."""
    if when is None or when in ("", FOREVER_TEXT, "never"):
        return None
    if isinstance(when, str):
        return datetime.fromisoformat(when).timestamp()
    return None if when in (float("inf"), float("-inf")) else float(when)


def when(value: str | float | None, empty: str = "never") -> Markup:
    """A point in time as an element that the page's script shows in the reader's zone; without one it is UTC."""
    moment = seconds_of(value)
    if moment is None:
        return Markup("<span>{}</span>").format("for good" if value in (FOREVER_TEXT, float("inf")) else empty)
    exact = stamp(moment)
    shown = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(exact, shown, shown)


def left(value: str | float | None, now: float) -> str:
    """The time until `value`, in at most two units."""
    moment = seconds_of(value)
    return "for good" if moment is None else duration(max(0.0, moment - now))


def number(value: float | None) -> str:
    """A count with its thousands apart."""
    return "-" if value is None or value < 0 else f"{value:,.0f}"


def size(value: float) -> str:
    """A number of bytes in the unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def service_name(name: str) -> str:
    """A service in words."""
    return "all services" if name == EVERY else name


def address_path(address: str) -> str:
    """The page of an address or network."""
    return "/attacks/" + quote(address, safe=":")
