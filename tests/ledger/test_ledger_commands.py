"""What people order: durable, audited, reversible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_facts import NOW, event, opened, verdict

from ringfence.errors import LedgerError
from ringfence.ledger import Ledger
from ringfence.model import EVERY, FOREVER, Alert, AllowEntry, Lockdown


def test_a_ban_by_hand_may_end_earlier_than_the_one_that_runs(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    (ban,) = ledger.record([], [verdict(until=NOW + 600)], [], NOW).wanted
    ledger.mark_enforced([ban], NOW)
    shorter = ledger.ban("192.0.2.1", "ssh", NOW, NOW + 60, author="user:ann", note="their boss called", now=NOW)
    assert (shorter.id, shorter.state, shorter.until, shorter.author) == (ban.id, "wanted", NOW + 60, "user:ann")
    # A rule that says longer extends it, but it stays a ban by hand, which does not give way when the list is full.
    (longer,) = ledger.record([], [verdict(until=NOW + 700)], [], NOW).wanted
    assert (longer.author, longer.note, longer.until) == ("user:ann", "their boss called", NOW + 700)


def test_a_command_with_bytes_that_are_no_text_is_refused_in_words(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with pytest.raises(LedgerError, match="not UTF-8"):
        ledger.ban("192.0.2.1", "ssh", NOW, FOREVER, author="user:ann", note="\udcff", now=NOW)
    assert ledger.bans() == []
    assert ledger.ban("192.0.2.1", "ssh", NOW, FOREVER, author="user:ann", now=NOW).state == "wanted"


def test_lifting_takes_one_service_one_target_or_everything(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    fired = [verdict(a, service=s) for a in ("192.0.2.1", "192.0.2.2", "192.0.2.3") for s in ("ssh", "sip")]
    ledger.record([], fired, [], NOW)
    assert [b.service for b in ledger.lift("192.0.2.1", "ssh", author="user:ann", now=NOW)] == ["ssh"]
    assert len(ledger.lift("192.0.2.2", None, author="user:ann", now=NOW)) == 2
    assert ledger.lift("203.0.113.1", None, author="user:ann", now=NOW) == []
    left = ledger.lift(None, None, author="user:ann", now=NOW + 5)
    assert [(b.state, b.ended) for b in left] == [("lifted", NOW + 5)] * 3
    assert ledger.bans() == []
    assert ledger.changes(left[0].id)[-1].author == "user:ann"


def test_allowing_stores_the_entry_and_lifts_what_it_covers_at_once(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    (ban,) = ledger.record([], [verdict()], [], NOW).wanted
    entry = AllowEntry(
        target="192.0.2.0/24", note="office", author="user:ann", created=NOW, addresses=("192.0.2.0/24",)
    )
    lifted = ledger.allow(entry, [ban.id, 4711], author="user:ann", now=NOW)
    assert [b.id for b in lifted] == [ban.id]
    assert ledger.whitelist() == [entry]
    assert ledger.disallow("192.0.2.0/24", EVERY, author="user:ann", now=NOW) == entry
    assert ledger.disallow("192.0.2.0/24", EVERY, author="user:ann", now=NOW) is None
    assert ledger.whitelist() == []


def test_a_host_name_keeps_its_last_good_answer_and_an_entry_ends_by_itself(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    name = AllowEntry(target="pbx.example.org", author="user:ann", created=NOW, expires=NOW + 60)
    ledger.allow(name, author="user:ann", now=NOW)
    ledger.note_resolution("pbx.example.org", ["192.0.2.7", "2001:db8::7"])
    ledger.close()
    ledger = opened(tmp_path)
    assert ledger.whitelist(NOW + 59)[0].addresses == ("192.0.2.7", "2001:db8::7")
    assert ledger.whitelist(NOW + 60) == []
    assert [entry.target for entry in ledger.expire_allowed(NOW + 60)] == ["pbx.example.org"]


def test_a_lockdown_survives_restart_and_ends_by_itself_or_by_order(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    down = Lockdown(services=("sip", "iax"), since=NOW, until=NOW + 1800, author="user:ann")
    ledger.set_lockdown(down, author="user:ann", now=NOW)
    ledger.close()
    ledger = opened(tmp_path)
    assert ledger.lockdown(NOW + 1799) == down
    assert ledger.lockdown(NOW + 1800) is None
    ledger.set_lockdown(None, author="user:ann", now=NOW + 5)
    assert ledger.lockdown(NOW + 6) is None


def test_every_policy_is_kept_and_any_can_be_applied_again(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    assert ledger.policy() is None
    assert ledger.apply_policy("a", author="user:ann", note="first", now=NOW) == 1
    assert ledger.apply_policy("b", author="user:bob", now=NOW + 1) == 2
    old = ledger.policy(1)
    assert old is not None
    assert (old.text, old.author, old.note, old.time) == ("a", "user:ann", "first", NOW)
    assert ledger.apply_policy(old.text, author="user:bob", note="back to 1", now=NOW + 2) == 3
    newest = ledger.policy()
    assert newest is not None
    assert (newest.revision, newest.text) == (3, "a")
    assert [entry.revision for entry in ledger.policy_history()] == [3, 2, 1]
    assert ledger.policy(99) is None


def test_every_command_is_in_the_audit_with_who_what_and_from_where(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    who: dict[str, Any] = {"author": "user:ann", "origin": "uid 1000"}
    ledger.ban("192.0.2.1", "ssh", NOW, FOREVER, now=NOW, **who)
    ledger.lift("192.0.2.1", None, now=NOW, **who)
    ledger.allow(AllowEntry(target="192.0.2.1"), (), now=NOW, **who)
    ledger.disallow("192.0.2.1", EVERY, now=NOW, **who)
    ledger.set_lockdown(None, now=NOW, **who)
    ledger.apply_policy("x", now=NOW, **who)
    ledger.reset_statistics("ssh", now=NOW, **who)
    ledger.audit("unfence", {"all": True}, "user:ann", "uid 1000", NOW)
    entries = ledger.audit_log()
    assert [entry.command for entry in entries] == [
        "unfence", "stats reset", "policy apply", "lockdown", "disallow", "allow", "unban", "ban",
    ]  # fmt: skip
    assert {(entry.author, entry.origin, entry.time) for entry in entries} == {("user:ann", "uid 1000", NOW)}
    assert entries[-1].arguments == {"target": "192.0.2.1", "service": "ssh", "until": "forever", "note": ""}
    assert [entry.command for entry in ledger.audit_log(limit=1, before=entries[-2].id)] == ["ban"]


def mail(ledger: Ledger, service: str) -> None:
    """A warning about `service` that was mailed to one recipient."""
    ledger.note_warnings([Alert(time=NOW, kind="rule", subject="192.0.2.1", service=service)], NOW)
    last = ledger.newest_warning()
    number = ledger.add_delivery("mail", "boss", "rule", [service], first=last, last=last, total=1, now=NOW)
    assert number is not None and ledger.mark_delivery(number, NOW)
    ledger.end_delivery(number, "sent", "250", NOW)


def test_statistics_count_since_their_reset(tmp_path: Path) -> None:
    ledger = opened(tmp_path)

    def row(of: Ledger, service: str) -> tuple[float, int, int, int, int, int, int]:
        (s,) = [s for s in of.statistics() if s.service == service]
        return s.since, s.attempts, s.successes, s.addresses, s.bans, s.packets, s.mails

    ssh = [event("192.0.2.1"), event("192.0.2.1"), event("192.0.2.2"), event("192.0.2.3", failed=False)]
    ledger.record([*ssh, event("192.0.2.1", service="sip")], [verdict(), verdict(service="sip")], [], NOW)
    ledger.add_dropped_packets({"ssh": 7}, NOW)
    ledger.add_dropped_packets({"ssh": 3, EVERY: 1}, NOW)
    mail(ledger, "sip")
    mail(ledger, "sip")
    assert row(ledger, "ssh") == (NOW, 3, 1, 2, 1, 10, 0)
    assert row(ledger, "sip") == (NOW, 1, 0, 1, 1, 0, 2)
    before = ledger.reset_statistics("ssh", author="user:ann", now=NOW + 50)
    assert [(s.service, s.attempts) for s in before] == [("ssh", 3)]
    assert row(ledger, "ssh") == (NOW + 50, 0, 0, 0, 0, 0, 0)
    assert row(ledger, "sip") == (NOW, 1, 0, 1, 1, 0, 2)
    ledger.record([event("192.0.2.1", service="sip"), event("192.0.2.2"), event("192.0.2.2")], [], [], NOW + 60)
    assert row(ledger, "ssh") == (NOW + 50, 2, 0, 1, 0, 0, 0)
    ledger.close()
    ledger = opened(tmp_path)
    assert row(ledger, "ssh") == (NOW + 50, 2, 0, 1, 0, 0, 0)
    ledger.reset_statistics(author="user:ann", now=NOW + 70)
    assert row(ledger, "sip") == (NOW + 70, 0, 0, 0, 0, 0, 0)
    attacker = ledger.attacker("192.0.2.1")
    assert attacker is not None
    assert attacker.attempts == 4  # the attack list itself is not reset
