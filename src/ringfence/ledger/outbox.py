"""The outbox: who has been told of what, and the messages under way. Its states:

`waiting` → `handed` is written down before the first byte of a message leaves; only then does it leave. From `handed`
it becomes `sent`, `failed` or `unclear`, or `waiting` again when it certainly was not taken over. What is still
`handed` when the sender starts had been interrupted: it becomes `unclear` and is never sent again, so that nobody is
told twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

from ringfence.errors import NotFoundError
from ringfence.ledger.commands import CommandStore
from ringfence.ledger.connection import Row
from ringfence.ledger.facts import AlertingRevision, BanLine, Delivery, Mute, Pending, Told
from ringfence.ledger.warnings import alert_from, mute_from
from ringfence.model import EVERY, Alert

TEST: Final = "test"
"""The kind of a delivery that tells of nothing: somebody wants to see whether it arrives."""
INTERRUPTED: Final = "it was being handed over when the sender was interrupted; it may have arrived"

_REVISION: Final = ("revision", "text", "author", "time", "note", "newest")


class OutboxStore(CommandStore):
    """Lists warnings, keeps the settings of warnings, and tells the sender what it may send."""

    # ---- warnings

    def warnings(
        self, *, kind: str | None = None, service: str | None = None, unacknowledged: bool = False,
        since: float | None = None, before: int | None = None, limit: int = 100,
    ) -> list[Alert]:  # fmt: skip
        """Warnings, newest first; to page on, give the last one's number as `before`."""
        values = {
            "kind": kind, "service": service, "open": unacknowledged, "since": since, "before": before or 1 << 62,
            "limit": limit,
        }  # fmt: skip
        return [alert_from(row) for row in self._rows("warnings", values)]

    def warning(self, number: int) -> Alert:
        """One warning. Raises NotFoundError."""
        row = self._row("warning_by_id", (number,))
        if row is None:
            raise NotFoundError(f"there is no warning {number}; see 'ringfence warnings'")
        return alert_from(row)

    def unacknowledged(self) -> tuple[int, int]:
        """How many warnings nobody has acknowledged, and how many of these are grave."""
        row = self._row("count_warnings")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def unacknowledged_by_kind(self) -> dict[str, int]:
        """How many warnings nobody has acknowledged, by kind; without those that nobody wants to be told of."""
        return dict(self._rows("unacknowledged_by_kind"))

    def unseen(self, most: int) -> int:
        """How many warnings nobody has acknowledged, counted up to `most`: cheap however many there are."""
        return self._value("unseen", (most,))

    def grave_warnings(self, limit: int) -> list[Alert]:
        """The newest grave warnings that nobody has acknowledged, newest first."""
        return [alert_from(row) for row in self._rows("grave_warnings", (limit,))]

    def warnings_by_kind(self, since: float, until: float) -> dict[str, int]:
        """How many warnings there were from `since` until `until`, by kind."""
        return dict(self._rows("warnings_by_kind", {"since": since, "until": until}))

    def note_warnings(self, alerts: Sequence[Alert], now: float) -> None:
        """Write down what was noticed and belongs to no other change."""
        with self._writing():
            self._warn(alerts, now)

    def note_once(self, alert: Alert, now: float) -> bool:
        """Write `alert` down unless there is one of its kind and subject already; returns whether it was."""
        with self._writing():
            if self._rows("warning_about", (alert.kind, alert.subject)):
                return False
            self._warn([alert], now)
            return True

    def acknowledge(
        self, numbers: Sequence[int] | None, *, upto: int = 0, author: str, origin: str = "", now: float
    ) -> int:
        """Somebody has seen these warnings (None: all up to number `upto`); returns how many were new to that."""
        with self._writing(durable=True):
            ids = json.dumps(list(numbers or ()))
            values = {"now": now, "author": author, "ids": ids, "all": numbers is None, "upto": upto}
            found = len(self._run("acknowledge", values).fetchall())
            self._audit(now, author, "acknowledge", {"ids": list(numbers) if numbers is not None else "all"}, origin)
            return found

    # ---- not to be told again

    def mutes(self, now: float) -> list[Mute]:
        """What nobody is told of at `now`."""
        return [mute_from(row) for row in self._rows("mutes", {"now": now})]

    def mute(
        self, kind: str, subject: str, service: str, until: float, *, author: str, origin: str = "", now: float
    ) -> Mute:
        """Tell nobody of such warnings until then."""
        with self._writing(durable=True):
            self._run("prune_mutes", {"now": now})
            number = int(self._run("insert_mute", (kind, subject, service, until, now, author)).fetchall()[0][0])
            arguments = {"kind": kind, "subject": subject, "service": service, "until": until}
            self._audit(now, author, "mute", arguments, origin)
        return Mute(
            id=number, kind=kind, subject=subject, service=service, until=until, created=now, author=author
        )  # fmt: skip

    def unmute(self, number: int, *, author: str, origin: str = "", now: float) -> Mute:
        """Tell again. Raises NotFoundError."""
        with self._writing(durable=True):
            rows = self._run("delete_mute", (number,)).fetchall()
            if not rows:
                raise NotFoundError(f"there is no mute {number}; see 'ringfence warnings mutes'")
            self._audit(now, author, "unmute", {"mute": number}, origin)
        return mute_from(rows[0])

    # ---- who is told, and how

    def alerting(self, revision: int | None = None) -> AlertingRevision | None:
        """One revision of the settings of warnings, the newest without a number; None when there is none."""
        row = self._row("alerting", (revision,))
        return AlertingRevision(**dict(zip(_REVISION, row, strict=True))) if row else None

    def alerting_history(self, *, limit: int = 100) -> list[AlertingRevision]:
        """The revisions of the settings of warnings, newest first."""
        rows = self._rows("alerting_history", (limit,))
        return [AlertingRevision(**dict(zip(_REVISION, row, strict=True))) for row in rows]

    def apply_alerting(self, text: str, *, author: str, note: str = "", origin: str = "", now: float) -> int:
        """Make `text` (TOML, checked by the caller) the settings of warnings; returns its revision."""
        with self._writing(durable=True):
            revision = int(self._run("insert_alerting", (text, author, now, note)).fetchall()[0][0])
            self._audit(now, author, "mail apply", {"revision": revision, "note": note}, origin)
            return revision

    # ---- the outbox

    def told(self) -> dict[tuple[str, str, str], Told]:
        """Up to where everybody has been told, by channel, recipient and kind."""
        rows = self._rows("told")
        return {row[:3]: Told(channel=row[0], recipient=row[1], kind=row[2], upto=row[3], last=row[4]) for row in rows}

    def newest_warning(self) -> int:
        """The number of the last warning, 0 if there is none."""
        return self._value("last_warning")

    def pending(self, kind: str, upto: int) -> list[Pending]:
        """The warnings of `kind` after number `upto`, by service; without those that nobody wants to be told of."""
        rows = self._rows("pending", {"kind": kind, "upto": upto})
        return [Pending(service=row[0], total=row[1], last=row[2], grave=bool(row[3])) for row in rows]

    def open_deliveries(self) -> list[Delivery]:
        """Messages that are not at their end, the one that is due first foremost."""
        return [_delivery_from(row) for row in self._rows("open_deliveries")]

    def deliveries(self, *, before: int | None = None, limit: int = 100) -> list[Delivery]:
        """All messages, newest first; to page on, give the last one's number as `before`."""
        rows = self._rows("deliveries", {"before": before or 1 << 62, "limit": limit})
        return [_delivery_from(row) for row in rows]

    def delivery(self, number: int) -> Delivery | None:
        """One message; None when there is none of that number."""
        row = self._row("delivery", (number,))
        return _delivery_from(row) if row else None

    def warnings_in(self, delivery: Delivery, *, limit: int) -> list[Alert]:
        """The warnings that a message tells of, newest first."""
        return [alert_from(row) for row in self._rows("warnings_of_kind", {**_span(delivery), "limit": limit})]

    def counts_in(self, delivery: Delivery) -> dict[tuple[str, str], int]:
        """How many warnings a message tells of, by rule (empty: none) and service."""
        return {(row[0], row[1]): row[2] for row in self._rows("warnings_counted", _span(delivery))}

    def muted_in(self, delivery: Delivery) -> int:
        """How many warnings of the same time nobody wanted to be told of."""
        return self._value("count_muted", _span(delivery))

    def add_delivery(
        self, channel: str, recipient: str, kind: str, services: Sequence[str], *, first: int, last: int, total: int,
        now: float,
    ) -> int | None:  # fmt: skip
        """A message for what a recipient has not been told of, from `first` on; returns its number.

        None when somebody has been told of it already: the same warning is never in two messages to one recipient.
        With `total` 0 there is no message; the recipient only counts as told up to `last`.
        """
        with self._writing():
            row = self._row("told_one", (channel, recipient, kind))
            if row is not None and row[0] >= first:
                return None
            who = {"channel": channel, "recipient": recipient, "kind": kind}
            self._run("set_told", {**who, "upto": last, "last": 0.0})
            if not total:
                return None
            values = {"services": json.dumps(list(services)), "first": first, "last": last, "total": total, "now": now}
            return int(self._run("insert_delivery", {**who, **values}).fetchall()[0][0])

    def extend_delivery(self, number: int, services: Sequence[str], *, last: int, total: int) -> bool:
        """What happened meanwhile goes into the message that waits anyway; False when it is under way."""
        with self._writing():
            delivery = self.delivery(number)
            values = {"id": number, "services": json.dumps(list(services)), "last": last, "total": total}
            if delivery is None or not self._run("extend_delivery", values).fetchall():
                return False
            who = {"channel": delivery.channel, "recipient": delivery.recipient, "kind": delivery.kind}
            self._run("set_told", {**who, "upto": last, "last": 0.0})
            return True

    def add_test(self, channel: str, recipient: str, *, author: str, origin: str = "", now: float) -> int:
        """A message that tells of nothing; returns its number."""
        with self._writing(durable=True):
            self._audit(now, author, "mail test", {"channel": channel, "recipient": recipient}, origin)
            values = {"channel": channel, "recipient": recipient, "kind": TEST, "services": "[]", "first": 0, "last": 0}
            return int(self._run("insert_delivery", {**values, "total": 0, "now": now}).fetchall()[0][0])

    def mark_delivery(self, number: int, now: float) -> bool:
        """From now on the message may have been taken over; False when it may not be sent (any more)."""
        with self._writing(durable=True):
            rows = self._run("mark_delivery", {"id": number, "now": now}).fetchall()
            for channel, recipient, kind in rows:
                if kind != TEST:
                    who = {"channel": channel, "recipient": recipient, "kind": kind}
                    self._run("set_told", {**who, "upto": 0, "last": now})
            return bool(rows)

    def retry_delivery(self, number: int, due: float, answer: str) -> None:
        """The message certainly was not taken over: it is tried again when due."""
        with self._writing():
            self._run("retry_delivery", {"id": number, "due": due, "answer": answer})

    def end_delivery(
        self, number: int, state: Literal["sent", "failed", "unclear"], answer: str, now: float
    ) -> Delivery | None:
        """The message is at its end; one that was given up is warned of. None: it was before."""
        with self._writing(durable=True):
            delivery = self.delivery(number)
            if delivery is None or delivery.ended is not None:
                return None
            self._end_delivery(delivery, state, answer, now)
            return self.delivery(number)

    def interrupted(self, now: float) -> list[Delivery]:
        """A sender starts: what was being handed over is `unclear` and not sent again; returns these messages."""
        with self._writing(durable=True):
            found = [_delivery_from(row) for row in self._rows("handed_deliveries")]
            for delivery in found:
                self._end_delivery(delivery, "unclear", INTERRUPTED, now)
            return found

    def _end_delivery(self, delivery: Delivery, state: str, answer: str, now: float) -> None:
        self._run("end_delivery", {"id": delivery.id, "state": state, "answer": answer, "now": now})
        if delivery.kind == TEST:
            return
        who = {"channel": delivery.channel, "recipient": delivery.recipient, "kind": delivery.kind}
        self._run("set_told", {**who, "upto": 0, "last": now})
        counted = "mails" if state == "sent" else "unsent"
        for service in {service or EVERY for _, service in self.counts_in(delivery)}:
            self._add_statistic(service, now, **{counted: 1})
        if state != "sent":
            facts = {"channel": delivery.channel, "answer": answer, "of": delivery.kind, "state": state}
            subject = delivery.recipient or delivery.channel
            self._warn([Alert(time=now, kind="delivery", subject=subject, facts=facts)], now)

    # ---- lines for the system's log

    def ban_changes_after(self, upto: int, limit: int) -> list[BanLine]:
        """What happened to bans after change number `upto`, the oldest first."""
        names = BanLine.__struct_fields__
        rows = self._rows("ban_changes_after", {"upto": upto, "limit": limit})
        return [BanLine(**dict(zip(names, row, strict=True))) for row in rows]

    def last_ban_change(self) -> int:
        """The number of the last change of a ban."""
        return self._value("last_ban_change")

    def advance(self, channel: str, kind: str, before: int, upto: int) -> bool:
        """Go on from `before` to `upto` in what `channel` is told; False when somebody else did."""
        with self._writing():
            row = self._row("told_one", (channel, "", kind))
            if (row[0] if row else 0) != before:
                return False
            self._run("set_told", {"channel": channel, "recipient": "", "kind": kind, "upto": upto, "last": 0.0})
            return True


def _span(delivery: Delivery) -> dict[str, object]:
    services = json.dumps(list(delivery.services))
    return {"kind": delivery.kind, "first": delivery.first, "last": delivery.last, "services": services}


def _delivery_from(row: Row) -> Delivery:
    number, channel, recipient, kind, services, first, last, total, created, due, tries, state, marked, ended, text = (
        row
    )
    return Delivery(
        id=number, channel=channel, recipient=recipient, kind=kind, services=tuple(json.loads(services)), first=first,
        last=last, total=total, created=created, due=due, tries=tries, state=state, marked=marked, ended=ended,
        answer=text,
    )  # fmt: skip
