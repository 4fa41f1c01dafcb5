"""The canary on a machine that has only the journal, as a Debian 12 is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Machine, missing
from lab.journald import PROGRAM, Journald

from guard import Guard
from ringfence.answers import Attacks
from ringfence.canary import STEPS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        bool(missing("nft", "journalctl")) or not Path(PROGRAM).exists(), reason="needs nft, journalctl and journald"
    ),
]

POLICY = """
[rules.strict]
failures = 1
within = "1h"
ban = "2h"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(tmp_path / "machine")
    yield one
    one.close()


def test_the_journal_is_tested_up_to_the_kernel_and_missed_when_it_has_ended(machine: Machine, tmp_path: Path) -> None:
    guard = Guard(machine, tmp_path / "guard", policy=POLICY)
    guard.config.write_text(guard.config.read_text().replace("journal = false", "journal = true"))
    with Journald(machine) as journald, guard:
        done = guard.cli("canary", "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        (row,) = json.loads(done.stdout)["rows"]
        assert (row["source"], row["state"]) == ("journal", "ok")
        assert [step["name"] for step in row["steps"]] == list(STEPS)
        assert guard.ask(Attacks, "attacks").rows == [] and guard.bans(history=True) == [] and guard.kernel() == {}
        journald.close()
        done = guard.cli("canary", "--json")
        (row,) = json.loads(done.stdout)["rows"]
        assert (done.returncode, row["state"], row["step"]) == (1, "broken", "source")
