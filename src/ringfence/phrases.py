"""What the guard says in English, in the reader's language, where the sentence has one of the shapes listed here.

The guard has no reader and no language: it tells what is wrong, what it did and why it refused as English sentences,
which also stand in logs, on the command line and in the API. Pages and warnings put those in words that have a known
shape: the values in it are taken out, and the same text is told in another language by gettext. What has no known
shape (mostly the words of the system and of libraries) stays as it is, so nothing is ever told wrongly. Pure.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Final

from ringfence.durations import parse_duration
from ringfence.translating import ENGLISH_NAME, Words

LONGEST: Final = 1_000
"""Characters of a sentence that is looked at."""
DEEPEST: Final = 4
"""How often a value of a sentence may be such a sentence itself."""

Shape = tuple[str, ...]
"""A text, or the one for one thing and the one for several, which is told by %(count)s."""


class _Noted:
    """Notes the texts that it is called with; called `_`, it makes them known to who collects the texts."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []

    def __call__(self, text: str) -> None:
        self.shapes.append((text,))

    def ngettext(self, one: str, many: str) -> None:
        self.shapes.append((one, many))


def _state(_: _Noted) -> None:
    """How the guard is: `Guard.problems`, `Guard.notices`, `Barrier.mode`, the headline."""
    _("Everything is guarded: %(services)s, %(logs)s, %(bans)s in force.")
    _("Not everything is guarded: %(why)s (and %(more)s)")
    _("Not everything is guarded: %(why)s")
    _.ngettext("%(count)s service", "%(count)s services")
    _.ngettext("%(count)s log", "%(count)s logs")
    _.ngettext("%(count)s ban", "%(count)s bans")
    _.ngettext("%(count)s more problem", "%(count)s more problems")
    _("guarding with nftables")
    _("monitor mode (%(why)s)")
    _("by the settings")
    _("%(mode)s: nothing is blocked")
    _("%(mode)s: nothing new is blocked; %(why)s")
    _("%(mode)s: what an earlier run left in the kernel holds until 'ringfence unfence'")
    _("nothing is blocked")
    _("nothing new is blocked; %(why)s")
    _("what an earlier run left in the kernel holds until 'ringfence unfence'")
    _(
        "the kernel refuses changes of nftables: this process lacks CAP_NET_ADMIN; run as root, or give the systemd "
        "unit AmbientCapabilities=CAP_NET_ADMIN"
    )
    _.ngettext("%(count)s ban is not in force: %(why)s", "%(count)s bans are not in force: %(why)s")
    _("the kernel refused it")
    _("no log is watched: name one with [[source]] in the settings")
    _("warnings may not reach everybody: %(why)s")
    _("service %(service)s is switched off")
    _("%(name)s on the whitelist does not resolve; its last answer holds")
    _.ngettext(
        "%(count)s line named a host that has no address, or several, and could not count",
        "%(count)s lines named a host that has no address, or several, and could not count",
    )
    _("the guard is not running (%(path)s): start it with 'ringfence run'")
    _("%(path)s: the guard does not answer")
    _("%(path)s: the guard went away before it answered")
    _("too many pages listen at once; this one does not update by itself")
    _("[web] countries = %(path)s: %(why)s; addresses are shown without country and network")
    _("is broken: %(problem)s")
    _("is no database of this kind: %(problem)s")


def _logs(_: _Noted) -> None:
    """What is wrong with a log: `Watch.standing`, `Watch.notices`, `Watch.faults`; each may begin with the log."""
    _("%(log)s: can't be read: %(why)s; tried again every few seconds")
    _("can't be read: %(why)s; tried again every few seconds")
    _("%(why)s; tried again every few seconds")
    _("can't be read: %(why)s")
    _("Permission denied")
    _("No such file or directory")
    _("Is a directory")
    _("there is no systemd journal on this machine yet")
    _("%(log)s: silent for %(time)s, never before for longer than %(time_before)s; is the server still writing there?")
    _("silent for %(time)s, never before for longer than %(time_before)s; is the server still writing there?")
    _.ngettext(
        "%(count)s line like a failed login, but of no known form: %(form)s",
        "%(count)s lines like a failed login, but of no known form: %(form)s",
    )
    _.ngettext(
        "%(log)s: %(count)s line like a failed login, but of no known form: %(form)s",
        "%(log)s: %(count)s lines like a failed login, but of no known form: %(form)s",
    )
    _("%(log)s: and %(count)s more such forms; see 'ringfence diag'")
    _.ngettext(
        "%(log)s: %(count)s line named a host instead of an address and could not count; have the server log "
        "addresses, or see [logs] names in the settings",
        "%(log)s: %(count)s lines named a host instead of an address and could not count; have the server log "
        "addresses, or see [logs] names in the settings",
    )


def _done(_: _Noted) -> None:
    """What a command came to, and what is on trial."""
    _("policy revision %(number)s")
    _("lockdown on")
    _("lockdown off")
    _("%(entry)s off the whitelist")
    _("ban of %(address)s")
    _("%(what)s stays")
    _("%(what)s was undone: by %(author)s")
    _("%(what)s is no longer on trial: something else has happened since")
    _("%(entry)s is no longer on the whitelist; %(why)s")
    _("%(entry)s is no longer on the whitelist")
    _("%(service)s is on (policy revision %(number)s)")
    _("%(service)s is off (policy revision %(number)s)")
    _("%(service)s is on already")
    _("%(service)s is off already")
    _("user %(user)s is removed, with their tokens and links")
    _("link %(number)s is withdrawn")
    _("token %(number)s of %(user)s is revoked")
    _("token %(number)s of %(user)s is revoked already")
    _("%(address)s is being looked up; its bans are lifted when it resolves")


def _refused(_: _Noted) -> None:
    """Why a command was refused: for the sake of who gave it, and for what does not exist."""
    _("%(what)s: %(why)s. Confirm it to ban it all the same")
    _("%(what)s: %(why)s. Confirm it to make it longer all the same")
    _("%(what)s: %(why)s. Confirm it to take it off all the same")
    _("%(what)s: %(why)s. Confirm it to apply it all the same")
    _("the ban of %(address)s is not made longer")
    _("%(entry)s stays on the whitelist")
    _("the policy stays as it is")
    _("it is on the whitelist")
    _("it is within %(entry)s, on the whitelist")
    _("it holds %(entry)s, on the whitelist")
    _("it is %(what)s")
    _("it is within %(entry)s, %(what)s")
    _("it holds %(entry)s, %(what)s")
    _("where this request comes from")
    _("where you are looking from")
    _("protected by the settings")
    _("reserved for loopback")
    _("where an administrator is logged in from")
    _("our own address")
    _("%(why)s; %(address)s is %(what)s")
    _("%(address)s is on the whitelist for %(service)s and would no longer be")
    _("%(address)s is on the whitelist (by %(entry)s) for %(service)s and would no longer be")
    _("by rule %(rule)s (%(brief)s) %(address)s would be banned from %(service)s")
    _("%(address)s is not banned from %(service)s")
    _("%(entry)s is not on the whitelist for %(service)s")
    _("there is no lockdown to end")
    _("there is no ban %(number)s")
    _("no ban %(number)s runs; that of %(address)s has ended")
    _("there is no service %(name)s; known: %(known)s")
    _("no change %(number)s is on trial: it was kept")
    _("no change %(number)s is on trial: it was undone")
    _("revision %(now)s came into force meanwhile, not %(of)s")
    _("a policy of more than %(count)s KiB can't be edited here; use the command line")
    _("there is a user %(user)s already; see 'ringfence user list'")
    _("log in first")
    _("the role %(role)s may not do this")
    _("this change was asked for by a page of another site")
    _("this form is out of date or came from elsewhere: go back, reload, try again")


def _explained(_: _Noted) -> None:
    """Why an address is banned or not: `explain.explain`."""
    _("%(address)s is banned on paper, but the whitelist lets it in")
    _("%(address)s is not banned and has never failed to log in")
    _("%(address)s is not banned")
    _("%(verdict)s (not in force yet: the kernel has not confirmed it)")
    _("%(verdict)s (recorded only, %(why)s)")
    _("%(address)s is banned from %(service)s for good")
    _("%(address)s is banned from %(service)s until %(date)s")
    _("rule %(rule)s fired on %(date)s (all of %(network)s): %(cause)s")
    _("rule %(rule)s fired on %(date)s (all of %(network)s)")
    _("rule %(rule)s fired on %(date)s: %(cause)s")
    _("rule %(rule)s fired on %(date)s")
    _("%(author)s banned it on %(date)s (all of %(network)s): %(cause)s")
    _("%(author)s banned it on %(date)s (all of %(network)s)")
    _("%(author)s banned it on %(date)s: %(cause)s")
    _("%(author)s banned it on %(date)s")
    _("it is never banned: %(why)s")
    _("it is protected")
    _("it is on the whitelist, which beats every ban")
    _("service %(service)s is switched off: nothing is judged there")
    _("rule %(rule)s for %(service)s: %(why)s")
    _("%(counted)s of %(needed)s attempts in %(time)s")
    _("%(counted)s of %(needed)s accounts in %(time)s")
    _("%(counted)s of %(needed)s bans in %(time)s")
    _.ngettext(
        "%(count)s attempt fired it; %(counted)s of %(needed)s since",
        "%(count)s attempts fired it; %(counted)s of %(needed)s since",
    )


def _changed(_: _Noted) -> None:
    """What one policy has other than another: `policy_text.difference`; values stand there as they are typed."""
    _("service %(service)s: switched off")
    _("service %(service)s: switched on")
    _("whitelist: %(entry)s added")
    _("whitelist: %(entry)s removed")
    _("rule %(rule)s for %(service)s: added: %(brief)s")
    _("rule %(rule)s for %(service)s: removed")
    _("rule %(rule)s: added: %(brief)s")
    _("rule %(rule)s: removed")
    _("rules for %(service)s: in another order")
    _("rules: in another order")
    _("limits: %(change)s")


def _typed(_: _Noted) -> None:
    """What is wrong with something that was typed: a value, a password."""
    _("must be a whole number from %(least)s to %(most)s")
    _("a whole number from %(least)s to %(most)s")
    _('must be a duration from %(least)s to %(most)s, or "forever"')
    _("must be a duration from %(least)s to %(most)s")
    _('must be a duration such as "90s", "10m", "1h30m", "2d" or "forever"')
    _("10 years")
    _("must be yes or no")
    _("must be an address, a network or a host name")
    _("must be an address or a network")
    _("%(text)s must be an address, a network or a host name")
    _("%(text)s has bits set beyond its prefix: the network is %(network)s")
    _("has bits set beyond its prefix: the network is %(network)s")
    _("must not name an interface")
    _("must be a name of 1 to 32 of a-z, 0-9, _ and -")
    _("a duration is from 1 second to 10 years, or forever")
    _("the password is too long or no text: give one of at most %(count)s bytes")
    _("the password is too short: take %(count)s characters or more, such as four or five words")
    _("the password is the user's name: choose something that nobody knows of you")
    _("the password repeats itself: use %(count)s different characters at least")
    _("the password is among those that are tried first: choose four or five words by chance")


def _compared(_: _Noted) -> None:
    """How a comparison of policies ended: `web.jobs`."""
    _("a comparison that %(user)s started is at %(percent)s; one runs at a time, so try again in a moment")
    _("another one was started instead")
    _("it was cancelled")
    _("the page was stopped")
    _("nobody asked how far it is, so it was ended")
    _("it was not done after %(count)s minutes; choose fewer days")
    _("the answer is too long; choose fewer days")
    _("there is no such comparison (any more)")
    _("the comparison ended without an answer; the page's log may say why")


def _about(_: _Noted) -> None:
    """What a change is of, and a sentence of these with what it is about before it."""
    _("rule %(rule)s: %(change)s")
    _("%(about)s: %(why)s")


_PARTS: Final[tuple[Callable[[_Noted], None], ...]] = (
    _state, _logs, _done, _refused, _changed, _explained, _compared, _typed, _about,
)  # fmt: skip
_VALUE: Final = re.compile(r"%\((\w+)\)s")
_NUMBERS: Final = frozenset({"count", "counted", "needed"})
_FORMS: Final = {**dict.fromkeys(_NUMBERS, "[0-9][0-9,]*"), "date": "[^()]+?"}
"""What a value looks like, where that tells shapes apart."""
_INNER: Final = frozenset({"why", "what", "mode", "verdict", "services", "logs", "bans", "more", "least", "most"})
"""Values that may be such sentences themselves."""


@functools.cache
def _known() -> tuple[tuple[re.Pattern[str], Shape], ...]:
    """Every shape with an expression for it, and one for each of its numbers; those that say most come first."""
    noted = _Noted()
    for part in _PARTS:
        part(noted)
    texts = [(text, shape) for shape in noted.shapes for text in shape]
    texts.sort(key=lambda one: -len(_VALUE.sub("", one[0])))
    return tuple((re.compile(_expression(text), re.DOTALL), shape) for text, shape in texts)


def _expression(text: str) -> str:
    pieces = _VALUE.split(text)
    literal, names = pieces[::2], pieces[1::2]
    values = [f"(?P<{name}>{_FORMS.get(name, '.+?')})" for name in names]
    return "".join(piece for pair in zip(map(re.escape, literal), [*values, ""], strict=True) for piece in pair)


@functools.lru_cache(maxsize=500)
def _shape_of(sentence: str) -> tuple[Shape, dict[str, str]] | None:
    for expression, shape in _known():
        if (found := expression.fullmatch(sentence)) is not None:
            return shape, found.groupdict()
    return None


def in_words(sentence: str, _: Words, depth: int = 0) -> str:
    """`sentence` in the language of `_` where it has a known shape, otherwise as it is."""
    if _.language == ENGLISH_NAME or len(sentence) > LONGEST or depth > DEEPEST:
        return sentence
    known = _shape_of(sentence)
    if known is None:
        return sentence
    shape, found = known
    values = {name: _value(name, text, _, depth + 1) for name, text in found.items()}
    if len(shape) == 2:
        return _.ngettext(*shape, int(found["count"].replace(",", "")), **values)
    return _(shape[0], **values)


def _value(name: str, text: str, _: Words, depth: int) -> str:
    """A value of a sentence in the reader's language: a number, a length of time, a name, or a sentence again."""
    if name in _NUMBERS:
        return _.number(int(text.replace(",", "")))
    if name.startswith("time"):
        try:
            return _.duration(parse_duration(text))
        except ValueError:
            return text
    if name == "service":
        return ", ".join(_("all services") if one == "all services" else one for one in text.split(", "))
    if name == "author":
        return _.author(f"user:{text}") if "@" in text else text
    if name == "cause":
        cause, between, note = text.partition("; ")
        return _.cause(cause) + between + note
    return in_words(text, _, depth) if name in _INNER else text
