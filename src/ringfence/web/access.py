"""Who may do what: the one place where roles become permissions and where every route is asked for.

A route says what it needs (`needs(Permission.ACT)`); one that says nothing is refused to everybody, and the program
does not start with it. A token has at most what its scope leaves of the role of the user it belongs to.
"""

from __future__ import annotations

import enum
import hmac
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct

from ringfence.translating import ENGLISH, Words
from ringfence.web.sessions import Session


class Permission(enum.Enum):
    """What a route may ask for."""

    OPEN = "anybody, also who is not logged in"
    SELF = "one's own login: password, second factor, leaving"
    OWN = "what concerns the accounts assigned to oneself"
    SEE = "everything on the server"
    ACT = "bans, whitelist, lockdown, statistics"
    GOVERN = "users, tokens, policy"
    REPORT = "events of one service, by a token for that"


OF_ROLE: Final[dict[str, frozenset[Permission]]] = {
    "administrator": frozenset({Permission.SELF, Permission.SEE, Permission.ACT, Permission.GOVERN}),
    "operator": frozenset({Permission.SELF, Permission.SEE, Permission.ACT}),
    "viewer": frozenset({Permission.SELF, Permission.SEE}),
    "holder": frozenset({Permission.SELF, Permission.OWN}),
}
OF_SCOPE: Final[dict[str, frozenset[Permission]]] = {
    "read": frozenset({Permission.SEE, Permission.OWN}),
    "write": frozenset({Permission.SEE, Permission.OWN, Permission.ACT, Permission.GOVERN}),
    "report": frozenset(),
}
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Visitor(Struct, frozen=True, kw_only=True):
    """Who asks: a user by a session or a token, or nobody (`name` is empty), and the address it comes from."""

    address: str
    name: str = ""
    role: str = ""
    accounts: tuple[str, ...] = ()
    may_ask: bool = False
    permissions: frozenset[Permission] = frozenset()
    session: Session | None = None
    token: int = 0
    service: str = ""
    words: Words = ENGLISH
    """The language to answer people in; programs are answered in English."""
    renewing: bool = False
    """Whether the page asks by itself for what changed: nobody reads what such an answer says to the visitor."""

    def may(self, permission: Permission) -> bool:
        """Whether this visitor has `permission`."""
        return permission is Permission.OPEN or permission in self.permissions

    @property
    def via(self) -> Literal["web", "api"]:
        """How the visitor came in, for the audit."""
        return "api" if self.token else "web"


def permissions_of(role: str, scope: str | None = None) -> frozenset[Permission]:
    """What `role` may, or what a token of that role with `scope` may."""
    if scope is None:
        return OF_ROLE.get(role, frozenset())
    if scope == "report":
        return frozenset({Permission.REPORT})
    return OF_ROLE.get(role, frozenset()) & OF_SCOPE.get(scope, frozenset())


def needs(*permissions: Permission) -> dict[str, Any]:
    """The `opt` of a route: any one of `permissions` opens it."""
    return {"needs": permissions}


async def enforce(connection: ASGIConnection[Any, Visitor, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of the whole application: raises unless the visitor has what the route needs.

    Not a plain function: that would wait for a free thread first.
    """
    wanted = handler.opt.get("needs", ())
    visitor = connection.user
    if any(visitor.may(permission) for permission in wanted):
        return
    if not visitor.name:
        raise NotAuthorizedException("log in first")
    raise PermissionDeniedException(f"the role {visitor.role} may not do this")


def require(visitor: Visitor, permission: Permission) -> None:
    """For what a route finds out only while it works: raises unless the visitor has `permission`, too."""
    if not visitor.may(permission):
        raise PermissionDeniedException(f"the role {visitor.role} may not do this")


def check_same_site(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse a change that another site's page asks for (Fetch Metadata, else Origin): raises PermissionDenied."""
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin not in (None, "null") and urlsplit(origin).netloc != connection.headers.get("host")
    if foreign or origin == "null":
        raise PermissionDeniedException("this change was asked for by a page of another site")


def check_token(expected: str, given: str) -> None:
    """Refuse a form without the secret that our own page put into it: raises PermissionDenied."""
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        raise PermissionDeniedException("this form is out of date or came from elsewhere: go back, reload, try again")


def login_path(path: str, query: str = "") -> str:
    """Where to log in and come back to `path` from."""
    if path in ("", "/"):
        return "/login"
    return "/login?next=" + quote(path + (f"?{query}" if query else ""), safe="")


def own_path(text: str) -> str:
    """`text` if it is a path on this server, else "/": where one may be sent after the login."""
    parts = urlsplit(text)
    ours = not parts.scheme and not parts.netloc and text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if ours and text.isprintable() and "\\" not in text else "/"
