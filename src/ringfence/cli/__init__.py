"""The command line: arguments in, commands to the guard, text or JSON out; owns the exit codes.

May import everything else; nothing imports it. Importing this package is cheap on purpose: `ringfence run` starts the
guard from here without ever loading the libraries that draw help and tables.
"""

from __future__ import annotations

import os
import sys

from ringfence.errors import NotFoundError, RefusedError, RingfenceError, UnreachableError

OK = 0
NEGATIVE = 1
USAGE = 2
UNREACHABLE = 3
FAILED = 4
INTERRUPTED = 130


def exit_code(error: RingfenceError) -> int:
    """The exit code that tells a script what kind of error it was."""
    if isinstance(error, UnreachableError):
        return UNREACHABLE
    if isinstance(error, RefusedError | NotFoundError):
        return NEGATIVE
    return FAILED


def _do_without(*names: str) -> None:
    """Let modules that are not imported yet count as missing.

    The guard speaks TLS with nobody, and what it hashes with is built into Python. But asyncio and hashlib take OpenSSL
    whenever it is there, which is 4 MB of memory day and night.
    """
    for name in names:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (default: those of the process) and return the exit code; never a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["run"] and not {"--help", "-h"} & set(arguments):
            _do_without("ssl", "_hashlib")
            from ringfence import daemon

            return daemon.main(arguments[1:])
        if arguments[:1] == ["web"] and not {"--help", "-h"} & set(arguments):
            from ringfence.web import process

            return process.main(arguments[1:])
        if arguments[:1] == ["alert"] and not {"--help", "-h"} & set(arguments):
            from ringfence.alert import process as sending

            return sending.main(arguments[1:])
        from ringfence.cli.app import run

        return run(arguments)
    except RingfenceError as error:
        return _say(str(error), exit_code(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output left; point stdout elsewhere so that the interpreter's own flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if os.environ.get("RINGFENCE_DEBUG") == "1":
            raise
        return _say(
            f"unexpected {type(error).__name__}: {error}. Please report it (RINGFENCE_DEBUG=1 shows where it happened)",
            FAILED,
        )


def _say(message: str, code: int) -> int:
    from ringfence.render import safe

    print("ringfence: " + " ".join(safe(line) for line in message.splitlines()), file=sys.stderr)
    return code
