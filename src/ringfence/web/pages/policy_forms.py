"""What the forms about the policy have in common: fields with what is inherited and what is wrong, and reading them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from litestar import Response
from msgspec import Struct

from ringfence.errors import RingfenceError
from ringfence.model import EVERY, Rule
from ringfence.phrases import in_words
from ringfence.policy import RULE_FORMS, USUAL
from ringfence.policy_draft import Cell, Value, check_value
from ringfence.policy_typed import words
from ringfence.translating import Words
from ringfence.web.drafts import Draft, draft_of
from ringfence.web.pages.showing import Asked, show
from ringfence.web.web import Form, Web

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "actions": ("block", "block, mail", "mail", "none"), "count": ("attempts", "accounts"),
    "per": ("address", "network", "account"), "scope": ("service", "all"), "proven": ("no", "yes"),
    "enabled": ("yes", "no"),
}  # fmt: skip
"""What is chosen from a list rather than typed."""
ANY: Final = "*"
"""In the field of causes: every cause counts. An empty field is one that inherits."""
_NEEDED: Final = frozenset({"failures", "bans", "within", "ban"})
_DEFAULT: Final = Rule(name="", within=1, ban=1)
BLANK: Final = Cell(
    brief="", inherited=False, enabled=True,
    values={
        key: Value(own=None, inherited=None if key in _NEEDED else words(key, getattr(_DEFAULT, key)), effective="")
        for key in RULE_FORMS
    },
)  # fmt: skip
"""A rule of which nothing is said yet."""

_KEY = re.compile(r"\] ([a-z0-9_]+)(?: and ([a-z0-9_]+))?(?: =|:)")


class Field(Struct, frozen=True, kw_only=True):
    """One value in a form.

    `text` stands in the field, `inherited` is what holds where it is left empty (None: then something must stand
    there), `again`: it is to be inherited again, `wrong` says what is wrong with it.
    """

    key: str
    text: str
    inherited: str | None = None
    options: tuple[str, ...] = ()
    again: bool = False
    wrong: str = ""


def fields_of(cell: Cell | None, form: Form | None, wrong: Mapping[str, str]) -> list[Field]:
    """The fields of a rule's values: as `cell` has them, or as they were just typed into `form`."""
    found = []
    for key in RULE_FORMS:
        value = cell.values.get(key) if cell is not None else None
        text = _shown(key, value.own) if form is None and value is not None else form[f"v-{key}"] if form else ""
        options = CHOICES.get(key, ())
        if options and text and text not in options:
            options = (*options, text)
        found.append(
            Field(
                key=key, text=text, inherited=_inherited(key, value), options=options,
                again=form is not None and form[f"i-{key}"] == "yes", wrong=wrong.get(key, ""),
            )
        )  # fmt: skip
    return found


def _shown(key: str, text: str | None) -> str:
    return ANY if key == "causes" and text == "" else text or ""


def _inherited(key: str, value: Value | None) -> str | None:
    if value is None or value.inherited is None:
        return None
    return _shown(key, value.inherited)


def values_in(form: Form, *, several: bool) -> dict[str, str | None]:
    """The values that a form asks for; None: inherited again. With `several` cells an empty field changes nothing."""
    values: dict[str, str | None] = {}
    for key in RULE_FORMS:
        text = form[f"v-{key}"]
        if several and form[f"i-{key}"] == "yes":
            values[key] = None
        elif text:
            values[key] = "" if key == "causes" and text == ANY else text
        elif not several:
            values[key] = None
    return values


def wrong_in(values: Mapping[str, str | None], _: Words) -> dict[str, str]:
    """What is wrong with each value by itself."""
    found = {key: check_value(key, text) for key, text in values.items() if text is not None}
    return {key: in_words(wrong, _) for key, wrong in found.items() if wrong}


def wrong_of(error: RingfenceError, keys: Collection[str], _: Words) -> dict[str, str]:
    """The message of `error` by the field that it speaks of, so that it stands beside that; "" for the whole form."""
    text = in_words(str(error).removeprefix("policy: "), _)
    match = _KEY.search(str(error))
    return {key: text for key in match.groups() if key in keys} if match else {"": text}


def services_of(web: Web) -> tuple[str, ...]:
    """The services that a policy may speak of: those that the guard knows, else the usual ones."""
    try:
        return tuple(web.guard.pulse().services)
    except RingfenceError:
        return tuple(sorted(USUAL))


def known(web: Web) -> tuple[str, ...]:
    """The same for checks: nothing, so that any name is taken, while the guard does not answer."""
    try:
        return tuple(web.guard.pulse().services)
    except RingfenceError:
        return ()


def place_of(service: str, _: Words) -> str:
    """A service in a sentence about a rule."""
    return _("every service") if service == EVERY else service


def shown(
    request: Asked, template: str, status: int = 200, /, *, draft: Draft | None = None, **values: Any
) -> Response[str]:
    """A page about the policy, with the state of the draft on top."""
    web: Web = request.app.state.web
    draft = draft or draft_of(web, request.user)
    return show(
        request, template, status, draft=draft, force=draft.force, changes=draft.changes, undo=web.settings.web.undo,
        **values,
    )  # fmt: skip
