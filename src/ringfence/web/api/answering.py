"""How handlers of the API are declared: what each needs, which answers it may give, how its values are described."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar import delete, get, patch, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from ringfence.durations import TEN_YEARS
from ringfence.trials import LONGEST
from ringfence.web.access import Permission, needs
from ringfence.web.errors import PROBLEM, Problem

LARGEST: Final = 960_000
"""Bytes of a request's body: what a command to the guard may hold, which gets a little longer on the way."""
MOST_ROWS: Final = 1_000
LONGEST_TEXT: Final = 200
LARGEST_NUMBER: Final = (1 << 53) - 1
"""Numbers that every JSON reader keeps exactly; the ledger's are smaller."""

WHY: Final = {
    400: "What was sent can't be understood, or does not make sense; `detail` says what.",
    401: "No token was sent, or one that does not hold (any more).",
    403: "The token may not do this.",
    404: "There is no such thing.",
    405: "This is not possible here.",
    409: "Refused for a reason that `detail` tells; where the request has `force`, it can be overruled with that.",
    413: f"The body is longer than {LARGEST:,} bytes.",
    429: "Too many wrong tokens came from this address; `Retry-After` says how many seconds to wait.",
    500: "A fault of ours, written to the log of the page.",
    503: "The guard does not answer, or the ledger can't be read, or too many streams are open.",
}
READING: Final = (400, 401, 403, 404, 429, 503)
CHANGING: Final = (*READING, 409, 413)

Limit = Annotated[int, QueryParameter(ge=1, le=MOST_ROWS, description="Rows at most; a page may hold fewer.")]
Continued = Annotated[
    str, QueryParameter(max_length=800, description="`next` of the page before; empty: from the beginning.")
]
Text = Annotated[str, QueryParameter(max_length=LONGEST_TEXT)]
Service = Annotated[
    str, QueryParameter(max_length=64, description='The name of a service; empty: any; "*": bans of all services.')
]
Ascending = Annotated[bool, QueryParameter(description="The smallest or oldest first.")]
Forced = Annotated[bool, QueryParameter(description="Do it although the guard refuses it for your own sake.")]
Trial = Annotated[
    float | None,
    QueryParameter(ge=0, le=LONGEST, description="Undone after so many seconds unless confirmed; 0: holds at once."),
]
Number = Annotated[int, PathParameter(ge=1, le=LARGEST_NUMBER)]

Seconds = Annotated[float, Meta(ge=1, le=TEN_YEARS, description="From now on; null: until lifted or removed.")] | None
TrialSeconds = (
    Annotated[
        float,
        Meta(
            ge=0, le=LONGEST,
            description="A risky change is undone after so many seconds unless confirmed (see trials); 0: it holds at "
            "once; null: what the setting [web] undo says.",
        ),
    ]
    | None
)  # fmt: skip
Force = Annotated[bool, Meta(description="Do it although the guard refuses it for your own sake.")]
Note = Annotated[str, Meta(max_length=1_000)]
ServiceName = Annotated[str, Meta(max_length=64, description='The name of a service, or "*" for all.')]
Target = Annotated[str, Meta(min_length=1, max_length=300, description="An address or a network (203.0.113.0/24).")]

Handler = Callable[..., Any]


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """What a handler documents beside its good answer."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=WHY[status], media_type=PROBLEM)
        for status in statuses
    }


def read(path: str, *permissions: Permission, tag: str, **more: Any) -> Callable[[Handler], Any]:
    """Declare a handler that only reads; `more` is what the framework's `get` takes."""
    more.setdefault("sync_to_thread", True)
    more.setdefault("responses", problems(*READING))
    return get(path, opt=needs(*permissions), tags=[tag], **more)


def _changing(method: Callable[..., Any]) -> Callable[..., Callable[[Handler], Any]]:
    @functools.wraps(method)
    def declare(
        path: str, *permissions: Permission, tag: str, status: int = 200, **more: Any
    ) -> Callable[[Handler], Any]:
        more.setdefault("responses", problems(*CHANGING))
        return method(  # type: ignore[no-any-return]
            path, opt=needs(*permissions), tags=[tag], status_code=status, sync_to_thread=True, **more
        )

    return declare


make = _changing(post)
set_ = _changing(put)
change = _changing(patch)
remove = _changing(delete)


def trial_of(given: float | None, otherwise: float) -> float:
    """Seconds on trial: what was asked for, else the setting."""
    return otherwise if given is None else given
