"""All that is known of one warning, as lines of a label and a text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.alert.harmless import harmless, ours
from ringfence.alert.speech import Facts
from ringfence.alert.wording import MOST_CHANGES, accounts_text, counted, kind_title, place, step_title
from ringfence.model import Alert
from ringfence.phrases import in_words
from ringfence.translating import ENGLISH, Words

Line = tuple[str, str]


def lines(alert: Alert, accounts: Sequence[str] = (), _: Words = ENGLISH) -> list[Line]:
    """What is known of `alert` and is not empty: (label, text); `accounts` are those that were tried.

    A text may have several lines (the changes of a policy); each is harmless by itself.
    """
    facts = Facts(alert)
    found = [
        (_("Service"), ours(_.service(alert.service), 60)),
        *_who(alert, facts, _),
        (_("Accounts tried"), accounts_text(accounts, _)),
        *_why(alert, facts, _),
        (_("What was done"), done_text(alert, _)),
        *_state(alert, facts, _),
        *_times(alert, facts, _),
    ]
    return [(label, text) for label, text in found if text]


def done_text(alert: Alert, _: Words = ENGLISH) -> str:
    """What a rule's firing led to, as a sentence; empty for other kinds and where it is not known."""
    if alert.kind != "rule":
        return ""
    where = place(alert, _) or "?"
    return {
        "banned": _("banned from %(service)s", service=where),
        "longer": _("the ban from %(service)s that runs ends later now", service=where),
        "running": _("nothing: a ban from %(service)s holds as long already", service=where),
        "past": _("nothing: the ban would be over already"),
        "mail": _("nothing: the rule only warns"),
        "full": _("nothing: the list of bans is full"),
    }.get(Facts(alert).text("done"), "")


def _who(alert: Alert, facts: Facts, _: Words) -> list[Line]:
    address = harmless(facts.text("address"), 80)
    subject = harmless(alert.subject, 80)
    if alert.kind == "login":
        return [(_("User"), subject), (_("Address"), address)]
    if alert.kind == "rule":
        same = not address or address == subject
        return [(_("Address"), subject), (_("Last attempt from"), "" if same else address)]
    if alert.kind == "source":
        return [(_("Log"), ours(facts.text("log") or alert.subject))]
    if alert.kind == "expiry":
        certificate = facts.text("what") == "certificate"
        return [(_("Certificate") if certificate else _("Entry"), ours(alert.subject) if certificate else subject)]
    return []


def _why(alert: Alert, facts: Facts, _: Words) -> list[Line]:
    revision = facts.number("revision")
    of = facts.text("of")
    return [
        (_("Rule"), ours(facts.text("rule"), 60)),
        (_("Counted"), counted(facts, _)),
        (_("Cause"), harmless(_.cause(facts.text("cause")), 80)),
        (_("Detail"), harmless(facts.text("detail"), 300)),
        (_("Step"), step_title(facts.text("step"), _) if facts.text("step") else ""),
        (_("Problem"), harmless(in_words(facts.text("problem"), _), 600)),
        (_("Channel"), ours(facts.text("channel"), 60)),
        (_("Kind"), kind_title(of, _) if of else ""),
        (_("Answer"), harmless(facts.text("answer"), 600)),
        (_("Revision"), "" if revision is None else f"{revision:.0f}"),
        (_("Author"), harmless(_.author(facts.text("author")), 80)),
        (_("Ended by"), harmless(_.author(facts.text("ended_by")), 80)),
        (_("Note"), harmless(facts.text("note"), 400)),
        (_("Changes"), _changes(facts, _)),
    ]


def _changes(facts: Facts, _: Words) -> str:
    changes, more = facts.names("changes"), facts.number("more") or 0
    told = [harmless(in_words(one, _), 200) for one in changes[:MOST_CHANGES]]
    more += max(0, len(changes) - MOST_CHANGES)
    if more:
        told.append(_.ngettext("and %(count)s more line", "and %(count)s more lines", more))
    return "\n".join(told)


def _state(alert: Alert, facts: Facts, _: Words) -> list[Line]:
    def told(key: str) -> str:
        value = facts.number(key)
        return "" if value is None else _.number(value)

    services = facts.names("services")
    named = ", ".join(ours(_.service(one), 60) for one in services[:20])
    return [
        (_("Services"), "" if services == [alert.service] else named),
        (_("Attempts a minute"), told("rate")),
        (_("Usual"), told("usual")),
        (_("Attempts"), told("attempts")),
        (_("Bans"), told("bans")),
        (_("Room for"), told("capacity")),
    ]


def _times(alert: Alert, facts: Facts, _: Words) -> list[Line]:
    def told(key: str) -> str:
        moment = facts.moment(key)
        return "" if moment is None else _.exact(moment)

    until, ahead = told("until"), facts.ahead("until")
    if until and ahead is not None and ahead > 0:
        until = f"{until} ({_.duration(ahead)})"
    if facts.endless("until"):
        until = _("until it is switched off") if alert.kind == "lockdown" else _("for good")
    if facts.text("done") in ("past", "mail", "full"):
        until = ""
    return [
        (_("Time"), _.exact(alert.time)),
        (_("Since"), told("since")),
        (_("Until"), until),
        (_("Ends"), told("expires")),
    ]
