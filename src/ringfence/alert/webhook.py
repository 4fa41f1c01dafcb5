"""Telling a web hook: one POST of JSON, signed, so that the receiver knows who sent it, when, and whether it is new.

`Ringfence-Signature` is "v1=" and the HMAC-SHA256 (RFC 2104), in hexadecimal, of the timestamp, a dot and the body,
under the shared key. `Ringfence-Id` is the same for every try of one warning.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from ringfence.alert.message import Mark, Outcome
from ringfence.alert.said import said, without

if TYPE_CHECKING:
    import httpx

AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 that ask for another try (RFC 9110 section 15.5.9, RFC 8470, RFC 6585)."""
MOST_READ: Final = 2048
"""Bytes of an answer that are read."""


def headers(id: str, body: bytes, key: str, now: float) -> dict[str, str]:
    """What goes with `body`; without a `key` it is not signed. `now` in seconds UTC."""
    stamp = str(int(now))
    told = {
        "Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "Ringfence",
        "Ringfence-Id": id, "Ringfence-Timestamp": stamp,
    }  # fmt: skip
    return told | ({"Ringfence-Signature": signature(body, key, stamp)} if key else {})


def signature(body: bytes, key: str, timestamp: str) -> str:
    """What a receiver compares with the header, see above."""
    return f"v1={hmac.new(key.encode(), timestamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


class _TakenError(Exception):
    """Somebody else sends it."""


async def post(
    url: str, key: str, id: str, body: bytes, mark: Mark, *, timeout: float, now: float, verify: Any = True
) -> Outcome:  # fmt: skip
    """POST `body` to `url` within `timeout` seconds. Raises only what `mark` raises.

    `mark` is awaited when the connection stands, right before the request leaves. Redirects are not followed: the key
    and the warning are for the one who was named. `verify`: True, or a TLS context.
    """
    import httpx

    logging.getLogger("httpx").setLevel(logging.WARNING)  # below, it logs every URL, which may hold a key
    where, secrets = _shown(url)
    gone = False

    async def traced(event: str, _: Mapping[str, Any]) -> None:
        nonlocal gone
        if event.endswith("send_request_headers.started") and not gone:
            if not await mark():
                raise _TakenError
            gone = True

    def outcome(state: Any, text: str) -> Outcome:
        return Outcome(state=state, answer=said(f"{where}: {without(text, [key, *secrets])}"))

    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=verify, timeout=timeout) as client,
            client.stream(
                "POST", url, content=body, headers=headers(id, body, key, now), extensions={"trace": traced}
            ) as answer,
        ):
            state = judged(answer.status_code)
            if state == "sent":
                return outcome(state, f"{answer.status_code} {answer.reason_phrase}")
            return outcome(state, f"{answer.status_code} {answer.reason_phrase} {await _beginning(answer)}")
    except _TakenError:
        return outcome("later", "taken by another")
    except (TimeoutError, httpx.TimeoutException):
        return outcome("unclear" if gone else "later", f"no answer within {timeout:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        return outcome("unclear" if gone else "later", _in_words(error))


def judged(status: int) -> str:
    """What a status means: 2xx took it over, 5xx and a few others did not but may later, the rest never will."""
    if 200 <= status <= 299:
        return "sent"
    return "later" if status >= 500 or status in AGAIN else "failed"


async def _beginning(answer: httpx.Response) -> str:
    """The first bytes of an answer, which may say what was wrong; empty when they can't be had."""
    import httpx

    found = b""
    try:
        async for piece in answer.aiter_raw(MOST_READ):
            found += piece
            if len(found) >= MOST_READ:
                break
    except (httpx.HTTPError, TimeoutError):
        return ""
    return found[:MOST_READ].decode("utf-8", "surrogateescape")


def _in_words(error: BaseException) -> str:
    """Why there was no answer: the system's own reason, which lies below what the library says of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not right: {cause.verify_message or cause.reason}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or "connection lost"


def _shown(url: str) -> tuple[str, list[str]]:
    """Where `url` points to, for people (host and port); and its parts that may be keys."""
    try:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL", [url]
    pieces = re.split(r"[/?&=:;#@]", f"{parts.path}?{parts.query}#{parts.fragment}@{parts.netloc.rpartition('@')[0]}")
    return where or "the URL", [url, *pieces, *map(unquote, pieces)]
