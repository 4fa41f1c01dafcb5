"""Commands that ask or change the running guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from ringfence.answers import (
    Allowed,
    AllowRow,
    Attacks,
    Banned,
    BanRow,
    Bans,
    Diag,
    Done,
    Explanation,
    Lifted,
    LockdownRow,
    Stats,
    Status,
)
from ringfence.cli import NEGATIVE, tables
from ringfence.cli.app import For, Force, Json, Note, ServiceOption, app, ask, print_done, print_json, seconds_of
from ringfence.model import EVERY, FOREVER
from ringfence.render import duration, moment, plural, safe
from ringfence.values import address


def _address(text: str) -> str:
    """An address or network in canonical spelling; anything else is wrong usage."""
    return _target(text, hosts=False)


def _host(text: str) -> str:
    """An address, network or host name in canonical spelling; anything else is wrong usage."""
    return _target(text, hosts=True)


def _target(text: str, *, hosts: bool) -> str:
    try:
        return address(hosts=hosts).parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{safe(text)}: {error}") from error


Whom = "ADDRESS|NETWORK"
WhomOrHost = "ADDRESS|NETWORK|HOST"
Limit = Annotated[int, typer.Option("--limit", min=1, max=100000, help="How many lines a page has.")]
Page = Annotated[int, typer.Option("--page", min=1, help="Which page to show.")]


def _warn(why: str) -> None:
    if why:
        typer.echo("ringfence: " + safe(why), err=True)


def _unless_in_force(in_force: bool, monitor: bool) -> None:
    """Exit with 1 when something is recorded and not in force, unless nothing is to be in force at all."""
    if not in_force and not monitor:
        raise typer.Exit(NEGATIVE)


@app.command()
def status(json: Json = False) -> None:
    """Tell whether everything is guarded, or exactly what is wrong (then the exit code is 1)."""
    answer = ask(Status, "status")
    print_json(answer) if json else tables.status(answer)
    raise typer.Exit(0 if answer.guarded else 1)


@app.command()
def attacks(
    sort: Annotated[
        Literal["attempts", "last", "first", "address"], typer.Option("--sort", help="By what, most first.")
    ] = "attempts",
    level: Annotated[
        Literal["harmless", "threatening"] | None, typer.Option("--level", help="Only this level.")
    ] = None,
    service: ServiceOption = "",
    match: Annotated[str, typer.Option("--match", metavar="TEXT", help="Only addresses that contain TEXT.")] = "",
    limit: Limit = 50,
    page: Page = 1,
    json: Json = False,
) -> None:
    """List who attacks: address, level, attempts, accounts tried, first and last seen."""
    offset = (page - 1) * limit
    answer = ask(
        Attacks, "attacks", sort=sort, level=level, service=service, match=match, limit=limit, offset=offset
    )  # fmt: skip
    print_json(answer) if json else tables.attacks(answer, offset)


@app.command()
def bans(
    service: ServiceOption = "",
    history: Annotated[bool, typer.Option("--history", help="Also bans that ended.")] = False,
    match: Annotated[str, typer.Option("--match", metavar="TEXT", help="Only targets that contain TEXT.")] = "",
    limit: Limit = 1000,
    page: Page = 1,
    json: Json = False,
) -> None:
    """List who is kept out, from what, until when and why."""
    offset = (page - 1) * limit
    answer = ask(Bans, "bans", service=service, history=history, match=match, limit=limit, offset=offset)
    if json:
        print_json(answer)
        return
    tables.bans(answer.rows)
    if answer.total > offset + len(answer.rows):
        tables.line(f"{plural(answer.total, 'ban')} in all; more with --page or --limit", "dim")


@app.command()
def ban(
    target: Annotated[str, typer.Argument(metavar=Whom, parser=_address, help="Whom to keep out.")],
    service: ServiceOption = EVERY,
    length: For = None,
    note: Note = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if it is ours, whitelisted or your own connection.")
    ] = False,
    json: Json = False,
) -> None:
    """Keep an address or network out of one service or all, by default until it is lifted."""
    answer = ask(
        Banned, "ban", target=target, service=service, seconds=seconds_of(length, FOREVER), note=note, force=force
    )  # fmt: skip
    if json:
        print_json(answer)
    else:
        row = answer.ban
        whom = f"{row.target} from {tables.in_words(row.service)}"
        end = f"until {moment(row.until)} ({duration(length)})" if length not in (None, FOREVER) else "for good"
        typer.echo(f"banned {whom} {end}" if answer.enforced else f"ban of {whom} {end} is recorded but not in force")
        _warn(answer.why)
    _unless_in_force(answer.enforced, answer.monitor)


@app.command()
def unban(
    target: Annotated[
        str | None, typer.Argument(metavar=Whom, parser=_address, help="Whom to let in again.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lift all bans.")] = False,
    service: ServiceOption = "",
    json: Json = False,
) -> None:
    """Lift the bans of an address or network, or all of them."""
    if (target is None) is not everything:
        raise typer.BadParameter("give either an address or --all")
    answer = ask(Lifted, "unban", target=target, service=service)
    if json:
        print_json(answer)
    else:
        _lifted(answer.rows, everything)
        _warn(answer.why)
    _unless_in_force(not answer.why, answer.monitor)


def _lifted(rows: Sequence[BanRow], everything: bool = False) -> None:
    if everything:
        typer.echo(f"lifted {plural(len(rows), 'ban')}")
        return
    for row in rows:
        typer.echo(f"lifted the ban of {row.target} from {tables.in_words(row.service)}")


@app.command()
def allow(
    target: Annotated[str, typer.Argument(metavar=WhomOrHost, parser=_host, help="Who may never be banned.")],
    service: ServiceOption = EVERY,
    length: For = None,
    note: Note = "",
    json: Json = False,
) -> None:
    """Put an address, network or host name on the whitelist; bans that it covers are lifted at once."""
    answer = ask(Allowed, "allow", target=target, service=service, seconds=seconds_of(length, FOREVER), note=note)
    if json:
        print_json(answer)
    else:
        typer.echo(f"{safe(answer.entry.target)} is on the whitelist for {tables.in_words(answer.entry.service)}")
        _lifted(answer.lifted)
        _warn(answer.why)
    _unless_in_force(answer.enforced, answer.monitor)


@app.command()
def disallow(
    target: Annotated[str, typer.Argument(metavar=WhomOrHost, parser=_host, help="Who may be banned again.")],
    service: ServiceOption = EVERY,
    force: Force = False,
    json: Json = False,
) -> None:
    """Take an entry off the whitelist."""
    print_done(ask(Done, "disallow", target=target, service=service, force=force), json)


@app.command()
def whitelist(json: Json = False) -> None:
    """List who is never banned."""
    answer = ask(list[AllowRow], "whitelist")
    print_json(answer) if json else tables.whitelist(answer)


@app.command()
def lockdown(
    switch: Annotated[
        Literal["on", "off"] | None, typer.Argument(metavar="[on|off]", help="Without: show the state.")
    ] = None,
    length: For = None,
    service: Annotated[
        list[str] | None, typer.Option("--service", metavar="NAME", help="Which services (default: telephony).")
    ] = None,
    json: Json = False,
) -> None:
    """Interrupt all telephone traffic except for the whitelist; ends by itself when --for is given."""
    if switch == "on":
        answer = ask(LockdownRow, "lock_down", services=service or [], seconds=seconds_of(length, FOREVER))
    elif switch == "off":
        answer = ask(LockdownRow, "end_lockdown")
    else:
        answer = ask(LockdownRow, "lockdown")
    if json:
        print_json(answer)
    else:
        tables.lockdown(answer)
        if switch == "off":
            _warn(answer.why)
    if switch is not None:
        _unless_in_force(answer.enforced if answer.on else not answer.why, answer.monitor)


@app.command()
def service(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The service, such as sip or ssh.")],
    switch: Annotated[Literal["on", "off"], typer.Argument(metavar="on|off")],
    force: Force = False,
    json: Json = False,
) -> None:
    """Switch the judging of a service on or off as a whole."""
    print_done(ask(Done, "switch_service", name=name, on=switch == "on", force=force), json)


@app.command()
def stats(
    reset: Annotated[bool, typer.Option("--reset", help="Start counting from zero after showing them.")] = False,
    service: Annotated[
        str, typer.Option("--service", metavar="NAME", help="With --reset: only this service (* : its bans of all).")
    ] = "",
    json: Json = False,
) -> None:
    """Show attempts, addresses, bans, dropped packets and mails per service."""
    if service and not reset:
        raise typer.BadParameter("--service belongs to --reset")
    answer = ask(Stats, "reset_statistics", service=service) if reset else ask(Stats, "statistics")
    print_json(answer) if json else tables.stats(answer)
    if reset and not json:
        typer.echo("These statistics have been reset.")


@app.command()
def diag(json: Json = False) -> None:
    """Show memory, how full each list is, and every log's rate and lag."""
    answer = ask(Diag, "diag")
    print_json(answer) if json else tables.diag(answer)


@app.command()
def explain(
    target: Annotated[str, typer.Argument(metavar="ADDRESS", parser=_address, help="Whom to explain.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many events to show.")] = 20,
    json: Json = False,
) -> None:
    """Tell why an address is banned, or why not: bans, evidence, windows, whitelist, events."""
    answer = ask(Explanation, "explain", address=target, limit=limit)
    print_json(answer) if json else tables.explanation(answer)
