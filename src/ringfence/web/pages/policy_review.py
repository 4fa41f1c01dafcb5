"""The last look before a policy comes into force: the difference, what it would have done, the note, and saving it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import Applied
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.comparing import job_of
from ringfence.web.drafts import Draft, draft_of, give_up
from ringfence.web.jobs import State
from ringfence.web.pages.fields import forced
from ringfence.web.pages.policy_forms import shown
from ringfence.web.pages.policy_more import tell_trial
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go
from ringfence.web.web import Form
from ringfence.whatif_judging import MOST_DAYS, Row

ROWS: Final = 20
"""Rows of the result that are shown unless all are asked for."""
DAYS: Final = 7
LONGEST_NOTE: Final = 1_000


@get("/policy/review", opt=needs(Permission.GOVERN), sync_to_thread=True)
def review_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """Difference, what-if, note and the way into force."""
    draft = draft_of(web, visitor)
    state = web.jobs.newest(visitor.name)
    full = "full" in request.query_params
    session = visitor.session
    return shown(
        request, "policy_review", draft=draft, state=state, fits=fits(state, draft), most=MOST_DAYS,
        days=int(state.job.days) if state is not None else DAYS, parts=_parts(state, None if full else ROWS), full=full,
        note=session.draft_note if session is not None else "", longest=LONGEST_NOTE,
    )  # fmt: skip


def fits(state: State | None, draft: Draft) -> bool:
    """Whether a comparison is of just this draft and the policy in force."""
    return state is not None and state.job.after == draft.text and state.job.before == draft.force.text


def _parts(state: State | None, most: int | None) -> list[tuple[str, tuple[Row, ...], int, int]]:
    """The two lists of a result: which, its rows, how many there are in all, how many of them also logged in."""
    if state is None or state.result is None:
        return []
    found = state.result
    return [
        ("added", found.added[:most], found.added_total, found.added_succeeded),
        ("removed", found.removed[:most], found.removed_total, found.removed_succeeded),
    ]


@post("/policy/whatif", opt=needs(Permission.GOVERN), sync_to_thread=True)
def begin(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Start a comparison of the draft with the policy in force."""
    draft, _ = draft_of(web, visitor), visitor.words
    _remember(visitor, form)
    days = form["days"]
    if not (days.isascii() and days.isdigit() and 1 <= int(days[:3]) <= MOST_DAYS):
        raise RingfenceError(_("nothing was compared: days are a whole number from 1 to %(most)s", most=MOST_DAYS))
    try:
        web.jobs.start(job_of(web, draft.force.text, draft.text, int(days)), visitor.name)
    except RefusedError as error:  # not for our own sake: nothing to be forced
        raise RingfenceError(str(error)) from error
    return go("/policy/review#whatif")


def _remember(visitor: Visitor, form: Form) -> None:
    """Keep the note that was typed before another button of the same form was pressed."""
    if visitor.session is not None:
        visitor.session.draft_note = form["note"][:LONGEST_NOTE]


@get("/policy/whatif", opt=needs(Permission.GOVERN), sync_to_thread=False)
def progress(web: Parts, visitor: Who) -> dict[str, object]:
    """How far the newest comparison of the one who asks is, for the page's script."""
    state = web.jobs.newest(visitor.name)
    if state is None:
        return {"status": "none", "progress": 0.0}
    return {"status": state.status, "progress": round(state.progress, 3)}


@post("/policy/whatif/cancel", opt=needs(Permission.GOVERN), sync_to_thread=True)
def cancel(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """End the comparison that runs."""
    _remember(visitor, form)
    state = web.jobs.newest(visitor.name)
    if state is not None:
        web.jobs.cancel(state.id, visitor.name)
    return go("/policy/review#whatif")


@post("/policy/save", opt={**needs(Permission.GOVERN), "forceable": True}, sync_to_thread=True)
def save(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Put the draft into force as a new revision, on trial."""
    draft, _ = draft_of(web, visitor), visitor.words
    _remember(visitor, form)
    if not draft.begun or not draft.changed:
        raise RingfenceError(_("nothing was saved: your draft is the policy in force"))
    if draft.stale:
        raise RingfenceError(
            _(
                "nothing was saved: revision %(number)s came into force since your draft began; decide first",
                number=draft.force.revision,
            )
        )
    answer = web.guard.ask(
        Applied, visitor, "apply_policy", text=draft.text, note=form["note"][:LONGEST_NOTE], force=forced(form),
        trial=web.settings.web.undo, of=draft.of,
    )  # fmt: skip
    give_up(visitor)
    web.guard.changed()
    tell_trial(visitor, _("Revision %(number)s is in force", number=answer.revision), answer.trial)
    return go("/policy")


@post("/policy/draft/drop", opt=needs(Permission.GOVERN), sync_to_thread=True)
def drop(visitor: Who) -> Redirect:
    """Give the draft up."""
    give_up(visitor)
    _ = visitor.words
    done(visitor, _("Your draft is given up; this is the policy in force"))
    return go("/policy")


@post("/policy/draft/anew", opt=needs(Permission.GOVERN), sync_to_thread=True)
def go_on(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Keep a stale draft: from now on it counts as begun from the revision in force, and is compared with that."""
    draft, _ = draft_of(web, visitor), visitor.words
    if visitor.session is None or not draft.begun:
        raise NotFoundError(_("there is no draft"))
    number = draft.force.revision
    if form["force"] != str(number):
        raise RingfenceError(
            _("revision %(number)s came into force just now: look at it before you decide", number=number)
        )
    visitor.session.draft_of = number
    text = _(
        "Your draft is kept; saving it takes back what revision %(number)s says otherwise, as told below", number=number
    )
    done(visitor, text)
    return go("/policy/review")


ROUTES: list[Any] = [review_page, begin, progress, cancel, save, drop, go_on]
