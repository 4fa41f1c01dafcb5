"""Values as they stand on a page: times, durations, numbers; and everything from outside made harmless.

Every text that a template prints passes `printed`, so nothing an attacker wrote can steer, hide or turn what is read:
control and bidirectional characters are shown as escapes, and the template engine escapes the rest for HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from ringfence.answers import FOREVER_TEXT, stamp
from ringfence.durations import parse_duration
from ringfence.phrases import in_words
from ringfence.policy_grid import Cell
from ringfence.render import safe
from ringfence.translating import ENGLISH_NAME, Words, own_name
from ringfence.web.charts import Line


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


def address_path(address: str) -> str:
    """The page of an address or network."""
    return "/attacks/" + quote(address, safe=":")


def begin(text: str) -> str:
    """`text` as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


class Shown:
    """Values as they stand on a page in the language of `words`; `filters` by the names that templates use."""

    def __init__(self, words: Words) -> None:
        self._words = _ = words
        self._for_good, self._never = _("for good"), _("never")
        self.filters: dict[str, Callable[..., Any]] = {
            "plain": plain, "address_path": address_path, "when": self.when, "left": self.left, "number": self.number,
            "size": words.size, "duration": words.duration, "service": words.service, "author": words.author,
            "cause": words.cause, "said": self.said, "named": self.named, "rate": self.rate,
            "begin": begin, "brief": self.brief, "language": own_name,
        }  # fmt: skip

    def when(self, value: str | float | None, empty: str = "") -> Markup:
        """A point in time as an element that the page's script shows in the reader's zone; without one it is UTC."""
        moment = seconds_of(value)
        if moment is None:
            endless = value in (FOREVER_TEXT, float("inf"))
            return Markup("<span>{}</span>").format(self._for_good if endless else empty or self._never)
        exact = stamp(moment)
        shown = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(exact, shown, shown)

    def left(self, value: str | float | None, now: float) -> str:
        """The time until `value`, in at most two units."""
        moment = seconds_of(value)
        return self._for_good if moment is None else self._words.duration(max(0.0, moment - now))

    def number(self, value: float | None) -> str:
        """A count with its thousands apart."""
        return "-" if value is None or value < 0 else self._words.figures(value)

    def rate(self, value: float) -> str:
        """A number with its tenths."""
        return self._words.figures(value, 1)

    def said(self, sentence: str) -> str:
        """What the guard or the system said, in the reader's language as far as that can be."""
        return in_words(sentence, self._words)

    def brief(self, cell: Cell) -> str:
        """A rule in the fewest words, for a cell of the policy's table: "14 in 1h → 2h"."""
        return brief(cell, self._words)

    def named(self, line: Line) -> str:
        """A line of the chart: a service, or how many others are taken together."""
        return line_name(line, self._words)


def brief(cell: Cell, _: Words) -> str:
    """What `policy_typed.brief` says of a rule, in the reader's language: it is made of the cell's values."""
    held = {key: value.effective for key, value in cell.values.items()}
    if not cell.brief or _.language == ENGLISH_NAME:
        return cell.brief
    if held["bans"]:
        counted = _.ngettext("%(count)s ban", "%(count)s bans", int(held["bans"]))
    elif held["count"] == "accounts":
        counted = _.ngettext("%(count)s account", "%(count)s accounts", int(held["failures"]))
    else:
        counted = _.number(int(held["failures"]))
    if held["per"] != "address":
        per = {"network": _("network"), "account": _("account")}.get(held["per"], held["per"])
        counted = _("%(counted)s per %(what)s", counted=counted, what=per)
    actions = held["actions"]
    then = _length(held["ban"], _) if "block" in actions else _("mail") if "mail" in actions else _("record")
    text = _("%(many)s in %(time)s", many=counted, time=_length(held["within"], _))
    notes = [_("all services")] if held["scope"] == "all" else []
    notes += [_("proven")] if held["proven"] == "yes" else []
    return ", ".join([f"{text} → {then}", *notes])


def _length(typed: str, _: Words) -> str:
    return _.duration(parse_duration(typed))


def line_name(line: Line, _: Words) -> str:
    """What a line of the chart is called."""
    return _("others (%(count)s)", count=_.figures(line.others)) if line.others else line.name
