"""Commands that need no running guard: `run` itself, `check` and `unfence`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ringfence.answers import Checked, Finding
from ringfence.assemble import all_services, read_applied
from ringfence.cli import tables
from ringfence.cli.app import WHERE, Json, app, print_json, settings, socket_path
from ringfence.control import Client
from ringfence.enforce.nft import Nft, usable
from ringfence.enforce.reconcile import Fence
from ringfence.errors import RefusedError, RingfenceError, UnreachableError
from ringfence.parse.catalogue import Catalogue, check_examples, load_catalogue
from ringfence.policy import default_policy_text, load_policy
from ringfence.render import few, plural, safe
from ringfence.settings import Settings
from ringfence.watch import Plan


@app.command()
def run(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    no_web: Annotated[bool, typer.Option("--no-web", help="Leave the page to a service of its own.")] = False,
) -> None:
    """Guard this machine until told to stop (SIGTERM or Ctrl-C)."""
    _begin_anew("run", config, *(["--no-web"] if no_web else []))


@app.command()
def web(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    make_certificate: Annotated[
        bool, typer.Option("--make-certificate", help="Write a self-signed certificate for [web], and stop.")
    ] = False,
) -> None:
    """Serve the administrator's page and the API alone (`ringfence run` starts it too)."""
    _begin_anew("web", config, *(["--make-certificate"] if make_certificate else []))


@app.command()
def alert(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings file.")] = None,
) -> None:
    """Send warnings; `ringfence run` starts this itself where anybody is to be told."""
    _begin_anew("alert", config)


def _begin_anew(command: str, config: Path | None, *more: str) -> None:
    """What runs for months begins anew, without the libraries that only draw help and tables."""
    chosen = config or WHERE.config
    arguments = [*(["--config", str(chosen)] if chosen else []), *more]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ringfence", command, *arguments])  # noqa: S606 (no shell is wanted)


@app.command()
def check(json: Json = False) -> None:
    """Check settings, catalogue and its examples, policy, logs and firewall; exit code 1 when anything is wrong."""
    findings = list(_findings())
    answer = Checked(good=all(finding.good for finding in findings), findings=findings)
    if json:
        print_json(answer)
    else:
        tables.show(
            ["", "WHAT", "RESULT"],
            [[_mark(finding.good), finding.what, safe(finding.detail)] for finding in findings],
        )
    raise typer.Exit(0 if answer.good else 1)


def _mark(good: bool) -> Text:
    return Text("ok", style="green") if good else Text("BAD", style="bold red")


def _findings() -> Iterator[Finding]:
    try:
        found = settings()
    except RingfenceError as error:
        yield Finding(what="settings", good=False, detail=str(error))
        return
    yield Finding(what="settings", good=True, detail=found.origin)
    catalogue = load_catalogue(found.catalogue.directories)
    problems = [*catalogue.problems, *check_examples(catalogue)]
    yield from (Finding(what="catalogue", good=False, detail=problem) for problem in problems)
    if not problems:
        patterns = sum(len(kind.patterns) for kind in catalogue.kinds.values())
        detail = f"{plural(len(catalogue.kinds), 'kind')}, {plural(patterns, 'pattern')}, every example as expected"
        yield Finding(what="catalogue", good=True, detail=detail)
    yield _try("policy", lambda: _policy(found, catalogue))
    yield from _logs(found, catalogue)
    reason = usable()
    wanted = found.enforce.mode != "monitor"
    detail = reason or "nftables can be used"
    yield Finding(what="firewall", good=reason is None or not wanted, detail=detail)
    yield from _guard()


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, good=True, detail=look())
    except RingfenceError as error:
        return Finding(what=what, good=False, detail=str(error))


def _policy(found: Settings, catalogue: Catalogue) -> str:
    """The policy that would hold: the ledger's newest, else the file's, else the built-in one."""
    services = all_services(catalogue, found)
    file = found.policy.file
    if file is None:
        policy = load_policy(default_policy_text(os.environ), "built-in policy")
        return f"built-in: {plural(len(policy.rules), 'rule')}"
    policy = load_policy(read_applied(file), str(file), services=services)
    return f"{file}: {plural(len(policy.rules), 'rule')}"


def _logs(found: Settings, catalogue: Catalogue) -> Iterator[Finding]:
    plan = Plan(found, catalogue)
    yield from (Finding(what="logs", good=False, detail=problem) for problem in plan.problems)
    any_found = bool(plan.units or plan.identifiers)
    for pattern in sorted(plan.files):
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            if not path.is_file():
                continue
            any_found = True
            kinds = few(plan.kinds_of(str(path)))
            readable = os.access(path, os.R_OK)
            detail = f"{path} ({kinds})" + ("" if readable else ": can't be read by this user; add it to group adm?")
            yield Finding(what="log", good=readable, detail=detail)
    if plan.units or plan.identifiers:
        yield Finding(what="log", good=True, detail=f"journal ({few(plan.kinds_of('journal'))})")
    if not any_found:
        yield Finding(what="logs", good=False, detail="none found: name one with [[source]] in the settings")


def _guard() -> Iterator[Finding]:
    try:
        with Client(socket_path()) as client:
            yield from client.ask(Checked, "check").findings
    except UnreachableError as error:
        yield Finding(what="guard", good=True, detail=f"not asked: {error}")


@app.command()
def unfence(
    force: Annotated[bool, typer.Option("--force", help="Even while a guard runs that will put it back.")] = False,
    json: Json = False,
) -> None:
    """Remove Ringfence's table from the kernel: nothing is blocked any more."""
    if not force and _is_running():
        raise RefusedError("the guard is running and would put the table back: stop it first, or use --force")
    reason = usable()
    if reason is not None:
        raise RingfenceError(reason)
    fence = Fence(Nft(), [])
    try:
        fence.remove()
    finally:
        fence.close()
    print_json({"removed": True}) if json else typer.echo("the table inet ringfence is removed; nothing is blocked")


def _is_running() -> bool:
    try:
        Client(socket_path()).close()
    except UnreachableError:
        return False
    return True
