"""The sender's desk: reads the ledger, asks the guard, keeps the secrets. Everything here blocks; one thread uses it.

The ledger is only read. Whatever is to be written the guard writes, by commands, so that there stays one writer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any, Final, Literal, TypeVar

from ringfence.alert.alerting import Alerting, Manner, first_line, load_alerting
from ringfence.alert.channels import secrets_of
from ringfence.alert.compose import compose
from ringfence.alert.declared import ChannelSettings
from ringfence.alert.digest import compose_digest, numbers
from ringfence.alert.host import own_host
from ringfence.alert.message import Message
from ringfence.alert.plan import MAIL, steps
from ringfence.alert.tried import accounts_tried
from ringfence.control import Client
from ringfence.errors import RingfenceError, SettingsError
from ringfence.ledger import BanLine, Delivery, Ledger
from ringfence.settings import Settings

Answer = TypeVar("Answer")

LISTED: Final = 200
"""Warnings that one message lists; all are counted."""
EVENTS: Final = 300
"""Attempts of an address that are looked through for the accounts it tried."""
LATEST: Final = 12 * 3600.0
"""Seconds until which a summary is still made that was due while we were away."""
PATIENCE: Final = 20.0


class Secrets:
    """Passwords, keys and URLs as they stand in the settings or in the files that these name."""

    def __init__(self, alerting: Alerting) -> None:
        """Reads the files, so begin before rights are given up. What can't be read is told in `troubles`."""
        self.troubles: list[str] = []
        self.password = alerting.mail.password
        self._channels: dict[str, tuple[str, str]] = {}
        try:
            if alerting.mail.password_file is not None:
                self.password = first_line(alerting.mail.password_file, "[mail] password_file")
        except SettingsError as error:
            self.troubles.append(str(error))
        for one in alerting.channel:
            try:
                self._channels[one.name] = secrets_of(one)
            except SettingsError as error:
                self.troubles.append(str(error))

    def of_channel(self, name: str) -> tuple[str, str]:
        """The URL and the signing key of a channel. Raises RingfenceError where they can't be read."""
        if name not in self._channels:
            raise RingfenceError("; ".join(self.troubles) or f"there is no channel {name!r}")
        return self._channels[name]


class Desk:
    """Everything that the sender looks up and has written down."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.clock = clock
        self.host = own_host()
        self.revision = 0
        self.alerting = Alerting()
        ledger = Ledger.open_reader(settings.ledger.path)
        last = ledger.alerting()
        ledger.close()
        if last is not None:
            self.revision = last.revision
            self.alerting = load_alerting(last.text, f"settings of warnings, revision {last.revision}")
        self._begin = last.newest if last is not None else 0
        self.secrets = Secrets(self.alerting)
        self._client: Client | None = None
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self._troubles = self.secrets.troubles
        self._told_trouble: str | None = None
        self._planned_for = -1

    @cached_property
    def _ledger(self) -> Ledger:
        """Opened by the thread that uses it."""
        return Ledger.open_reader(self.settings.ledger.path)

    # ---- the guard

    def ask(self, answer: type[Answer], command: str, /, **arguments: Any) -> Answer:
        """Give the guard a command, over one connection that is made again when it broke. Raises RingfenceError."""
        if self._client is None:
            self._client = Client(self.settings.control.socket, patience=PATIENCE)
        try:
            return self._client.ask(answer, command, **arguments)
        except RingfenceError:
            self._client.close()
            self._client = None
            raise

    def begin(self) -> list[Delivery]:
        """Nothing is under way yet: what an earlier sender was handing over is not sent again."""
        return self.ask(list[Delivery], "sender_begins")

    def changed(self) -> bool:
        """Whether there are other settings than those we work by."""
        last = self._ledger.alerting()
        return (last.revision if last is not None else 0) != self.revision

    # ---- what is due

    def plan(self, *, always: bool) -> list[Delivery]:
        """Put into the outbox what is due; returns the messages that are to be tried now.

        Looks closely only when there are new warnings, or `always`.
        """
        now = self.clock()
        newest = self._ledger.newest_warning()
        open_ = self._ledger.open_deliveries()
        if always or newest != self._planned_for or any(one.due <= now and one.tries for one in open_):
            self._planned_for = newest
            self._troubles = list(self.secrets.troubles)
            here = datetime.fromtimestamp(now)
            wanted = steps(
                self.alerting, self._ledger.told(), open_, self._ledger.pending, self._recipients, self._begin, now,
                here.hour * 60 + here.minute,
            )  # fmt: skip
            if wanted:
                self.ask(int, "take", steps=wanted)
                open_ = self._ledger.open_deliveries()
            self._tell_trouble("; ".join(dict.fromkeys(self._troubles)))
        return [one for one in open_ if one.state == "waiting" and one.due <= now]

    def _recipients(self, kind: str, service: str) -> tuple[str, ...]:
        """Who is mailed of such a warning; where a file of recipients can't be read, those that stood there before."""
        key = kind, service
        try:
            self._known[key] = self.alerting.recipients(kind, service)
        except SettingsError as error:
            self._troubles.append(str(error))
        return self._known.get(key, ())

    def _tell_trouble(self, trouble: str) -> None:
        if trouble != self._told_trouble:
            words = f"warnings may not reach everybody: {trouble}" if trouble else ""
            self.ask(type(None), "sender_trouble", trouble=words)
            self._told_trouble = trouble

    def digest(self) -> bool:
        """Have the summary written down that is due, if one is; returns whether it was new."""
        due = digest_due(self.alerting.mail.digest, self.alerting.mail.digest_at, self.clock(), here())
        if due is None:
            return False
        subject, since, until = due
        period = self.alerting.mail.digest
        return self.ask(bool, "digest", subject=subject, period=period, since=since, until=until)

    # ---- one message

    def channel(self, delivery: Delivery) -> ChannelSettings | None:
        """The channel that a message goes by; None for mail. Raises SettingsError when it was removed."""
        if delivery.channel == MAIL:
            return None
        for one in self.alerting.channel:
            if one.name == delivery.channel:
                return one
        raise SettingsError(f"there is no channel {delivery.channel!r} any more")

    def manner(self, delivery: Delivery) -> Manner:
        """How a mail is written: as for the first of its services."""
        service = delivery.services[0] if delivery.services else ""
        return self.alerting.manner(delivery.kind, service, delivery.recipient)

    def message(self, delivery: Delivery) -> Message:
        """The words of a message."""
        ledger, how = self._ledger, self.manner(delivery)
        body: Literal["standard", "short"] = "standard"
        language = "en"
        if delivery.channel == MAIL:
            body = "short" if how.body == "short" else "standard"
            language = how.language
        common: dict[str, Any] = {
            "body": body, "host": self.host, "link": self.settings.web.base, "zone": here(), "language": language
        }  # fmt: skip
        alerts = ledger.warnings_in(delivery, limit=LISTED)
        if delivery.kind == "digest" and alerts:
            since, until = alerts[0].facts["since"], alerts[0].facts["until"]
            by_kind = ledger.warnings_by_kind(since, until)
            noticed = [one for one in ledger.warnings(since=since, limit=LISTED) if one.time < until]
            newest = [one for one in noticed if one.kind not in ("digest", "delivery")]
            return compose_digest(numbers(ledger, since, until, warnings=by_kind, newest=newest), **common)
        return compose(
            alerts, total=delivery.total, counts=ledger.counts_in(delivery), suppressed=ledger.muted_in(delivery),
            accounts={alert.id: accounts_tried(ledger, alert, events=EVENTS) for alert in alerts}, **common,
        )  # fmt: skip

    # ---- lines for the system's log

    def ban_lines(self, most: int) -> list[BanLine]:
        """What happened to bans since the last line, which counts as told from now on."""
        upto = self._ledger.told().get(("journal", "", "ban"))
        if upto is None:
            self.ask(bool, "advance", channel="journal", kind="ban", before=0, upto=self._ledger.last_ban_change())
            return []
        found = self._ledger.ban_changes_after(upto.upto, most)
        if not found or not self.ask(
            bool, "advance", channel="journal", kind="ban", before=upto.upto, upto=found[-1].id
        ):
            return []
        return found


def digest_due(period: str, at: int, now: float, zone: tzinfo) -> tuple[str, float, float] | None:
    """The summary that is due at `now`: its name, beginning and end, seconds UTC; None when none is (any more).

    A daily one is made at minute `at` of each day, a weekly one on Mondays, of the day or week before.
    """
    if period == "none":
        return None
    moment = datetime.fromtimestamp(now, zone)
    end = moment.replace(hour=at // 60, minute=at % 60, second=0, microsecond=0)
    if end > moment:
        end -= timedelta(days=1)
    length = timedelta(days=1)
    if period == "weekly":
        end -= timedelta(days=end.weekday())
        length = timedelta(days=7)
    if now - end.timestamp() > LATEST:
        return None
    return f"{period} {end:%Y-%m-%d}", (end - length).timestamp(), end.timestamp()


def here() -> tzinfo:
    """The zone of this machine's clock."""
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    return zone
