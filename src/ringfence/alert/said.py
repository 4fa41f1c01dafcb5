"""What another side answered, as one line that is safe to show and holds no secret."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from ringfence.render import safe

LONGEST: Final = 400
"""Characters of an answer that are kept."""
_SHORTEST: Final = 4
"""Shorter texts hide nothing and would be found everywhere."""


def said(text: str | bytes, width: int = LONGEST) -> str:
    """`text` on one line: line breaks become spaces, what could steer a terminal is escaped, the rest is cut."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return safe(" ".join(text[: width * 4].split()), width)


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` replaced by "***", as they are and as they are written in a URL."""
    found = {form for secret in secrets for form in (secret, unquote(secret)) if len(form) >= _SHORTEST}
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
