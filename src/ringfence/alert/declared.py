"""Every setting of warnings, declared once; `alerting` reads them, the page and docs/warnings.md show them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Struct

from ringfence.alert.kinds import KINDS
from ringfence.declared import Doc
from ringfence.translating import ENGLISH_NAME, languages
from ringfence.values import Form, choice, duration, listed, maybe, name, path, quote, switch, text, whole

DAY: Final = 86_400.0
LONGEST_INTERVAL: Final = 45 * DAY
_MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?:@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+)?", re.ASCII)
_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

Hours = tuple[int, int]
"""Minutes of the day: from, and up to but not including. The first may be the later one: over midnight."""


def mailbox(permitted: str = "a mail address") -> Form[str]:
    """A mail address, or the name of a mailbox of this machine; nothing that could end a header or begin another.

    "=?" neither: in a header it begins an encoded word (RFC 2047), within which anything may stand.
    """

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or not _MAILBOX.fullmatch(raw) or "=?" in raw:
            raise ValueError(f"must be {permitted}")
        return raw

    return Form(parse, permitted, quote)


def hours() -> Form[Hours]:
    """Hours of the day, by this machine's clock."""
    permitted = 'hours of the day such as "22:00-07:00"'

    def parse(raw: object) -> Hours:
        found = _HOURS.fullmatch(raw) if isinstance(raw, str) else None
        if found is None or found[1] + found[2] == found[3] + found[4]:
            raise ValueError(f"must be {permitted}")
        return int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])

    def show(value: Hours) -> str:
        return quote("-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in value))

    return Form(parse, permitted, show)


def clock() -> Form[int]:
    """A time of day, in minutes."""

    def parse(raw: object) -> int:
        found = _CLOCK.fullmatch(raw) if isinstance(raw, str) else None
        if found is None:
            raise ValueError('must be a time of day such as "07:30"')
        return int(found[1]) * 60 + int(found[2])

    return Form(parse, 'a time of day such as "07:30"', lambda value: quote(f"{value // 60:02}:{value % 60:02}"))


def interval() -> Form[float]:
    """No interval, or one of 1 minute to 45 days."""
    inner = duration(60, LONGEST_INTERVAL)
    return Form(
        lambda raw: 0.0 if raw == "none" else inner.parse(raw), f'"none" or {inner.permitted}',
        lambda value: inner.show(value) if value else '"none"',
    )  # fmt: skip


def secret() -> Form[str]:
    """A password or key."""
    return text(r"[^\x00-\x1f\x7f]{0,1000}", "a text without control characters")


_KINDS: Final = listed(choice(*KINDS), single=True)
_SERVICES: Final = listed(name("a service"), single=True)


class MailSettings(Struct, frozen=True, kw_only=True):
    """Who gets mail, and how it is sent. Without recipients nobody does."""

    recipients: Annotated[tuple[str, ...], Doc("Who is told.", listed(mailbox(), single=True))] = ()
    recipients_file: Annotated[
        Path | None,
        Doc("A file with more of them, one a line; # begins a comment. It is read for every mail.", maybe(path())),
    ] = None
    sender: Annotated[
        str,
        Doc('"system": this machine\'s own (root@HOST); "auto": ringfence@HOST; or an address.',
            mailbox('"system", "auto" or a mail address')),
    ] = "auto"  # fmt: skip
    interval: Annotated[
        float,
        Doc("How long at least lies between two mails of one kind to one recipient; what happens meanwhile is "
            "gathered into the next.", interval()),
    ] = 3600.0  # fmt: skip
    body: Annotated[
        Literal["standard", "short"],
        Doc('"standard": text and HTML; "short": one line of at most 160 characters, for an SMS gateway.',
            choice("standard", "short")),
    ] = "standard"  # fmt: skip
    language: Annotated[str, Doc("The language of the words, one of those that there are.", choice(*languages()))] = (
        ENGLISH_NAME
    )
    quiet: Annotated[
        Hours | None,
        Doc("Hours in which only the grave is told; the rest waits for their end.", maybe(hours())),
    ] = None
    server: Annotated[
        str,
        Doc("The mail server, a name or address; empty: the local program `sendmail` is used.",
            text(r"[A-Za-z0-9._:-]{0,253}", "a host name or an address, or empty")),
    ] = "localhost"  # fmt: skip
    port: Annotated[int, Doc("Its port; usual are 25, 587 (starttls) and 465 (tls).", whole(1, 65535))] = 25
    security: Annotated[
        Literal["none", "starttls", "tls"],
        Doc('"starttls" and "tls" insist on encryption; "none" does without.', choice("none", "starttls", "tls")),
    ] = "none"  # fmt: skip
    verify: Annotated[bool, Doc("Whether the server's certificate must be right.", switch())] = True
    ca: Annotated[
        Path | None, Doc("Certificates (PEM) of who may have signed it; empty: the system's.", maybe(path()))
    ] = None
    user: Annotated[str, Doc("The name to log in with; empty: without login.", secret())] = ""
    password: Annotated[str, Doc("Its password; better in a file.", secret())] = ""
    password_file: Annotated[
        Path | None, Doc("A file whose first line is the password; root alone need be able to read it.", maybe(path()))
    ] = None
    timeout: Annotated[float, Doc("How long each answer may take.", duration(1, 300))] = 30.0
    sendmail: Annotated[Path, Doc("The local program, for an empty `server`.", path())] = Path("/usr/sbin/sendmail")
    digest: Annotated[
        Literal["none", "daily", "weekly"],
        Doc("A summary, every day or every Monday.", choice("none", "daily", "weekly")),
    ] = "none"
    digest_at: Annotated[int, Doc("When it is made.", clock())] = 7 * 60


class MailOverride(Struct, frozen=True, kw_only=True):
    """What differs for some kinds of warnings, some services, some recipients; what is not given is inherited.

    Of several that fit, one for a recipient wins over one for a kind, and that over one for a service; one for more
    of these wins over one for fewer of the same.
    """

    kind: Annotated[tuple[str, ...], Doc("The kinds it is for; none: every kind.", _KINDS)] = ()
    service: Annotated[tuple[str, ...], Doc("The services it is for; none: every service.", _SERVICES)] = ()
    to: Annotated[
        tuple[str, ...],
        Doc("The recipients whose mails it is for; none: everybody's.", listed(mailbox(), single=True)),
    ] = ()
    recipients: Annotated[
        tuple[str, ...] | None, Doc("Who is told instead; [] is nobody.", listed(mailbox(), single=True))
    ] = None
    recipients_file: Annotated[Path | None, Doc("A file with recipients, instead.", path())] = None
    sender: Annotated[str | None, Doc("As above.", mailbox('"system", "auto" or a mail address'))] = None
    interval: Annotated[float | None, Doc("As above.", interval())] = None
    body: Annotated[Literal["standard", "short"] | None, Doc("As above.", choice("standard", "short"))] = None
    language: Annotated[str | None, Doc("As above.", choice(*languages()))] = None
    quiet: Annotated[Hours | Literal[""] | None, Doc('As above; "" for none.', Form(
        lambda raw: "" if raw == "" else hours().parse(raw), f'{hours().permitted}, or "" for none',
        lambda value: hours().show(value) if value else '""'))] = None  # fmt: skip


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """Another way than mail: a chat, a web hook, a program."""

    name: Annotated[str, Doc("What it is called.", name("a channel's name"))] = ""
    type: Annotated[
        Literal["", "apprise", "webhook", "command"],
        Doc('"apprise": any service that Apprise knows (pip install ringfence[chat]); "webhook": JSON by POST, signed; '
            '"command": a program, which gets JSON on standard input.', choice("apprise", "webhook", "command")),
    ] = ""  # fmt: skip
    url: Annotated[
        str, Doc("Apprise's URL, or the hook's (http:// or https://).", text(r"[\x21-\x7e]{0,2000}", "a URL"))
    ] = ""
    url_file: Annotated[
        Path | None, Doc("A file whose first line is the URL, which may hold a key.", maybe(path()))
    ] = None
    secret: Annotated[str, Doc("The key with which a hook's requests are signed; better in a file.", secret())] = ""
    secret_file: Annotated[Path | None, Doc("A file whose first line is that key.", maybe(path()))] = None
    command: Annotated[
        tuple[str, ...], Doc("The program and its arguments; no shell sees them.",
                             Form(lambda raw: _arguments(raw), "a list of texts, the first an absolute path",
                                  lambda value: f"[{', '.join(map(quote, value))}]")),
    ] = ()  # fmt: skip
    timeout: Annotated[float, Doc("How long it may take.", duration(1, 300))] = 10.0
    kind: Annotated[tuple[str, ...], Doc("The kinds that it is told of; none: every kind.", _KINDS)] = ()
    service: Annotated[tuple[str, ...], Doc("The services that it is told of; none: every one.", _SERVICES)] = ()
    interval: Annotated[float, Doc("As for mail.", interval())] = 0.0
    quiet: Annotated[Hours | None, Doc("As for mail.", maybe(hours()))] = None


class WatchSettings(Struct, frozen=True, kw_only=True):
    """What is looked for, besides what the guard notices anyway."""

    attack_factor: Annotated[
        int, Doc("An attack begins at this many times the usual attempts a minute.", whole(2, 1000))
    ] = 8
    attack_floor: Annotated[int, Doc("… and not below so many attempts a minute.", whole(1, 1_000_000))] = 30
    certificates: Annotated[
        tuple[Path, ...],
        Doc("Certificates (PEM) whose end is watched, besides the page's.", listed(path(), single=True)),
    ] = ()
    certificate_ahead: Annotated[
        float, Doc("How long before its end a certificate is warned of.", duration(DAY, 365 * DAY))
    ] = 14 * DAY
    whitelist_ahead: Annotated[
        float, Doc("How long before its end a whitelist entry is warned of.", duration(3600, 365 * DAY))
    ] = 3 * DAY
    administrators: Annotated[
        tuple[str, ...],
        Doc(
            "Accounts whose logins from a new address are warned of, on any service; those of the page are anyway.",
            listed(text(r"[^\x00-\x1f\x7f]{1,64}", "an account"), single=True),
        ),
    ] = ("root", "admin")
    canary: Annotated[
        float, Doc("How often the canary is let through; none: only by `ringfence canary`.", interval())
    ] = 0.0


class JournalSettings(Struct, frozen=True, kw_only=True):
    """Lines for the system's log."""

    bans: Annotated[
        bool, Doc("Whether every ban is written to syslog or the journal, see docs/warnings.md.", switch())
    ] = False


def _arguments(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(one, str) and "\0" not in one for one in raw):
        raise ValueError("must be a list of texts, the program first")
    if not raw[0].startswith("/"):
        raise ValueError("must begin with the program's absolute path")
    return tuple(raw)
