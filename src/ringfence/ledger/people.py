"""Who may use the page and the API: users, one-time links, keys of the API, and who asks to be let in again.

Each change is one durable transaction with its audit row. No password, hash or secret is ever written into the audit.
Names come in their canonical spelling, and who may do what was asked before: see `people_commands`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs

from ringfence.errors import NotFoundError
from ringfence.ledger.bans import TARGETS
from ringfence.ledger.commands import CommandStore
from ringfence.ledger.connection import Row
from ringfence.ledger.facts import Invitation, Token, UnbanRequest, User
from ringfence.ledger.making import ban_from
from ringfence.model import FOREVER, Ban, Role, TokenScope

ENDING: Final = frozenset({"role", "password", "totp", "disabled"})
"""A change of these ends the sessions that a user has."""
CHANGING: Final = ("administrator", "operator")
"""Roles whose keys may do more than read."""
TOKENS_KEPT: Final = 100
"""Keys of one user that no longer hold and are still listed."""
REQUESTS_KEPT: Final = 10_000
"""Requests for an unban that are remembered after they were decided."""

_TOKEN: Final = ("id", "user", "label", "scope", "service", "created", "expires", "revoked")
_INVITATION: Final = ("name", "role", "created", "expires", "author")


class PeopleStore(CommandStore):
    """Keeps users, links, keys and requests."""

    # ---- users

    def users(self) -> list[User]:
        """Every user, in order of name."""
        return [_user_from(row) for row in self._rows("users")]

    def user(self, name: str) -> User | None:
        """One user by name (lower case)."""
        row = self._row("user", (name,))
        return _user_from(row) if row else None

    def count_users(self) -> int:
        """How many users there are."""
        return self._value("count_users")

    def administrators(self) -> dict[str, bool]:
        """The administrators that are not disabled, each with whether they have a password."""
        return {name: bool(able) for name, able in self._rows("administrators")}

    def add_user(
        self, name: str, role: Role, *, password: str = "", accounts: Sequence[str] = (), may_ask: bool = False,
        author: str, origin: str = "", now: float,
    ) -> User:  # fmt: skip
        """Make a user. Raises LedgerError when there is one of that name."""
        user = User(
            name=name, role=role, password=password, accounts=tuple(accounts), may_ask=may_ask, created=now,
            changed=now, author=author,
        )  # fmt: skip
        with self._writing(durable=True):
            arguments = {"name": name, "role": role, "accounts": list(accounts), "may_ask": may_ask}
            self._audit(now, author, "user add", {**arguments, "password": bool(password)}, origin)
            self._run("put_user", _user_row(user))
        return user

    def change_user(self, name: str, changes: dict[str, Any], *, author: str, origin: str = "", now: float) -> User:
        """Set the fields of `changes` (role, password, totp, accounts, may_ask, disabled) of a user that there is.

        Who is disabled or gets another role loses the links for and by them; keys of scope write and report end with a
        role that may only look.
        """
        before = self._known(name)
        user = structs.replace(before, **changes)
        if any(getattr(user, field) != getattr(before, field) for field in ENDING):
            # Later than before whatever the clock says, so that no older session passes for one of now.
            user = structs.replace(user, changed=max(now, before.changed + 0.001))
        with self._writing(durable=True):
            told = {field: "changed" if field in ("password", "totp") else value for field, value in changes.items()}
            self._audit(now, author, "user change", {"name": name, **told}, origin)
            self._run("change_user", (*_user_row(user)[:7], user.changed))
            if user.disabled or user.role != before.role:
                self._forget_invitations(name)
            if user.role not in CHANGING:
                self._run("revoke_changing_tokens", {"user": name, "now": now})
        return user

    def remove_user(self, name: str, *, author: str, origin: str = "", now: float) -> User:
        """Forget a user with keys and requests, and the links for and by them."""
        user = self._known(name)
        with self._writing(durable=True):
            self._audit(now, author, "user remove", {"name": name, "role": user.role}, origin)
            for statement in ("delete_user", "delete_tokens", "delete_requests"):
                self._run(statement, (name,))
            self._forget_invitations(name)
        return user

    def _known(self, name: str) -> User:
        user = self.user(name)
        if user is None:
            raise NotFoundError(f"there is no user {name!r}")
        return user

    # ---- one-time links

    def invitation(self, hash: str) -> Invitation | None:
        """The link whose secret has this SHA-256 (hexadecimal); also one whose time is over."""
        row = self._row("invitation", (hash,))
        return Invitation(**dict(zip(_INVITATION, row, strict=True))) if row else None

    def invitations(self) -> dict[str, Invitation]:
        """Every link by the hash of its secret, oldest first."""
        rows = self._rows("invitations")
        return {hash: Invitation(**dict(zip(_INVITATION, rest, strict=True))) for hash, *rest in rows}

    def count_invitations(self) -> int:
        """How many links there are."""
        return self._value("count_invitations")

    def add_invitation(
        self, hash: str, name: str, role: Role, expires: float, *, author: str, origin: str = "", now: float
    ) -> Invitation:
        """Make a link, in place of an earlier one for the same name; those whose time is over go too."""
        invitation = Invitation(name=name, role=role, created=now, expires=expires, author=author)
        with self._writing(durable=True):
            self._audit(now, author, "user invite", {"name": name, "role": role, "expires": expires}, origin)
            self._run("delete_old_invitations", (now,))
            self._run("delete_invitations_for", (name,))
            self._run("insert_invitation", (hash, name, role, now, expires, author))
        return invitation

    def accept_invitation(
        self, hash: str, name: str, password: str, *, author: str, origin: str = "", now: float
    ) -> User:
        """Give `name` the password: a new user with the role of the link, or one that there is, with the role it has.

        The link, and any other for that name, is gone in the same transaction.
        """
        invitation = self.invitation(hash)
        if invitation is None:
            raise NotFoundError("this link does not hold (any more)")
        before = self.user(name)
        with self._writing(durable=True):
            if before is None:
                user = User(
                    name=name, role=invitation.role, password=password, created=now, changed=now,
                    author=invitation.author,
                )  # fmt: skip
                self._run("put_user", _user_row(user))
            else:
                user = structs.replace(before, password=password, changed=max(now, before.changed + 0.001))
                self._run("change_user", (*_user_row(user)[:7], user.changed))
            arguments = {"name": name, "role": user.role, "new": before is None, "invited_by": invitation.author}
            self._audit(now, author, "invitation accept", arguments, origin)
            self._run("delete_invitation", (hash,))
            self._run("delete_invitations_for", (name,))
        return user

    def remove_invitation(self, hash: str, *, author: str, origin: str = "", now: float) -> Invitation | None:
        """Withdraw a link; returns it, None when there was none."""
        invitation = self.invitation(hash)
        with self._writing(durable=True):
            name = invitation.name if invitation else None
            self._audit(now, author, "invitation withdraw", {"name": name}, origin)
            self._run("delete_invitation", (hash,))
        return invitation

    def _forget_invitations(self, name: str) -> None:
        """Drop the links for `name` and those that `name` made: nobody comes back by a link of their own."""
        self._run("delete_invitations_for", (name,))
        self._run("delete_invitations_by", (name,))

    # ---- keys of the API

    def tokens(self, user: str | None = None) -> list[Token]:
        """The keys of one user or all, oldest first; also those that no longer hold."""
        return [_token_from(row) for row in self._rows("tokens", {"user": user})]

    def token(self, number: int) -> Token | None:
        """One key by its number."""
        row = self._row("token", (number,))
        return _token_from(row) if row else None

    def token_by_hash(self, hash: str) -> Token | None:
        """The key whose secret has this SHA-256 (hexadecimal), also one that no longer holds: the caller decides."""
        row = self._row("token_by_hash", (hash,))
        return _token_from(row) if row else None

    def count_tokens(self, user: str, now: float) -> int:
        """How many keys of a user hold at `now`."""
        return self._value("count_tokens", {"user": user, "now": now})

    def add_token(
        self, hash: str, user: str, label: str, scope: TokenScope, *, service: str = "", expires: float = FOREVER,
        author: str, origin: str = "", now: float,
    ) -> Token:  # fmt: skip
        """Make a key whose secret has this SHA-256; of the user's keys that no longer hold the oldest may go."""
        with self._writing(durable=True):
            number = self._next("tokens", "last_token")
            self._run("insert_token", (number, user, label, hash, scope, service, now, expires))
            self._run("trim_tokens", {"user": user, "now": now, "keep": TOKENS_KEPT})
            arguments = {"id": number, "user": user, "label": label, "scope": scope, "service": service}
            self._audit(now, author, "token add", {**arguments, "expires": expires}, origin)
        return Token(id=number, user=user, label=label, scope=scope, service=service, created=now, expires=expires)

    def revoke_token(self, number: int, *, author: str, origin: str = "", now: float) -> Token | None:
        """End a key for good; returns it, None when there is none of that number."""
        with self._writing(durable=True):
            self._audit(now, author, "token revoke", {"id": number}, origin)
            self._run("revoke_token", {"id": number, "now": now})
            return self.token(number)

    def _next(self, counter: str, last: str) -> int:
        """A number that was never given before, also not to a row that is gone: an old page must not mean a new one."""
        number = max(self._counters.get(counter, 0), self._value(last)) + 1
        self._count(counter, number)
        return number

    # ---- who asks to be let in again

    def requests(self, open_only: bool = True, user: str | None = None, limit: int = 1000) -> list[UnbanRequest]:
        """Who asks for an unban, newest first; with `open_only` those that wait for an answer."""
        rows = self._rows("requests", {"open": open_only, "user": user, "limit": limit})
        return [_request_from(row) for row in rows]

    def request(self, number: int) -> UnbanRequest | None:
        """One request by its number."""
        row = self._row("request", (number,))
        return _request_from(row) if row else None

    def open_request(self, user: str, target: str, service: str) -> UnbanRequest | None:
        """The request of `user` about `target` and `service` that waits."""
        row = self._row("open_request", (user, target, service))
        return _request_from(row) if row else None

    def count_requests(self, user: str, since: float) -> int:
        """How many requests of `user` wait or were made after `since`."""
        return self._value("count_requests", {"user": user, "since": since})

    def ask_unban(
        self, user: str, target: str, service: str, reason: str, *, author: str, origin: str = "", now: float
    ) -> UnbanRequest:
        """Write down that `user` asks for the ban of `target` from `service` to be lifted."""
        with self._writing(durable=True):
            number = self._next("requests", "last_request")
            self._run("insert_request", (number, user, target, service, reason, now))
            self._run("trim_requests", {"last": number, "keep": REQUESTS_KEPT})
            arguments = {"id": number, "target": target, "service": service, "reason": reason}
            self._audit(now, author, "unban ask", arguments, origin)
        return UnbanRequest(id=number, user=user, target=target, service=service, reason=reason, time=now)

    def decide_request(
        self, number: int, granted: bool, *, author: str, origin: str = "", now: float
    ) -> tuple[UnbanRequest, list[Ban]]:
        """Grant or refuse a request that waits; granted, its ban is lifted in the same transaction and returned."""
        request = self.request(number)
        if request is None or request.decided is not None:
            raise NotFoundError(f"no request {number} waits for an answer")
        lifted: list[Ban] = []
        with self._writing(durable=True):
            arguments = {"id": number, "target": request.target, "service": request.service, "user": request.user}
            self._audit(now, author, "unban grant" if granted else "unban refuse", arguments, origin)
            self._run("decide_request", (number, now, granted, author))
            if granted:
                named = {"target": request.target, "service": request.service}
                rows = self._rows("bans_to_lift", named, target=TARGETS[True])
                lifted = self._end_all([ban_from(row) for row in rows], "lifted", now, author)
        return structs.replace(request, decided=now, granted=granted, decider=author), lifted


def _user_row(user: User) -> Row:
    accounts = json.dumps(list(user.accounts))
    return (
        user.name, user.role, user.password, user.totp, accounts, user.may_ask, user.disabled, user.created,
        user.changed, user.author,
    )  # fmt: skip


def _user_from(row: Row) -> User:
    name, role, password, totp, accounts, may_ask, disabled, created, changed, author = row
    return User(
        name=name, role=role, password=password, totp=totp, accounts=tuple(json.loads(accounts)),
        may_ask=bool(may_ask), disabled=bool(disabled), created=created, changed=changed, author=author,
    )  # fmt: skip


def _token_from(row: Row) -> Token:
    return Token(**dict(zip(_TOKEN, row, strict=True)))


def _request_from(row: Row) -> UnbanRequest:
    number, user, target, service, reason, time, decided, granted, decider = row
    return UnbanRequest(
        id=number, user=user, target=target, service=service, reason=reason, time=time, decided=decided,
        granted=bool(granted), decider=decider,
    )  # fmt: skip
