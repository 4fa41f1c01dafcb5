"""Commands about people: users, one-time links, keys of the API, and requests to be let in again.

Who may give them is asked where people come in (the socket's group, the page's roles); here is what must hold whoever
asks. The guard never sees a password: it is given a hash, and makes the secrets of links and keys itself.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from ringfence.answers import BanRow, Done, stamp
from ringfence.control import Caller, command
from ringfence.durations import format_duration
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.guard import Guard
from ringfence.ledger import User
from ringfence.ledger.people import CHANGING
from ringfence.model import EVERY, Ban, Role, TokenScope
from ringfence.orders import origin_of, target_of, until_of
from ringfence.people_answers import Decided, InvitationRow, Invited, NewToken, RequestRow, TokenRow, UserRow
from ringfence.render import plural

DAY: Final = 86_400
MOST_USERS: Final = 10_000
MOST_TOKENS: Final = 100
"""Keys of one user that hold at a time."""
MOST_INVITATIONS: Final = 1_000
MOST_ACCOUNTS: Final = 200
"""Accounts of one account holder."""
MOST_ASKED: Final = 20
"""Requests of one user that wait or were made within a day."""
LONGEST_INVITATION: Final = 30 * DAY
LINK_ID: Final = 16
"""Characters of a link's hash that name it."""

_NAME: Final = re.compile(r"[a-z0-9._@-]{1,64}")
_HASH: Final = re.compile(r"\$argon2id\$[!-~]{1,400}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TOTP: Final = re.compile(r"[A-Z2-7]{16,128}=*")
_PAGES: Final = ("@web", "@api")
"""What the name of a caller ends in when they came by the page or the API."""


class PeopleCommands:
    """The use-cases about people on one `Guard`."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    # --- users

    @command
    def add_user(
        self, caller: Caller, *, name: str, role: Role, password_hash: str = "", accounts: list[str] = [],  # noqa: B006
        may_ask: bool = False,
    ) -> UserRow:  # fmt: skip
        """Make a user; without a hash nobody can log in until a link gave them a password."""
        name, ledger = user_name(name), self.guard.ledger
        if ledger.user(name) is not None:
            raise RefusedError(f"there is a user {name} already; see 'ringfence user list'")
        self._room()
        user = ledger.add_user(
            name, role, password=_hash(password_hash), accounts=_accounts(accounts), may_ask=may_ask,
            **self._by(caller),
        )  # fmt: skip
        self.guard.say(f"user {name} was made, role {role}: by {caller.user}")
        return UserRow.of(user)

    @command
    def change_user(
        self, caller: Caller, *, name: str, role: Role | None = None, password_hash: str | None = None,
        totp: str | None = None, accounts: list[str] | None = None, may_ask: bool | None = None,
        disabled: bool | None = None,
    ) -> UserRow:  # fmt: skip
        """Change what is given of a user. An empty `totp` takes the second factor away."""
        user = self._user(name)
        given = {
            "role": role, "password": None if password_hash is None else _hash(password_hash),
            "totp": None if totp is None else _totp(totp),
            "accounts": None if accounts is None else _accounts(accounts), "may_ask": may_ask, "disabled": disabled,
        }  # fmt: skip
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        if not changes:
            raise RingfenceError(f"nothing of user {user.name} is to be changed: say what")
        if changes.get("role", "administrator") != "administrator" or disabled:
            self._keep_an_administrator(user, "disabled" if disabled else "given another role")
        elif changes.get("password") == "":
            self._keep_an_administrator(user, "left without a password", rank_is_enough=True)
        user = self.guard.ledger.change_user(user.name, changes, **self._by(caller))
        self.guard.say(f"user {user.name} was changed ({', '.join(changes)}): by {caller.user}")
        return self._row(user)

    @command
    def remove_user(self, caller: Caller, *, name: str) -> Done:
        """Forget a user with their keys and links."""
        user = self._user(name)
        self._keep_an_administrator(user, "removed")
        self.guard.ledger.remove_user(user.name, **self._by(caller))
        self.guard.say(f"user {user.name} was removed: by {caller.user}")
        return Done(message=f"user {user.name} is removed, with their tokens and links")

    @command
    def users(self, caller: Caller) -> list[UserRow]:
        """Every user."""
        ledger, now = self.guard.ledger, self.guard.clock()
        tokens = Counter(token.user for token in ledger.tokens() if token.holds(now))
        links = {one.name: one for one in ledger.invitations().values() if one.expires > now}
        return [UserRow.of(user, tokens[user.name], links.get(user.name)) for user in ledger.users()]

    # --- one-time links

    @command
    def invite(self, caller: Caller, *, name: str = "", role: Role = "administrator", seconds: float = DAY) -> Invited:
        """Make a one-time link: for a user that there is to set a password, else to become one of that role."""
        name, ledger, by = user_name(name) if name else "", self.guard.ledger, self._by(caller)
        if not 60 <= seconds <= LONGEST_INVITATION:
            raise RingfenceError(f"a link holds from 1 minute to {format_duration(LONGEST_INVITATION)}")
        known = ledger.user(name) if name else None
        if known is None:
            self._room()
        elif known.disabled:
            raise RefusedError(f"user {name} is disabled; enable them first")
        if ledger.count_invitations() >= MOST_INVITATIONS:
            raise RefusedError(f"there are {MOST_INVITATIONS:,} links already; withdraw some")
        secret, role = secrets.token_urlsafe(32), known.role if known else role
        invitation = ledger.add_invitation(sha256(secret), name, role, by["now"] + seconds, **by)
        self.guard.say(f"a one-time link was made for {name or f'a new {role}'}: by {caller.user}")
        return Invited(secret=secret, name=name, role=role, expires=stamp(invitation.expires))

    @command
    def accept_invitation(self, caller: Caller, *, secret_hash: str, name: str, password_hash: str) -> UserRow:
        """Whoever holds a link's secret becomes a user or gets a new password; the link is used up."""
        name, ledger, by = user_name(name), self.guard.ledger, self._by(caller)
        invitation = ledger.invitation(secret_hash) if _SHA256.fullmatch(secret_hash) else None
        if invitation is None or invitation.expires <= by["now"]:
            raise NotFoundError("this link does not hold (any more); ask for a new one")
        known = ledger.user(name)
        if invitation.name and invitation.name != name:
            raise RefusedError(f"this link is for {invitation.name}")
        if not invitation.name and known is not None:
            raise RefusedError(f"the name {name} is taken; choose another")
        if known is None:
            self._room()
        elif known.disabled:
            raise RefusedError(f"user {name} is disabled; ask an administrator")
        password = _hash(password_hash)
        if not password:
            raise RingfenceError("a link gives a password: the hash is missing")
        user = ledger.accept_invitation(secret_hash, name, password, **by)
        self.guard.say(f"user {name} used a one-time link" + ("" if known else f" and was made, role {user.role}"))
        return self._row(user)

    @command
    def invitations(self, caller: Caller) -> list[InvitationRow]:
        """Every link that waits."""
        now = self.guard.clock()
        found = self.guard.ledger.invitations().items()
        return [InvitationRow.of(hash[:LINK_ID], one) for hash, one in found if one.expires > now]

    @command
    def withdraw_invitation(self, caller: Caller, *, id: str) -> Done:
        """Take a link back before anybody used it."""
        found = [hash for hash in self.guard.ledger.invitations() if hash[:LINK_ID] == id]
        if not found:
            raise NotFoundError(f"there is no link {id!r}")
        for hash in found:
            self.guard.ledger.remove_invitation(hash, **self._by(caller))
        return Done(message=f"link {id} is withdrawn")

    # --- keys of the API

    @command
    def add_token(
        self, caller: Caller, *, user: str, label: str, scope: TokenScope, service: str = "",
        seconds: float | None = None,
    ) -> NewToken:  # fmt: skip
        """Make a key for `user`; it holds for `seconds` (None: until revoked)."""
        owner, ledger, by = self._user(user), self.guard.ledger, self._by(caller)
        if scope != "read" and owner.role not in CHANGING:
            raise RefusedError(f"{owner.name} is {_a(owner.role)}, whose tokens can only read")
        if scope == "report" and service not in self.guard.services:
            known = ", ".join(sorted(self.guard.services))
            raise RingfenceError(f"scope report needs the service whose events it tells; known: {known}")
        if scope != "report" and service:
            raise RingfenceError(f"a service belongs to scope report, not to {scope}")
        if ledger.count_tokens(owner.name, by["now"]) >= MOST_TOKENS:
            raise RefusedError(f"{owner.name} has {plural(MOST_TOKENS, 'token')} already; revoke some")
        expires, secret = until_of(by["now"], seconds), "rf_" + secrets.token_urlsafe(32)
        token = ledger.add_token(
            sha256(secret), owner.name, _words(label, "a label", 100), scope, service=service, expires=expires,
            **by,
        )  # fmt: skip
        self.guard.say(f"token {token.id} was made for {owner.name}, scope {scope}: by {caller.user}")
        return NewToken(
            id=token.id, secret=secret, user=owner.name, label=token.label, scope=scope, service=service,
            expires=stamp(expires),
        )  # fmt: skip

    @command
    def revoke_token(self, caller: Caller, *, id: int) -> Done:
        """End a key for good."""
        token = self.guard.ledger.token(_number(id))
        if token is None:
            raise NotFoundError(f"there is no token {id}; see 'ringfence token list'")
        if token.revoked is not None:
            return Done(message=f"token {id} of {token.user} is revoked already")
        self.guard.ledger.revoke_token(id, **self._by(caller))
        self.guard.say(f"token {id} of {token.user} was revoked: by {caller.user}")
        return Done(message=f"token {id} of {token.user} is revoked")

    @command
    def tokens(self, caller: Caller) -> list[TokenRow]:
        """Every key, also those that no longer hold."""
        now = self.guard.clock()
        return [TokenRow.of(token, now) for token in self.guard.ledger.tokens()]

    # --- who asks to be let in again

    @command
    def ask_unban(self, caller: Caller, *, target: str, service: str, reason: str) -> RequestRow:
        """Ask for a running ban to be lifted; asked twice, it is one request."""
        user, ledger, now = self._asking(caller), self.guard.ledger, self.guard.clock()
        ban = self._ban(target_of(target), service)
        waiting = ledger.open_request(user.name, ban.target, ban.service)
        if waiting is not None:
            return RequestRow.of(waiting)
        if ledger.count_requests(user.name, now - DAY) >= MOST_ASKED:
            raise RefusedError(f"you have asked {MOST_ASKED} times within a day; wait until somebody has answered")
        reason = _words(reason, "a reason", 1_000, lines=True)
        request = ledger.ask_unban(user.name, ban.target, ban.service, reason, **self._by(caller))
        self.guard.say(f"{user.name} asks for the ban of {ban.target} to be lifted: request {request.id}")
        return RequestRow.of(request)

    @command
    def decide_request(self, caller: Caller, *, id: int, grant: bool) -> Decided:
        """Answer a request; granted, its ban is lifted at once."""
        found = self.guard.ledger.request(_number(id))
        if found is None:
            raise NotFoundError(f"there is no request {id}")
        if found.decided is not None:
            word = "granted" if found.granted else "refused"
            raise RefusedError(f"request {id} was {word} already, by {found.decider}")
        request, lifted = self.guard.ledger.decide_request(id, grant, **self._by(caller))
        why = self.guard.open(lifted)
        word = "granted" if grant else "refused"
        self.guard.say(f"request {id} of {request.user} about {request.target} was {word}: by {caller.user}")
        return Decided(
            request=RequestRow.of(request), lifted=[BanRow.of(ban) for ban in lifted], why=why,
            monitor=not self.guard.barrier.blocks,
        )  # fmt: skip

    @command
    def requests(self, caller: Caller, *, open_only: bool = True, limit: int = 1000) -> list[RequestRow]:
        """Who asks for an unban, newest first."""
        found = self.guard.ledger.requests(open_only, limit=max(0, min(limit, 10_000)))
        return [RequestRow.of(request) for request in found]

    # --- what must hold

    def _by(self, caller: Caller) -> dict[str, Any]:
        return {"author": caller.user, "origin": origin_of(caller), "now": self.guard.clock()}

    def _row(self, user: User) -> UserRow:
        return UserRow.of(user, self.guard.ledger.count_tokens(user.name, self.guard.clock()))

    def _user(self, name: str) -> User:
        user = self.guard.ledger.user(user_name(name))
        if user is None:
            raise NotFoundError(f"there is no user {name!r}; see 'ringfence user list'")
        return user

    def _room(self) -> None:
        if self.guard.ledger.count_users() >= MOST_USERS:
            raise RefusedError(f"there are {MOST_USERS:,} users already; remove some")

    def _keep_an_administrator(self, user: User, what: str, *, rank_is_enough: bool = False) -> None:
        """Refuse what would leave nobody who administers; somebody without a password can't, as long as others can."""
        administrators = self.guard.ledger.administrators()
        if user.name not in administrators:
            return
        able = administrators.pop(user.name)
        left = administrators or rank_is_enough
        if not left or (able and not any(administrators.values())):
            raise RefusedError(f"{user.name} is the last administrator who can log in and can't be {what}")

    def _asking(self, caller: Caller) -> User:
        """The user of the page behind a caller, who may ask for an unban."""
        name = next((caller.user.removesuffix(end) for end in _PAGES if caller.user.endswith(end)), caller.user)
        user = self.guard.ledger.user(name)
        if user is None or user.disabled:
            raise RefusedError(f"{name} is no user of the page, and only those ask; use 'ringfence unban'")
        if user.role not in CHANGING and not user.may_ask:
            raise RefusedError(f"{name} may not ask for an unban; an administrator can permit it")
        return user

    def _ban(self, target: str, service: str) -> Ban:
        """The running ban that a request is about: of `target` itself, else of the network it was banned with."""
        service = EVERY if service in ("", "all") else service
        found = [ban for ban in self.guard.bans_of(target) if ban.service == service]
        if not found:
            whom = "all services" if service == EVERY else service
            raise NotFoundError(f"{target} is not banned from {whom}")
        return found[0]


def user_name(text: str) -> str:
    """The canonical spelling of a user's name. Raises RingfenceError for what can't be one."""
    name = text.lower()
    if not text.isascii() or not _NAME.fullmatch(name):  # a Kelvin sign would become a k
        raise RingfenceError("a user's name is 1 to 64 of a-z, 0-9, '.', '_', '-' and '@'")
    return name


def sha256(secret: str) -> str:
    """What the ledger keeps of the secret of a link or key: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(text: str) -> str:
    if text and not _HASH.fullmatch(text):
        raise RingfenceError("a password is given as its argon2id hash, which begins with $argon2id$")
    return text


def _totp(text: str) -> str:
    if text and not _TOTP.fullmatch(text):
        raise RingfenceError("the secret of the second factor is 16 to 128 characters of base32, or empty")
    return text


def _accounts(names: Sequence[str]) -> tuple[str, ...]:
    accounts = tuple(dict.fromkeys(_words(name, "an account", 256) for name in names))
    if len(accounts) > MOST_ACCOUNTS:
        raise RingfenceError(f"an account holder has at most {MOST_ACCOUNTS} accounts")
    return accounts


def _words(text: str, what: str, most: int, *, lines: bool = False) -> str:
    """`text` without blanks around it, checked: 1 to `most` printable characters, or `lines` of them."""
    text = text.strip()
    if not 1 <= len(text) <= most or not all(one.isprintable() or (lines and one in "\r\n\t") for one in text):
        raise RingfenceError(f"{what} is 1 to {most:,} printable characters")
    return text


def _number(number: int) -> int:
    """A number that SQLite can look for."""
    return number if 0 < number < 1 << 63 else 0


def _a(role: str) -> str:
    return {"administrator": "an administrator", "operator": "an operator", "viewer": "a viewer"}.get(
        role, "an account holder"
    )
