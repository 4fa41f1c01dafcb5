"""What is read beside the loop: the same answers as at once, and nothing of what happens meanwhile is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from guard_process import failures
from ringfence import beside
from ringfence.assemble import assemble
from ringfence.barrier import Barrier
from ringfence.guard import Guard
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
