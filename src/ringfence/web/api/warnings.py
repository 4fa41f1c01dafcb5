"""Warnings: listed, acknowledged, kept back for a while; who is told of them, and the messages that tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from litestar.exceptions import ClientException
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from ringfence.alert.kinds import KINDS
from ringfence.alert.wording import title
from ringfence.answers import stamp
from ringfence.errors import NotFoundError
from ringfence.ledger import Delivery, Mute
from ringfence.ledger.facts import DeliveryState
from ringfence.model import Alert, Phase
from ringfence.web.access import Permission
from ringfence.web.alert_text import ORIGIN, hidden, restored
from ringfence.web.api.answering import LARGEST_NUMBER, Continued, Limit, Note, Number, Service, make, read, remove, set_
from ringfence.web.api.paging import WHOLE, Listing, continued, listing, paged
from ringfence.web.api.rows import seconds
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web

SEE, ACT, GOVERN = Permission.SEE, Permission.ACT, Permission.GOVERN
NUMBERED: Final = (WHOLE,)
LONGEST_MUTE: Final = 366 * 86_400.0
KindName = Annotated[str, QueryParameter(max_length=40, description=f"Empty: any; else {', '.join(KINDS)}.")]
Since = Annotated[datetime | None, QueryParameter(description="ISO 8601, or seconds since 1970; UTC without a zone.")]
Whole = Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]


class WarningRow(Struct, frozen=True, kw_only=True):
    """A warning. `title`: what it says, in English; `facts`: values by name, of each kind its own.

    `phase`: what lasts began or ended. `muted`: nobody was told. Texts in `facts` and `subject` may be an attacker's.
    """

    id: int
    time: str
    kind: str
    subject: str
    service: str
    phase: Phase
    grave: bool
    title: str
    facts: dict[str, Any]
    muted: bool
    acknowledged: str | None
    acknowledger: str

    @classmethod
    def from_(cls, alert: Alert) -> WarningRow:
        """The row of a warning."""
        return cls(
            id=alert.id, time=stamp(alert.time), kind=alert.kind, subject=alert.subject, service=alert.service,
            phase=alert.phase, grave=alert.grave, title=title(alert), facts=alert.facts, muted=alert.muted,
            acknowledged=None if alert.acknowledged is None else stamp(alert.acknowledged),
            acknowledger=alert.acknowledger,
        )  # fmt: skip


class MuteRow(Struct, frozen=True, kw_only=True):
    """Nobody is told of warnings of `kind` about `subject` and `service` (empty: any) until then."""

    id: int
    kind: str
    subject: str
    service: str
    until: str
    created: str
    author: str

    @classmethod
    def from_(cls, mute: Mute) -> MuteRow:
        """The row of a mute."""
        return cls(
            id=mute.id, kind=mute.kind, subject=mute.subject, service=mute.service, until=stamp(mute.until),
            created=stamp(mute.created), author=mute.author,
        )  # fmt: skip


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """A message: `total` warnings of `kind` ("test": none) to `recipient` (empty: whom the channel reaches).

    `state`: waiting, handed (over, may have been taken), sent, failed (given up) or unclear (may be lost). `due`: when
    it is tried (again). `answer`: what the other side said last.
    """

    id: int
    channel: str
    recipient: str
    kind: str
    services: tuple[str, ...]
    total: int
    state: DeliveryState
    tries: int
    created: str
    due: str
    ended: str | None
    answer: str

    @classmethod
    def from_(cls, one: Delivery) -> DeliveryRow:
        """The row of a message."""
        return cls(
            id=one.id, channel=one.channel, recipient=one.recipient, kind=one.kind, services=one.services,
            total=one.total, state=one.state, tries=one.tries, created=stamp(one.created), due=stamp(one.due),
            ended=None if one.ended is None else stamp(one.ended), answer=one.answer,
        )  # fmt: skip


class Seen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which warnings were seen: just one of `ids`, and `upto`: all up to that number."""

    ids: Annotated[list[Whole], Meta(max_length=1_000)] = []
    upto: Whole | None = None


class Acknowledged(Struct, frozen=True, kw_only=True):
    """How many warnings nobody had acknowledged before."""

    acknowledged: int


class NewMute(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which warnings nobody is to be told; an empty subject or service stands for any."""

    kind: Annotated[str, Meta(max_length=40)]
    subject: Annotated[str, Meta(max_length=500)] = ""
    service: Annotated[str, Meta(max_length=64)] = ""
    seconds: Annotated[float, Meta(ge=60, le=LONGEST_MUTE)]


class AlertingAnswer(Struct, frozen=True, kw_only=True):
    """The settings of warnings; `revision` 0: nothing was set yet, and nobody is told.

    In `text` (TOML) every secret is "(unchanged)".
    """

    revision: int
    text: str
    author: str
    time: str
    note: str


class NewAlerting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of warnings. Where a secret is "(unchanged)", it stays.

    `revision`: from which they were made; refused where others are in force by now. None: whatever is in force.
    """

    text: Annotated[str, Meta(max_length=200_000)]
    note: Note = ""
    revision: Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)] | None = None


class NewTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that tells of nothing. `recipient`: only for mail; empty: all of [mail]."""

    channel: Annotated[str, Meta(min_length=1, max_length=64)] = "mail"
    recipient: Annotated[str, Meta(max_length=320)] = ""


# ---- what was noticed


@read("/warnings", SEE, tag="warnings")
def warnings(
    web: Parts, kind: KindName = "", service: Service = "", unacknowledged: FromQuery[bool] = False,
    since: Since = None, limit: Limit = 100, cursor: Continued = "",
) -> Listing[WarningRow]:  # fmt: skip
    """What was noticed, newest first."""
    if kind and kind not in KINDS:
        raise ClientException(f"there is no kind of warning {kind!r}; known are {', '.join(KINDS)}")
    place = continued(cursor, "warnings", NUMBERED)
    found = web.readers.ledger().warnings(
        kind=kind or None, service=service or None, unacknowledged=unacknowledged, since=seconds(since),
        before=place[0] if place else None, limit=limit + 1,  # type: ignore[arg-type]
    )  # fmt: skip
    part = found[:limit]
    return listing(part, WarningRow.from_, "warnings", (part[-1].id,) if len(found) > limit else None)


@make("/warnings/acknowledge", ACT, tag="warnings")
def acknowledge(web: Parts, visitor: Who, data: JSONBody[Seen]) -> Acknowledged:
    """Say that somebody has seen warnings."""
    if bool(data.ids) == (data.upto is not None):
        raise ClientException("name just one of ids and upto")
    ids = data.ids or None
    count = web.guard.ask(int, visitor, "acknowledge", ids=ids, upto=data.upto or 0)
    return Acknowledged(acknowledged=count)


# ---- not to be told


@read("/warnings/mutes", SEE, tag="warnings")
def mutes(web: Parts, limit: Limit = 100, cursor: Continued = "") -> Listing[MuteRow]:
    """Of what nobody is told now."""
    rows = web.readers.ledger().mutes(web.clock())
    found, next_ = paged(rows, lambda row: (row.id,), "mutes", NUMBERED, limit, cursor)
    return Listing(rows=[MuteRow.from_(one) for one in found], next=next_, total=len(rows))


@make("/warnings/mutes", ACT, tag="warnings", status=201)
def mute(web: Parts, visitor: Who, data: JSONBody[NewMute]) -> MuteRow:
    """Tell nobody of such warnings for a while; they are still listed."""
    made = web.guard.ask(
        Mute, visitor, "mute", kind=data.kind, subject=data.subject, service=data.service, seconds=data.seconds
    )
    return MuteRow.from_(made)


@remove("/warnings/mutes/{number:int}", ACT, tag="warnings")
def unmute(web: Parts, visitor: Who, number: Number) -> MuteRow:
    """Tell of such warnings again; the answer is what ended."""
    return MuteRow.from_(web.guard.ask(Mute, visitor, "unmute", id=number))


# ---- messages


@read("/warnings/outbox", SEE, tag="warnings")
def outbox(web: Parts, limit: Limit = 100, cursor: Continued = "") -> Listing[DeliveryRow]:
    """The messages that tell of warnings, newest first."""
    place = continued(cursor, "outbox", NUMBERED)
    before: Any = place[0] if place else None
    found = web.readers.ledger().deliveries(before=before, limit=limit + 1)
    part = found[:limit]
    return listing(part, DeliveryRow.from_, "outbox", (part[-1].id,) if len(found) > limit else None)


@read("/warnings/outbox/{number:int}", SEE, tag="warnings")
def message(web: Parts, number: Number) -> DeliveryRow:
    """How far one message is."""
    found = web.readers.ledger().delivery(number)
    if found is None:
        raise NotFoundError(f"there is no message {number}")
    return DeliveryRow.from_(found)


@make("/warnings/test", GOVERN, tag="warnings", status=202)
def test(web: Parts, visitor: Who, data: JSONBody[NewTest]) -> list[DeliveryRow]:
    """Send messages that tell of nothing; ask for each by its id until it has `ended`: `answer` is what came back."""
    made = web.guard.ask(list[Delivery], visitor, "mail_test", channel=data.channel, recipient=data.recipient)
    return [DeliveryRow.from_(one) for one in made]


# ---- who is told


@read("/warnings/settings", GOVERN, tag="warnings")
def settings(web: Parts) -> AlertingAnswer:
    """Who is told of what, and how, as TOML; see docs/warnings.md."""
    return _in_force(web)


def _in_force(web: Web) -> AlertingAnswer:
    found = web.readers.ledger().alerting()
    if found is None:
        return AlertingAnswer(revision=0, text="", author="", time="", note="")
    return AlertingAnswer(
        revision=found.revision, text=hidden(found.text), author=found.author, time=stamp(found.time), note=found.note
    )


@set_("/warnings/settings", GOVERN, tag="warnings")
def apply_settings(web: Parts, visitor: Who, data: JSONBody[NewAlerting]) -> AlertingAnswer:
    """Warn by these settings from now on."""
    ledger = web.readers.ledger()
    if data.revision:
        before = ledger.alerting(data.revision)
        if before is None:
            raise NotFoundError(f"there is no revision {data.revision} of the settings of warnings")
    else:
        before = ledger.alerting()
    text = restored(data.text, before.text if before is not None else "")
    web.guard.ask(int, visitor, "apply_alerting", text=text, name=ORIGIN, note=data.note, revision=data.revision)
    web.guard.changed()
    return _in_force(web)


ROUTES: list[Any] = [
    warnings, acknowledge, mutes, mute, unmute, outbox, message, test, settings, apply_settings,
]  # fmt: skip
