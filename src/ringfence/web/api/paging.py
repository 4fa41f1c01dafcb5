"""Pages of long lists: some rows and where they go on; whoever sends back something else than that is told so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from litestar.exceptions import ClientException
from msgspec import Struct

from ringfence.ledger.listed import Count, Cursor
from ringfence.web.cursors import cursor_of, cursor_text

T = TypeVar("T")
Row = TypeVar("Row")

WHOLE: Final = (int,)
NUMBER: Final = (int, float)
TEXT: Final = (str,)
END: Final = (int, float, str)
"""An end in time, which may be "forever"."""

Kinds = tuple[tuple[type, ...], ...]
"""Of which kind each value of a cursor is."""


class Listing(Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list. `next`: the cursor of the next page, null at the end.

    A page may hold fewer rows than asked for, even none, and still go on. `total`: how many rows there are in all, null
    where nobody asked or nobody counts; where `exact` is false, at least so many.
    """

    rows: list[T]
    next: str | None = None
    total: int | None = None
    exact: bool = True


def listing(
    rows: Sequence[Row], row: Callable[[Row], T], name: str, cursor: Cursor | None, count: Count | None = None
) -> Listing[T]:
    """The page of these rows of the list `name`, each as `row` makes it."""
    return Listing(
        rows=[row(one) for one in rows], next=None if cursor is None else cursor_text((name, *cursor)),
        total=None if count is None else count.rows, exact=count is None or count.exact,
    )  # fmt: skip


def continued(text: str, name: str, kinds: Kinds) -> Cursor | None:
    """The cursor in `text`; None for the beginning. Raises ClientException where it is not one of the list `name`."""
    if not text:
        return None
    found = cursor_of(text, len(kinds) + 1)
    if found is None or found[0] != name or not all(map(isinstance, found[1:], kinds)):
        raise ClientException("this cursor is not one of this list, filter and order: begin again without it")
    return found[1:]


def paged(
    rows: Sequence[Row], place: Callable[[Row], tuple[Any, ...]], name: str, kinds: Kinds, limit: int, cursor: str
) -> tuple[list[Row], str | None]:
    """A page of a list that is there as a whole, in the order of its places."""
    after = continued(cursor, name, kinds)
    rest = sorted((row for row in rows if after is None or place(row) > after), key=place)
    part = rest[:limit]
    return part, cursor_text((name, *place(part[-1]))) if len(rest) > limit else None
