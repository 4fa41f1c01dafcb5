"""A ledger of version 1 becomes one of the newest version when the guard opens it, and nothing of it is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger, opening
from ringfence.ledger.listed import Slot
from ringfence.ledger.sql import MIGRATIONS, SCHEMA

OLD = (Path(__file__).with_name("schema-1.sql")).read_text()


def old_ledger(path: Path) -> Path:
    """A ledger as version 1 wrote it: three addresses, one banned by a rule within its first few attempts."""
    folder = path.parent / "made"
    folder.mkdir()
    ledger = opened(folder)
    for address, count in (("192.0.2.1", 3), ("192.0.2.2", 7), ("2001:db8::5", 2)):
        tries = [event(address, NOW + 60 * n, line=n) for n in range(count)]
        ledger.record(tries, [verdict(address, NOW + 120)] if address == "192.0.2.1" else [], [], NOW)
    ledger.record([event("192.0.2.9", NOW, failed=False)], [], [], NOW)
    ledger.ban("198.51.100.0/24", "*", NOW, NOW + 9, author="user:root", now=NOW)
    ledger.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA auto_vacuum = INCREMENTAL; {OLD}; PRAGMA journal_mode = WAL;")
    connection.execute("ATTACH ? AS new", (str(folder / "ledger.db"),))
    for (table,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    connection.execute("DELETE FROM main.counter WHERE name = 'convicted'")
    connection.execute(f"PRAGMA application_id = {opening.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return path


def shape(connection: sqlite3.Connection) -> dict[str, list[object]]:
    """Tables with their columns and indexes, apart from how they are written."""
    found: dict[str, list[object]] = {}
    for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall():
        rows = connection.execute(f"PRAGMA {kind}_xinfo({name})").fetchall()
        where = " ".join(str(text).partition("WHERE")[2].split()) if kind == "index" else ""
        found[name] = [kind, where, [row[1:] for row in rows], "WITHOUT ROWID" in str(text)]
    return found


def test_an_earlier_ledger_has_the_tables_of_a_new_one_after_opening(tmp_path: Path) -> None:
    opened_before = old_ledger(tmp_path / "ledger.db")
    opened(tmp_path).close()
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(SCHEMA)
    assert shape(sqlite3.connect(opened_before)) == shape(fresh)


def test_nothing_of_an_earlier_ledger_is_lost(tmp_path: Path) -> None:
    path = old_ledger(tmp_path / "ledger.db")
    ledger = opened(tmp_path)
    new = Ledger.open_reader(tmp_path / "made" / "ledger.db")
    assert list(ledger.events_since(0)) == list(new.events_since(0))
    assert ledger.bans(active=None) == new.bans(active=None)
    assert ledger.verdicts() == new.verdicts()
    assert ledger.statistics() == new.statistics()
    assert ledger.audit_log() == new.audit_log()
    assert ledger.attackers() == new.attackers()
    assert {row.address: row.level for row in ledger.attackers()} == {
        "192.0.2.1": "threatening", "192.0.2.2": "threatening", "2001:db8::5": "harmless",
    }  # fmt: skip
    assert set(ledger.attempts_by_minute(NOW, NOW + 3600, 60)) == set(new.attempts_by_minute(NOW, NOW + 3600, 60))
    assert ledger.attempts_by_minute(NOW, NOW + 3600, 3600) == [Slot(NOW, "ssh", 12)]
    ledger.close()
    assert opening.check_header(path) == opening.VERSION


def test_what_was_not_folded_before_is_counted_once(tmp_path: Path) -> None:
    """The guard of the earlier version was killed while catching up."""
    path = old_ledger(tmp_path / "ledger.db")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE counter SET value = 10 WHERE name = 'folded'")
    connection.execute("DELETE FROM attacker WHERE address = '2001:db8::5'")
    connection.commit()
    connection.close()
    ledger = opened(tmp_path)
    assert ledger.attempts_by_minute(NOW, NOW + 3600, 3600) == [Slot(NOW, "ssh", 12)]
    attacker = ledger.attacker("2001:db8::5")
    assert attacker is not None and attacker.attempts == 2


def test_a_step_that_fails_or_is_killed_leaves_the_earlier_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_ledger(tmp_path / "ledger.db")
    before = sqlite3.connect(path).execute("SELECT count(*), sum(attempts) FROM attacker").fetchone()
    monkeypatch.setitem(MIGRATIONS, "to_2", MIGRATIONS["to_2"] + "\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(LedgerError, match="left as it is"):
        opened(tmp_path)
    assert opening.check_header(path, oldest=1) == 1
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*), sum(attempts) FROM attacker").fetchone() == before
    assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'minute'").fetchall()


def test_a_reader_says_that_the_guard_must_bring_it_up_to_date_first(tmp_path: Path) -> None:
    path = old_ledger(tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match="version 1"):
        Ledger.open_reader(path)
