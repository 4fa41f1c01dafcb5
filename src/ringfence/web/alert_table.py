"""Who is told of what: the settings of warnings worked out for each kind, everything inherited filled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from ringfence.alert.alerting import Alerting, Manner
from ringfence.alert.declared import ChannelSettings, Hours
from ringfence.alert.kinds import KINDS
from ringfence.alert.plan import SENT_TO_NOBODY
from ringfence.errors import SettingsError
from ringfence.translating import ENGLISH, Words


class Way(Struct, frozen=True, kw_only=True):
    """A way on which somebody is told. `channel`: mail or its name; `pause` and `quiet` in words, empty for none."""

    channel: str
    recipients: tuple[str, ...] = ()
    pause: str = ""
    quiet: str = ""
    sender: str = ""
    body: str = ""


class Told(Struct, frozen=True, kw_only=True):
    """How warnings of `kind` about `service` (empty: any that has no line of its own) are told.

    `wrong`: why that is not known; `never`: such warnings are only shown.
    """

    kind: str
    service: str
    ways: tuple[Way, ...] = ()
    wrong: str = ""
    never: bool = False


def told_table(alerting: Alerting, _: Words = ENGLISH) -> list[Told]:
    """A line for each kind, and one for each service for which something else holds. Reads recipients' files."""
    named = [one.service for one in alerting.mail_for] + [one.service for one in alerting.channel]
    services = sorted({name for some in named for name in some})
    found = []
    for kind in KINDS:
        every = _told(alerting, kind, "", _)
        found.append(every)
        if not every.never:
            lines = [_told(alerting, kind, service, _) for service in services]
            found += [line for line in lines if (line.ways, line.wrong) != (every.ways, every.wrong)]
    return found


def _told(alerting: Alerting, kind: str, service: str, _: Words) -> Told:
    if kind in SENT_TO_NOBODY or (kind == "digest" and alerting.mail.digest == "none"):
        return Told(kind=kind, service=service, never=True)
    try:
        recipients = alerting.recipients(kind, service)
    except SettingsError as error:
        return Told(kind=kind, service=service, ways=tuple(_channels(alerting, kind, service, _)), wrong=str(error))
    manners: dict[Manner, list[str]] = {}
    for recipient in recipients:
        manners.setdefault(alerting.manner(kind, service, recipient), []).append(recipient)
    mail = [_mail(manner, some, _) for manner, some in manners.items()]
    return Told(kind=kind, service=service, ways=(*mail, *_channels(alerting, kind, service, _)))


def _mail(manner: Manner, recipients: list[str], _: Words) -> Way:
    return Way(
        channel="mail", recipients=tuple(recipients), pause=_pause(manner.interval, _), quiet=hours_text(manner.quiet),
        sender=manner.sender, body=manner.body,
    )  # fmt: skip


def _channels(alerting: Alerting, kind: str, service: str, _: Words) -> Iterator[Way]:
    for one in alerting.channel:
        if alerting.wants(one, kind, service):
            yield _channel(one, _)


def _channel(one: ChannelSettings, _: Words) -> Way:
    return Way(channel=one.name, pause=_pause(one.interval, _), quiet=hours_text(one.quiet))


def _pause(seconds: float, _: Words) -> str:
    return _.duration(seconds) if seconds else ""


def hours_text(hours: Hours | None) -> str:
    """Hours of the day as they are written: "22:00-07:00"; empty for none."""
    return "" if hours is None else "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in hours)


def recipients_of(alerting: Alerting) -> list[str]:
    """Everybody whom the settings themselves name, those of [mail] first; not those in files."""
    named = [alerting.mail.recipients, *(one.recipients or () for one in alerting.mail_for)]
    return list(dict.fromkeys(recipient for some in named for recipient in some))


EXAMPLES: Final[dict[str, str]] = {
    "relay": """\
# A mail server nearby takes everything from this machine, without a login.
[mail]
recipients = ["admin@example.org"]
server = "mail.example.org"
port = 25
sender = "auto"
interval = "1h"
""",
    "provider": """\
# A provider: submission (port 587) with TLS and a login.
[mail]
recipients = ["admin@example.org"]
sender = "pbx@example.org"
server = "smtp.example.org"
port = 587
security = "starttls"
user = "pbx@example.org"
# Better in a file that only root can read, which root names on the server: password_file, with `ringfence mail apply`.
password = "…"
interval = "1h"
quiet = "22:00-07:00"
digest = "daily"
digest_at = "07:00"
""",
    "sms": """\
# Mails as usual; what is grave also goes to a gateway that makes a short message of a mail.
[mail]
recipients = ["admin@example.org"]
server = "mail.example.org"
interval = "1h"

[[mail_for]]
kind = ["attack", "enforcement", "source", "lockdown"]
recipients = ["admin@example.org", "4930123456@sms.example.org"]

[[mail_for]]
to = "4930123456@sms.example.org"
body = "short"
interval = "15m"
""",
}
"""Settings to begin from, by the name that the page gives them."""
