"""The commands about people, on a real ledger and guard in monitor mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ringfence.answers import BanRow
from ringfence.commands import Commands
from ringfence.control import Caller, Request, Table, command
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.people_answers import UserRow
from ringfence.people_commands import MOST_ACCOUNTS, MOST_ASKED, MOST_TOKENS, PeopleCommands, sha256
from test_commands import ROOT, Desk

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
OTHER = HASH + "x"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("ringfence.whitelist.own_addresses", lambda: frozenset({"192.0.2.250"}))
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def people(desk: Desk) -> PeopleCommands:
    return PeopleCommands(desk.guard)


def by(name: str) -> Caller:
    """A user of the page."""
    return Caller(user=f"{name}@web")


class TestUsers:
    def test_a_name_is_the_same_in_upper_and_lower_case(self, people: PeopleCommands) -> None:
        assert people.add_user(ROOT, name="Ann.Lee@Example.org", role="viewer").name == "ann.lee@example.org"
        with pytest.raises(RefusedError, match="already"):
            people.add_user(ROOT, name="ANN.LEE@example.ORG", role="administrator")
        assert people.change_user(ROOT, name="Ann.LEE@example.org", role="operator").role == "operator"
        people.remove_user(ROOT, name="ann.lee@EXAMPLE.org")
        assert people.users(ROOT) == []

    @pytest.mark.parametrize(
        "name", ["", "a" * 65, "a b", "ann\n", "<b>", "ann/..", "\u0430nn", "a\u202eb", "a'b", "\u212aen"]
    )
    def test_what_is_no_name_is_refused(self, people: PeopleCommands, name: str) -> None:
        with pytest.raises(RingfenceError, match="name is 1 to 64"):
            people.add_user(ROOT, name=name, role="viewer")

    @pytest.mark.parametrize("hash", ["secret", "$argon2i$x", "$2b$12$abc", "$argon2id$", "$argon2id$a b", HASH + "\n"])
    def test_a_password_that_is_no_argon2id_hash_is_never_stored(self, people: PeopleCommands, hash: str) -> None:
        with pytest.raises(RingfenceError, match="argon2id"):
            people.add_user(ROOT, name="ann", role="viewer", password_hash=hash)
        assert people.users(ROOT) == []

    def test_no_answer_and_no_line_of_the_guard_holds_a_hash(self, desk: Desk, people: PeopleCommands) -> None:
        row = people.add_user(ROOT, name="ann", role="viewer", password_hash=HASH)
        people.change_user(ROOT, name="ann", password_hash=OTHER, totp="JBSWY3DPEHPK3PXP")
        assert row.has_password and people.users(ROOT)[0].has_totp
        text = repr(people.users(ROOT)) + repr(desk.said)
        assert "argon2id" not in text and "JBSWY3DP" not in text

    def test_accounts_are_kept_once_each_and_bounded(self, people: PeopleCommands) -> None:
        row = people.add_user(ROOT, name="bob", role="holder", accounts=["100", " 100 ", "sip:bob@example.org"])
        assert row.accounts == ("100", "sip:bob@example.org")
        for accounts in ([""], ["a" * 257], ["a\nb"], [str(n) for n in range(MOST_ACCOUNTS + 1)]):
            with pytest.raises(RingfenceError):
                people.change_user(ROOT, name="bob", accounts=accounts)
        assert people.change_user(ROOT, name="bob", accounts=[]).accounts == ()

    def test_a_change_that_changes_nothing_or_nobody_is_said(self, people: PeopleCommands) -> None:
        with pytest.raises(NotFoundError, match="no user 'bob'"):
            people.change_user(ROOT, name="bob", may_ask=True)
        people.add_user(ROOT, name="bob", role="holder")
        with pytest.raises(RingfenceError, match="say what"):
            people.change_user(ROOT, name="bob")

    @pytest.mark.parametrize("last", ["remove", "demote", "disable", "no password"])
    def test_the_last_administrator_who_can_log_in_stays(self, people: PeopleCommands, last: str) -> None:
        """One who is disabled or has no password yet could not take over."""
        people.add_user(ROOT, name="ann", role="administrator", password_hash=HASH)
        people.add_user(ROOT, name="new", role="administrator")
        people.add_user(ROOT, name="off", role="administrator", password_hash=HASH)
        people.change_user(ROOT, name="off", disabled=True)

        def end() -> object:
            if last == "remove":
                return people.remove_user(ROOT, name="ann")
            if last == "demote":
                return people.change_user(ROOT, name="ann", role="operator")
            if last == "disable":
                return people.change_user(ROOT, name="ann", disabled=True)
            return people.change_user(ROOT, name="ann", password_hash="")

        with pytest.raises(RefusedError, match="last administrator"):
            end()
        assert people.change_user(ROOT, name="ann", password_hash=OTHER).role == "administrator"
        people.change_user(ROOT, name="new", password_hash=HASH)
        end()

    def test_an_administrator_without_a_password_can_be_removed_beside_another(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="ann", role="administrator", password_hash=HASH)
        people.add_user(ROOT, name="typo", role="administrator")
        people.remove_user(ROOT, name="typo")
        with pytest.raises(RefusedError):
            people.remove_user(ROOT, name="ann")

    def test_the_list_tells_how_many_tokens_hold_and_which_link_waits(self, desk: Desk, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        people.add_token(ROOT, user="bob", label="one", scope="read", seconds=60)
        people.add_token(ROOT, user="bob", label="two", scope="write")
        people.invite(ROOT, name="bob", seconds=60)
        (row,) = people.users(ROOT)
        assert row.tokens == 2 and row.link_until is not None
        desk.now += 61
        (row,) = people.users(ROOT)
        assert row.tokens == 1 and row.link_until is None


class TestLinks:
    def test_a_link_makes_one_user_once(self, people: PeopleCommands) -> None:
        link = people.invite(ROOT)
        assert (link.name, link.role) == ("", "administrator") and len(link.secret) >= 43
        given = {"secret_hash": sha256(link.secret), "password_hash": HASH}
        user = people.accept_invitation(by(""), name="Ann", **given)
        assert (user.name, user.role, user.has_password) == ("ann", "administrator", True)
        with pytest.raises(NotFoundError, match="does not hold"):
            people.accept_invitation(by(""), name="eve", **given)

    def test_the_secret_itself_is_nowhere_in_the_ledger(self, desk: Desk, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        secrets = [people.invite(ROOT).secret, people.add_token(ROOT, user="bob", label="x", scope="read").secret]
        files = b"".join(path.read_bytes() for path in desk.process.folder.glob("ringfence.db*"))
        assert [secret for secret in secrets if secret.encode() in files] == []
        assert "".join(desk.said).find(secrets[0]) < 0

    def test_a_link_ends(self, desk: Desk, people: PeopleCommands) -> None:
        link = people.invite(ROOT, seconds=60)
        desk.now += 60
        with pytest.raises(NotFoundError, match="ask for a new one"):
            people.accept_invitation(by(""), secret_hash=sha256(link.secret), name="ann", password_hash=HASH)
        assert people.invitations(ROOT) == [] and people.users(ROOT) == []

    @pytest.mark.parametrize("seconds", [0, -1, 59, 31 * 86_400, float("nan"), float("inf")])
    def test_a_link_can_not_hold_for_ever(self, people: PeopleCommands, seconds: float) -> None:
        with pytest.raises(RingfenceError, match="a link holds from"):
            people.invite(ROOT, seconds=seconds)

    @pytest.mark.parametrize("hash", ["", "a" * 64, "A" * 64, "%", "\ud800"])
    def test_a_guessed_link_opens_nothing(self, people: PeopleCommands, hash: str) -> None:
        people.invite(ROOT)
        with pytest.raises(NotFoundError, match="does not hold"):
            people.accept_invitation(by(""), secret_hash=hash, name="eve", password_hash=HASH)

    def test_a_link_for_anybody_can_not_take_over_somebody(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="ann", role="administrator", password_hash=HASH)
        link = people.invite(ROOT, role="viewer")
        with pytest.raises(RefusedError, match="taken"):
            people.accept_invitation(by(""), secret_hash=sha256(link.secret), name="ANN", password_hash=OTHER)
        people.accept_invitation(by(""), secret_hash=sha256(link.secret), name="eve", password_hash=OTHER)
        assert {row.name: row.role for row in people.users(ROOT)} == {"ann": "administrator", "eve": "viewer"}

    def test_a_link_for_one_user_is_for_nobody_else_and_gives_no_other_role(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="viewer")
        link = people.invite(ROOT, name="Bob")
        assert (link.name, link.role) == ("bob", "viewer")
        given = {"secret_hash": sha256(link.secret), "password_hash": HASH}
        with pytest.raises(RefusedError, match="for bob"):
            people.accept_invitation(by(""), name="eve", **given)
        with pytest.raises(RingfenceError, match="hash is missing"):
            people.accept_invitation(by(""), name="bob", secret_hash=given["secret_hash"], password_hash="")
        assert people.accept_invitation(by(""), name="bob", **given).role == "viewer"

    def test_whoever_is_disabled_can_not_come_back_by_a_link(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="ann", role="administrator", password_hash=HASH)
        people.add_user(ROOT, name="eve", role="administrator", password_hash=HASH)
        own, other = people.invite(ROOT, name="eve"), people.invite(by("eve"))
        people.change_user(ROOT, name="eve", disabled=True)
        with pytest.raises(RefusedError, match="disabled"):
            people.invite(ROOT, name="eve")
        for link, name in ((own, "eve"), (other, "eve2")):
            with pytest.raises(NotFoundError):
                people.accept_invitation(by(""), secret_hash=sha256(link.secret), name=name, password_hash=HASH)

    def test_a_link_can_be_withdrawn_by_a_number_that_opens_nothing(self, people: PeopleCommands) -> None:
        link = people.invite(ROOT)
        (row,) = people.invitations(ROOT)
        assert row.id in sha256(link.secret) and len(row.id) < 64
        people.withdraw_invitation(ROOT, id=row.id)
        with pytest.raises(NotFoundError):
            people.withdraw_invitation(ROOT, id=row.id)
        with pytest.raises(NotFoundError):
            people.accept_invitation(by(""), secret_hash=sha256(link.secret), name="eve", password_hash=HASH)


class TestTokens:
    def test_a_token_is_found_by_its_secret_until_it_is_revoked(self, desk: Desk, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        made = people.add_token(ROOT, user="Bob", label=" branch office ", scope="write", seconds=3600)
        assert made.secret.startswith("rf_") and made.label == "branch office"
        token = desk.guard.ledger.token_by_hash(sha256(made.secret))
        assert token is not None and token.holds(desk.now) and not token.holds(desk.now + 3600)
        assert "revoked" in people.revoke_token(ROOT, id=made.id).message
        assert "already" in people.revoke_token(ROOT, id=made.id).message
        (row,) = people.tokens(ROOT)
        assert not row.holds and row.revoked is not None

    @pytest.mark.parametrize("role", ["viewer", "holder"])
    def test_who_may_only_look_gets_tokens_that_only_look(self, people: PeopleCommands, role: str) -> None:
        people.add_user(ROOT, name="bob", role=role)  # type: ignore[arg-type]
        with pytest.raises(RefusedError, match="can only read"):
            people.add_token(ROOT, user="bob", label="x", scope="write")
        with pytest.raises(RefusedError, match="can only read"):
            people.add_token(ROOT, user="bob", label="x", scope="report", service="ssh")
        assert people.add_token(ROOT, user="bob", label="x", scope="read").scope == "read"

    def test_a_token_that_reports_needs_a_service_that_there_is(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        for service in ("", "*", "nonsense"):
            with pytest.raises(RingfenceError, match="needs the service"):
                people.add_token(ROOT, user="bob", label="x", scope="report", service=service)
        with pytest.raises(RingfenceError, match="belongs to scope report"):
            people.add_token(ROOT, user="bob", label="x", scope="read", service="ssh")
        assert people.add_token(ROOT, user="bob", label="x", scope="report", service="http").service == "http"

    def test_tokens_are_bounded_and_a_revoked_one_makes_room(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        for _ in range(MOST_TOKENS):
            last = people.add_token(ROOT, user="bob", label="x", scope="read")
        with pytest.raises(RefusedError, match="100 tokens"):
            people.add_token(ROOT, user="bob", label="x", scope="read")
        people.revoke_token(ROOT, id=last.id)
        people.add_token(ROOT, user="bob", label="x", scope="read")

    @pytest.mark.parametrize("label", ["", "  ", "x" * 101, "a\x1b[31m", "a\u202eb", "a\nb"])
    def test_a_label_is_plain_text(self, people: PeopleCommands, label: str) -> None:
        people.add_user(ROOT, name="bob", role="operator")
        with pytest.raises(RingfenceError, match="a label"):
            people.add_token(ROOT, user="bob", label=label, scope="read")

    @pytest.mark.parametrize("number", [0, -1, 7, 1 << 70])
    def test_a_number_that_nobody_has_is_not_found(self, people: PeopleCommands, number: int) -> None:
        with pytest.raises(NotFoundError):
            people.revoke_token(ROOT, id=number)
        with pytest.raises(NotFoundError):
            people.decide_request(ROOT, id=number, grant=True)


class TestRequests:
    @pytest.fixture(autouse=True)
    def bob(self, desk: Desk, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob", role="holder", accounts=["100"], may_ask=True)
        desk.commands.ban(ROOT, target="192.0.2.7", service="sip")
        desk.commands.ban(ROOT, target="192.0.2.7", service="ssh")

    def test_a_holder_asks_and_granting_lifts_that_ban(self, desk: Desk, people: PeopleCommands) -> None:
        asked = people.ask_unban(by("bob"), target="192.0.2.7", service="sip", reason="a new telephone\nsorry")
        assert (asked.user, asked.decided) == ("bob", None) and people.requests(ROOT) == [asked]
        answer = people.decide_request(by("ann"), id=asked.id, grant=True)
        assert answer.request.granted and answer.request.decider == "ann@web"
        assert [(row.target, row.service) for row in answer.lifted] == [("192.0.2.7", "sip")]
        assert [row.service for row in desk.commands.bans(ROOT).rows] == ["ssh"]
        assert people.requests(ROOT) == [] and len(people.requests(ROOT, open_only=False)) == 1
        with pytest.raises(RefusedError, match="granted already, by ann@web"):
            people.decide_request(ROOT, id=asked.id, grant=False)

    def test_refusing_leaves_the_ban(self, desk: Desk, people: PeopleCommands) -> None:
        asked = people.ask_unban(by("bob"), target="192.0.2.7", service="sip", reason="please")
        answer = people.decide_request(ROOT, id=asked.id, grant=False)
        assert not answer.request.granted and answer.lifted == []
        assert len(desk.commands.bans(ROOT).rows) == 2

    def test_asked_twice_it_is_one_request_and_there_is_an_end_to_asking(
        self, desk: Desk, people: PeopleCommands
    ) -> None:
        first = people.ask_unban(by("bob"), target="192.0.2.7", service="sip", reason="please")
        assert people.ask_unban(by("bob"), target="192.0.2.7", service="sip", reason="please!") == first
        for _ in range(MOST_ASKED - 1):
            people.decide_request(ROOT, id=people.requests(ROOT)[0].id, grant=False)
            people.ask_unban(by("bob"), target="192.0.2.7", service="sip", reason="please")
        with pytest.raises(RefusedError, match="20 times"):
            people.ask_unban(by("bob"), target="192.0.2.7", service="ssh", reason="please")
        people.decide_request(ROOT, id=people.requests(ROOT)[0].id, grant=False)
        desk.now += 86_401
        people.ask_unban(by("bob"), target="192.0.2.7", service="ssh", reason="please")

    def test_an_address_within_a_banned_prefix_asks_for_that_ban(self, desk: Desk, people: PeopleCommands) -> None:
        desk.commands.ban(ROOT, target="2001:db8::/64", service="sip")
        asked = people.ask_unban(by("bob"), target="2001:db8::5", service="sip", reason="please")
        assert asked.target == "2001:db8::/64"

    def test_who_may_not_ask_is_refused(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="eve", role="holder")
        people.add_user(ROOT, name="vic", role="viewer")
        people.change_user(ROOT, name="bob", disabled=True)
        for caller in (by("eve"), by("vic"), by("bob"), by("nobody"), ROOT):
            with pytest.raises(RefusedError):
                people.ask_unban(caller, target="192.0.2.7", service="sip", reason="please")

    def test_a_user_whose_name_ends_like_the_page_is_still_only_themself(self, people: PeopleCommands) -> None:
        people.add_user(ROOT, name="bob@web", role="holder")
        with pytest.raises(RefusedError, match="bob@web may not ask"):
            people.ask_unban(by("bob@web"), target="192.0.2.7", service="sip", reason="please")

    @pytest.mark.parametrize(
        ("target", "service", "reason"),
        [("192.0.2.8", "sip", "x"), ("192.0.2.7", "iax", "x"), ("nonsense", "sip", "x"), ("192.0.2.7", "sip", " "),
         ("192.0.2.7", "sip", "x" * 1001), ("192.0.2.7", "sip", "\x1b[2J")],
    )  # fmt: skip
    def test_what_is_not_banned_or_no_reason_is_refused(
        self, people: PeopleCommands, target: str, service: str, reason: str
    ) -> None:
        with pytest.raises(RingfenceError):
            people.ask_unban(by("bob"), target=target, service=service, reason=reason)
        assert people.requests(ROOT) == []


def test_one_table_offers_the_commands_of_all_objects(desk: Desk, people: PeopleCommands) -> None:
    table = Table(desk.commands, people)
    row = table.do(Request("add_user", msgspec.Raw(b'{"name": "ann", "role": "viewer"}')), ROOT)
    assert isinstance(row, UserRow)
    ban = table.do(Request("ban", msgspec.Raw(b'{"target": "192.0.2.9"}')), ROOT).ban
    assert isinstance(ban, BanRow)
    with pytest.raises(RingfenceError, match="role"):
        table.do(Request("add_user", msgspec.Raw(b'{"name": "eve", "role": "god"}')), ROOT)


def test_two_commands_of_one_name_are_an_error_at_start(desk: Desk) -> None:
    class Twin:
        @command
        def ban(self, caller: Caller) -> None: ...

    with pytest.raises(ValueError, match="ban is there twice"):
        Table(Commands(desk.guard), Twin())
