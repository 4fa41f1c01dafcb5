"""`ringfence policy …`: show, check, compare, apply and roll back what is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.answers import Applied, PolicyAnswer
from ringfence.cli import tables
from ringfence.cli.app import Force, Json, Note, app, ask, print_json, text_of
from ringfence.policy import load_policy
from ringfence.render import moment, plural, safe

policy = typer.Typer(help="Show, check, compare, apply and roll back the policy.", no_args_is_help=True)
app.add_typer(policy, name="policy")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy in TOML; - reads standard input.")]


@policy.command("show")
def show(
    revision: Annotated[int | None, typer.Argument(metavar="[N]", help="Revision (default: in force).")] = None,
    json: Json = False,
) -> None:
    """Print the policy that is in force, or an earlier revision, as TOML."""
    answer = ask(PolicyAnswer, "policy", revision=revision)
    if json:
        print_json(answer)
        return
    typer.echo(f"# revision {answer.revision}, {moment(answer.time)}, by {safe(answer.author)}: {safe(answer.note)}")
    typer.echo(answer.text.rstrip("\n"))


@policy.command("check")
def check(file: File, json: Json = False) -> None:
    """Check a policy file without applying it; no guard is needed."""
    checked = load_policy(text_of(file), str(file))
    count = plural(len(checked.rules), "rule")
    if json:
        print_json({"good": True, "rules": [rule.name for rule in checked.rules]})
    else:
        typer.echo(f"{safe(str(file))}: good, {count}")


@policy.command("diff")
def diff(file: File, json: Json = False) -> None:
    """Show what applying a file would change; exit code 1 when anything would."""
    changed = ask(list[str], "compare_policy", text=text_of(file), name=str(file))
    if json:
        print_json(changed)
    else:
        for difference in changed:
            tables.line(safe(difference), {"+": "green", "-": "red"}.get(difference[:1], ""))
        if not changed:
            typer.echo("no difference")
    raise typer.Exit(1 if changed else 0)


@policy.command("apply")
def apply(file: File, note: Note = "", force: Force = False, json: Json = False) -> None:
    """Put a policy file into force as a new revision."""
    _applied(ask(Applied, "apply_policy", text=text_of(file), name=str(file), note=note, force=force), json)


@policy.command("rollback")
def rollback(
    revision: Annotated[int, typer.Argument(metavar="N", min=1, help="The revision to return to.")],
    note: Note = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """Put an earlier revision into force again, as a new revision."""
    _applied(ask(Applied, "rollback", revision=revision, note=note, force=force), json)


def _applied(answer: Applied, json: bool) -> None:
    if json:
        print_json(answer)
        return
    typer.echo(f"policy revision {answer.revision} is in force")
    for difference in answer.changed:
        tables.line("  " + safe(difference))


@policy.command("history")
def history(json: Json = False) -> None:
    """List all revisions: when, by whom and why."""
    rows = ask(list[PolicyAnswer], "policy_history")
    if json:
        print_json(rows)
    else:
        tables.show(
            [">REVISION", "TIME", "BY", "NOTE"],
            [[str(row.revision), moment(row.time), safe(row.author), safe(row.note)] for row in rows],
        )
