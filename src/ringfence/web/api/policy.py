"""The policy: read, compared, applied, taken back; and what another one would have done."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from ringfence.answers import Applied, Done, PolicyAnswer, stamp
from ringfence.errors import NotFoundError
from ringfence.ledger import PolicyRevision
from ringfence.policy import load_policy
from ringfence.policy_text import difference
from ringfence.web.access import Permission
from ringfence.web.api.answering import (
    LARGEST_NUMBER,
    Continued,
    Force,
    Limit,
    Note,
    Number,
    TrialSeconds,
    make,
    read,
    remove,
    set_,
    trial_of,
)
from ringfence.web.api.paging import WHOLE, Listing, paged
from ringfence.web.comparing import job_of
from ringfence.web.jobs import State, Status
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web
from ringfence.whatif import Result

SEE, GOVERN = Permission.SEE, Permission.GOVERN
MOST_REVISIONS: Final = 10_000
PolicyText = Annotated[str, Meta(max_length=900_000, description="A policy as TOML.")]


class NewPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy that is to be in force."""

    text: PolicyText
    note: Note = ""
    trial_seconds: TrialSeconds = None
    force: Force = False


class Rollback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which revision is to be in force again."""

    revision: Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]
    note: Note = ""
    trial_seconds: TrialSeconds = None
    force: Force = False


class Switch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a service is judged."""

    on: bool
    trial_seconds: TrialSeconds = None
    force: Force = False


class Proposal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy to be compared with the one in force."""

    text: PolicyText


class WhatIf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy that is to be tried over the recorded events of the last days."""

    text: PolicyText
    days: Annotated[float, Meta(ge=1, le=30)] = 7


class Difference(Struct, frozen=True, kw_only=True):
    """What a policy would change, line by line; nothing: it says the same."""

    changed: list[str]


class WhatIfState(Struct, frozen=True, kw_only=True):
    """How far a comparison is. `progress`: 0 to 1; `error`: why there is no result."""

    id: str
    status: Status
    progress: float
    error: str = ""
    result: Result | None = None


@read("/policy", SEE, tag="policy")
def policy(web: Parts) -> PolicyAnswer:
    """The policy in force."""
    return _answer(_revision(web, None))


@read("/policy/revisions", SEE, tag="policy")
def revisions(web: Parts, limit: Limit = 20, cursor: Continued = "") -> Listing[PolicyAnswer]:
    """Every revision of the policy, newest first."""
    found = web.readers.ledger().policy_history(limit=MOST_REVISIONS)
    part, next_ = paged(found, lambda one: (-one.revision,), "revisions", (WHOLE,), limit, cursor)
    return Listing(rows=[_answer(one) for one in part], next=next_, total=len(found))


@read("/policy/revisions/{number:int}", SEE, tag="policy")
def revision(web: Parts, number: Number) -> PolicyAnswer:
    """One revision of the policy."""
    return _answer(_revision(web, number))


@make("/policy/compare", GOVERN, tag="policy")
def compare(web: Parts, data: JSONBody[Proposal]) -> Difference:
    """What applying a policy would change; nothing is changed."""
    proposed = load_policy(data.text, "policy", services=web.guard.pulse().services)
    return Difference(changed=difference(web.in_force.policy(web.readers.ledger()), proposed))


@make("/policy", GOVERN, tag="policy", status=201)
def apply(web: Parts, visitor: Who, data: JSONBody[NewPolicy]) -> Applied:
    """Put a policy into force as a new revision, on trial.

    Refused (409) where it would ban the address that you come from, unless `force` is true.
    """
    answer = web.guard.ask(
        Applied, visitor, "apply_policy", text=data.text, note=data.note, force=data.force,
        trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@make("/policy/rollback", GOVERN, tag="policy", status=201)
def rollback(web: Parts, visitor: Who, data: JSONBody[Rollback]) -> Applied:
    """Put an earlier revision into force again, as a new revision, on trial."""
    answer = web.guard.ask(
        Applied, visitor, "rollback", revision=data.revision, note=data.note, force=data.force,
        trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@set_("/policy/services/{name:str}", GOVERN, tag="policy")
def switch(
    web: Parts, visitor: Who, name: Annotated[str, PathParameter(max_length=64)], data: JSONBody[Switch]
) -> Done:
    """Judge a service or not: a new revision of the policy, on trial."""
    answer = web.guard.ask(
        Done, visitor, "switch_service", name=name, on=data.on, force=data.force,
        trial=trial_of(data.trial_seconds, web.settings.web.undo),
    )  # fmt: skip
    web.guard.changed()
    return answer


@make("/what-if", GOVERN, tag="policy", status=202)
def what_if(web: Parts, visitor: Who, data: JSONBody[WhatIf]) -> WhatIfState:
    """Begin to work out who would have been banned additionally or no longer, had this policy been in force.

    Ask for the answer by the id; a comparison that nobody asks about for a minute is given up. There is one at a time:
    yours takes the place of an earlier one of yours, while somebody else's runs this is refused (409).
    """
    load_policy(data.text, "policy", services=web.guard.pulse().services)
    job = job_of(web, _revision(web, None).text, data.text, data.days)
    return _state(web.jobs.state(web.jobs.start(job, visitor.name), visitor.name))


@read("/what-if/{number:str}", GOVERN, tag="policy")
def what_if_state(web: Parts, visitor: Who, number: Annotated[str, PathParameter(max_length=64)]) -> WhatIfState:
    """How far a comparison of yours is, and its result when it is done; that is kept for a while."""
    return _state(web.jobs.state(number, visitor.name))


@remove("/what-if/{number:str}", GOVERN, tag="policy")
def what_if_end(web: Parts, visitor: Who, number: Annotated[str, PathParameter(max_length=64)]) -> WhatIfState:
    """Give a comparison of yours up."""
    return _state(web.jobs.cancel(number, visitor.name))


def _state(state: State) -> WhatIfState:
    return WhatIfState(
        id=state.id, status=state.status, progress=state.progress, error=state.error, result=state.result
    )


def _revision(web: Web, number: int | None) -> PolicyRevision:
    found = web.readers.ledger().policy(number)
    if found is None:
        raise NotFoundError("there is no policy yet" if number is None else f"there is no policy revision {number}")
    return found


def _answer(found: PolicyRevision) -> PolicyAnswer:
    return PolicyAnswer(
        revision=found.revision, time=stamp(found.time), author=found.author, note=found.note, text=found.text
    )


ROUTES: list[Any] = [
    policy, revisions, revision, compare, apply, rollback, switch, what_if, what_if_state, what_if_end,
]  # fmt: skip
