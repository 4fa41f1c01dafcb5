"""Comparisons in processes of their own: one at a time, told how far, and nobody left running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.ledger import Ledger
from ringfence.model import Event
from ringfence.web.jobs import Jobs, State
from ringfence.web.workers import Spawn, Worker, by_program
from ringfence.whatif import Job

NOW = 1_800_000_000.0
BEFORE = "[rules.few]\nfailures = 5\nwithin = '1h'\nban = '1h'\n"
AFTER = BEFORE.replace("5", "2")
NEVER = [sys.executable, "-c", "import sys, time; sys.stdin.readline(); time.sleep(600)"]
"""A program that takes the question and never answers."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path, max_bytes=1 << 24, now=NOW)
    event = Event(NOW - 3600, "192.0.2.9", "ssh", "root", True, "password", "", True, "a/b", "log", 1, "s")
    ledger.record([event] * 3, [], [], NOW)
    ledger.close()
    return Job(ledger=str(path), before=BEFORE, after=AFTER, days=1, now=NOW)


class Watched:
    """Starts processes and remembers them: `gone` waits until the newest one has ended."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self.ended = threading.Event()

    def __call__(self) -> Worker:
        self.ended.clear()
        worker = self._spawn()

        def end() -> None:
            worker.end()
            self.ended.set()

        return Worker(worker.question, worker.answer, end)

    def gone(self) -> bool:
        return self.ended.wait(20)


def answered(jobs: Jobs, number: str, owner: str = "anna") -> State:
    """The job's state once it is not running any more."""
    end = time.monotonic() + 60
    while (state := jobs.state(number, owner)).status == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    return state


def test_a_job_is_answered_and_its_answer_is_kept_for_who_asked_only(job: Job) -> None:
    watched = Watched(by_program())
    jobs = Jobs(watched)
    number = jobs.start(job, "anna")
    state = answered(jobs, number)
    assert state.status == "done" and state.progress == 1.0
    assert state.result is not None and [row.target for row in state.result.added] == ["192.0.2.9"]
    assert watched.gone()
    assert jobs.newest("anna") == state and jobs.newest("bert") is None
    with pytest.raises(NotFoundError):
        jobs.state(number, "bert")
    with pytest.raises(NotFoundError):
        jobs.cancel(number, "bert")


def test_one_job_runs_at_a_time_and_ones_own_newer_one_takes_its_place(job: Job) -> None:
    watched = Watched(by_program(NEVER))
    jobs = Jobs(watched)
    first = jobs.start(job, "anna")
    with pytest.raises(RefusedError, match="anna"):
        jobs.start(job, "bert")
    second = jobs.start(job, "anna")
    assert jobs.state(first, "anna").status == "cancelled" and jobs.state(second, "anna").status == "running"
    assert jobs.cancel(second, "anna").status == "cancelled"
    assert watched.gone()
    jobs.start(job, "bert")
    jobs.close()
    assert watched.gone()


def test_a_job_that_nobody_asks_about_is_ended(job: Job) -> None:
    now = [0.0]
    watched = Watched(by_program(NEVER))
    jobs = Jobs(watched, clock=lambda: now[0])
    number = jobs.start(job, "anna")
    now[0] = 59.0
    assert jobs.state(number, "anna").status == "running"
    now[0] = 118.0
    assert not watched.ended.is_set() and jobs.state(number, "anna").status == "running"
    now[0] = 179.0
    assert watched.gone()
    state = answered(jobs, number)
    assert state.status == "failed" and "nobody asked" in state.error


def test_a_policy_that_can_not_be_used_is_told_as_the_judge_says_it(job: Job) -> None:
    jobs = Jobs()
    broken = Job(ledger=job.ledger, before=BEFORE, after="[rules.x]\n", days=1, now=NOW)
    state = answered(jobs, jobs.start(broken, "anna"))
    assert state.status == "failed" and "failures" in state.error


@pytest.mark.parametrize("program", ["pass", "print('no JSON')", "import os; os.abort()"])
def test_a_process_that_says_nothing_useful_is_a_failure_in_words(job: Job, program: str) -> None:
    jobs = Jobs(by_program([sys.executable, "-c", program]))
    state = answered(jobs, jobs.start(job, "anna"))
    assert state.status == "failed" and ("without an answer" in state.error or "can't be read" in state.error)


def test_a_program_that_is_not_there_is_told(job: Job) -> None:
    with pytest.raises(RingfenceError, match="can't be started"):
        Jobs(by_program(["/nowhere/python"])).start(job, "anna")


def test_old_answers_are_forgotten(job: Job) -> None:
    now = [0.0]
    jobs = Jobs(by_program([sys.executable, "-c", "pass"]), clock=lambda: now[0])
    numbers = []
    for _ in range(7):
        numbers.append(jobs.start(job, "anna"))
        answered(jobs, numbers[-1])
    with pytest.raises(NotFoundError):
        jobs.state(numbers[0], "anna")
    assert jobs.state(numbers[-1], "anna")
    now[0] = 10_000.0
    assert jobs.newest("anna") is None


NURSERY = """
import os, sys, time, msgspec
from ringfence.web.workers import Nursery
nursery = Nursery(None)
from ringfence.web.jobs import Jobs
from ringfence.whatif import Job
jobs = Jobs(nursery.spawn)
job = msgspec.json.decode(sys.argv[1], type=Job)
for _ in range(2):
    number = jobs.start(job, "anna")
    while jobs.state(number, "anna").status == "running":
        time.sleep(0.02)
    state = jobs.state(number, "anna")
    print(state.status, state.error, len(state.result.added))
print(nursery.pid, flush=True)
os._exit(0)
"""


def test_workers_forked_beforehand_answer_and_end_with_the_page(job: Job) -> None:
    import msgspec

    done = subprocess.run(
        [sys.executable, "-c", NURSERY, msgspec.json.encode(job).decode()], capture_output=True, text=True, timeout=60
    )
    *answers, pid = done.stdout.split("\n")[:3]
    assert answers == ["done  1", "done  1"], done.stderr
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < end
        os.sched_yield()
