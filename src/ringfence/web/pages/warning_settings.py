"""The settings of warnings: who is told of what, the usual ones in a form, all of them as text, earlier revisions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

from ringfence.alert.alerting import Alerting, load_alerting
from ringfence.alert.declared import MailSettings
from ringfence.alert.wording import kind_title
from ringfence.declared import docs_of
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.ledger import AlertingRevision
from ringfence.phrases import in_words
from ringfence.translating import Words
from ringfence.web.access import Permission, Visitor, needs
from ringfence.web.alert_table import EXAMPLES, recipients_of, told_table
from ringfence.web.alert_text import HIDDEN, ORIGIN, difference, hidden, readable, restored, with_mail
from ringfence.web.pages.fields import number_of
from ringfence.web.pages.policy_review import LONGEST_NOTE
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, done, go, show
from ringfence.web.web import Form, Web

USUAL: Final = (
    "recipients", "interval", "quiet", "sender", "body", "language", "digest", "digest_at", "server", "port",
    "security", "user",
)  # fmt: skip
"""What of [mail] stands in the form, in this order; the password has a field of its own that shows nothing."""
CHOICES: Final = {
    "body": ("standard", "short"), "digest": ("none", "daily", "weekly"), "security": ("none", "starttls", "tls"),
}  # fmt: skip
REVISIONS: Final = 50
MOST_TESTED: Final = 30
NOTHING: Final = AlertingRevision(revision=0, text="", author="", time=0.0, note="", newest=0)

_KEY = re.compile(r"\[mail\] ([a-z_]+)(?: =|:)")


class Field(Struct, frozen=True, kw_only=True):
    """One setting in the form. `options`: it is chosen from these; `wrong`: what is wrong with what was typed."""

    key: str
    text: str
    options: tuple[str, ...] = ()
    wrong: str = ""


class Typed(Struct, frozen=True, kw_only=True):
    """What somebody sent that could not be saved: it is shown again. `wrong`: by field, "" for all, "text" for that."""

    wrong: dict[str, str]
    form: Form | None = None
    text: str | None = None


class Entry(Struct, frozen=True):
    """A revision, its text without secrets, and what it changed of the one before; `first`: there is none."""

    revision: AlertingRevision
    text: str
    changes: list[str]
    first: bool


@get("/warnings/settings", opt=needs(Permission.GOVERN), sync_to_thread=True)
def settings_page(request: Asked, web: Parts) -> Response[str]:
    """Everything about who is told; `example`: the text to begin from."""
    return _page(request, web, EXAMPLES.get(request.query_params.get("example", "")))


def _page(request: Asked, web: Web, example: str | None = None, typed: Typed | None = None) -> Response[str]:
    _ = request.user.words
    found = _revision(web, _)
    wrong = dict(typed.wrong) if typed is not None else {}
    alerting, text = Alerting(), ""
    try:
        text = hidden(found.text)
        alerting = load_alerting(found.text, f"{ORIGIN}, revision {found.revision}")
    except RingfenceError as error:
        wrong.setdefault("", in_words(str(error), _))
    shown = typed.text if typed is not None and typed.text is not None else text if example is None else example
    form = typed.form if typed is not None else None
    return show(
        request, "warning_settings", 400 if typed is not None else 200, found=found, alerting=alerting,
        table=[(one, kind_title(one.kind, _)) for one in told_table(alerting, _)], wrong=wrong, text=shown,
        fields=_fields(web, alerting, form, wrong), has_password=bool(alerting.mail.password),
        note=form["note"] if form is not None else "", hidden=HIDDEN, examples=EXAMPLES, example=example is not None,
        recipients=recipients_of(alerting)[:MOST_TESTED], longest=LONGEST_NOTE,
        file=str(web.settings.warnings.file or ""),
    )  # fmt: skip


def _revision(web: Web, _: Words, number: int | None = None) -> AlertingRevision:
    """The settings in force, or those of revision `number`; 0: there were none."""
    if number == 0:
        return NOTHING
    found = web.readers.ledger().alerting(number)
    if found is None and number is not None:
        raise NotFoundError(_("there is no revision %(number)s of the settings of warnings", number=number))
    return found or NOTHING


# ---- the form


def _fields(web: Web, alerting: Alerting, form: Form | None, wrong: Mapping[str, str]) -> list[Field]:
    found = []
    for key in USUAL:
        text = _text_of(key, getattr(alerting.mail, key)) if form is None else form.raw(key)
        options = CHOICES.get(key, tuple(web.pages.languages) if key == "language" else ())
        if options and text not in options:
            options = (*options, text)
        found.append(Field(key=key, text=text, options=options, wrong=wrong.get(key, "")))
    return found


def _text_of(key: str, value: Any) -> str:
    """A value as it stands in its field."""
    written: Any = tomllib.loads(f"x = {docs_of(MailSettings)[key].form.show(value)}")["x"]
    return "\n".join(written) if isinstance(written, list) else str(written)


def _value_of(key: str, text: str) -> Any:
    """What was typed into a field. Raises ValueError with what is permitted."""
    text = text.strip()
    raw: Any = text
    if key == "recipients":
        raw = [line.strip() for line in text.splitlines() if line.strip()]
    elif key == "port" and text.isascii() and text.isdigit():
        raw = int(text)
    return docs_of(MailSettings)[key].form.parse(raw)


@post("/warnings/settings", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_usual(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Other usual settings; what the form does not show stays, comments too."""
    _ = visitor.words
    before = _revision(web, _, number_of(form["revision"], _))
    values: dict[str, Any] = {}
    wrong = {}
    try:
        mail = load_alerting(before.text, ORIGIN).mail
        for key in (key for key in USUAL if key in form):
            try:
                value = _value_of(key, form.raw(key))
            except ValueError as error:
                wrong[key] = in_words(str(error), _)
            else:
                if value != getattr(mail, key):
                    values[key] = value
        if form["forget"] == "yes":
            values["password"] = ""
        elif password := form.raw("password"):
            values["password"] = docs_of(MailSettings)["password"].form.parse(password)
        if not wrong:
            _apply(web, visitor, with_mail(before.text, values), form, before)
            return go("/warnings/settings")
    except ValueError as error:
        wrong["password"] = in_words(str(error), _)
    except RingfenceError as error:
        wrong = _beside(error, _)
    return _page(request, web, typed=Typed(wrong=wrong, form=form))


def _beside(error: RingfenceError, _: Words) -> dict[str, str]:
    """A message by the field that it is about, or for the whole form."""
    match = _KEY.search(str(error))
    key = match[1] if match else ""
    text = in_words(str(error).removeprefix(f"{ORIGIN}: "), _)
    return {key if key in (*USUAL, "password") else "": text}


def _apply(web: Web, visitor: Visitor, text: str, form: Form, before: AlertingRevision) -> None:
    _ = visitor.words
    if text == before.text and before.revision:
        done(visitor, _("Nothing was to be changed"))
        return
    revision = web.guard.ask(
        int, visitor, "apply_alerting", text=text, name=ORIGIN, note=form["note"][:LONGEST_NOTE],
        revision=before.revision,
    )  # fmt: skip
    web.guard.changed()
    told = _("The settings of warnings are in force (revision %(number)s); send a test message", number=revision)
    done(visitor, told)


# ---- the text


@post("/warnings/settings/text", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_text(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """All settings anew; secrets that are hidden stay."""
    _ = visitor.words
    before = _revision(web, _, number_of(form["revision"], _))
    typed = form.raw("text").replace("\r\n", "\n").replace("\r", "\n")
    text = typed if not typed or typed.endswith("\n") else typed + "\n"
    try:
        _apply(web, visitor, restored(text, before.text), form, before)
    except RingfenceError as error:
        return _page(request, web, typed=Typed(wrong={"text": in_words(str(error), _)}, text=typed))
    return go("/warnings/settings")


# ---- earlier ones


@get("/warnings/settings/history", opt=needs(Permission.GOVERN), sync_to_thread=True)
def history_page(request: Asked, web: Parts) -> Response[str]:
    """The last revisions, newest first, and what each changed."""
    found = web.readers.ledger().alerting_history(limit=REVISIONS + 1)
    entries = [
        Entry(one, readable(one.text), difference(before.text, one.text), before is NOTHING)
        for one, before in zip(found, [*found, NOTHING][1:], strict=True)
    ]
    return show(request, "warning_history", entries=entries[:REVISIONS], force=found[0].revision if found else 0)


@post("/warnings/settings/again", opt=needs(Permission.GOVERN), sync_to_thread=True)
def take_again(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Put an earlier revision into force again, as a new one."""
    _ = visitor.words
    number, force = number_of(form["revision"], _), number_of(form["force"], _)
    text = _revision(web, _, number).text
    revision = web.guard.ask(
        int, visitor, "apply_alerting", text=text, name=f"revision {number}", note=f"what revision {number} was",
        revision=force,
    )  # fmt: skip
    web.guard.changed()
    told = _(
        "Revision %(number)s of the settings of warnings is in force: what revision %(of)s was", number=revision,
        of=number,
    )  # fmt: skip
    done(visitor, told)
    return go("/warnings/settings/history")


ROUTES: list[Any] = [settings_page, change_usual, change_text, history_page, take_again]
