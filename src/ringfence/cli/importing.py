"""`ringfence import-fail2ban`: a fail2ban's configuration as a catalogue, a policy and settings of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.app import Json, app, print_json, settings
from ringfence.errors import RefusedError, RingfenceError
from ringfence.render import plural, safe


@app.command("import-fail2ban")
def import_fail2ban(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="fail2ban's folder, such as /etc/fail2ban.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write the files there (default: only tell).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
    json: Json = False,
) -> None:
    """Translate a fail2ban's jails and filters, and tell what was taken, what is covered and what could not be."""
    from ringfence.importing.machine import import_machine

    target = (output or Path("/etc/ringfence")).absolute()
    imported = import_machine(folder, target, settings().catalogue.directories)
    if output is not None:
        _write(target, imported.files, force)
    if json:
        print_json({"files": sorted(imported.files) if output else [], "report": imported.report})
        return
    typer.echo(imported.report.text().rstrip("\n"))
    if output is None:
        typer.echo("\nNothing was written: --output DIR writes the files.")
    else:
        typer.echo(f"\n{plural(len(imported.files), 'file')} written to {safe(str(target))}")


def _write(target: Path, files: dict[str, str], force: bool) -> None:
    """All files or, if one of them is there already, none."""
    there = [name for name in files if (target / name).exists()]
    if there and not force:
        names = ", ".join(safe(name) for name in there)
        raise RefusedError(f"{safe(str(target))} holds {names} already: name another folder, or overwrite with --force")
    for name, text in files.items():
        path = target / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RingfenceError(f"{safe(str(path))}: can't be written: {error.strerror}") from error
