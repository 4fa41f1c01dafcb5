"""The command tree: global options, the groups of commands, and what every command shares."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from msgspec import Struct

import ringfence
from ringfence.answers import Done
from ringfence.control import Client
from ringfence.durations import parse_duration
from ringfence.errors import RingfenceError
from ringfence.model import FOREVER
from ringfence.render import safe
from ringfence.settings import DEFAULT_FILE, SYSTEM_SOCKET, Settings, load_settings

Answer = TypeVar("Answer")

EPILOG = (
    "Exit codes: 0 done (in monitor mode: recorded); 1 refused, not found, problems found, or recorded but not in "
    "force; 2 wrong usage; 3 the guard can't be reached; 4 failed; 130 interrupted."
)

app = typer.Typer(
    name="ringfence",
    help="Watches logins, counts failed attempts and keeps the guilty addresses out at the kernel firewall.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
ServiceOption = Annotated[str, typer.Option("--service", metavar="NAME", help="Only this service (default: all).")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for whoever reads it later.")]


def _length(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{safe(text)}: {error}") from error


For = Annotated[
    float | None,
    typer.Option("--for", metavar="TIME", parser=_length, help="How long, such as 30m, 1h, 7d or forever."),
]
Force = Annotated[bool, typer.Option("--force", help="Even if it would keep you out yourself.")]


class Where(Struct):
    """What the global options say; None where the settings decide."""

    config: Path | None = None
    socket: Path | None = None


WHERE = Where()

COMMANDS = {
    "canary": ("canary",),
    "guard": (
        "status", "attacks", "bans", "ban", "unban", "allow", "disallow", "whitelist", "lockdown", "service", "stats",
        "diag", "explain",
    ),
    "importing": ("import-fail2ban",),
    "line": ("explain-line",),
    "local": ("run", "web", "alert", "check", "unfence"),
    "scan": ("scan",),
    "people": ("user", "token"),
    "policy": ("policy",),
    "warnings": ("warnings", "mail"),
}  # fmt: skip
"""The modules beside this one with the commands that each adds when it is imported, in the order of the help."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ringfence {ringfence.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar="RINGFENCE_CONFIG", metavar="FILE", help=f"Settings file ({DEFAULT_FILE})."),
    ] = None,
    socket: Annotated[
        Path | None, typer.Option(envvar="RINGFENCE_SOCKET", metavar="PATH", help="Control socket of the guard.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    WHERE.config = config
    WHERE.socket = socket


def settings() -> Settings:
    """The settings that the global options, the environment and the user make."""
    return load_settings(WHERE.config, os.environ, is_root=os.geteuid() == 0)


def socket_path() -> Path:
    """Where the guard listens: the global option, else what the settings say, else the machine's own guard."""
    if WHERE.socket is not None:
        return WHERE.socket
    path = settings().control.socket
    return path if path.exists() or not SYSTEM_SOCKET.exists() else SYSTEM_SOCKET


def ask(answer: type[Answer], command: str, **arguments: Any) -> Answer:
    """Give one command to the running guard. Raises UnreachableError and whatever the guard raised."""
    with Client(socket_path()) as client:
        return client.ask(answer, command, **arguments)


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_done(answer: Done, json: bool) -> None:
    """Print what was done."""
    print_json(answer) if json else typer.echo(safe(answer.message))


def seconds_of(length: float | None, default: float) -> float | None:
    """The length as the guard takes it: JSON has no infinity, so None is forever."""
    seconds = default if length is None else length
    return None if seconds == FOREVER else seconds


def text_of(file: Path) -> str:
    """What stands in a file, or on standard input for "-". Raises RingfenceError."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RingfenceError(f"{file}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def _needed(arguments: list[str]) -> list[str]:
    """The modules with the command that `arguments` may mean: most are small, together they take half a second."""
    found = [module for module, commands in COMMANDS.items() if not set(commands).isdisjoint(arguments)]
    return found or list(COMMANDS)


def run(arguments: list[str]) -> int:
    """Carry out `arguments` and return the exit code; errors of ours pass through to the caller."""
    for module in _needed(arguments):
        import_module(f"ringfence.cli.{module}")
    # Box-drawing and colour belong to terminals only; the completion script needs neither.
    os.environ.setdefault("_TYPER_STANDARD_TRACEBACK", "1")
    try:
        typer.main.get_command(app).main(args=arguments, prog_name="ringfence")
    except SystemExit as leaving:
        code = leaving.code
        return code if isinstance(code, int) else 0 if code is None else 1
    return 0
