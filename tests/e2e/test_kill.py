"""kill -9 at any instant loses nothing and counts nothing twice, and ledger and kernel agree in the end."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from guard_process import GuardProcess, elements, failure, namespace
from ringfence.answers import Bans
from ringfence.ledger import Ledger

KILLS = 100
ADDRESSES = 150
LONGEST_LIFE = 1.6
"""Seconds; keeps a hundred lives within the time a test may take."""
POLICY = """
[rules.standard]
failures = 5
within = "1h"
ban = "2h"
[rules.repeat]
bans = 3
within = "1d"
ban = "1d"
"""


class Server(threading.Thread):
    """A server under attack: writes a line an attempt and rotates its log, by renaming or by copying and emptying."""

    def __init__(self, guard: GuardProcess, seed: int) -> None:
        super().__init__()
        self.written: Counter[str] = Counter()
        self.rotations = 0
        self._guard = guard
        self._random = random.Random(seed)
        self._done = threading.Event()
        self._log = guard.log.open("a")

    def run(self) -> None:
        while not self._done.is_set():
            self.attack(self._random.randint(1, 12))
            if self._random.random() < 0.02:
                self._rotate()
            time.sleep(self._random.random() * 0.02)

    def attack(self, count: int) -> None:
        """Write `count` failures."""
        for number in range(self.written.total(), self.written.total() + count):
            address = f"198.51.100.{self._random.randrange(ADDRESSES)}"
            self._log.write(failure(address, f"call-{number}"))
            self.written[address] += 1
        self._log.flush()

    def _rotate(self) -> None:
        """As logrotate does, keeping every old log: messages.1 becomes messages.2, and so on."""
        path = self._guard.log
        for number in range(self.rotations, 0, -1):
            path.with_name(f"messages.{number}").rename(path.with_name(f"messages.{number + 1}"))
        self.rotations += 1
        if self._random.random() < 0.7:
            self._log.close()
            path.rename(path.with_name("messages.1"))
            self._log = path.open("a")
        else:
            # copytruncate; nothing is written between the two steps, as that would be lost for every reader
            path.with_name("messages.1").write_bytes(path.read_bytes())
            os.truncate(path, 0)

    def stop(self) -> None:
        """Write no more."""
        self._done.set()
        self.join()
        self._log.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")
def test_killed_a_hundred_times_every_attempt_is_counted_once_and_the_kernel_agrees(tmp_path: Path) -> None:
    seed = int(os.environ.get("RINGFENCE_SEED", time.time_ns() % 1_000_000))
    print(f"RINGFENCE_SEED={seed}")
    chance = random.Random(seed)
    with namespace(f"rfctl-kill{os.getpid()}") as name:
        guard = GuardProcess(tmp_path, policy=POLICY, mode="nftables", namespace=name)
        server = Server(guard, seed)
        try:
            # What was rotated away before a log was ever read is not ours to find.
            server.attack(10)
            begun = time.monotonic()
            guard.start()
            guard.wait_for(lambda: counted(guard.ledger), "nothing was counted")
            start = time.monotonic() - begun
            guard.kill()
            server.start()
            for _ in range(KILLS):
                guard.spawn()
                # From the first instant of its start to well within its work.
                time.sleep(chance.random() * min(2 * start, LONGEST_LIFE))
                guard.kill()
            server.stop()
            guard.start()
            total = server.written.total()
            guard.wait_for(lambda: counted(guard.ledger) >= total, f"not all of {total} attempts were counted", 60)
            running = guard.ask(Bans, "bans", limit=10_000)
            kernel = elements(name)
            assert guard.stop() == 0
        finally:
            guard.ensure_gone()
            if server.is_alive():
                server.stop()
        ledger = Ledger.open_reader(guard.ledger)
        try:
            events = list(ledger.events_since(0))
        finally:
            ledger.close()
    sessions = Counter(event.session for event in events)
    assert [session for session, count in sessions.items() if count > 1] == [], "counted twice"
    assert Counter(event.address for event in events) == server.written
    assert {row.state for row in running.rows} == {"enforced"}
    assert {row.target for row in running.rows} == kernel
    due = {address for address, count in server.written.items() if count >= 5}
    assert kernel == due
    assert server.rotations > 5


def counted(path: Path) -> int:
    """How many events the ledger holds, read beside the guard."""
    ledger = Ledger.open_reader(path)
    try:
        return sum(1 for _ in ledger.events_since(0))
    finally:
        ledger.close()
