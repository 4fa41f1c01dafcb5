"""Warnings in the ledger: written with what they are about, once; and logins from places that nobody came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Condition, Ledger
from ringfence.model import FOREVER, Alert


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return opened(tmp_path, capacity=2)


def told(ledger: Ledger) -> list[tuple[str, str, object]]:
    return [(one.kind, one.subject, one.facts.get("done", "")) for one in reversed(ledger.warnings())]


def test_a_rule_that_warns_writes_its_warning_with_the_ban(ledger: Ledger) -> None:
    tries = [event(line=number, detail="sip:100@pbx") for number in range(3)]
    ledger.record(tries, [verdict(until=FOREVER, actions=("block", "mail"), count=3)], [], NOW)
    (alert,) = ledger.warnings()
    assert (alert.kind, alert.subject, alert.service, alert.time) == ("rule", "192.0.2.1", "ssh", NOW)
    assert alert.facts["done"] == "banned" and alert.facts["until"] is None and alert.facts["count"] == 3
    assert alert.facts["cause"] == "wrong password" and alert.facts["detail"] == "sip:100@pbx"


def test_nothing_is_warned_of_when_the_ban_could_not_be_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ban and warning are one transaction."""
    from ringfence.ledger.sql import QUERIES

    monkeypatch.setitem(QUERIES, "insert_warning", "INSERT INTO nowhere VALUES (:time)")
    with pytest.raises(LedgerError):
        ledger.record([event()], [verdict(actions=("block", "mail"))], [], NOW)
    monkeypatch.undo()
    assert ledger.bans() == [] and ledger.warnings() == [] and ledger.attackers() == []


def test_the_warning_says_what_was_done(ledger: Ledger) -> None:
    def fired(target: str, until: float, *actions: str) -> None:
        ledger.record([event(target)], [verdict(target, until=until, actions=actions or ("block", "mail"))], [], NOW)  # type: ignore[arg-type]

    fired("192.0.2.1", NOW + 600)
    fired("192.0.2.1", NOW + 900)
    fired("192.0.2.1", NOW + 300)
    fired("192.0.2.2", NOW - 1)
    fired("192.0.2.3", NOW + 600, "mail")
    fired("192.0.2.4", NOW + 600, "block")
    assert told(ledger) == [
        ("rule", "192.0.2.1", "banned"), ("rule", "192.0.2.1", "longer"), ("rule", "192.0.2.2", "past"),
        ("rule", "192.0.2.3", "mail"),
    ]  # fmt: skip


def test_an_administrator_from_a_new_address_is_warned_of_once(ledger: Ledger) -> None:
    ledger.watched_accounts = frozenset({"root"})
    login = event("198.51.100.7", account="root", failed=False)
    ledger.record([login], [], [], NOW)
    ledger.record([login, event("198.51.100.8", account="ann", failed=False), event(account="root")], [], [], NOW)
    assert told(ledger) == [("login", "root", "")]
    ledger.add_user("ann", "administrator", author="root", now=NOW)
    ledger.record([event("198.51.100.8", account="ann", failed=False, service="web")], [], [], NOW)
    newest = ledger.warnings()[0]
    assert (newest.subject, newest.facts["address"]) == ("ann", "198.51.100.8")


def test_logins_that_are_caught_up_are_learned_without_a_word(ledger: Ledger) -> None:
    ledger.watched_accounts = frozenset({"root"})
    ledger.record([event("198.51.100.7", NOW - 3600, failed=False)], [], [], NOW)
    ledger.record([event("198.51.100.7", NOW, failed=False)], [], [], NOW)
    assert ledger.warnings() == []


def test_a_changed_policy_is_warned_of_with_what_changed(ledger: Ledger) -> None:
    ledger.apply_policy("a = 1\nb = 2\n", author="guard", now=NOW)
    ledger.apply_policy("a = 1\nb = 3\n", author="user:ann", note="more", now=NOW)
    ledger.apply_policy("a = 1\nb = 3\n", author="user:ann", now=NOW)
    (alert,) = ledger.warnings()
    assert alert.facts["changes"] == ["-b = 2", "+b = 3"] and alert.facts["author"] == "user:ann"
    assert alert.facts["note"] == "more" and alert.subject == "2"


def test_what_lasts_is_told_when_it_begins_and_ends_and_outlives_a_restart(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    silent = Condition(kind="source", subject="/var/log/x", since=NOW, facts={"trouble": "silent"}, grave=True)
    ledger.note_conditions([silent], [], NOW)
    ledger.close()
    ledger = opened(tmp_path)
    assert [one.key for one in ledger.conditions()] == [silent.key]
    ledger.note_conditions([], [silent], NOW + 60)
    assert [(one.phase, one.grave) for one in ledger.warnings()] == [("ended", True), ("began", True)]
    assert ledger.conditions() == []


def test_warnings_are_acknowledged_by_number_or_all_that_were_seen(ledger: Ledger) -> None:
    ledger.note_warnings([Alert(time=NOW, kind="full", subject="bans", grave=True)] * 4, NOW)
    assert ledger.unacknowledged() == (4, 4)
    assert ledger.acknowledge([2], author="user:ann", now=NOW + 1) == 1
    assert ledger.acknowledge([2], author="user:bob", now=NOW + 2) == 0
    assert ledger.acknowledge(None, upto=3, author="user:bob", now=NOW + 3) == 2
    assert [(one.id, one.acknowledger) for one in ledger.warnings()] == [
        (4, ""), (3, "user:bob"), (2, "user:ann"), (1, "user:bob"),
    ]  # fmt: skip
    assert [one.id for one in ledger.warnings(unacknowledged=True)] == [4]


def test_old_warnings_go_but_not_while_somebody_is_still_to_be_told(tmp_path: Path) -> None:
    ledger = opened(tmp_path, keep=86_400.0)
    for day in range(3):
        ledger.note_warnings([Alert(time=NOW + day * 86_400, kind="rule", subject="x", service="sip")], NOW)
    ledger.add_delivery("mail", "a@b", "rule", ["sip"], first=2, last=2, total=1, now=NOW)
    while ledger.prune(NOW + 30 * 86_400):
        pass
    assert [one.id for one in ledger.warnings()] == [3, 2]
    ledger.mark_delivery(1, NOW)
    ledger.end_delivery(1, "sent", "250", NOW)
    while ledger.prune(NOW + 30 * 86_400):
        pass
    assert ledger.warnings() == [] and ledger.deliveries() == []


def test_a_summary_is_written_once_and_waits_for_nobody(ledger: Ledger) -> None:
    summary = Alert(time=NOW, kind="digest", subject="daily 2027-01-15", facts={"period": "daily"})
    assert ledger.note_once(summary, NOW) and not ledger.note_once(summary, NOW + 60)
    assert len(ledger.warnings()) == 1 and ledger.unacknowledged() == (0, 0)
