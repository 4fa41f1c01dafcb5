"""Earlier revisions of the policy: who changed what, when and why; back to one of them, or on from it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct

from ringfence.answers import Applied
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.ledger.facts import PolicyRevision
from ringfence.phrases import in_words
from ringfence.policy import load_policy
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.drafts import changes, draft_of, in_force
from ringfence.web.pages.fields import Query, forced, number_of
from ringfence.web.pages.policy_forms import known, shown
from ringfence.web.pages.policy_more import tell_trial
from ringfence.web.pages.policy_review import LONGEST_NOTE
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, go
from ringfence.web.web import Web

ROWS: Final = 12


class Entry(Struct, frozen=True):
    """A revision and what it changed of the one before; `first`: there is none before it."""

    revision: PolicyRevision
    changes: tuple[str, ...]
    first: bool


@get("/policy/history", opt=needs(Permission.SEE), sync_to_thread=True)
def history_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """The revisions, newest first."""
    query = Query(request)
    newest = in_force(web).revision
    cursor = query.cursor(1)
    begin = min(newest, int(cursor[0])) if cursor is not None and isinstance(cursor[0], int | float) else newest
    entries = [
        entry for number in range(begin, max(0, begin - ROWS), -1) if (entry := _entry(web, number, visitor.words))
    ]
    last = begin - ROWS
    return shown(
        request, "policy_history", entries=entries, total=visitor.words.figures(newest), first=query.first(),
        more=query.more((last,)) if last > 0 else "",
    )  # fmt: skip


def _entry(web: Web, number: int, _: Words) -> Entry | None:
    revision = web.readers.ledger().policy(number)
    return None if revision is None else Entry(revision, *_changed(web, revision, _))


def _changed(web: Web, revision: PolicyRevision, _: Words) -> tuple[tuple[str, ...], bool]:
    """What a revision changed of the one before it, and whether there is none."""
    before = web.readers.ledger().policy(revision.revision - 1) if revision.revision > 1 else None
    return (() if before is None else difference(before.text, revision.text, _)), before is None


def difference(old: str, new: str, _: Words) -> tuple[str, ...]:
    """What changed, or why that can't be told: an old revision may be one that is no policy any more."""
    try:
        return changes(old, new)
    except RingfenceError as error:
        return (_("can't be compared: %(why)s", why=in_words(str(error), _)),)


@get("/policy/history/{number:str}", opt=needs(Permission.SEE), sync_to_thread=True)
def revision_page(request: Asked, web: Parts, visitor: Who, number: FromPath[str]) -> Response[str]:
    """One revision: its text, what it changed, and what going back to it would change."""
    _ = visitor.words
    revision, force = _revision(web, number, _), in_force(web)
    changed, first = _changed(web, revision, _)
    return shown(
        request, "policy_revision", revision=revision, changed=changed, first=first,
        back_again=difference(force.text, revision.text, _), same=force.text == revision.text, longest=LONGEST_NOTE,
    )  # fmt: skip


def _revision(web: Web, number: str, _: Words) -> PolicyRevision:
    found = web.readers.ledger().policy(number_of(number, _))
    if found is None:
        raise NotFoundError(_("there is no revision %(number)s of the policy", number=number))
    return found


@post("/policy/rollback", opt={**needs(Permission.GOVERN), "forceable": True}, sync_to_thread=True)
def rollback(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Put an earlier revision into force again, as a new one, on trial."""
    _ = visitor.words
    number, force = _revision(web, form["revision"], _).revision, in_force(web).revision
    if form["force"] != str(force):
        raise RingfenceError(
            _("revision %(number)s came into force just now: look at the difference again", number=force)
        )
    answer = web.guard.ask(
        Applied, visitor, "rollback", revision=number, note=form["note"][:LONGEST_NOTE], force=forced(form),
        trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    text = _("Revision %(number)s is in force: what revision %(of)s was", number=answer.revision, of=number)
    tell_trial(visitor, text, answer.trial)
    return go("/policy/history")


@post("/policy/draft", opt=needs(Permission.GOVERN), sync_to_thread=True)
def edit_from(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Make an earlier revision the draft: to look what it would do, or to change it first."""
    _ = visitor.words
    revision, draft = _revision(web, form["revision"], _), draft_of(web, visitor)
    if draft.begun and draft.changed and form["instead"] != "yes":
        done(visitor, _("You have a draft already"), _("save it or give it up first"))
        return back(form, "/policy/history")
    load_policy(revision.text, f"revision {revision.revision}", services=known(web))
    if visitor.session is not None:
        visitor.session.draft, visitor.session.draft_of = revision.text, draft.force.revision
    done(visitor, _("Your draft is what revision %(number)s was", number=revision.revision))
    return go("/policy/review")


ROUTES: list[Any] = [history_page, revision_page, rollback, edit_from]
