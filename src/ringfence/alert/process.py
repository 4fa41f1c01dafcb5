"""`ringfence alert`: reads the settings of warnings and their secrets, gives up every right, sends until told to stop.

Started by the guard when anybody is to be told of anything. It ends when the settings change, to be started anew with
the rights to read the secrets that these name.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ringfence import unprivileged
from ringfence.child import ANEW, CHILD
from ringfence.settings import Settings, load_settings


def main(arguments: list[str] | None = None) -> int:
    """The command `ringfence alert`; returns the exit code. Raises RingfenceError."""
    parser = argparse.ArgumentParser(prog="ringfence alert", description="Send warnings; the guard starts this itself.")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings file")
    given = parser.parse_args(arguments)
    settings = load_settings(given.config, os.environ, is_root=os.geteuid() == 0)
    return serve(settings, os.environ)


def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Send until the settings change or a signal says stop. Raises RingfenceError when it can't begin."""
    from ringfence.alert.desk import Desk
    from ringfence.alert.sender import Sender

    desk = Desk(settings, time.time)
    # Setgid programs must work: the local sendmail hands over by one.
    unprivileged.drop(unprivileged.identity(settings.web.user, settings.control.group), gain=bool(_programs(desk)))
    parent = environ.get(CHILD, "")
    if parent.isdigit():
        unprivileged.end_with(int(parent))
    print(f"warnings are sent (settings of warnings, revision {desk.revision})", flush=True)
    return asyncio.run(_run(Sender(desk)))


def _programs(desk: object) -> bool:
    alerting = desk.alerting  # type: ignore[attr-defined]
    return not alerting.mail.server or any(one.type == "command" for one in alerting.channel)


async def _run(sender: object) -> int:
    loop = asyncio.get_running_loop()
    work = loop.create_task(sender.run())  # type: ignore[attr-defined]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return 0
    return ANEW


if __name__ == "__main__":
    from ringfence.cli import main as entry

    sys.exit(entry(["alert", *sys.argv[1:]]))
