"""Telling a chat, a telephone or whatever else Apprise knows, by its URL, which as a rule holds a key.

Apprise says no more than yes or no, and nothing that could be shown: its reasons may repeat the URL.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ringfence.alert.message import Mark, Message, Outcome
from ringfence.alert.said import said

MISSING: Final = "needs Apprise: pip install 'ringfence[chat]'"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,19}(?=://)", re.IGNORECASE | re.ASCII)

T = TypeVar("T")


async def send_to_chat(url: str, message: Message, mark: Mark, *, timeout: float) -> Outcome:
    """Give `message` to the service of `url` within `timeout` seconds. Raises only what `mark` raises.

    What it was not able to send it may send later; when time is over, nobody knows.
    """
    scheme = _SCHEME.match(url)
    where = f"Apprise ({scheme[0].lower()})" if scheme else "Apprise"

    def outcome(state: Any, text: str) -> Outcome:
        return Outcome(state=state, answer=said(f"{where}: {text}"))

    try:
        async with asyncio.timeout(timeout):
            service = await _in_thread(lambda: _service(url))
    except TimeoutError:
        return outcome("later", f"not ready within {timeout:g} s")
    except ImportError:
        return outcome("failed", MISSING)
    except Exception as error:
        return outcome("failed", f"can't use that URL ({type(error).__name__})")
    if service is None:
        return outcome("failed", "does not know such a URL")
    if not await mark():
        return outcome("later", "taken by another")
    try:
        async with asyncio.timeout(timeout):
            done = await _in_thread(lambda: _notify(service, message))
    except TimeoutError:
        return outcome("unclear", f"no answer within {timeout:g} s")
    except Exception as error:  # what a plugin of Apprise raises is nowhere said; its text may hold the key
        return outcome("unclear", f"failed with {type(error).__name__}")
    return outcome("sent", "delivered") if done else outcome("later", "could not deliver")


def _service(url: str) -> Any:
    """Apprise with that one URL, or None when it is none of its kind."""
    import apprise

    logging.getLogger("apprise").propagate = False  # what it logs may hold the key
    service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, app_id="Ringfence"))
    return service if service.add(url) else None


def _notify(service: Any, message: Message) -> bool:
    import apprise

    kind = apprise.NotifyType.WARNING if message.grave else apprise.NotifyType.INFO
    done = service.notify(
        body=message.text, title=message.subject, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )  # fmt: skip
    return bool(done)


async def _in_thread(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread that nobody waits for: neither our time limit nor the end of the program,
    as a pool's would.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def body() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = work()
        except Exception as error:
            failure = error
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:  # the loop is closed: nobody wants to know any more
            return

    threading.Thread(target=body, name="apprise", daemon=True).start()
    return await result
