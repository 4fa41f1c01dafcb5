"""The guard's own test line: how it is written and how it is known again, see `ringfence.canary`.

It is no part of the catalogue: it is believed in every log without being named anywhere, and it is never an attempt
(`attempt = "none"`). Its address is one of those kept for documentation (RFC 5737, RFC 3849), so that whoever forges
such a line can name nobody by it.
"""

from __future__ import annotations

from typing import Final

from ringfence.parse.catalogue import Pattern, make_pattern
from ringfence.parse.entries import Example, KindFile, PatternEntry

KIND: Final = "canary"
SERVICE: Final = "canary"
"""The service that test lines tell of; no ban, policy or whitelist knows it."""
PROGRAM: Final = "ringfence-canary"
"""Under which name test lines are written; nothing else of ours is."""

_MESSAGE: Final = "test of Ringfence itself, no attack: failed login of {address}, token {token}"
_EXAMPLE: Final = "0123456789abcdef0123456789abcdef"

PATTERN: Final[Pattern] = make_pattern(
    KindFile(
        kind=KIND, title="Ringfence's test of itself", service=SERVICE, envelope="syslog", programs=(PROGRAM,),
        types={
            "documentation": r"(?:192\.0\.2\.\d{1,3}|2001:db8:[0-9a-f:]{2,32})",
            "secret": r"[0-9a-f]{32}",
        },
    ),
    PatternEntry(
        name="line", attempt="none", cause="test",
        template=_MESSAGE.replace("{address}", "{address:documentation}").replace("{token}", "{token:secret}"),
        # The program's name stands before the message: no pattern for messages, of whomever, can take the line first.
        hints=(f" {PROGRAM}",),
        examples=(
            Example(
                line=f"Nov 21 20:34:50 pbx {PROGRAM}[77]: "
                + _MESSAGE.format(address="192.0.2.17", token=_EXAMPLE),
                address="192.0.2.17", service=SERVICE, outcome="failed",
            ),
            Example(
                line=f"2026-11-21T20:34:50.123456+00:00 pbx {PROGRAM}[77]: "
                + _MESSAGE.format(address="2001:db8:17::1", token=_EXAMPLE),
                address="2001:db8:17::1", service=SERVICE, outcome="failed",
            ),
        ),
        counter_examples=(
            "Nov 21 20:34:50 pbx other[77]: " + _MESSAGE.format(address="192.0.2.17", token=_EXAMPLE),
            f"Nov 21 20:34:50 pbx {PROGRAM}[77]: " + _MESSAGE.format(address="203.0.113.7", token=_EXAMPLE),
            f"Nov 21 20:34:50 pbx {PROGRAM}[77]: " + _MESSAGE.format(address="192.0.2.17", token="17"),  # noqa: S106 (no secret)
        ),
    ),
    built_in=True,
)  # fmt: skip


def message(address: str, token: str) -> str:
    """The message of a test line, without what syslog puts around it."""
    return _MESSAGE.format(address=address, token=token)
