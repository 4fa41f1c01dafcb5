"""`ringfence alert`: reads the settings of warnings and their secrets, gives up every right, sends until told to stop.

Started by the guard when anybody is to be told of anything. It ends when the settings change, to be started anew with
the rights to read the secrets that these name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import ssl
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringfence import unprivileged
from ringfence.alert.alerting import Alerting
from ringfence.child import ANEW, CHILD
from ringfence.errors import RingfenceError
from ringfence.model import Alert
from ringfence.settings import Settings, load_settings

if TYPE_CHECKING:
    from ringfence.alert.desk import Secrets
    from ringfence.alert.sender import Sender


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
    warm(desk.alerting, desk.secrets)
    # Setgid programs must work: the local sendmail hands over by one.
    unprivileged.drop(unprivileged.identity(settings.web.user, settings.control.group), gain=_programs(desk.alerting))
    parent = environ.get(CHILD, "")
    if parent.isdigit():
        unprivileged.end_with(int(parent))
    print(f"warnings are sent (settings of warnings, revision {desk.revision})", flush=True)
    return asyncio.run(_run(Sender(desk)))


def warm(alerting: Alerting, secrets: Secrets) -> None:
    """Use everything once before rights are given up: what is loaded late is loaded now, while it can be read."""
    from ringfence.alert.compose import compose
    from ringfence.alert.desk import here
    from ringfence.alert.digest import DigestNumbers, compose_digest
    from ringfence.alert.mime import build, to_bytes

    common: dict[str, Any] = {"host": "pbx", "link": "", "zone": here()}
    for language in {alerting.mail.language, *(one.language for one in alerting.mail_for if one.language)}:
        for alerts in ([Alert(time=0.0, kind="rule", subject="192.0.2.1", service="sip")] * n for n in (1, 2)):
            for body in ("standard", "short"):
                message = compose(
                    alerts, total=len(alerts), counts={}, accounts={}, body=body, language=language, **common
                )
        digest = compose_digest(
            DigestNumbers(since=0.0, until=3600.0, series=(1,)), body="standard", language=language, **common
        )
        for one in (message, digest):
            to_bytes(build(one, "ringfence@pbx", "root", message_id="1@pbx", now=0.0, host="pbx"))
    ssl.create_default_context()
    "pbx.example.org".encode("idna")
    kinds = {one.type for one in alerting.channel}
    if "webhook" in kinds:
        import httpx

        httpx.AsyncClient(trust_env=False)
    if "apprise" in kinds:
        with contextlib.suppress(ImportError):
            import apprise

            for channel in alerting.channel:
                with contextlib.suppress(RingfenceError):  # it is told when it is used
                    apprise.Apprise.instantiate(secrets.of_channel(channel.name)[0])


def _programs(alerting: Alerting) -> bool:
    return not alerting.mail.server or any(one.type == "command" for one in alerting.channel)


async def _run(sender: Sender) -> int:
    loop = asyncio.get_running_loop()
    work = loop.create_task(sender.run())
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
