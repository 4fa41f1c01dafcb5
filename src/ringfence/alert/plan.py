"""Who is to be told of what now: pure, from the settings, what was told, and what happened since.

To one recipient goes at most one message of a kind within the interval; what happens meanwhile is gathered into the
next. While a message waits to be tried again, what happens goes into it: after a long outage nobody gets a heap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from ringfence.alert.alerting import Alerting
from ringfence.alert.declared import Hours
from ringfence.alert.kinds import KINDS
from ringfence.ledger import Delivery, Pending, Told

MAIL: Final = "mail"
SENT_TO_NOBODY: Final = frozenset({"delivery"})
"""That a message could not be delivered must not lead to a message."""
BEHIND: Final = 1000
"""How far a recipient, whom none of the last warnings concerns, may fall behind before that is written down."""
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
GIVE_UP: Final = 2 * 86_400.0
"""Seconds for which a message is tried again."""

Key = tuple[str, str]
"""A channel and, for mail, the recipient."""


class Step(Struct, frozen=True, kw_only=True):
    """A message to put into the outbox: the `total` warnings of `kind` and `services` from `first` to `last`.

    With `total` 0 there is none, and the recipient only counts as told. `extends`: the number of the waiting message
    that takes them in; `total` is then all that it holds.
    """

    channel: str
    recipient: str
    kind: str
    services: list[str]
    first: int
    last: int
    total: int
    extends: int = 0


class Addressee(Struct):
    """Somebody who is told of a kind: about which services, and when."""

    services: list[str]
    interval: float
    quiet: Hours | None


def steps(
    alerting: Alerting, told: Mapping[tuple[str, str, str], Told], under_way: Iterable[Delivery],
    pending: Callable[[str, int], Sequence[Pending]], recipients: Callable[[str, str], Sequence[str]], begin: int,
    now: float, minute: int,
) -> list[Step]:  # fmt: skip
    """What is to be put into the outbox at `now`, which is `minute` of the day here.

    `pending(kind, upto)` are the warnings after number `upto`; `recipients(kind, service)` who is mailed such; whoever
    was never told of a kind is told of what came after warning `begin`.
    """
    found: list[Step] = []
    open_ = {(one.channel, one.recipient, one.kind): one for one in under_way}
    for kind in KINDS:
        if kind in SENT_TO_NOBODY:
            continue
        lowest = min((one.upto for one in told.values() if one.kind == kind), default=begin)
        services = [one.service for one in pending(kind, min(lowest, begin))]
        if not services:
            continue
        for (channel, recipient), addressee in _addressees(alerting, kind, services, recipients).items():
            key = (channel, recipient, kind)
            before = told.get(key)
            upto = before.upto if before is not None else begin
            last_time = before.last if before is not None else 0.0
            new = list(pending(kind, upto))
            step = _step(key, addressee, new, upto, open_.get(key), now)
            if step is None:
                continue
            waits = now < last_time + addressee.interval
            quiet = in_hours(addressee.quiet, minute) and not any(
                one.grave for one in new if one.service in addressee.services
            )
            if step.extends or not step.total or not (waits or quiet):
                found.append(step)
    return found


def _step(
    key: tuple[str, str, str], addressee: Addressee, new: Sequence[Pending], upto: int, open_: Delivery | None,
    now: float,
) -> Step | None:  # fmt: skip
    channel, recipient, kind = key
    mine = [one for one in new if one.service in addressee.services]
    last = max((one.last for one in new), default=upto)
    total = sum(one.total for one in mine)
    if not total:
        done = last - upto > BEHIND and open_ is None
        return Step(
            channel=channel, recipient=recipient, kind=kind, services=[], first=upto + 1, last=last, total=0
        ) if done else None  # fmt: skip
    if open_ is None:
        services = sorted(one.service for one in mine)
        return Step(
            channel=channel, recipient=recipient, kind=kind, services=services, first=upto + 1, last=last, total=total
        )  # fmt: skip
    if open_.state != "waiting" or open_.due > now or not open_.tries:
        return None
    services = sorted({*open_.services, *(one.service for one in mine)})
    return Step(
        channel=channel, recipient=recipient, kind=kind, services=services,
        first=open_.first, last=last, total=open_.total + total, extends=open_.id,
    )  # fmt: skip


def _addressees(
    alerting: Alerting, kind: str, services: Iterable[str], recipients: Callable[[str, str], Sequence[str]]
) -> dict[Key, Addressee]:
    """Everybody who is told of `kind` about some of `services`; where these differ, the shorter wait counts."""
    found: dict[Key, Addressee] = {}
    for service in services:
        for recipient in recipients(kind, service):
            manner = alerting.manner(kind, service, recipient)
            _join(found, (MAIL, recipient), service, manner.interval, manner.quiet)
        for channel in alerting.channel:
            if alerting.wants(channel, kind, service):
                _join(found, (channel.name, ""), service, channel.interval, channel.quiet)
    return found


def _join(found: dict[Key, Addressee], key: Key, service: str, interval: float, quiet: Hours | None) -> None:
    known = found.get(key)
    if known is None:
        found[key] = Addressee([service], interval, quiet)
    else:
        known.services.append(service)
        known.interval = min(known.interval, interval)
        known.quiet = known.quiet if quiet is not None else None


def in_hours(hours: Hours | None, minute: int) -> bool:
    """Whether a minute of the day lies within `hours`, which may go over midnight."""
    if hours is None:
        return False
    begin, end = hours
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def next_try(delivery: Delivery, now: float, jitter: float) -> float | None:
    """When a message is tried again after a try that failed; None: never, it is given up.

    Twice as long each time, by `jitter` (0 to 1) up to a quarter longer, so that not all come back at once.
    """
    if now - delivery.created >= GIVE_UP:
        return None
    pause = min(FIRST_PAUSE * 2.0 ** min(delivery.tries, 10), LONGEST_PAUSE)
    return now + pause * (1 + jitter / 4)
