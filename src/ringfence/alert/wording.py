"""What a warning says: `headline` in a few words, `title` in a line, `lines` with all that is known. Pure.

Every fact is optional, for a warning may be older than the code that tells it. What others wrote passes `harmless`.
The texts are English here and go through gettext: `_` is a `Words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ringfence.alert.harmless import harmless, ours, shortened
from ringfence.alert.speech import Facts
from ringfence.model import Alert
from ringfence.phrases import in_words
from ringfence.translating import ENGLISH, Words

LONGEST_TITLE: Final = 300
MOST_ACCOUNTS: Final = 30
"""Accounts that are told of one warning; of more only how many."""
MOST_CHANGES: Final = 40
Said = tuple[str, str]
"""A headline, and what follows it in the title: empty, or beginning with its own separator."""


def headline(alert: Alert, _: Words = ENGLISH) -> str:
    """What happened, in a few words and without the reason: for subjects."""
    return shortened(said(alert, _)[0], LONGEST_TITLE)


def title(alert: Alert, _: Words = ENGLISH) -> str:
    """What happened and why, in one line."""
    return shortened("".join(said(alert, _)), LONGEST_TITLE)


def kind_title(kind: str, _: Words = ENGLISH) -> str:
    """A kind of warnings in a word or two, as `kinds` names it."""
    return {
        "rule": _("rule fired"), "attack": _("attack"), "full": _("list of bans"), "enforcement": _("enforcement"),
        "source": _("log"), "lockdown": _("lockdown"), "login": _("administrator's login"), "policy": _("policy"),
        "expiry": _("expiry"), "canary": _("canary"), "delivery": _("delivery"), "digest": _("digest"),
    }.get(kind) or ours(kind, 40)  # fmt: skip


def place(alert: Alert, _: Words = ENGLISH) -> str:
    """The service that a warning concerns, or all where its ban closes all; empty for none."""
    whole = alert.facts.get("scope") == "all"
    return _("all services") if whole else ours(_.service(alert.service), 60)


def said(alert: Alert, _: Words) -> Said:
    """A warning's headline, and what follows it in its title."""
    say = _SAY.get(alert.kind)
    if say is not None:
        return say(alert, Facts(alert), _)
    about = harmless(alert.subject)
    return kind_title(alert.kind, _) + (f": {about}" if about else ""), ""


def _after(text: str) -> str:
    return f": {text}" if text else ""


def _rule(alert: Alert, facts: Facts, _: Words) -> Said:
    who, where = harmless(alert.subject, 80) or "?", place(alert, _) or "?"
    done = facts.text("done")
    length = ""
    if done in ("", "banned") and facts.endless("until"):
        length = _("for good")
    elif done in ("", "banned") and (ahead := facts.ahead("until")) and ahead > 0:
        length = _("for %(length)s", length=_.duration(ahead))
    if done == "banned" or (not done and length):
        head = _("%(address)s banned from %(service)s", address=who, service=where)
    elif done == "longer":
        head = _("%(address)s banned from %(service)s for longer", address=who, service=where)
    elif done == "running":
        head = _("%(address)s banned from %(service)s already", address=who, service=where)
    elif done == "past":
        head = _("%(address)s not banned from %(service)s: it would be over already", address=who, service=where)
    elif done == "full":
        head = _("%(address)s not banned from %(service)s: the list of bans is full", address=who, service=where)
    else:
        head = _("%(address)s noticed on %(service)s", address=who, service=where)
    rule = facts.text("rule")
    reasons = [_("rule %(rule)s", rule=ours(rule, 60)) if rule else "", counted(facts, _)]
    return head, (f" {length}" if length else "") + _after(", ".join(filter(None, reasons)))


def counted(facts: Facts, _: Words) -> str:
    """How much a rule had counted, in what time: "100 attempts in 2m 10s"; empty when that is not known."""
    count, lasted = facts.number("count"), facts.lasted("since")
    if count is None:
        return ""
    what = facts.text("counted")
    if what == "attempts":
        many = _.ngettext("%(count)s attempt", "%(count)s attempts", count)
    elif what == "accounts":
        many = _.ngettext("%(count)s account", "%(count)s accounts", count)
    elif what == "bans":
        many = _.ngettext("%(count)s ban", "%(count)s bans", count)
    else:
        many = _.number(count)
    return many if lasted is None else _("%(many)s in %(time)s", many=many, time=_.duration(lasted))


def _attack(alert: Alert, facts: Facts, _: Words) -> Said:
    where = place(alert, _) or harmless(alert.subject, 60) or "?"
    if alert.phase == "ended":
        lasted, attempts = facts.lasted("since"), facts.number("attempts")
        head = _("Attack on %(service)s is over", service=where)
        after = "" if lasted is None else " " + _("after %(time)s", time=_.duration(lasted))
        return head, after + (
            "" if attempts is None else _after(_.ngettext("%(count)s attempt", "%(count)s attempts", attempts))
        )
    rate, usual = facts.number("rate"), facts.number("usual")
    told = [
        "" if rate is None
        else _.ngettext("%(count)s attempt a minute", "%(count)s attempts a minute", rate),
        "" if usual is None else _("usual are %(count)s", count=_.number(usual)),
    ]  # fmt: skip
    return _("Attack on %(service)s", service=where), _after(", ".join(filter(None, told)))


def _full(alert: Alert, facts: Facts, _: Words) -> Said:
    head = _("The list of bans has room again") if alert.phase == "ended" else _("The list of bans is full")
    bans, capacity = facts.number("bans"), facts.number("capacity")
    if bans is not None and capacity is not None:
        return head, _after(_("%(bans)s of %(capacity)s", bans=_.number(bans), capacity=_.number(capacity)))
    return head, "" if bans is None else _after(_.ngettext("%(count)s ban", "%(count)s bans", bans))


def _enforcement(alert: Alert, facts: Facts, _: Words) -> Said:
    if alert.phase == "ended":
        return _("Enforcement works again"), ""
    return _("Bans are not in force"), _after(harmless(in_words(facts.text("problem"), _), 160))


def _source(alert: Alert, facts: Facts, _: Words) -> Said:
    log, trouble = ours(facts.text("log") or alert.subject, 120) or "?", facts.text("trouble")
    problem = _after(harmless(in_words(facts.text("problem"), _), 120))
    if alert.phase == "ended":
        if trouble == "silent":
            return _("Log %(log)s speaks again", log=log), ""
        if trouble == "unreadable":
            return _("Log %(log)s can be read again", log=log), ""
        if trouble == "changed":
            return _("Log %(log)s is understood again", log=log), ""
        return _("Log %(log)s is well again", log=log), ""
    if trouble == "silent":
        return _("Log %(log)s fell silent", log=log), problem
    if trouble == "unreadable":
        return _("Log %(log)s can't be read", log=log), problem
    if trouble == "changed":
        return _("Log %(log)s changed its shape", log=log), problem
    return _("Log %(log)s is in trouble", log=log), problem


def _lockdown(alert: Alert, facts: Facts, _: Words) -> Said:
    services = ", ".join(ours(_.service(one), 40) for one in facts.names("services")[:10])
    services = services or ours(_.service(alert.service or alert.subject), 60)
    author = facts.text("ended_by" if alert.phase == "ended" else "author")
    by = ", " + _("by %(author)s", author=harmless(_.author(author), 60)) if author else ""
    if alert.phase == "ended":
        return _("Lockdown ended") + _after(services), by
    until = ""
    if facts.endless("until"):
        until = _("until it is switched off")
    elif (ahead := facts.ahead("until")) is not None and ahead > 0:
        until = _("for %(length)s", length=_.duration(ahead))
    return _("Lockdown began") + _after(services), (f" {until}" if until else "") + by


def _login(alert: Alert, facts: Facts, _: Words) -> Said:
    who, address = harmless(alert.subject, 60) or "?", harmless(facts.text("address"), 60)
    if not address:
        return _("%(user)s logged in from a new address", user=who), ""
    return _("%(user)s logged in from %(address)s for the first time", user=who, address=address), ""


def _policy(alert: Alert, facts: Facts, _: Words) -> Said:
    revision, author = facts.number("revision"), facts.text("author")
    head = _("The policy changed") if revision is None else _("Policy revision %(number)s", number=round(revision))
    if author:
        head = _("%(change)s by %(author)s", change=head, author=harmless(_.author(author), 60))
    return head, _after(harmless(facts.text("note"), 120))


def _expiry(alert: Alert, facts: Facts, _: Words) -> Said:
    what = facts.text("what")
    if what == "whitelist":
        thing = _("The whitelist entry %(entry)s", entry=harmless(alert.subject, 80))
    elif what == "certificate":
        thing = _("The certificate %(path)s", path=ours(alert.subject, 120))
    else:
        thing = harmless(alert.subject, 120) or "?"
    problem, ahead = facts.text("problem"), facts.ahead("expires")
    if ahead is None:
        if problem:
            return _("%(thing)s can't be read", thing=thing), _after(harmless(problem, 160))
        return _("%(thing)s ends soon", thing=thing), ""
    if ahead <= 0:
        return _("%(thing)s has ended", thing=thing), " " + _("%(time)s ago", time=_.duration(-ahead))
    return _("%(thing)s ends", thing=thing), " " + _("in %(time)s", time=_.duration(ahead))


def step_title(step: str, _: Words) -> str:
    """A step of the way of a line, in words."""
    return {
        "source": _("reading the log"), "parse": _("understanding the line"), "detect": _("judging"),
        "ledger": _("recording"), "kernel": _("banning in the kernel"),
    }.get(step) or harmless(step, 40)  # fmt: skip


def _canary(alert: Alert, facts: Facts, _: Words) -> Said:
    where = _after(ours(alert.subject, 100))
    if alert.phase == "ended":
        return _("The canary comes through again") + where, ""
    step = facts.text("step")
    head = _("The canary was lost at %(step)s", step=step_title(step, _)) if step else _("The canary was lost")
    problem = harmless(in_words(facts.text("problem"), _), 140)
    return head + where, f" ({problem})" if problem and where else _after(problem)


def _delivery(alert: Alert, facts: Facts, _: Words) -> Said:
    channel, of = ours(facts.text("channel") or alert.subject, 60) or "?", facts.text("of")
    if of:
        head = _("%(channel)s could not tell a warning (%(kind)s)", channel=channel, kind=kind_title(of, _))
    else:
        head = _("%(channel)s could not tell a warning", channel=channel)
    return head, _after(harmless(facts.text("answer"), 160))


def _digest(alert: Alert, facts: Facts, _: Words) -> Said:
    if facts.text("period") == "weekly":
        return _("Summary of the week"), ""
    return (_("Summary of the day") if facts.text("period") == "daily" else _("Summary")), ""


_SAY: Final[dict[str, Callable[[Alert, Facts, Words], Said]]] = {
    "rule": _rule, "attack": _attack, "full": _full, "enforcement": _enforcement, "source": _source,
    "lockdown": _lockdown, "login": _login, "policy": _policy, "expiry": _expiry, "canary": _canary,
    "delivery": _delivery, "digest": _digest,
}  # fmt: skip


def accounts_text(accounts: Sequence[str], _: Words = ENGLISH, most: int = MOST_ACCOUNTS) -> str:
    """Accounts that were tried, as a list; of very many the first ones and how many more."""
    told = ", ".join(_account(one) for one in accounts[:most] if one)
    more = len(accounts) - most
    return told if more <= 0 else _("%(accounts)s and %(count)s more", accounts=told, count=_.number(more))


def _account(name: str) -> str:
    """A name in a list; one that could be taken for several, or for words of ours, in quotation marks."""
    shown = harmless(name, 60)
    return '"' + shown.replace('"', '\\"') + '"' if set(shown) & set(', "') else shown
