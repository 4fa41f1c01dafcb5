"""`ringfence run`: one loop, one thread. Starts the guard, feeds it, and lets it go in order.

Keep what this imports small: the guard runs day and night, and the libraries that draw help and tables stay out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from ringfence import beside, unprivileged
from ringfence.alert_commands import AlertCommands, SenderCommands
from ringfence.assemble import assemble, lock, policy_in_force, restore, take_alerting_file
from ringfence.ban_commands import BanCommands
from ringfence.canary_commands import CanaryCommands
from ringfence.child import ChildProcess
from ringfence.commands import Commands
from ringfence.control import ControlServer, Table, clear_stale
from ringfence.errors import LedgerError, RingfenceError
from ringfence.greeting import greet, invite_first, say
from ringfence.guard import Guard
from ringfence.live import LiveCommands
from ringfence.notify import Notifier
from ringfence.people_commands import PeopleCommands
from ringfence.render import plural
from ringfence.report_commands import ReportCommands
from ringfence.settings import Settings, load_settings
from ringfence.trial_commands import TrialCommands
from ringfence.whitelist import resolve

BATCH = 8192
"""Sightings that are committed together while catching up."""
TICK = 1.0
RESCAN = 3.0
MINUTE = 60.0
RETRY = 5.0
"""Seconds until a ledger or a firewall that failed is tried again."""
PRUNE_PAUSE = 0.05
SWITCH = 0.0005
"""Seconds after which a thread that reads beside lets the loop go on."""
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Daemon:
    """The loop around a `Guard`."""

    def __init__(self, guard: Guard, notifier: Notifier, *, page_elsewhere: bool = False) -> None:
        self.guard = guard
        self._with_page = guard.settings.web.start and not page_elsewhere
        self._page_somewhere = guard.settings.web.start or page_elsewhere
        self._notifier = notifier
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._reconcile = asyncio.Event()
        self._resolve = asyncio.Event()
        self._trial = asyncio.Event()
        self._attached: dict[int, Any] = {}
        self._idle = False
        self._fault: Exception | None = None

    async def run(self) -> None:
        """Guard until a signal says stop. Raises RingfenceError when the control socket can't be made."""
        settings = self.guard.settings
        sets = (
            Commands, BanCommands, CanaryCommands, LiveCommands, PeopleCommands, ReportCommands, TrialCommands,
            AlertCommands,
        )  # fmt: skip
        sender = self._sender()
        table = Table(*(commands(self.guard) for commands in sets), SenderCommands(self.guard, lambda: sender.pid))
        page = unprivileged.identity(settings.web.user, settings.control.group)
        server = ControlServer(
            settings.control.socket, table, group=settings.control.group,
            web_uid=page.uid if page else unprivileged.number_of(settings.web.user), web_gid=page.gid if page else None,
            kept=beside.Promises(self.guard.ledger).kept,
        )  # fmt: skip
        self._listen()  # before anybody is answered: who is answered may send signals
        await server.start()
        try:
            greet(self.guard)
            unprivileged.share(settings.ledger.path, page)
            if self._page_somewhere:
                invite_first(self.guard)
            self._notifier.tell("READY=1")
            await self._work(sender)
        finally:
            # The loop takes its handlers with it: a second signal would cut the tidy end short.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            self._notifier.tell("STOPPING=1")
            await server.close()

    def _sender(self) -> ChildProcess:
        guard = self.guard
        found = ChildProcess(
            guard.settings, guard.say, "alert", "who sends warnings", "warnings are sent",
            lambda: guard.alerting.tells(),
        )  # fmt: skip
        guard.alerting_changed = found.look
        return found

    async def _work(self, sender: ChildProcess) -> None:
        jobs: list[Coroutine[Any, Any, None]] = [
            self._pump(), self._tick(), self._every_minute(), self._keep_kernel(), self._keep_names(),
            self._ask_names(), self._watchdog(), self._keep_trials(), self.guard.canary.keep(), sender.run(),
        ]  # fmt: skip
        guard = self.guard
        if self._with_page:
            jobs.append(ChildProcess(guard.settings, guard.say, "web", "the page", "page ").run())
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(job) for job in jobs]
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as faults:
            # The first fault is what happened; the others, if any, are its consequences.
            raise faults.exceptions[0] from None

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        monitor = self.guard.barrier.monitor
        if monitor is not None:
            loop.add_reader(monitor.fileno(), self._table_touched)
        self._attach()

    def _attach(self) -> None:
        """Listen to every sensor; one whose descriptor changed (journalctl began anew) is taken up again."""
        loop = asyncio.get_running_loop()
        wanted = {sensor.fileno(): sensor for sensor in self.guard.watch.sensors}
        if wanted == self._attached:
            return
        for number in self._attached.keys() - wanted.keys():
            loop.remove_reader(number)
        for number, sensor in wanted.items():
            if number >= 0 and self._attached.get(number) is not sensor:
                loop.add_reader(number, self._noticed, sensor)
        self._attached = {number: sensor for number, sensor in wanted.items() if number >= 0}

    def _detach(self) -> None:
        """Hear nothing for a while: what nobody may read now would only wake us again and again."""
        for number in self._attached:
            asyncio.get_running_loop().remove_reader(number)
        self._attached = {}

    def _noticed(self, sensor: Any) -> None:
        """A log has something new: carried through at once, rather than when the pump has its turn."""
        sensor.notice()
        if self._idle:
            try:
                self.guard.pipeline.take(BATCH)
            except LedgerError:
                pass  # nothing of it is lost: the pump tries again, and says so
            except Exception as error:
                self._fault = error  # a fault of ours ends the guard, as in the pump: it reads again what it lost
        self._wake.set()

    def _table_touched(self) -> None:
        monitor = self.guard.barrier.monitor
        if monitor is not None and monitor.drain():
            self._reconcile.set()

    async def _pump(self) -> None:
        """Carry logs through as long as there is something to read; wait for the ledger when it fails."""
        guard = self.guard
        for _ in restore(guard):
            await asyncio.sleep(0)
        while True:
            self._wake.clear()
            try:
                busy = guard.pipeline.take(BATCH) or guard.pipeline.settle()
            except LedgerError as error:
                self._ledger_failed(error)
                self._detach()
                await asyncio.sleep(RETRY)
                continue
            if guard.ledger_trouble:
                guard.ledger_trouble = ""
                self._attach()
                guard.say("ledger: works again; nothing was lost")
            if busy:
                await asyncio.sleep(0)
                continue
            self._idle = True
            await _within(TICK, self._wake)
            self._idle = False
            if self._fault is not None:
                raise self._fault

    def _ledger_failed(self, error: LedgerError) -> None:
        if str(error) != self.guard.ledger_trouble:
            self.guard.ledger_trouble = str(error)
            self.guard.say(f"{error}; logs are read on as soon as it works, every {RETRY:.0f} s it is tried again")

    async def _tick(self) -> None:
        """Every few seconds: files that appeared or vanished, troubles of logs, rates, what commands left to do."""
        carried = 0
        while True:
            await asyncio.sleep(RESCAN)
            if not self.guard.ledger_trouble:
                self.guard.watch.rescan()
                self._attach()
                self._wake.set()
            self.guard.watch.sample()
            for trouble in self.guard.watch.troubles():
                self.guard.say(trouble)
            if self.guard.hosts_changed:
                self.guard.hosts_changed = False
                self._resolve.set()
            if self.guard.barrier.changed:
                self._reconcile.set()
            carried = await beside.carry(self.guard.ledger, carried)
            if not self.guard.ledger_trouble:
                try:
                    self.guard.conditions.look()
                except LedgerError as error:
                    self._ledger_failed(error)

    async def _every_minute(self) -> None:
        while True:
            await asyncio.sleep(MINUTE)
            try:
                await beside.count(self.guard)
                await beside.learn(self.guard)
                self.guard.tidy()
                while self.guard.ledger.prune(self.guard.clock()):
                    await asyncio.sleep(PRUNE_PAUSE)
            except LedgerError as error:
                self._ledger_failed(error)

    async def _keep_kernel(self) -> None:
        """Reconcile every minute, soon after another program touched our table, and after a failure."""
        every = self.guard.settings.enforce.reconcile_every
        while True:
            await _within(every, self._reconcile)
            self._reconcile.clear()
            before = self.guard.barrier.trouble
            try:
                difference = await beside.agree(self.guard)
            except LedgerError as error:
                self._ledger_failed(error)
                difference = None
            if difference:
                put_right = difference.missing + difference.superfluous + difference.wrong_end
                what = "the table was changed from outside and" if difference.structure else "the table"
                count = f" ({plural(put_right, 'element')})" if put_right else ""
                self.guard.say(f"firewall: {what} was put right{count}")
            if before and self.guard.barrier.trouble:
                await asyncio.sleep(RETRY)

    async def _keep_names(self) -> None:
        """Ask for the host names of the whitelist again and again, in a thread: resolvers block."""
        self._resolve.set()
        while True:
            await _within(self.guard.settings.whitelist.resolve_every, self._resolve)
            self._resolve.clear()
            names = self.guard.whitelist.hosts()
            if not names:
                continue
            answers = await asyncio.to_thread(resolve, names)
            try:
                self.guard.resolved(answers)
            except LedgerError as error:
                self._ledger_failed(error)

    async def _ask_names(self) -> None:
        """Ask for the hosts that lines name instead of addresses, where the settings allow it; some at once."""
        pipeline = self.guard.pipeline
        while self.guard.watch.tells_names:
            names = pipeline.names.wanted()
            if not names or self.guard.ledger_trouble:
                await asyncio.sleep(TICK / 4)
                continue
            found = await asyncio.gather(*(asyncio.to_thread(resolve, [name]) for name in names))
            try:
                pipeline.resolved({name: addresses for one in found for name, addresses in one.items()})
            except LedgerError as error:
                self._ledger_failed(error)

    async def _keep_trials(self) -> None:
        """Undo, within a second, what nobody confirmed in time; looked at every second while there is anything."""
        trials = self.guard.trials
        trials.wake = self._trial.set
        while True:
            left = trials.left()
            await _within(MINUTE if left is None else min(left, TICK), self._trial)
            self._trial.clear()
            try:
                trials.undo_due()
            except LedgerError as error:
                self._ledger_failed(error)
                await asyncio.sleep(TICK)

    async def _watchdog(self) -> None:
        while self._notifier.interval:
            self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(self._notifier.interval)

    def _reload(self) -> None:
        """SIGHUP: take up a changed policy file, look for logs and host names again. Settings need a restart."""
        self._notifier.tell("RELOADING=1")
        guard = self.guard
        try:
            file = guard.settings.policy.file
            if file is not None:
                take_policy_file(guard)
            if take_alerting_file(guard.ledger, guard.settings, guard.clock()):
                guard.take_alerting()
            guard.watch.rescan()
            guard.hosts_changed = True
            guard.say("reloaded: policy file, logs and host names; other settings need a restart")
        except RingfenceError as error:
            guard.say(f"not reloaded: {error}")
        self._wake.set()
        self._notifier.tell("READY=1")


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for `event`, but no longer than `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def take_policy_file(guard: Guard) -> None:
    """Judge by the policy file of the settings if it changed since it was last applied. Raises RingfenceError."""
    before = guard.policy_revision
    revision, text, policy = policy_in_force(guard.ledger, guard.settings, os.environ, guard.services, guard.clock())
    if revision != before:
        guard.adopt(revision, text, policy, f"file:{guard.settings.policy.file}")


def run(settings: Settings, environ: Mapping[str, str], *, page_elsewhere: bool = False) -> None:
    """Guard until told to stop; `page_elsewhere`: the page is a service of its own.

    Raises RingfenceError when the guard can't start.
    """
    with lock(settings.ledger.path):
        # Before anything is done to the kernel: two guards with ledgers of their own would undo each other's bans.
        clear_stale(settings.control.socket)
        guard = assemble(settings, environ, time.time, say)
        try:
            guard.watch.rescan()
            gc.collect()
            unprivileged.give_back()
            # What is here now stays: the collector need not look at it ever again.
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            sys.setswitchinterval(SWITCH)
            asyncio.run(Daemon(guard, Notifier(), page_elsewhere=page_elsewhere).run())
        finally:
            guard.watch.close()
            guard.barrier.stop(keep=settings.enforce.keep_on_stop)
            guard.ledger.close()
        say("stopped; " + ("bans stay in force" if guard.barrier.blocks and settings.enforce.keep_on_stop else "bye"))


def main(arguments: list[str] | None = None) -> int:
    """The command `ringfence run`; returns the exit code. Raises RingfenceError."""
    parser = argparse.ArgumentParser(prog="ringfence run", description="Guard this machine until told to stop.")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings file")
    parser.add_argument("--no-web", action="store_true", help="leave the page to a service of its own")
    given = parser.parse_args(arguments)
    settings = load_settings(given.config, os.environ, is_root=os.geteuid() == 0)
    run(settings, os.environ, page_elsewhere=given.no_web)
    return 0


if __name__ == "__main__":
    from ringfence.cli import main as entry

    sys.exit(entry(["run", *sys.argv[1:]]))
