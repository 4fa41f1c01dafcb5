"""What may stand in a catalogue file, key by key; docs/catalogue.md explains it to those who write one."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Outcome = Literal["failed", "succeeded"]
Attempt = Literal["counts", "weak", "summary", "challenge", "answer", "unchallenged", "opens", "contact", "none"]


class Example(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line and what it must give; fields that are None are not compared.

    origin: where the line comes from, if not from the server that the kind was tried on.
    """

    line: str
    origin: str = ""
    address: str | None = None
    account: str | None = None
    detail: str | None = None
    cause: str | None = None
    service: str | None = None
    outcome: Outcome | None = None


class PatternEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[pattern]]` of a catalogue file.

    attempt: `counts`; `weak` counts only when nothing else told of the session; `summary` stands for `{tries}` attempts
    less those already told of; `challenge` counts when nobody answers it and many accounts are tried; `answer` counts
    unless the challenge that it answers went to another address; `unchallenged` counts unless the same peer was
    challenged before; `opens` is none, but tells the address of the session's lines that have none; `contact` counts if
    nothing else tells of the session in time; `none` never.
    repeats: whether a further such line of the session is a `new` attempt or the `same`.
    yields_to: patterns that tell of the same attempts better; where one of them was seen, this one says nothing.
    raw: a client's text stands in it as it came, line breaks included.
    lines: how many such lines the server writes for one attempt.
    join: fields that tell one attempt from another; by default the process, else address and port or account.
    within: for how many seconds lines can belong to one attempt.
    hints: pieces of text of which every such line holds one; by default the longest fixed piece of the template.
    regex, prefix, unless, stamp: regular expressions in place of the template, see `linear`.
    """

    name: str
    template: str = ""
    regex: str | tuple[str, ...] = ()
    prefix: str = ""
    unless: tuple[str, ...] = ()
    stamp: tuple[str, ...] = ("",)
    outcome: Outcome = "failed"
    cause: str = ""
    service: str = ""
    envelope: str = ""
    programs: tuple[str, ...] | None = None
    proven: bool | None = None
    attempt: Attempt = "counts"
    repeats: Literal["new", "same"] = "new"
    lines: Annotated[int, Meta(ge=1)] = 1
    raw: bool = False
    yields_to: tuple[str, ...] = ()
    join: tuple[str, ...] | None = None
    within: Annotated[float, Meta(gt=0)] | None = None
    hints: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    counter_examples: tuple[str, ...] = ()


class KindFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole catalogue file. note: what to switch on; blind: what can't be seen; tested: what it was tried on."""

    kind: str
    title: str
    service: str
    envelope: str
    services: dict[str, tuple[str, ...]] = {}
    programs: tuple[str, ...] = ()
    proven: bool = False
    logs: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    types: dict[str, str] = {}
    note: str = ""
    blind: str = ""
    tested: str = ""
    pattern: tuple[PatternEntry, ...] = ()
