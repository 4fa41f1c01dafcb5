"""Users, one-time links and tokens: for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar.exceptions import ServiceUnavailableException
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from ringfence import passwords
from ringfence.answers import Done
from ringfence.durations import TEN_YEARS
from ringfence.errors import NotFoundError
from ringfence.model import Role, TokenScope
from ringfence.people_answers import InvitationRow, Invited, NewToken, TokenRow, UserRow
from ringfence.web.access import Permission, Visitor
from ringfence.web.api.answering import Continued, Limit, Number, change, make, read, remove
from ringfence.web.api.paging import TEXT, WHOLE, Listing, paged
from ringfence.web.pages.login import ONE_AT_A_TIME, WAIT
from ringfence.web.pages.showing import Parts, Who
from ringfence.web.web import Web

GOVERN: Final = Permission.GOVERN
DAY: Final = 86_400.0

Name = Annotated[str, Meta(min_length=1, max_length=64, description="1 to 64 of a-z, 0-9, '.', '_', '-' and '@'.")]
PathName = Annotated[str, PathParameter(min_length=1, max_length=64, description="The name of a user.")]
Password = Annotated[str, Meta(max_length=1_024, description="At least 12 characters; kept as an argon2id hash only.")]
Accounts = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=256)]],
    Meta(max_length=200, description="What an account holder sees: SIP URIs, extensions, mailboxes."),
]
Holds = Annotated[float, Meta(ge=60, le=30 * DAY, description="How long the link holds.")]


class NewUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user; without a password nobody can log in until a one-time link gave one."""

    name: Name
    role: Role
    password: Password | None = None
    accounts: Accounts = []
    may_ask: bool = False


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a user; null leaves it as it is. `second_factor` false takes that away."""

    role: Role | None = None
    password: Password | None = None
    accounts: Accounts | None = None
    may_ask: bool | None = None
    disabled: bool | None = None
    second_factor: Annotated[bool, Meta(description="Only false: from then on no code is asked for.")] = True


class NewLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A one-time link; without a name whoever opens it becomes a new user of that role."""

    name: Annotated[str, Meta(max_length=64)] = ""
    role: Role = "viewer"
    seconds: Holds = DAY


class TokenWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token. `service` belongs to scope report: whose events it tells. It holds for `seconds` (null: for good)."""

    user: Name
    label: Annotated[str, Meta(min_length=1, max_length=100)]
    scope: TokenScope = "read"
    service: Annotated[str, Meta(max_length=64)] = ""
    seconds: Annotated[float, Meta(ge=1, le=TEN_YEARS)] | None = None


@read("/users", GOVERN, tag="users")
def users(web: Parts, visitor: Who, limit: Limit = 100, cursor: Continued = "") -> Listing[UserRow]:
    """Every user, by name. No password and no hash is ever shown."""
    rows = web.guard.ask(list[UserRow], visitor, "users")
    found, next_ = paged(rows, lambda row: (row.name,), "users", (TEXT,), limit, cursor)
    return Listing(rows=found, next=next_, total=len(rows))


@make("/users", GOVERN, tag="users", status=201)
def add_user(web: Parts, visitor: Who, data: JSONBody[NewUser]) -> UserRow:
    """Make a user."""
    return web.guard.ask(
        UserRow, visitor, "add_user", name=data.name, role=data.role, password_hash=_hashed(data.password, data.name),
        accounts=data.accounts, may_ask=data.may_ask,
    )  # fmt: skip


@read("/users/{name:str}", GOVERN, tag="users")
def user(web: Parts, visitor: Who, name: PathName) -> UserRow:
    """One user."""
    return _user(web, visitor, name)


@change("/users/{name:str}", GOVERN, tag="users")
def change_user(web: Parts, visitor: Who, name: PathName, data: JSONBody[UserChange]) -> UserRow:
    """Change what is given of a user; a new role or password ends their logins."""
    changes: dict[str, Any] = {
        field: value for field in ("role", "accounts", "may_ask", "disabled")
        if (value := getattr(data, field)) is not None
    }  # fmt: skip
    if data.password is not None:
        _user(web, visitor, name)
        changes["password_hash"] = _hashed(data.password, name)
    if not data.second_factor:
        changes["totp"] = ""
    return web.guard.ask(UserRow, visitor, "change_user", name=name, **changes)


@remove("/users/{name:str}", GOVERN, tag="users")
def remove_user(web: Parts, visitor: Who, name: PathName) -> Done:
    """Forget a user with their tokens and links."""
    return web.guard.ask(Done, visitor, "remove_user", name=name)


@read("/links", GOVERN, tag="users")
def links(web: Parts, visitor: Who, limit: Limit = 100, cursor: Continued = "") -> Listing[InvitationRow]:
    """The one-time links that wait; none of them tells its secret."""
    rows = web.guard.ask(list[InvitationRow], visitor, "invitations")
    found, next_ = paged(rows, lambda row: (row.id,), "links", (TEXT,), limit, cursor)
    return Listing(rows=found, next=next_, total=len(rows))


@make("/links", GOVERN, tag="users", status=201)
def make_link(web: Parts, visitor: Who, data: JSONBody[NewLink]) -> Invited:
    """Make a one-time link: open /welcome/SECRET of the page to choose a password. The secret is shown this once."""
    return web.guard.ask(Invited, visitor, "invite", name=data.name, role=data.role, seconds=data.seconds)


@remove("/links/{number:str}", GOVERN, tag="users")
def withdraw_link(web: Parts, visitor: Who, number: Annotated[str, PathParameter(min_length=1, max_length=64)]) -> Done:
    """Take a link back before anybody used it."""
    return web.guard.ask(Done, visitor, "withdraw_invitation", id=number)


@read("/tokens", GOVERN, tag="tokens")
def tokens(web: Parts, visitor: Who, limit: Limit = 100, cursor: Continued = "") -> Listing[TokenRow]:
    """Every token, also those that no longer hold; none of them tells its secret."""
    rows = web.guard.ask(list[TokenRow], visitor, "tokens")
    found, next_ = paged(rows, lambda row: (row.id,), "tokens", (WHOLE,), limit, cursor)
    return Listing(rows=found, next=next_, total=len(rows))


@make("/tokens", GOVERN, tag="tokens", status=201)
def add_token(web: Parts, visitor: Who, data: JSONBody[TokenWanted]) -> NewToken:
    """Make a token. Its secret is shown this once."""
    return web.guard.ask(
        NewToken, visitor, "add_token", user=data.user, label=data.label, scope=data.scope, service=data.service,
        seconds=data.seconds,
    )  # fmt: skip


@remove("/tokens/{number:int}", GOVERN, tag="tokens")
def revoke_token(web: Parts, visitor: Who, number: Number) -> Done:
    """End a token for good."""
    return web.guard.ask(Done, visitor, "revoke_token", id=number)


def _user(web: Web, visitor: Visitor, name: str) -> UserRow:
    found = next((row for row in web.guard.ask(list[UserRow], visitor, "users") if row.name == name.lower()), None)
    if found is None:
        raise NotFoundError(f"there is no user {name!r}")
    return found


def _hashed(password: str | None, name: str) -> str:
    """The hash of a new password, empty for none. Raises RingfenceError for a weak one."""
    if password is None:
        return ""
    passwords.check_strength(password, name)
    if not ONE_AT_A_TIME.acquire(timeout=WAIT):
        raise ServiceUnavailableException("too many logins at once; try again in a moment")
    try:
        return passwords.hash_password(password)
    finally:
        ONE_AT_A_TIME.release()


ROUTES: list[Any] = [
    users, add_user, user, change_user, remove_user, links, make_link, withdraw_link, tokens, add_token, revoke_token,
]  # fmt: skip
