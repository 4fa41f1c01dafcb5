"""What is read beside the loop: the same answers as at once, and nothing of what happens meanwhile is lost."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from guard_process import GuardProcess, failures, running
from ringfence import beside
from ringfence.answers import Attacks, Banned
from ringfence.assemble import assemble
from ringfence.barrier import Barrier
from ringfence.errors import LedgerError
from ringfence.guard import Guard
from ringfence.ledger import Ledger
from ringfence.ledger.opening import sync
from ringfence.model import FOREVER
from ringfence.reports import reset_statistics, statistics
from ringfence.settings import load_settings


def made(folder: Path, mode: str = "monitor") -> Guard:
    """A guard of Asterisk's log in `folder`."""
    config = folder / "ringfence.toml"
    config.write_text(
        f'[ledger]\npath = "{folder}/ringfence.db"\n[control]\nsocket = "{folder}/socket"\ngroup = ""\n'
        f'[catalogue]\ncache = "{folder}"\n[enforce]\nmode = "{mode}"\n[logs]\nfind = false\njournal = false\n'
        f'[[source]]\nkind = "sip-asterisk"\nfiles = "{folder}/messages"\n'
    )
    return assemble(load_settings(config, {}, is_root=True), {}, time.time, lambda line: None)


def attack(guard: Guard, folder: Path, text: str) -> None:
    with (folder / "messages").open("a") as log:
        log.write(text)
    guard.watch.rescan()
    while guard.pipeline.take(8192) or guard.pipeline.settle():
        pass


def attempts(found: object) -> dict[str, tuple[int, int]]:
    return {row.service: (row.attempts, row.addresses) for row in found.rows}  # type: ignore[attr-defined]


def test_statistics_begin_anew_at_one_instant_though_they_are_counted_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who attacks while the old addresses are counted belongs to the new count, and to it alone."""
    monkeypatch.setattr(beside, "FEW_EVENTS", 0)
    here = made(tmp_path)
    attack(here, tmp_path, failures("192.0.2.7", 3) + failures("192.0.2.8", 2))

    async def both() -> tuple[object, object]:
        resetting = asyncio.ensure_future(reset_statistics(here, "", "root", ""))
        await asyncio.sleep(0)
        attack(here, tmp_path, failures("192.0.2.9", 1) + failures("192.0.2.8", 1))
        return await resetting, await statistics(here)

    before, after = asyncio.run(both())
    assert attempts(before)["sip"] == (5, 2)
    assert attempts(after)["sip"] == (2, 2)
    here.ledger.close()


def test_a_counter_that_lacks_in_one_reading_does_not_count_twice() -> None:
    """While bans come and go the kernel may leave some out; only who lacks twice has ended."""
    barrier, old = Barrier(None, None, "test"), ("192.0.2.7", "sip")
    barrier.take({old: 5}, time.monotonic())
    assert barrier.dropped_since() == {"sip": 5}
    barrier.take({}, time.monotonic())
    assert barrier.dropped_since() == {}
    barrier.take({old: 7}, time.monotonic())
    assert barrier.dropped_since() == {"sip": 2}
    barrier.take({}, time.monotonic())
    barrier.take({}, time.monotonic())
    assert barrier.packets() == {} and barrier.dropped_since() == {}


def test_a_command_is_on_the_disk_before_it_is_acknowledged_and_only_a_thread_waits_for_that(tmp_path: Path) -> None:
    """Between its last write to the log and the answer the log is synced, not by the thread that bans."""
    trace = tmp_path / "trace"
    with running(GuardProcess(tmp_path)) as guard:
        assert guard._process is not None
        number = str(guard._process.pid)
        calls = "trace=sendto,fsync,fdatasync,pwrite64"
        try:
            tracer = subprocess.Popen(
                ["strace", "-f", "-y", "-s", "200", "-e", calls, "-o", str(trace), "-p", number], stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            pytest.skip("strace is not installed")
        assert tracer.stderr is not None
        if b"attached" not in tracer.stderr.readline():
            pytest.skip("no process may be traced here")
        guard.write(failures("198.51.100.1", 2))
        guard.wait_for(lambda: guard.ask(Attacks, "attacks").rows, "the attempts")
        recorded = trace.read_text().count("-wal>")
        guard.ask(Banned, "ban", target="192.0.2.1", service="sip")
        guard.ask(Attacks, "attacks")
        tracer.terminate()
        tracer.wait(20)
    lines = trace.read_text().splitlines()
    answer = next(at for at, line in enumerate(lines) if "sendto(" in line and "192.0.2.1" in line)
    writes = [at for at, line in enumerate(lines[:answer]) if "pwrite64" in line and "-wal>" in line]
    assert 0 < recorded <= len(writes), "the log was not written to for the attempts, or not for the ban"
    (begun,) = [at for at, line in enumerate(lines) if "fdatasync(" in line and "-wal>" in line]
    thread = lines[begun].split()[0]
    ended = next(at for at, line in enumerate(lines) if at >= begun and re.match(rf"{thread} .*= 0$", line))
    assert writes[-1] < begun <= ended < answer
    assert thread != number and not [line for line in lines if "sync(" in line and line.split()[0] == number]


class Disk:
    """A disk that takes its time: each `sync` waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced = 0
        self.ready = threading.Semaphore(0)
        monkeypatch.setattr(beside, "sync", self._sync)

    def _sync(self, path: Path) -> None:
        assert self.ready.acquire(timeout=20)
        sync(path)
        self.synced += 1


def test_what_is_ordered_while_the_disk_is_busy_waits_for_the_next_time_and_all_of_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, ledger = Disk(monkeypatch), Ledger.open(tmp_path / "ledger.db", now=0.0)
    done: list[str] = []

    async def order(promises: beside.Promises, target: str) -> None:
        async with promises.kept():
            if target:
                ledger.ban(target, "ssh", 0.0, FOREVER, author="user:ann", now=0.0)
        done.append(target)

    async def people() -> None:
        promises = beside.Promises(ledger)
        first = asyncio.ensure_future(order(promises, "192.0.2.1"))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(order(promises, target)) for target in ("192.0.2.2", "192.0.2.3", "")]
        await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        assert done == [""], "who orders nothing waits for nothing"
        disk.ready.release()
        await first
        assert disk.synced == 1 and done == ["", "192.0.2.1"]
        disk.ready.release()
        await asyncio.gather(*others)
        assert disk.synced == 2

    asyncio.run(people())
    ledger.close()


def test_a_disk_that_fails_is_told_to_who_ordered_something_and_the_next_one_tries_again(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db", now=0.0)
    log, away = tmp_path / "ledger.db-wal", tmp_path / "away"

    async def order(promises: beside.Promises) -> None:
        async with promises.kept():
            ledger.ban("192.0.2.1", "ssh", 0.0, FOREVER, author="user:ann", now=0.0)

    promises = beside.Promises(ledger)
    log.rename(away)
    with pytest.raises(LedgerError, match="may be undone by a power cut"):
        asyncio.run(order(promises))
    away.rename(log)
    asyncio.run(order(promises))
    ledger.close()
