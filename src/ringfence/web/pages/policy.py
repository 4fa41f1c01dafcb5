"""The policy as a table of services and rules, and its cells: what holds, what is inherited, and changing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct

from ringfence.errors import NotFoundError, RingfenceError
from ringfence.model import EVERY
from ringfence.phrases import in_words
from ringfence.policy import RULE_FORMS
from ringfence.policy_draft import (
    Cell,
    Grid,
    add_rule,
    check_value,
    grid,
    remove_override,
    remove_rule,
    set_many,
    set_service,
)
from ringfence.translating import Words
from ringfence.web.access import Permission, needs
from ringfence.web.drafts import Draft, draft_of, keep
from ringfence.web.pages.policy_forms import (
    BLANK,
    fields_of,
    known,
    place_of,
    services_of,
    shown,
    values_in,
    wrong_in,
    wrong_of,
)
from ringfence.web.pages.showing import Asked, Parts, Sent, Who, back, done, go
from ringfence.web.web import Form, Web


class Place(Struct, frozen=True):
    """A cell of the table as it is shown; `changed`: the draft has something else here than the policy in force."""

    rule: str
    cell: Cell
    changed: bool


class Line(Struct, frozen=True):
    """The rules for one service (`EVERY`: for all that have nothing of their own)."""

    service: str
    enabled: bool
    changed: bool
    places: tuple[Place, ...]

    @property
    def quiet(self) -> bool:
        """Whether it says nothing but what holds for every service."""
        return self.enabled and not self.changed and all(place.cell.inherited for place in self.places)


@get("/policy", opt=needs(Permission.SEE), sync_to_thread=True)
def policy_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """The table. Services that only inherit are one row unless all are asked for."""
    draft, services = draft_of(web, visitor), services_of(web)
    table = grid(draft.text, services)
    before = grid(draft.force.text, services) if draft.changed else table
    lines = _lines(table, before)
    everything = "all" in request.query_params
    listed = [line for line in lines[1:] if everything or not line.quiet]
    others = [line.service for line in lines[1:] if line.quiet]
    return shown(
        request, "policy", draft=draft, table=table, every=lines[0], lines=listed, others=others,
        everything=everything, rules=[row.rule for row in table.rows],
    )  # fmt: skip


def _lines(table: Grid, before: Grid) -> list[Line]:
    """The table service by service, first what holds for every service."""
    old = {row.rule: row for row in before.rows}
    found = []
    for service in (EVERY, *table.services):
        places = []
        for row in table.rows:
            cell = row.every if service == EVERY else row.cells[service]
            places.append(Place(row.rule, cell, _before(old, row.rule, service) != cell))
        enabled = service not in table.disabled
        found.append(Line(service, enabled, enabled == (service in before.disabled), tuple(places)))
    return found


def _before(old: dict[str, Any], rule: str, service: str) -> Cell | None:
    if rule not in old:
        return None
    cell: Cell | None = old[rule].every if service == EVERY else old[rule].cells.get(service)
    return cell


@get("/policy/cell", opt=needs(Permission.SEE), sync_to_thread=True)
def cell_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """What a rule says for a service; or the form that sets the same values in several places at once."""
    draft = draft_of(web, visitor)
    rules, services = request.query_params.getall("rule", []), request.query_params.getall("service", [])
    several = "several" in request.query_params or len(rules) != 1 or len(services) != 1
    if several and not visitor.may(Permission.GOVERN):
        _ = visitor.words
        raise NotFoundError(_("choose one rule and one service"))
    return _cell_page(request, web, draft, rules, services, several=several)


def _cell_page(
    request: Asked, web: Web, draft: Draft, rules: Sequence[str], services: Sequence[str], *, several: bool,
    form: Form | None = None, wrong: dict[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    table = grid(draft.text, services_of(web))
    cell = None if several else _cell(table, rules[0], services[0], request.user.words)
    wrong = wrong or {}
    return shown(
        request, "policy_cell", 400 if wrong else 200, draft=draft, several=several, cell=cell,
        fields=fields_of(cell, form, wrong), wrong=wrong, rules=[row.rule for row in table.rows],
        services=table.services, chosen_rules=rules, chosen_services=services, any=EVERY,
    )  # fmt: skip


def _cell(table: Grid, rule: str, service: str, _: Words) -> Cell:
    row = next((row for row in table.rows if row.rule == rule), None)
    cell = None if row is None else row.every if service == EVERY else row.cells.get(service)
    if cell is None:
        raise NotFoundError(_("the policy has no such rule or service (any more)"))
    return cell


@post("/policy/cell", opt=needs(Permission.GOVERN), sync_to_thread=True)
def change_cell(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """Set values of one or several rules for one or several services, in the draft."""
    draft, _ = draft_of(web, visitor), visitor.words
    rules, services = form.all("rule"), form.all("service")
    several = form["several"] == "yes"
    if not several and (len(rules) != 1 or len(services) != 1):
        raise NotFoundError(_("choose one rule and one service"))
    values = values_in(form, several=several)
    wrong = wrong_in(values, _)
    if not rules or not services:
        wrong[""] = _("choose at least one rule and at least one service (or every service)")
    elif not values:
        wrong[""] = _("no value is set: fill in what should hold there, or tick what is to be inherited again")
    text = draft.text
    if not wrong:
        try:
            cells = [(rule, one) for rule in rules for one in services]
            text = set_many(draft.text, cells, values, services=known(web))
        except RingfenceError as error:
            wrong = wrong_of(error, RULE_FORMS, _)
    if wrong:
        return _cell_page(request, web, draft, rules, services, several=several, form=form, wrong=wrong)
    keep(visitor, draft, text)
    where = _.few([
        _("%(rule)s for %(service)s", rule=rule, service=place_of(one, _)) for rule in rules for one in services
    ])  # fmt: skip
    if text != draft.text:
        done(visitor, _("Changed in your draft: %(what)s", what=where))
    else:
        done(visitor, _("Nothing was to be changed: %(what)s", what=where))
    return go("/policy")


@post("/policy/pick", opt=needs(Permission.GOVERN), sync_to_thread=True)
def pick(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """What to do with the services and rules that are ticked in the table."""
    rules, services = form.all("rule"), form.all("service")
    if form["do"] == "change":
        chosen = [*(("rule", one) for one in rules), *(("service", one) for one in services), ("several", "yes")]
        return go(f"/policy/cell?{urlencode(chosen)}")
    on = form["do"] == "on"
    if form["do"] not in ("on", "off") or not services:
        _ = visitor.words
        raise RingfenceError(_("nothing was switched: tick the services first"))
    return switched(web, visitor, form, dict.fromkeys(services, on))


def switched(web: Web, visitor: Who, form: Form, wanted: dict[str, bool]) -> Redirect:
    """Switch services on or off in the draft."""
    draft, _ = draft_of(web, visitor), visitor.words
    text, names = draft.text, list[str]()
    for service, on in wanted.items():
        if service != EVERY:
            edited = set_service(text, service, on, services=known(web))
            told = _("%(service)s on", service=service) if on else _("%(service)s off", service=service)
            names += [told] if edited != text else []
            text = edited
    keep(visitor, draft, text)
    if names:
        done(visitor, _("Switched in your draft: %(what)s", what=_.few(names)))
    else:
        done(visitor, _("Nothing was to be switched"))
    return back(form, "/policy")


@post("/policy/cell/remove", opt=needs(Permission.GOVERN), sync_to_thread=True)
def inherit(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Take from a service what it has of its own of a rule, in the draft."""
    draft, _ = draft_of(web, visitor), visitor.words
    keep(visitor, draft, remove_override(draft.text, form["rule"], form["service"]))
    done(
        visitor,
        _("In your draft, %(service)s inherits all of rule %(rule)s again", service=form["service"], rule=form["rule"]),
    )  # fmt: skip
    return go("/policy")


@get("/policy/rule", opt=needs(Permission.GOVERN), sync_to_thread=True)
def rule_page(request: Asked, web: Parts, visitor: Who) -> Response[str]:
    """The form of a new rule."""
    return _rule_page(request, web, draft_of(web, visitor), None, {})


def _rule_page(request: Asked, web: Web, draft: Draft, form: Form | None, wrong: dict[str, str]) -> Response[str]:
    fields = fields_of(BLANK, form, wrong)
    return shown(
        request, "policy_rule", 400 if wrong else 200, draft=draft, fields=fields, wrong=wrong,
        name=form["name"] if form else "", chosen=form["service"] if form else EVERY, services=services_of(web),
    )  # fmt: skip


@post("/policy/rule", opt=needs(Permission.GOVERN), sync_to_thread=True)
def new_rule(request: Asked, web: Parts, visitor: Who, form: Sent) -> Response[str] | Redirect:
    """A new rule in the draft."""
    draft, name, service = draft_of(web, visitor), form["name"].lower(), form["service"] or EVERY
    values, _ = values_in(form, several=False), visitor.words
    wrong = wrong_in(values, _)
    if trouble := check_value("name", name):
        wrong["name"] = in_words(trouble, _)
    if not wrong:
        try:
            given = {key: text for key, text in values.items() if text is not None}
            keep(visitor, draft, add_rule(draft.text, name, given, service, services=known(web)))
        except RingfenceError as error:
            wrong = wrong_of(error, RULE_FORMS, _)
    if wrong:
        return _rule_page(request, web, draft, form, wrong)
    done(visitor, _("Rule %(rule)s for %(service)s is in your draft", rule=name, service=place_of(service, _)))
    return go("/policy")


@post("/policy/rule/remove", opt=needs(Permission.GOVERN), sync_to_thread=True)
def drop_rule(web: Parts, visitor: Who, form: Sent) -> Redirect:
    """Take a rule out of the draft, with all that services have of their own of it."""
    draft, _ = draft_of(web, visitor), visitor.words
    name = form["rule"]
    own = next((row.cells for row in grid(draft.text, ()).rows if row.rule == name), {})
    count = sum(not cell.inherited for cell in own.values())
    keep(visitor, draft, remove_rule(draft.text, name))
    if count:
        text = _.ngettext(
            "Rule %(rule)s is removed from your draft with what %(count)s service had of its own",
            "Rule %(rule)s is removed from your draft with what %(count)s services had of their own",
            count, rule=name,
        )  # fmt: skip
    else:
        text = _("Rule %(rule)s is removed from your draft", rule=name)
    done(visitor, text)
    return go("/policy")


ROUTES: list[Any] = [
    policy_page, cell_page, change_cell, pick, inherit, rule_page, new_rule, drop_rule,
]  # fmt: skip
