"""What the commands about people answer: users, links, keys and requests as they travel and as `--json` prints them.

No password and no hash is ever among them; a secret only in the one answer that makes it.
"""

from __future__ import annotations

from msgspec import Struct

from ringfence.answers import BanRow, stamp
from ringfence.ledger import Invitation, Token, UnbanRequest, User
from ringfence.model import Role, TokenScope


class UserRow(Struct, frozen=True, kw_only=True):
    """A user. `has_password`, `has_totp`: whether there is one. `tokens`: how many keys of theirs hold.

    `link_until`: when the one-time link that waits for them ends, None where none waits.
    """

    name: str
    role: Role
    has_password: bool
    has_totp: bool
    accounts: tuple[str, ...]
    may_ask: bool
    disabled: bool
    created: str
    changed: str
    author: str
    tokens: int = 0
    link_until: str | None = None

    @classmethod
    def of(cls, user: User, tokens: int = 0, invitation: Invitation | None = None) -> UserRow:
        """The row of `user`."""
        return cls(
            name=user.name, role=user.role, has_password=bool(user.password), has_totp=bool(user.totp),
            accounts=user.accounts, may_ask=user.may_ask, disabled=user.disabled, created=stamp(user.created),
            changed=stamp(user.changed), author=user.author, tokens=tokens,
            link_until=None if invitation is None else stamp(invitation.expires),
        )  # fmt: skip


class Invited(Struct, frozen=True, kw_only=True):
    """A one-time link was made; its secret is shown this once. `name` is empty where whoever opens it chooses one."""

    secret: str
    name: str
    role: Role
    expires: str


class InvitationRow(Struct, frozen=True, kw_only=True):
    """A link that waits; `id` are the first characters of its hash, enough to withdraw it and not to use it."""

    id: str
    name: str
    role: Role
    created: str
    expires: str
    author: str

    @classmethod
    def of(cls, number: str, invitation: Invitation) -> InvitationRow:
        """The row of `invitation`."""
        return cls(
            id=number, name=invitation.name, role=invitation.role, created=stamp(invitation.created),
            expires=stamp(invitation.expires), author=invitation.author,
        )  # fmt: skip


class TokenRow(Struct, frozen=True, kw_only=True):
    """A key of the API. `holds`: neither revoked nor over when this was asked."""

    id: int
    user: str
    label: str
    scope: TokenScope
    service: str
    created: str
    expires: str
    revoked: str | None
    holds: bool

    @classmethod
    def of(cls, token: Token, now: float) -> TokenRow:
        """The row of `token` at `now`."""
        return cls(
            id=token.id, user=token.user, label=token.label, scope=token.scope, service=token.service,
            created=stamp(token.created), expires=stamp(token.expires),
            revoked=None if token.revoked is None else stamp(token.revoked), holds=token.holds(now),
        )  # fmt: skip


class NewToken(Struct, frozen=True, kw_only=True):
    """A key of the API was made; its secret is shown this once."""

    id: int
    secret: str
    user: str
    label: str
    scope: TokenScope
    service: str
    expires: str


class RequestRow(Struct, frozen=True, kw_only=True):
    """An account holder asks for an unban; `decided` is None while it waits."""

    id: int
    user: str
    target: str
    service: str
    reason: str
    time: str
    decided: str | None
    granted: bool
    decider: str

    @classmethod
    def of(cls, request: UnbanRequest) -> RequestRow:
        """The row of `request`."""
        return cls(
            id=request.id, user=request.user, target=request.target, service=request.service, reason=request.reason,
            time=stamp(request.time), decided=None if request.decided is None else stamp(request.decided),
            granted=request.granted, decider=request.decider,
        )  # fmt: skip


class Decided(Struct, frozen=True, kw_only=True):
    """A request was answered. `lifted` are the bans that ended by it; `why` says why the kernel did not let go."""

    request: RequestRow
    lifted: list[BanRow]
    why: str = ""
    monitor: bool = False
