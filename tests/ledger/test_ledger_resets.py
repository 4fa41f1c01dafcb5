"""Statistics begin anew at one instant, though the marks of old attackers are cleared little by little."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_facts import NOW, event, opened

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger, upkeep
from ringfence.ledger.sql import QUERIES

SERVICES = ("ssh", "sip", "smtp")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attempt"), st.integers(0, 9), st.sampled_from(SERVICES)),
        st.tuples(st.just("reset"), st.just(0), st.sampled_from((*SERVICES, ""))),
        st.tuples(st.sampled_from(("prune", "fold", "reopen")), st.just(0), st.just("")),
    ),
    max_size=40,
)


def addresses(ledger: Ledger) -> dict[str, int]:
    return {row.service: row.addresses for row in ledger.statistics()}


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_addresses_are_those_since_the_reset_whatever_happens_between(steps: list[tuple[str, int, str]]) -> None:
    """Against a model that forgets at once; the guard and a reader beside it say the same."""
    model: dict[str, set[int]] = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "ROWS_STEP", 3)
        path = Path(folder)
        ledger = opened(path)
        for number, (what, address, service) in enumerate(steps):
            now = NOW + number
            if what == "attempt":
                ledger.record([event(f"192.0.2.{address}", now, service=service)], [], [], now)
                model.setdefault(service, set()).add(address)
            elif what == "reset":
                told = ledger.reset_statistics(service or None, author="user:ann", now=now)
                names = [name for name in sorted(model) if service in ("", name)]
                assert {row.service: row.addresses for row in told} == {name: len(model[name]) for name in names}
                model.update((name, set()) for name in names)
            elif what == "prune":
                ledger.prune(now)
            elif what == "fold":
                ledger.tally()
            else:
                ledger.close()
                ledger = opened(path)
            assert addresses(ledger) == {name: len(found) for name, found in model.items()}
            reader = Ledger.open_reader(ledger.path)
            assert addresses(reader) == addresses(ledger)
            reader.close()
        ledger.close()


def test_what_is_stale_is_gone_in_the_end_and_no_step_takes_many(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    count = 5 * upkeep.ROWS_STEP // 2
    ledger.record([event(f"10.0.{n // 250}.{n % 250}") for n in range(count)], [], [], NOW)
    ledger.reset_statistics(author="user:ann", now=NOW)
    assert addresses(ledger) == {"ssh": 0}
    ledger.record([event("10.0.0.1"), event("10.0.0.2")], [], [], NOW)
    taken = []
    while step := ledger.prune(NOW):
        taken.append(step)
    assert sum(taken) == count and max(taken) <= upkeep.ROWS_STEP
    assert addresses(ledger) == {"ssh": 2}
    marked = ledger._connection.execute("SELECT count(*) FROM attacker WHERE recent").fetchone()[0]
    assert marked == 2 and ledger._rows("resets") == []


def test_a_step_that_failed_clears_nothing_and_skips_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "ROWS_STEP", 3)
    ledger = opened(tmp_path)
    ledger.record([event(f"192.0.2.{n}") for n in range(9)], [], [], NOW)
    ledger.reset_statistics(author="user:ann", now=NOW)
    with monkeypatch.context() as fault:
        fault.setitem(QUERIES, "commit", "SELECT no_such_function()")
        with pytest.raises(LedgerError):
            ledger.prune(NOW)
    while ledger.prune(NOW):
        pass
    assert addresses(ledger) == {"ssh": 0}
    assert ledger._connection.execute("SELECT count(*) FROM attacker WHERE recent").fetchone()[0] == 0
