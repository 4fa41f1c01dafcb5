"""The sender at work: looks every half second for what is due, and sends it, several at a time.

Whatever happens to one message stays with it. The order of steps is that of `ledger.outbox`: marked, then sent.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from ringfence.alert.channels import send_channel
from ringfence.alert.desk import Desk
from ringfence.alert.journal import DEVICE, VARIABLE, SystemLog, line
from ringfence.alert.message import Message, Outcome
from ringfence.alert.mime import build, sender_of
from ringfence.alert.plan import next_try
from ringfence.alert.sendmail import send_by_program
from ringfence.alert.smtp import send
from ringfence.errors import LedgerError, RingfenceError, SettingsError
from ringfence.ledger import Delivery
from ringfence.ledger.outbox import TEST

T = TypeVar("T")

LOOK_EVERY: Final = 0.5
PLAN_EVERY: Final = 15.0
"""Seconds after which it is looked closely even without news: an interval or quiet hours may be over."""
DIGEST_EVERY: Final = 60.0
AT_ONCE: Final = 4
"""Messages that are sent at the same time."""
AWAY: Final = 2.0
"""Seconds until a guard that did not answer is asked again."""
LINES: Final = 500
"""Lines for the system's log that are written at a time."""


class Sender:
    """Sends until the settings of warnings change: then `run` returns."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thread = ThreadPoolExecutor(1)
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._log = SystemLog(os.environ.get(VARIABLE) or DEVICE) if desk.alerting.journal.bans else None
        self._trouble = ""

    async def run(self) -> None:
        """Send until there are other settings. What is under way then is finished."""
        await self._until(self._desk.begin)
        loop = asyncio.get_running_loop()
        planned = summed = float("-inf")
        while not await self._until(self._desk.changed):
            now = loop.time()
            if now - summed >= DIGEST_EVERY:
                summed = now
                await self._try(self._desk.digest)
            always = now - planned >= PLAN_EVERY
            planned = now if always else planned
            for delivery in await self._try(self._desk.plan, always=always) or []:
                if delivery.id not in self._busy:
                    self._start(delivery)
            if self._log is not None:
                await self._write_lines(self._log)
            await asyncio.sleep(LOOK_EVERY)
        await asyncio.gather(*self._busy.values())

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._send(delivery))
        self._busy[delivery.id] = task
        task.add_done_callback(lambda _: self._busy.pop(delivery.id, None))

    async def _send(self, delivery: Delivery) -> None:
        """Try one message and have written down what came of it."""
        async with self._places:
            try:
                outcome = await self._hand_over(delivery)
            except SettingsError as error:
                outcome = Outcome(state="failed", answer=str(error))
            except RingfenceError as error:
                outcome = Outcome(state="later", answer=str(error))
            except Exception as error:  # a fault of ours with one message must not keep others from being sent
                outcome = Outcome(state="failed", answer=f"our fault: {type(error).__name__}: {error}")
        await self._until(self._written, delivery, outcome)

    async def _hand_over(self, delivery: Delivery) -> Outcome:
        desk = self._desk

        async def mark() -> bool:
            return await self._do(desk.ask, bool, "mark", id=delivery.id)

        channel = await self._do(desk.channel, delivery)
        if delivery.kind == TEST:
            message = test_message(desk.host, desk.settings.web.base)
        else:
            message = await self._do(desk.message, delivery)
        if channel is not None:
            url, secret = desk.secrets.of_channel(channel.name)
            # The same name for every try: a receiver that got it twice can tell.
            name = f"{desk.host}-{delivery.id}-{int(delivery.created)}"
            return await send_channel(channel, url, secret, message, name, mark, now=desk.clock())
        mail, host = desk.alerting.mail, desk.host
        sender = sender_of(desk.manner(delivery).sender, host)
        number = f"ringfence-{delivery.id}-{int(delivery.created)}@{host}"
        built = build(message, sender, delivery.recipient, message_id=number, now=desk.clock(), host=host)
        if not mail.server:
            return await send_by_program(mail.sendmail, sender, delivery.recipient, built, mark, timeout=mail.timeout)
        return await send(mail, desk.secrets.password, sender, delivery.recipient, built, mark, host=host)

    def _written(self, delivery: Delivery, outcome: Outcome) -> None:
        """Have the guard write down what came of a message."""
        ask, now = self._desk.ask, self._desk.clock()
        if outcome.state != "later":
            ask(type(None), "ended", id=delivery.id, state=outcome.state, answer=outcome.answer)
            return
        due = None if delivery.kind == TEST else next_try(delivery, now, random.random())  # noqa: S311  (no secret)
        if due is None:
            ask(type(None), "ended", id=delivery.id, state="failed", answer=outcome.answer)
        else:
            ask(type(None), "retry", id=delivery.id, due=due, answer=outcome.answer)

    async def _write_lines(self, log: SystemLog) -> None:
        trouble = ""
        for one in await self._try(self._desk.ban_lines, LINES) or []:
            trouble = log.write(line(one), self._desk.clock())
        if trouble != self._trouble:
            self._trouble = trouble
            print(f"problem: {trouble}" if trouble else "the system's log takes lines again", flush=True)

    # ---- the desk, in its thread

    async def _do(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments, **named))

    async def _try(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T | None:
        """Do it if the guard answers; else say so once and do nothing."""
        try:
            found = await self._do(work, *arguments, **named)
        except (LedgerError, RingfenceError) as error:
            self._say(str(error))
            await asyncio.sleep(AWAY)
            return None
        self._say("")
        return found

    async def _until(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do it as soon as the guard answers, however long that takes."""
        while True:
            try:
                found = await self._do(work, *arguments)
            except (LedgerError, RingfenceError) as error:
                self._say(str(error))
                await asyncio.sleep(AWAY)
            else:
                self._say("")
                return found

    _said = ""

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            print(f"warnings: {trouble}; tried again", flush=True)
        self._said = trouble


def test_message(host: str, link: str) -> Message:
    """A message that tells of nothing."""
    text = f"This is a test of Ringfence on {host}.\n\nWhoever reads it gets its warnings.\n\n{link}\n"
    return Message(
        subject=f"[ringfence {host}] test", text=text, facts={"version": 1, "host": host, "kind": TEST, "total": 0}
    )  # fmt: skip
