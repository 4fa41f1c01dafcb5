"""The rest of the policy: which services are judged, limits, whitelist, the text itself, and checks while one types."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect

from ringfence.answers import Done, TrialRow
from ringfence.errors import RefusedError, RingfenceError
from ringfence.phrases import in_words
from ringfence.policy import LIMIT_FORMS, load_policy
from ringfence.policy_draft import check_value, grid, set_limits, set_whitelist
from ringfence.policy_grid import Grid
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.drafts import Draft, draft_of, keep
from ringfence.web.pages.fields import forced
from ringfence.web.pages.policy import switched
from ringfence.web.pages.policy_forms import ANY, Field, known, services_of, shown, wrong_in, wrong_of
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, on_trial
from ringfence.web.web import Form

LONGEST: Final = 4_000
"""Characters of a value that is checked while one types."""


@get("/policy/services", opt=needs(Permission.SEE), sync_to_thread=True)
def services_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """Which services are judged at all."""
    draft = draft_of(web, visitor)
    return shown(request, "policy_services", draft=draft, table=grid(draft.text, services_of(web)))


@post("/policy/services", opt=needs(Permission.GOVERN), sync_to_thread=True)
def choose_services(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Switch all services as they are ticked, in the draft."""
    ticked = set(form.all("on"))
    return switched(web, visitor, form, {service: service in ticked for service in form.all("listed")})


@post("/policy/services/now", opt={**needs(Permission.GOVERN), "forceable": True}, sync_to_thread=True)
def switch_now(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Switch one service at once, as a revision of its own (on trial)."""
    if draft_of(web, visitor).begun:
        _ = visitor.words
        raise RingfenceError(
            _("nothing was switched: save your draft first, or give it up, or switch the service in it")
        )
    answer = web.guard.ask(
        Done, visitor, "switch_service", name=form["service"], on=form["on"] == "yes", force=forced(form),
        trial=web.settings.web.undo,
    )  # fmt: skip
    web.guard.changed()
    tell_trial(visitor, answer.message, answer.trial)
    return go("/policy/services")


def tell_trial(visitor: Visitor, text: str, trial: TrialRow | None) -> None:
    """Tell what came into force, and that it has to be kept."""
    done(visitor, on_trial(in_words(text, visitor.words), trial, visitor.words))


@get("/policy/limits", opt=needs(Permission.SEE), sync_to_thread=True)
def limits_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """Limits, and the whitelist that stands in the policy."""
    return _limits_page(request, draft_of(web, visitor))


def _limits_page(
    request: Asked, draft: Draft, wrong: dict[str, str] | None = None, form: Form | None = None
) -> Response[str]:  # fmt: skip
    table, wrong = grid(draft.text, ()), wrong or {}
    typed = form if form is not None and "whitelist" not in form else None
    entries = form.raw("whitelist") if form is not None and "whitelist" in form else "\n".join(table.whitelist)
    return shown(
        request, "policy_limits", 400 if wrong else 200, draft=draft, table=table, wrong=wrong, entries=entries,
        fields=_limits(table, typed, wrong),
    )  # fmt: skip


def _limits(table: Grid, typed: Form | None, wrong: dict[str, str]) -> list[Field]:
    return [
        Field(
            key=key, text=str(getattr(table.limits, key)) if typed is None else typed[f"v-{key}"],
            inherited=LIMIT_FORMS[key].permitted, wrong=wrong.get(key, ""),
        )
        for key in LIMIT_FORMS
    ]  # fmt: skip


@post("/policy/limits", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_limits(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Other limits in the draft."""
    draft, _ = draft_of(web, visitor), visitor.words
    values: dict[str, str | None] = {key: form[f"v-{key}"] or None for key in LIMIT_FORMS}
    wrong = wrong_in(values, _)
    if not wrong:
        before = grid(draft.text, ()).limits
        asked = {key: text for key, text in values.items() if text != str(getattr(before, key))}
        try:
            keep(visitor, draft, set_limits(draft.text, asked))
        except RingfenceError as error:
            wrong = wrong_of(error, LIMIT_FORMS, _)
    if wrong:
        return _limits_page(request, draft, wrong, form)
    done(visitor, _("The limits are in your draft"))
    return go("/policy/limits")


@post("/policy/whitelist", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_whitelist(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Another whitelist in the draft: one entry a line."""
    draft, lines = draft_of(web, visitor), form.raw("whitelist").splitlines()
    wrong, _ = dict[str, str](), visitor.words
    for number, line in enumerate(lines, 1):
        if trouble := check_value("whitelist", line):
            wrong["whitelist"] = _(
                "line %(number)s, %(text)s: %(why)s", number=number, text=line.strip()[:80], why=in_words(trouble, _)
            )
            break
    if not wrong:
        try:
            keep(visitor, draft, set_whitelist(draft.text, [line for line in lines if line.strip()]))
        except RingfenceError as error:
            wrong = wrong_of(error, ("whitelist",), _)
    if wrong:
        return _limits_page(request, draft, wrong, form)
    count = len(grid(draft_of(web, visitor).text, ()).whitelist)
    text = _.ngettext(
        "The whitelist in your draft has %(count)s entry", "The whitelist in your draft has %(count)s entries", count
    )
    done(visitor, text)
    return go("/policy/limits")


@get("/policy/text", opt=needs(Permission.SEE), sync_to_thread=True)
def text_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """The policy as TOML."""
    draft = draft_of(web, visitor)
    return shown(request, "policy_text", draft=draft, text=draft.text, wrong="")


@post("/policy/text", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_text(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """The whole text anew, in the draft."""
    draft, text, _ = draft_of(web, visitor), _unix(form.raw("text")), visitor.words
    try:
        load_policy(text, "policy", services=known(web))
        keep(visitor, draft, text)
    except RefusedError:
        raise
    except RingfenceError as error:
        return shown(request, "policy_text", 400, draft=draft, text=text, wrong=in_words(str(error), _))
    done(visitor, _("The text is in your draft") if text != draft.text else _("Nothing was to be changed"))
    return go("/policy/text")


def _unix(text: str) -> str:
    """The text of a form with line breaks as files have them (HTML sends CRLF)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if not text or text.endswith("\n") else text + "\n"


@get("/policy/check", opt=needs(Permission.GOVERN), sync_to_thread=False)
def check(request: Asked) -> Response[str]:
    """What is wrong with a value, in words; nothing where nothing is. An empty field inherits, but for a name."""
    key, value = request.query_params.get("key", "")[:40], request.query_params.get("value", "")
    wrong, _ = "", request.user.words
    if len(value) > LONGEST:
        wrong = _("too long")
    elif (value.strip() or key == "name") and not (key == "causes" and value.strip() == ANY):
        wrong = check_value(key, value.lower() if key == "name" else value)
    return Response(in_words(wrong, _), media_type="text/plain")


ROUTES: list[Any] = [
    services_page, choose_services, switch_now, limits_page, change_limits, change_whitelist, text_page, change_text,
    check,
]  # fmt: skip
