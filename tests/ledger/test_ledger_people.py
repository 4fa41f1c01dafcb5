"""Users, links, keys and requests: durable, in one piece, and never a secret in the audit."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ledger_facts import NOW, opened, verdict

from ringfence.errors import LedgerError, NotFoundError
from ringfence.ledger import Ledger
from ringfence.ledger.people import REQUESTS_KEPT, TOKENS_KEPT
from ringfence.model import FOREVER

WHO: dict[str, Any] = {"author": "root", "origin": "pid 1"}
SECRETS = ("$argon2id$one", "$argon2id$two", "JBSWY3DPEHPK3PXP", "a" * 64, "b" * 64)


def test_everything_about_people_survives_a_restart_and_is_read_by_the_page(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    made = ledger.add_user(
        "bob", "holder", password=SECRETS[0], accounts=["100", "bob@example.org"], may_ask=True, now=NOW,
        author="root", origin="pid 1",
    )  # fmt: skip
    token = ledger.add_token("a" * 64, "bob", "a script", "read", expires=NOW + 60, now=NOW, **WHO)
    invitation = ledger.add_invitation("b" * 64, "", "administrator", NOW + 60, now=NOW, **WHO)
    request = ledger.ask_unban("bob", "192.0.2.1", "ssh", "it was me", now=NOW, **WHO)
    ledger.close()
    opened(tmp_path).close()
    reader = Ledger.open_reader(tmp_path / "ledger.db")
    assert reader.users() == [made] and reader.user("bob") == made and reader.user("ann") is None
    assert reader.tokens() == reader.tokens("bob") == [token] and reader.tokens("ann") == []
    assert reader.token_by_hash("a" * 64) == token and reader.token_by_hash("c" * 64) is None
    assert reader.invitation("b" * 64) == invitation and reader.invitations() == {"b" * 64: invitation}
    assert reader.requests() == reader.requests(user="bob") == [request] and reader.requests(user="ann") == []
    with pytest.raises(LedgerError, match="reading only"):
        reader.add_user("ann", "viewer", now=NOW, **WHO)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    first = ledger.add_user("bob", "holder", now=NOW, **WHO)
    with pytest.raises(LedgerError):
        ledger.add_user("bob", "administrator", now=NOW, **WHO)
    assert ledger.users() == [first]
    assert [entry.command for entry in ledger.audit_log()] == ["user add"]


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"password": SECRETS[1]}, True), ({"role": "viewer"}, True), ({"totp": SECRETS[2]}, True),
        ({"disabled": True}, True), ({"accounts": ("7",)}, False), ({"may_ask": True}, False),
        ({"password": SECRETS[0], "role": "operator"}, False),
    ],
)  # fmt: skip
def test_only_what_concerns_the_login_ends_older_sessions(
    tmp_path: Path, changes: dict[str, object], ends: bool
) -> None:
    """And it does even where the clock stands still or goes back."""
    ledger = opened(tmp_path)
    before = ledger.add_user("bob", "operator", password=SECRETS[0], now=NOW, **WHO)
    after = ledger.change_user("bob", changes, now=NOW - 5, **WHO)
    assert (after.changed > before.changed) is ends
    assert ledger.user("bob") == after and all(getattr(after, field) == value for field, value in changes.items())


def test_a_user_goes_with_keys_requests_and_links_also_those_they_made(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    for name in ("ann", "bob"):
        ledger.add_user(name, "administrator", now=NOW, **WHO)
        ledger.add_token(name, name, "script", "write", now=NOW, **WHO)
        ledger.ask_unban(name, "192.0.2.1", "ssh", "please", now=NOW, **WHO)
        ledger.add_invitation(f"for {name}", name, "administrator", NOW + 60, now=NOW, **WHO)
        ledger.add_invitation(
            f"by {name}", f"friend of {name}", "administrator", NOW + 60, author=f"{name}@web", now=NOW
        )
    ledger.remove_user("bob", now=NOW, **WHO)
    assert [user.name for user in ledger.users()] == ["ann"]
    assert [token.user for token in ledger.tokens()] == ["ann"]
    assert [request.user for request in ledger.requests()] == ["ann"]
    assert set(ledger.invitations()) == {"for ann", "by ann"}
    with pytest.raises(NotFoundError):
        ledger.remove_user("bob", now=NOW, **WHO)


def test_the_number_of_what_is_gone_is_never_given_again(tmp_path: Path) -> None:
    """A page that was loaded before must not revoke or grant something else by it."""
    ledger = opened(tmp_path)
    ledger.add_user("bob", "operator", now=NOW, **WHO)
    gone = ledger.add_token("a" * 64, "bob", "script", "read", now=NOW, **WHO)
    asked = ledger.ask_unban("bob", "192.0.2.1", "ssh", "please", now=NOW, **WHO)
    ledger.remove_user("bob", now=NOW, **WHO)
    ledger.close()
    ledger = opened(tmp_path)
    assert ledger.add_token("a" * 64, "ann", "script", "read", now=NOW, **WHO).id > gone.id
    assert ledger.ask_unban("ann", "192.0.2.1", "ssh", "please", now=NOW, **WHO).id > asked.id


def test_a_role_that_only_looks_ends_the_keys_that_change_something(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add_user("bob", "operator", now=NOW, **WHO)
    for scope in ("read", "write", "report"):
        ledger.add_token(scope, "bob", scope, scope, now=NOW, **WHO)
    ledger.change_user("bob", {"role": "viewer"}, now=NOW + 1, **WHO)
    assert {token.scope for token in ledger.tokens() if token.holds(NOW + 1)} == {"read"}


def test_a_key_that_was_revoked_or_is_over_is_still_found(tmp_path: Path) -> None:
    """So that whoever uses it can be told why it no longer holds."""
    ledger = opened(tmp_path)
    over = ledger.add_token("a" * 64, "bob", "one", "read", expires=NOW + 10, now=NOW, **WHO)
    assert over.holds(NOW + 9) and not over.holds(NOW + 10)
    endless = ledger.add_token("b" * 64, "bob", "two", "read", now=NOW, **WHO)
    assert endless.expires == FOREVER and endless.holds(NOW + 1e9)
    assert ledger.count_tokens("bob", NOW + 10) == 1
    ledger.revoke_token(endless.id, now=NOW + 5, **WHO)
    revoked = ledger.revoke_token(endless.id, now=NOW + 6, **WHO)
    assert revoked is not None and revoked.revoked == NOW + 5 and not revoked.holds(NOW + 6)
    assert ledger.token_by_hash("b" * 64) == revoked
    assert ledger.revoke_token(999, now=NOW, **WHO) is None


def test_keys_that_no_longer_hold_are_not_kept_without_end(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    lasting = ledger.add_token("lasting", "bob", "holds", "read", now=NOW, **WHO)
    for number in range(TOKENS_KEPT + 5):
        ledger.add_token(str(number), "bob", "short", "read", expires=NOW + 1, now=NOW + 2 * number, **WHO)
    found = ledger.tokens("bob")
    assert lasting in found and TOKENS_KEPT < len(found) <= TOKENS_KEPT + 2
    assert ledger.token_by_hash(str(TOKENS_KEPT + 4)) is not None and ledger.token_by_hash("0") is None


def test_a_link_makes_a_user_and_is_used_up(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add_invitation("b" * 64, "", "administrator", NOW + 60, author="guard", now=NOW)
    user = ledger.accept_invitation("b" * 64, "ann", SECRETS[0], author="web", now=NOW + 1)
    assert (user.name, user.role, user.password, user.author) == ("ann", "administrator", SECRETS[0], "guard")
    assert ledger.users() == [user] and ledger.invitations() == {}
    with pytest.raises(NotFoundError):
        ledger.accept_invitation("b" * 64, "eve", SECRETS[0], author="web", now=NOW + 2)


def test_a_link_gives_a_known_user_a_password_and_no_other_role(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    before = ledger.add_user("bob", "viewer", password=SECRETS[0], now=NOW, **WHO)
    ledger.add_invitation("b" * 64, "bob", "administrator", NOW + 60, now=NOW, **WHO)
    after = ledger.accept_invitation("b" * 64, "bob", SECRETS[1], author="web", now=NOW + 1)
    assert (after.role, after.password) == ("viewer", SECRETS[1]) and after.changed > before.changed


def test_a_new_link_takes_the_place_of_the_one_before_and_old_ones_go(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add_invitation("first", "bob", "viewer", NOW + 60, now=NOW, **WHO)
    ledger.add_invitation("second", "bob", "viewer", NOW + 90, now=NOW, **WHO)
    ledger.add_invitation("anyone", "", "viewer", NOW + 90, now=NOW, **WHO)
    assert set(ledger.invitations()) == {"second", "anyone"}
    assert ledger.remove_invitation("anyone", now=NOW, **WHO) is not None
    assert ledger.remove_invitation("anyone", now=NOW, **WHO) is None
    ledger.add_invitation("third", "ann", "viewer", NOW + 200, now=NOW + 100, **WHO)
    assert set(ledger.invitations()) == {"third"} and ledger.count_invitations() == 1


def test_a_link_that_can_not_be_used_up_makes_nobody(tmp_path: Path) -> None:
    """The database refuses the deletion: then there must be neither user nor audit."""
    ledger = opened(tmp_path)
    ledger.add_invitation("b" * 64, "", "administrator", NOW + 60, now=NOW, **WHO)
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("CREATE TRIGGER kept BEFORE DELETE ON invitation BEGIN SELECT RAISE(ABORT, 'disk'); END")
    with pytest.raises(LedgerError, match="disk"):
        ledger.accept_invitation("b" * 64, "ann", SECRETS[0], author="web", now=NOW)
    assert ledger.users() == [] and ledger.count_invitations() == 1
    assert [entry.command for entry in ledger.audit_log()] == ["user invite"]


def test_granting_lifts_that_ban_only_and_refusing_none(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.record([], [verdict(service="ssh"), verdict(service="sip"), verdict("192.0.2.2")], [], NOW)
    first, second = (ledger.ask_unban("bob", "192.0.2.1", one, "please", now=NOW, **WHO) for one in ("ssh", "sip"))
    granted, lifted = ledger.decide_request(first.id, True, author="ann", now=NOW + 1)
    assert (granted.granted, granted.decided, granted.decider) == (True, NOW + 1, "ann")
    assert [(ban.target, ban.service, ban.state) for ban in lifted] == [("192.0.2.1", "ssh", "lifted")]
    refused, none = ledger.decide_request(second.id, False, author="ann", now=NOW + 2)
    assert not refused.granted and none == []
    assert [(ban.target, ban.service) for ban in ledger.bans()] == [("192.0.2.1", "sip"), ("192.0.2.2", "ssh")]
    assert ledger.requests() == [] and ledger.requests(open_only=False) == [refused, granted]
    for number in (first.id, 99):
        with pytest.raises(NotFoundError):
            ledger.decide_request(number, True, author="ann", now=NOW)


def test_requests_that_were_decided_are_not_kept_without_end(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    waiting = ledger.ask_unban("bob", "192.0.2.1", "ssh", "please", now=NOW, **WHO)
    decided = ledger.ask_unban("bob", "192.0.2.2", "ssh", "please", now=NOW, **WHO)
    ledger.decide_request(decided.id, False, author="ann", now=NOW)
    ledger._count("requests", REQUESTS_KEPT + decided.id)  # as if so many had been asked since
    newest = ledger.ask_unban("bob", "192.0.2.3", "ssh", "please", now=NOW, **WHO)
    assert ledger.requests(open_only=False) == [newest, waiting]


def test_the_audit_tells_who_did_what_and_holds_no_secret(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.add_user("bob", "operator", password=SECRETS[0], now=NOW, **WHO)
    ledger.change_user("bob", {"password": SECRETS[1], "totp": SECRETS[2], "accounts": ("7",)}, now=NOW, **WHO)
    token = ledger.add_token("a" * 64, "bob", "script", "report", service="http", now=NOW, **WHO)
    ledger.revoke_token(token.id, now=NOW, **WHO)
    ledger.add_invitation("b" * 64, "bob", "operator", NOW + 60, now=NOW, **WHO)
    ledger.accept_invitation("b" * 64, "bob", SECRETS[1], now=NOW, **WHO)
    ledger.add_invitation("b" * 64, "", "operator", NOW + 60, now=NOW, **WHO)
    ledger.remove_invitation("b" * 64, now=NOW, **WHO)
    request = ledger.ask_unban("bob", "192.0.2.1", "ssh", "please", now=NOW, **WHO)
    ledger.decide_request(request.id, True, now=NOW, **WHO)
    ledger.remove_user("bob", now=NOW, **WHO)
    entries = ledger.audit_log()
    assert [entry.command for entry in reversed(entries)] == [
        "user add", "user change", "token add", "token revoke", "user invite", "invitation accept", "user invite",
        "invitation withdraw", "unban ask", "unban grant", "user remove",
    ]  # fmt: skip
    assert {(entry.author, entry.origin) for entry in entries} == {("root", "pid 1")}
    text = json.dumps([entry.arguments for entry in entries])
    assert [secret for secret in SECRETS if secret in text] == []
    assert entries[-2].arguments == {"name": "bob", "password": "changed", "totp": "changed", "accounts": ["7"]}
