"""`ringfence warnings …` and `ringfence mail …`: what was noticed, who is told of it, and whether that works."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from ringfence.alert.alerting import load_alerting
from ringfence.alert.kinds import KINDS
from ringfence.alert.wording import title
from ringfence.alert_answers import WarningList
from ringfence.cli import tables
from ringfence.cli.app import For, Json, Note, app, ask, print_json, text_of
from ringfence.ledger import AlertingRevision, Delivery, Mute
from ringfence.model import Alert
from ringfence.render import local_time, plural, safe

warnings = typer.Typer(help="List warnings, acknowledge them, say which nobody need be told of.")
mail = typer.Typer(help="Say who is told of warnings and how, and try whether it works.", no_args_is_help=True)
app.add_typer(warnings, name="warnings")
app.add_typer(mail, name="mail")

TEST_TAKES: Final = 90.0
"""Seconds for which `mail test` waits for an answer."""
LOOK_EVERY: Final = 0.2

Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help=f"Only these: {', '.join(KINDS)}.")]
Service = Annotated[str | None, typer.Option("--service", metavar="NAME", help="Only about this service.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="Settings of warnings in TOML; - reads standard input.")]


@warnings.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    kind: Kind = None,
    service: Service = None,
    new: Annotated[bool, typer.Option("--new", help="Only those that nobody has acknowledged.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    json: Json = False,
) -> None:
    """List warnings, newest first."""
    if context.invoked_subcommand is not None:
        return
    answer = ask(WarningList, "warnings", kind=kind, service=service, unacknowledged=new, limit=limit)
    if json:
        print_json(answer)
        return
    tables.show(
        [">NO.", "TIME", "KIND", "WARNING", "ACKNOWLEDGED"],
        [
            [
                str(one.id), local_time(one.time), ("! " if one.grave else "") + KINDS[one.kind].title
                if one.kind in KINDS else safe(one.kind),
                safe(title(one)) + (" (nobody was told)" if one.muted else ""), _acknowledged(one),
            ]
            for one in answer.warnings
        ],
    )  # fmt: skip
    if answer.unacknowledged:
        typer.echo(f"{plural(answer.unacknowledged, 'warning')} not acknowledged, {answer.grave} of them grave (!)")


def _acknowledged(alert: Alert) -> str:
    return f"{local_time(alert.acknowledged)} {safe(alert.acknowledger)}" if alert.acknowledged is not None else "-"


@warnings.command("acknowledge")
def acknowledge(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[NO.]...", help="Numbers of warnings.")] = None,
    all: Annotated[bool, typer.Option("--all", help="All that there are now.")] = False,
    json: Json = False,
) -> None:
    """Say that these warnings were seen."""
    if bool(numbers) == all:
        raise typer.BadParameter("name the numbers of warnings, or --all")
    if all:
        newest = ask(WarningList, "warnings", limit=1).warnings
        count = ask(int, "acknowledge", upto=newest[0].id) if newest else 0
    else:
        count = ask(int, "acknowledge", ids=numbers)
    print_json({"acknowledged": count}) if json else typer.echo(f"acknowledged: {count}")


@warnings.command("mute")
def mute(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    length: For = None,
    subject: Annotated[str, typer.Option("--subject", metavar="WHAT", help="Only about this address, log …")] = "",
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="Only about this service.")] = "",
    json: Json = False,
) -> None:
    """Tell nobody of such warnings for a while; they are still listed."""
    if length is None or math.isinf(length):
        raise typer.BadParameter("say for how long, such as --for 7d; not for ever")
    made = ask(Mute, "mute", kind=kind, subject=subject, service=service, seconds=length)
    print_json(made) if json else typer.echo(f"nobody is told of {_of(made)} until {local_time(made.until)}")


@warnings.command("unmute")
def unmute(number: Annotated[int, typer.Argument(metavar="NO.", help="As `warnings mutes` shows it.")]) -> None:
    """Tell of such warnings again."""
    gone = ask(Mute, "unmute", id=number)
    typer.echo(f"{_of(gone)}: told of again")


@warnings.command("mutes")
def mutes(json: Json = False) -> None:
    """List what nobody is told of now."""
    found = ask(list[Mute], "mutes")
    if json:
        print_json(found)
        return
    tables.show(
        [">NO.", "WARNINGS", "UNTIL", "BY"],
        [[str(one.id), _of(one), local_time(one.until), safe(one.author)] for one in found],
    )


def _of(mute: Mute) -> str:
    about = f" about {safe(mute.subject)}" if mute.subject else ""
    return f"{mute.kind}{about}" + (f" ({safe(mute.service)})" if mute.service else "")


# --- who is told


@mail.command("show")
def show(
    revision: Annotated[int | None, typer.Argument(metavar="[N]", help="Revision (default: in force).")] = None,
    json: Json = False,
) -> None:
    """Print the settings of warnings, or an earlier revision of them, as TOML. They may hold passwords."""
    found = ask(AlertingRevision, "alerting", revision=revision)
    if json:
        print_json(found)
    elif not found.revision:
        typer.echo("# nothing was set yet: nobody is told; see 'ringfence mail example'")
    else:
        by = f"by {safe(found.author)}: {safe(found.note)}"
        typer.echo(f"# revision {found.revision}, {local_time(found.time)}, {by}")
        typer.echo(found.text.rstrip("\n"))


@mail.command("example")
def example() -> None:
    """Print settings of warnings with every setting, all commented out, to begin from."""
    from ringfence.alert.settings_text import example_file

    typer.echo(example_file().rstrip("\n"))


@mail.command("check")
def check(file: File) -> None:
    """Check settings of warnings without applying them; no guard is needed."""
    load_alerting(text_of(file), str(file))
    typer.echo(f"{safe(str(file))}: good")


@mail.command("apply")
def apply(file: File, note: Note = "", json: Json = False) -> None:
    """Warn by these settings from now on, without a restart."""
    revision = ask(int, "apply_alerting", text=text_of(file), name=str(file), note=note)
    print_json({"revision": revision}) if json else typer.echo(f"settings of warnings: revision {revision}")


@mail.command("outbox")
def outbox(limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 30, json: Json = False) -> None:
    """List messages, newest first, with what the other side answered."""
    found = ask(list[Delivery], "deliveries", limit=limit)
    if json:
        print_json(found)
        return
    tables.show(
        [">NO.", "MADE", "TO", "KIND", ">WARNINGS", ">TRIES", "STATE", "ANSWER"],
        [
            [
                str(one.id), local_time(one.created), _to(one), one.kind, f"{one.total:,}", str(one.tries),
                one.state + (f" until {_clock(one.due)}" if one.state == "waiting" and one.tries else ""),
                safe(one.answer),
            ]
            for one in found
        ],
    )  # fmt: skip


@mail.command("test")
def test(
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Only to this one (default: all of [mail]).")] = "",
    channel: Annotated[
        str, typer.Option("--channel", metavar="NAME", help="By this channel instead of mail.")
    ] = "mail",
    json: Json = False,
) -> None:
    """Send one message and say exactly what the other side answered."""
    waiting = {one.id: one for one in ask(list[Delivery], "mail_test", channel=channel, recipient=to)}
    ended: list[Delivery] = []
    give_up = time.monotonic() + TEST_TAKES
    while waiting and time.monotonic() < give_up:
        for one in [ask(Delivery, "delivery", id=number) for number in waiting]:
            if one.ended is not None:
                ended.append(waiting.pop(one.id) and one)
                if not json:
                    tables.line(f"{_to(one)}: {one.state}: {safe(one.answer)}", "" if one.state == "sent" else "red")
        time.sleep(LOOK_EVERY)
    if json:
        print_json(ended + [ask(Delivery, "delivery", id=number) for number in waiting])
    elif waiting:
        told = ", ".join(_to(one) for one in waiting.values())
        tables.line(f"{told}: no answer within {TEST_TAKES:.0f} s; see 'ringfence mail outbox'", "red")
    raise typer.Exit(0 if not waiting and all(one.state == "sent" for one in ended) else 1)


def _to(delivery: Delivery) -> str:
    return safe(delivery.recipient or delivery.channel)


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%H:%M:%S}"
