"""Who asks: the address behind proxies that are ours, the session of a cookie, the user of a token."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import TooManyRequestsException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from msgspec import structs

from ringfence.own import canonical
from ringfence.parse.addresses import AddressSet
from ringfence.render import duration
from ringfence.web.access import Visitor, permissions_of
from ringfence.web.web import Web

PROGRAMS = ("/api/", "/feed/", "/metrics", "/healthz")
"""Paths for programs: tokens only, never cookies, so no page of another site can use a reader's login there."""
FOR_PEOPLE = frozenset({"/api/v1/docs", "/api/v1/openapi.json"})
"""Of these, what people read too, with their login: it tells nothing of this server, and no page can frame it."""
MOST_HOPS = 20
RENEWING = "ringfence-renewing"
"""The header by which page.js says that it fetches a page for its parts."""


class Recognise(AbstractAuthenticationMiddleware):
    """Makes a `Visitor` of every request; nobody in particular where nothing valid was sent."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """The visitor, as the connection's user."""
        web: Web = connection.app.state.web
        address = client_address(connection, web.proxies)
        path, header = connection.scope["path"], connection.headers.get("authorization", "")
        if path.startswith(PROGRAMS) and (header or path not in FOR_PEOPLE):
            visitor = _by_token(web, token_in(header), address)
            if visitor is None:
                wait = await asyncio.to_thread(web.guessed, address, path)
                if wait:
                    raise TooManyRequestsException(
                        f"too many wrong tokens from {address}: try again in {duration(wait)}",
                        headers={"Retry-After": f"{wait:.0f}"},
                    )
                visitor = Visitor(address=address)
        else:
            words = web.pages.words(connection.headers.get("accept-language", ""))
            visitor = structs.replace(
                _by_cookie(web, connection.cookies.get(web.cookie, ""), address), words=words,
                renewing=RENEWING in connection.headers,
            )  # fmt: skip
        return AuthenticationResult(user=visitor, auth=visitor.session)


def client_address(connection: ASGIConnection[Any, Any, Any, Any], proxies: AddressSet) -> str:
    """The peer's address, or what our own proxies say in X-Forwarded-For: the last one that is no proxy of ours."""
    peer = canonical(connection.client.host if connection.client is not None else "") or ""
    if peer in proxies:
        hops = connection.headers.get("x-forwarded-for", "").split(",")[-MOST_HOPS:]
        for hop in reversed(hops):
            named = canonical(hop.strip())
            if not named:
                break
            peer = named
            if named not in proxies:
                break
    return peer


def _by_cookie(web: Web, secret: str, address: str) -> Visitor:
    now = web.clock()
    session = web.sessions.find(secret, now) if secret else None
    if session is None:
        return Visitor(address=address)
    user = web.readers.ledger().user(session.user)
    if user is None or user.disabled or user.changed > session.began:
        web.sessions.close(session)
        return Visitor(address=address)
    return Visitor(
        address=address, name=user.name, role=user.role, accounts=user.accounts, may_ask=user.may_ask,
        permissions=permissions_of(user.role), session=session,
    )  # fmt: skip


def _by_token(web: Web, secret: str, address: str) -> Visitor | None:
    """The user of a token, nobody in particular where it does not hold (any more); None: there never was such a one."""
    if not secret:
        return Visitor(address=address)
    ledger, now = web.readers.ledger(), web.clock()
    token = ledger.token_by_hash(hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest())
    if token is None:
        return None
    if not token.holds(now):
        return Visitor(address=address)
    user = ledger.user(token.user)
    if user is None or user.disabled:
        return Visitor(address=address)
    return Visitor(
        address=address, name=user.name, role=user.role, accounts=user.accounts, may_ask=user.may_ask,
        permissions=permissions_of(user.role, token.scope), token=token.id, service=token.service,
    )  # fmt: skip


def token_in(header: str) -> str:
    """The token of an Authorization header: as bearer (RFC 6750), or as password (RFC 7617) for plain list fetchers."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
