"""Warnings by command: what was noticed, who wants to hear of it, how; and what the sender asks and tells.

The guard alone writes to the ledger, so the sender, a process of its own without rights, does it through here: each
step is one small transaction, and the guard waits for nothing that the sender waits for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, cast

from msgspec import Struct

from ringfence.alert.alerting import load_alerting
from ringfence.alert.kinds import KINDS
from ringfence.alert.plan import Step
from ringfence.alert.trust import only_for_root
from ringfence.control import Caller, Method, command
from ringfence.errors import NotFoundError, RefusedError, RingfenceError, SettingsError
from ringfence.guard import Guard
from ringfence.ledger import AlertingRevision, Delivery, Mute
from ringfence.model import Alert
from ringfence.orders import origin_of
from ringfence.render import duration

MOST_LISTED = 1000
MOST_ACKNOWLEDGED = 1000
LONGEST_MUTE = 366 * 86_400.0
LONGEST_TEXT = 200_000


class WarningList(Struct, frozen=True, kw_only=True):
    """Warnings, newest first; how many nobody has acknowledged, and how many of these are grave."""

    warnings: list[Alert]
    unacknowledged: int
    grave: int


class AlertCommands:
    """What people ask about warnings and order."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def warnings(
        self, caller: Caller, *, kind: str | None = None, service: str | None = None, unacknowledged: bool = False,
        since: float | None = None, before: int | None = None, limit: int = 100,
    ) -> WarningList:  # fmt: skip
        """Warnings, newest first, at most 1,000; to page on, give the last one's number as `before`."""
        _known(kind)
        ledger = self.guard.ledger
        found = ledger.warnings(
            kind=kind, service=service, unacknowledged=unacknowledged, since=since, before=before,
            limit=max(1, min(limit, MOST_LISTED)),
        )  # fmt: skip
        open_, grave = ledger.unacknowledged()
        return WarningList(warnings=found, unacknowledged=open_, grave=grave)

    @command
    def acknowledge(self, caller: Caller, *, ids: list[int] | None = None, upto: int = 0) -> int:
        """Somebody has seen these warnings, at most 1,000; None: all up to number `upto`. Returns how many were new."""
        if ids is not None and len(ids) > MOST_ACKNOWLEDGED:
            raise RingfenceError(f"at most {MOST_ACKNOWLEDGED:,} warnings can be acknowledged at once by number")
        guard = self.guard
        return guard.ledger.acknowledge(
            ids, upto=upto, author=caller.user, origin=origin_of(caller), now=guard.clock()
        )  # fmt: skip

    @command
    def mute(self, caller: Caller, *, kind: str, subject: str = "", service: str = "", seconds: float) -> Mute:
        """Tell nobody of such warnings for `seconds`; they are still listed."""
        _known(kind)
        if not 60 <= seconds <= LONGEST_MUTE:
            raise RingfenceError(f"warnings can be kept back for 1m to {duration(LONGEST_MUTE)}")
        guard = self.guard
        now = guard.clock()
        return guard.ledger.mute(
            kind, subject, service, now + seconds, author=caller.user, origin=origin_of(caller), now=now
        )  # fmt: skip

    @command
    def unmute(self, caller: Caller, *, id: int) -> Mute:
        """Tell of such warnings again."""
        guard = self.guard
        return guard.ledger.unmute(id, author=caller.user, origin=origin_of(caller), now=guard.clock())

    @command
    def mutes(self, caller: Caller) -> list[Mute]:
        """What nobody is told of now."""
        return self.guard.ledger.mutes(self.guard.clock())

    @command
    def alerting(self, caller: Caller, *, revision: int | None = None) -> AlertingRevision:
        """The settings of warnings; without a revision those in force (revision 0: nothing was set yet)."""
        found = self.guard.ledger.alerting(revision)
        if found is None and revision:
            raise NotFoundError(f"there is no revision {revision} of the settings of warnings")
        return found or AlertingRevision(revision=0, text="", author="", time=0.0, note="", newest=0)

    @command
    def apply_alerting(
        self, caller: Caller, *, text: str, name: str, note: str = "", revision: int | None = None
    ) -> int:
        """Warn by these settings from now on; returns their revision. `revision`: the one that they were made from."""
        guard = self.guard
        if revision is not None and revision != guard.alerting_revision:
            raise RingfenceError(
                f"the settings of warnings were changed meanwhile (revision {guard.alerting_revision}); look at them"
            )
        if len(text) > LONGEST_TEXT:
            raise SettingsError(f"{name}: is longer than {LONGEST_TEXT:,} characters")
        place = only_for_root(guard.alerting, load_alerting(text, name))
        if place and (caller.via or caller.uid not in (0, os.geteuid())):
            raise SettingsError(
                f"{name}: {place}: files, programs and where a password goes are set by root on the server itself, "
                "with 'ringfence mail apply FILE'"
            )
        return guard.apply_alerting(text, name, caller.user, note, origin_of(caller))

    @command
    def check_alerting(self, caller: Caller, *, text: str, name: str) -> bool:
        """Whether these settings could be applied; raises what is wrong with them."""
        load_alerting(text, name)
        return True

    @command
    def mail_test(self, caller: Caller, *, channel: str = "mail", recipient: str = "") -> list[Delivery]:
        """Send a message that tells of nothing: to one recipient, to all of [mail], or by another channel."""
        guard = self.guard
        alerting, now = guard.alerting, guard.clock()
        if channel == "mail":
            if recipient:
                load_alerting(f"[mail]\nrecipients = [{recipient!r}]\n", "mail test")  # is it an address at all?
            to = (recipient,) if recipient else alerting.recipients("", "")
            if not to:
                raise RingfenceError("there is no recipient: name one, or set [mail] recipients (ringfence mail apply)")
        else:
            if all(one.name != channel for one in alerting.channel):
                raise NotFoundError(f"there is no channel {channel!r}")
            to = ("",)
        author, origin = caller.user, origin_of(caller)
        numbers = [guard.ledger.add_test(channel, one, author=author, origin=origin, now=now) for one in to]
        guard.alerting_changed()
        return [found for found in map(guard.ledger.delivery, numbers) if found is not None]

    @command
    def delivery(self, caller: Caller, *, id: int) -> Delivery:
        """How far a message is."""
        found = self.guard.ledger.delivery(id)
        if found is None:
            raise NotFoundError(f"there is no message {id}")
        return found

    @command
    def deliveries(self, caller: Caller, *, before: int | None = None, limit: int = 100) -> list[Delivery]:
        """The messages, newest first, at most 1,000."""
        return self.guard.ledger.deliveries(before=before, limit=max(1, min(limit, MOST_LISTED)))


def _by_the_sender(method: Method) -> Method:
    """A command of the sender that the guard itself started: nobody else knows what became of a message.

    Its number tells: no other process can have that before the guard has seen its end.
    """

    @wraps(method)
    def checked(self: SenderCommands, caller: Caller, **arguments: Any) -> Any:
        if caller.pid != self.sender():
            raise RefusedError("only the process that sends warnings may say that; the guard starts it itself")
        return method(self, caller, **arguments)

    return command(cast(Method, checked))


class SenderCommands:
    """What the sender, now the process `sender()`, asks and tells; see `ledger.outbox` for the order of things."""

    def __init__(self, guard: Guard, sender: Callable[[], int | None]) -> None:
        self.guard = guard
        self.sender = sender

    @_by_the_sender
    def sender_begins(self, caller: Caller) -> list[Delivery]:
        """A sender starts: what was being handed over when the last one ended is not sent again; returns it."""
        guard = self.guard
        guard.sender_trouble = ""
        return guard.ledger.interrupted(guard.clock())

    @_by_the_sender
    def sender_trouble(self, caller: Caller, *, trouble: str) -> None:
        """What keeps the sender from its work; empty: nothing (any more)."""
        self.guard.sender_trouble = trouble[:500]

    @_by_the_sender
    def take(self, caller: Caller, *, steps: list[Step]) -> int:
        """Put into the outbox what is due; returns how many steps were carried out, the others came too late."""
        ledger, now, done = self.guard.ledger, self.guard.clock(), 0
        for step in steps:
            if step.extends:
                done += ledger.extend_delivery(step.extends, step.services, last=step.last, total=step.total)
            else:
                done += bool(ledger.add_delivery(
                    step.channel, step.recipient, step.kind, step.services, first=step.first, last=step.last,
                    total=step.total, now=now,
                ))  # fmt: skip
        return done

    @_by_the_sender
    def mark(self, caller: Caller, *, id: int) -> bool:
        """From now on the message may have been taken over; False: it must not be sent."""
        return self.guard.ledger.mark_delivery(id, self.guard.clock())

    @_by_the_sender
    def retry(self, caller: Caller, *, id: int, due: float, answer: str) -> None:
        """The message was not taken over, and is tried again when due."""
        self.guard.ledger.retry_delivery(id, due, answer)

    @_by_the_sender
    def ended(self, caller: Caller, *, id: int, state: Literal["sent", "failed", "unclear"], answer: str) -> None:
        """The message is at its end."""
        guard = self.guard
        delivery = guard.ledger.end_delivery(id, state, answer, guard.clock())
        if delivery is not None and state != "sent":
            to = f" to {delivery.recipient}" if delivery.recipient else ""
            guard.say(
                f"{delivery.channel}: a message{to} {'was given up' if state == 'failed' else 'may be lost'}: {answer}"
            )

    @_by_the_sender
    def digest(self, caller: Caller, *, subject: str, period: str, since: float, until: float) -> bool:
        """A summary is due; False when it was made already."""
        facts = {"period": period, "since": since, "until": until}
        now = self.guard.clock()
        return self.guard.ledger.note_once(Alert(time=now, kind="digest", subject=subject, facts=facts), now)

    @_by_the_sender
    def advance(self, caller: Caller, *, channel: str, kind: str, before: int, upto: int) -> bool:
        """Go on in what a channel is told line by line; False: somebody else did."""
        return self.guard.ledger.advance(channel, kind, before, upto)


def _known(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise NotFoundError(f"there is no kind of warning {kind!r}; known are {', '.join(KINDS)}")
