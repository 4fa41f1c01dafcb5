"""`ringfence user …` and `ringfence token …`: who may use the page and the API.

A password is read, checked and hashed here; the guard is told the hash only.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ringfence.answers import Done
from ringfence.cli import tables
from ringfence.cli.app import For, Json, app, ask, print_done, print_json, seconds_of, settings
from ringfence.errors import NotFoundError, RingfenceError
from ringfence.model import FOREVER, Role, TokenScope
from ringfence.people_answers import Invited, NewToken, TokenRow, UserRow
from ringfence.render import few, moment, safe

user = typer.Typer(help="Say who may use the page and the API.", no_args_is_help=True)
token = typer.Typer(help="Make, list and revoke the keys of programs that use the API.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(token, name="token")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user.")]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="ACCOUNT", help="An account that an account holder sees; may be repeated."),
]
MayAsk = Annotated[bool | None, typer.Option("--may-ask/--no-may-ask", help="Whether they may ask for an unban.")]
Link = Annotated[bool, typer.Option("--link", help="Print a one-time link where they choose their password.")]
FromInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


class NewUser(UserRow, frozen=True, kw_only=True):
    """A user that was made or may choose a new password, with the one-time `link` if one was asked for."""

    link: str = ""


def base() -> str:
    """The page's address, as people type it, without a slash at its end."""
    return settings().web.base


def _invite(name: str) -> tuple[str, str]:
    """A one-time link for the user `name`, and when it ends."""
    answer = ask(Invited, "invite", name=name)
    return f"{base()}/welcome/{answer.secret}", answer.expires


def _password(name: str, from_input: bool) -> str:
    """The hash of a password that is asked for twice without echo, or read from standard input."""
    from ringfence.passwords import check_strength, hash_password  # here: other commands need not load argon2

    if from_input:
        text = _line()
    elif not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask for the password: give --password-stdin or --link")
    else:
        text = typer.prompt(f"Password for {safe(name)}", hide_input=True, confirmation_prompt=True, err=True)
    check_strength(text, name)
    return hash_password(text)


def _line() -> str:
    """The first line of standard input without its end; a longer one than any password is refused, not read whole."""
    try:
        return sys.stdin.readline(5_000).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise RingfenceError("the password on standard input is no UTF-8 text") from error


def _one_way(link: bool, from_input: bool) -> None:
    if link and from_input:
        raise typer.BadParameter("give either --link or --password-stdin")


def _told(row: UserRow, link: tuple[str, str], said: str, json: bool) -> None:
    """Print what was done with `row`, and the link if there is one."""
    if json:
        whole = {field: getattr(row, field) for field in row.__struct_fields__}
        print_json(NewUser(**{**whole, "link": link[0], "link_until": link[1] or row.link_until}))
        return
    typer.echo(said)
    if link[0]:
        typer.echo(f"Whoever opens this link first chooses the password (once, until {moment(link[1])}):")
        typer.echo(link[0])


@user.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="What they may do.")],
    account: Accounts = None,
    may_ask: Annotated[bool, typer.Option("--may-ask", help="An account holder may ask for an unban.")] = False,
    link: Link = False,
    password_stdin: FromInput = False,
    json: Json = False,
) -> None:
    """Make a user; the password is asked for twice, unless a link or standard input gives it."""
    _one_way(link, password_stdin)
    hashed = "" if link else _password(name, password_stdin)
    row = ask(
        UserRow, "add_user", name=name, role=role, password_hash=hashed, accounts=account or [], may_ask=may_ask
    )  # fmt: skip
    _told(row, _invite(row.name) if link else ("", ""), f"user {safe(row.name)} is made, role {row.role}", json)


@user.command("list")
def users(json: Json = False) -> None:
    """List the users: role, state, second factor, accounts, tokens."""
    rows = ask(list[UserRow], "users")
    if json:
        print_json(rows)
        return
    tables.show(
        ["NAME", "ROLE", "STATE", "2ND FACTOR", ">TOKENS", "SINCE", "BY", "ACCOUNTS"],
        [
            [
                safe(row.name), row.role, _state(row), "yes" if row.has_totp else "no", str(row.tokens),
                moment(row.created), safe(row.author), few([safe(one, 60) for one in row.accounts])
                + (" (may ask for an unban)" if row.may_ask else ""),
            ]
            for row in rows
        ],
    )  # fmt: skip
    if not rows:
        tables.line("Nobody yet; make the first one with 'ringfence user add NAME --role administrator'", "dim")


def _state(row: UserRow) -> str:
    if row.disabled:
        return "disabled"
    return "good" if row.has_password else f"link until {moment(row.link_until)}" if row.link_until else "no password"


@user.command("remove")
def remove(name: Name, json: Json = False) -> None:
    """Forget a user with their tokens and links; whoever is logged in as that user is out at once."""
    print_done(ask(Done, "remove_user", name=name), json)


@user.command("password")
def password(name: Name, link: Link = False, password_stdin: FromInput = False, json: Json = False) -> None:
    """Set a user's password anew, or print a link where they do; older logins end."""
    _one_way(link, password_stdin)
    if link:
        # Asked for by name only, a link would make a user of whom does not exist.
        row = next((one for one in ask(list[UserRow], "users") if one.name == name.lower()), None)
        if row is None:
            raise NotFoundError(f"there is no user {name!r}; see 'ringfence user list'")
        _told(
            row, _invite(row.name), f"a link for user {safe(row.name)} is made; their password holds until then", json
        )
        return
    row = ask(UserRow, "change_user", name=name, password_hash=_password(name, password_stdin))
    _told(row, ("", ""), f"user {safe(row.name)} has a new password", json)


@user.command("change")
def change(
    name: Name,
    role: Annotated[Role | None, typer.Option("--role", help="What they may do from now on.")] = None,
    account: Accounts = None,
    no_accounts: Annotated[bool, typer.Option("--no-accounts", help="Take all accounts away.")] = False,
    may_ask: MayAsk = None,
    disabled: Annotated[bool | None, typer.Option("--disable/--enable", help="Shut them out, or let them in.")] = None,
    no_totp: Annotated[bool, typer.Option("--no-totp", help="Take the second factor away (a lost telephone).")] = False,
    json: Json = False,
) -> None:
    """Change a user; accounts that are given take the place of all earlier ones."""
    if account and no_accounts:
        raise typer.BadParameter("give either --account or --no-accounts")
    given: dict[str, Any] = {
        "role": role, "accounts": [] if no_accounts else account or None, "may_ask": may_ask, "disabled": disabled,
        "totp": "" if no_totp else None,
    }  # fmt: skip
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("say what is to be changed; see --help")
    row = ask(UserRow, "change_user", name=name, **changes)
    print_json(row) if json else typer.echo(f"user {safe(row.name)} is changed: {row.role}, {_state(row)}")


@token.command("add")
def add_token(
    owner: Annotated[str, typer.Argument(metavar="USER", help="Whose role the token has at most.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What uses it, for whoever reads the list later.")],
    scope: Annotated[TokenScope, typer.Option("--scope", help="Look; change; or report events of a service.")] = "read",
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="Of scope report: whose events.")] = "",
    length: For = None,
    json: Json = False,
) -> None:
    """Make a token and print its secret, this once; by default it holds until it is revoked."""
    seconds = seconds_of(length, FOREVER)
    answer = ask(NewToken, "add_token", user=owner, label=label, scope=scope, service=service, seconds=seconds)
    if json:
        print_json(answer)
        return
    end = "until it is revoked" if answer.expires == "forever" else f"until {moment(answer.expires)}"
    typer.echo(f"token {answer.id} of {safe(answer.user)} is made, scope {answer.scope}, {end}; shown this once:")
    typer.echo(answer.secret)


@token.command("list")
def tokens(
    owner: Annotated[str, typer.Option("--user", metavar="NAME", help="Only this user's.")] = "", json: Json = False
) -> None:
    """List the tokens, also those that no longer hold."""
    rows = [row for row in ask(list[TokenRow], "tokens") if owner.lower() in ("", row.user)]
    if json:
        print_json(rows)
        return
    tables.show(
        [">ID", "USER", "SCOPE", "SERVICE", "STATE", "SINCE", "UNTIL", "LABEL"],
        [
            [
                str(row.id), safe(row.user), row.scope, safe(row.service) or "-",
                "good" if row.holds else "revoked" if row.revoked else "over", moment(row.created), moment(row.expires),
                safe(row.label),
            ]
            for row in rows
        ],
    )  # fmt: skip


@token.command("revoke")
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, help="Its number in 'ringfence token list'.")],
    json: Json = False,
) -> None:
    """End a token for good."""
    print_done(ask(Done, "revoke_token", id=number), json)
