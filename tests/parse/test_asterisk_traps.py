"""What hides in Asterisk's logs: retransmissions, forged addresses, torn lines, innocent phones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.parser import Parser

Count = Callable[..., list[Event]]
CLIENT, VICTIM = "203.0.113.7", "192.0.2.99"
# What was written before, at a distance: the threads that write there are known.
FILLER = ["[2026-11-21 19:54:01] NOTICE[25501] loader.c: 118 modules will be loaded." + "." * 2000] * 3
STAMP = "[2026-11-21 19:54:{:02d}]"


def pjsip(second: int, reason: str, *, call: str = "abc@x", address: str = CLIENT, sender: str = "<sip:6001@h>") -> str:
    return (
        f"{STAMP.format(second)} NOTICE[25528] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '{sender}' "
        f"failed for '{address}:5060' (callid: {call}) - {reason}"
    )


def security(second: int, event: str, service: str = "PJSIP", *, account: str = "6001", session: str = "abc@x",
             address: str = CLIENT, tail: str = "", transport: str = "UDP") -> str:  # fmt: skip
    return (
        f'{STAMP.format(second)} SECURITY[25564] res_security_log.c: SecurityEvent="{event}",'
        f'EventTV="2026-11-21T19:54:{second:02d}.000+0000",Severity="Error",Service="{service}",EventVersion="1",'
        f'AccountID="{account}",SessionID="{session}",LocalAddress="IPV4/{transport}/198.51.100.1/5060",'
        f'RemoteAddress="IPV4/{transport}/{address}/5071"{tail}'
    )


def iax(second: int, text: str, thread: int = 25546) -> str:
    return f"{STAMP.format(second)} NOTICE[{thread}] chan_iax2.c: {text}"


def failures(events: list[Event]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for event in events:
        if event.failed:
            totals[event.address] = totals.get(event.address, 0) + 1
    return totals


class TestPjsip:
    def test_a_packet_sent_three_times_is_one_attempt(self, count: Count) -> None:
        assert failures(count(*[pjsip(s, "Failed to authenticate") for s in (1, 1, 3)])) == {CLIENT: 1}

    def test_an_answer_sent_three_times_is_one_attempt(self, count: Count) -> None:
        answer = ',Challenge="1/a",Response="defd",ExpectedResponse=""'
        assert failures(count(*[security(s, "ChallengeResponseFailed", tail=answer) for s in (1, 1, 3)])) == {CLIENT: 1}

    def test_two_passwords_in_one_call_id_are_two_attempts(self, count: Count) -> None:
        answers = [f',Challenge="1/a",Response="{response}",ExpectedResponse=""' for response in ("aa", "bb")]
        assert failures(count(*[security(1, "ChallengeResponseFailed", tail=tail) for tail in answers])) == {CLIENT: 2}

    def test_a_phone_with_an_old_password_that_tries_again_each_minute_is_counted_each_time(self, count: Count) -> None:
        assert failures(count(*[pjsip(s, "Failed to authenticate") for s in (1, 31, 59)])) == {CLIENT: 3}

    def test_five_lines_of_a_refused_contact_are_one_attempt(self, count: Count) -> None:
        lines = [pjsip(1, "Not match Endpoint ACL")] * 2 + [pjsip(1, "Failed to authenticate")]
        assert failures(count(*lines)) == {CLIENT: 1}

    def test_rate_limited_reports_count_for_all_the_tries_they_sum_up(self, count: Count) -> None:
        lines = [
            pjsip(s, f"No matching endpoint found after {tries} tries in 1234.567 ms", call=f"c{tries}")
            for s, tries in ((1, 5), (2, 6), (3, 7))
        ]
        assert failures(count(*lines)) == {CLIENT: 7}

    def test_a_challenge_for_an_unknown_account_is_an_attempt(self, count: Count) -> None:
        lines = [
            security(s, "ChallengeSent", account="<unknown>", session=f"c{s}", tail=',Challenge=""') for s in range(9)
        ]
        assert failures(count(*lines)) == {CLIENT: 9}

    def test_a_challenge_answered_well_is_none(self, count: Count) -> None:
        events = count(
            security(1, "ChallengeSent", tail=',Challenge=""'), security(1, "SuccessfulAuth", tail=',UsingPassword="1"')
        )
        assert [event.failed for event in events] == [False]

    def test_a_registered_phone_that_dials_a_wrong_number_is_innocent(self, count: Count) -> None:
        line = (
            f"{STAMP.format(1)} NOTICE[25528] res_pjsip_session.c: Call from '6001' (UDP:{CLIENT}:5060) to extension "
            "'999' rejected because extension not found in context 'internal'."
        )
        assert failures(count(line)) == {}

    def test_a_phone_that_offers_an_expired_nonce_and_then_succeeds_is_innocent(self, count: Count) -> None:
        """It is challenged a second time; there is no failure between."""
        lines = [security(1, "ChallengeSent", tail=f',Challenge="{nonce}"') for nonce in ("1/a", "2/b")]
        events = count(*lines, security(1, "SuccessfulAuth", tail=',UsingPassword="1"'))
        assert [event.failed for event in events] == [False]

    def test_an_old_password_beside_six_good_phones_counts_for_what_it_is(self, count: Count) -> None:
        """The failures are real and of one account, and the successes of the others are told as well."""
        answer = ',Challenge="{0}/a",Response="r{0}",ExpectedResponse=""'
        bad = [
            security(s, "ChallengeResponseFailed", account="6009", session=f"old{s}", tail=answer.format(s))
            for s in (1, 21, 41)
        ]
        good = [security(s, "SuccessfulAuth", account=f"60{s}", session=f"good{s}", tail="") for s in range(10, 16)]
        events = count(*sorted([*bad, *good]))
        assert {event.account for event in events if event.failed} == {"6009"}
        assert (sum(event.failed for event in events), sum(not event.failed for event in events)) == (3, 6)

    def test_a_call_id_that_is_not_utf8_hides_nobody(self, count: Count) -> None:
        """The event vanishes from the security log; the line in `messages` is still there."""
        line = pjsip(1, "Failed to authenticate", call="CALL").encode().replace(b"CALL", b"\xff\xfe\x80'x")
        assert failures(count(line)) == {CLIENT: 1}

    def test_a_display_name_that_is_printed_as_garbage_hides_nobody(self, count: Count) -> None:
        line = pjsip(1, "Failed to authenticate", sender="FROM").encode().replace(b"FROM", b"\xe0\x7f\x01\xb3?")
        assert failures(count(line)) == {CLIENT: 1}

    @pytest.mark.parametrize(
        ("reason", "event", "tail"),
        [
            ("Endpoint 'anonymous' ({0}:5060) has no configured AORs",
             "FailedACL", ',ACLName="registrar_attempt_without_configured_aors"'),
            ("AOR '100' not found for endpoint 'anonymous' ({0}:5060)",
             "RequestNotSupported", ',RequestType="registrar_requested_aor_not_found"'),
        ],
    )  # fmt: skip
    def test_a_registration_that_the_anonymous_endpoint_takes_is_one_attempt(
        self, count: Count, reason: str, event: str, tail: str
    ) -> None:
        """In either log and in both, in any order; of an endpoint that is known it is none."""
        message = f"{STAMP.format(1)} WARNING[25528] res_pjsip_registrar.c: " + reason.format(CLIENT)
        told = security(1, event, account="anonymous", tail=tail)
        for number, lines in enumerate(([message], [told], [told, message], [message, told]), start=6000):
            events = count(*[line.replace("5060)", f"{number})").replace("/5071", f"/{number}") for line in lines])
            assert failures(events) == {CLIENT: 1} and events[0].cause == "unknown account"
        assert failures(count(message.replace("'anonymous'", "'trunk'"))) == {}
        if event == "RequestNotSupported":
            assert failures(count(security(1, event, account="6001", tail=tail))) == {}

    def test_an_account_of_the_anonymous_endpoint_can_name_nobody_else(self, count: Count) -> None:
        """It is printed as it was decoded: with blanks, quotes and line breaks."""
        start = f"{STAMP.format(9)} WARNING[25528] res_pjsip_registrar.c: AOR '"
        lie = f"x' not found for endpoint 'anonymous' ({VICTIM}:5060)"
        end = f"' not found for endpoint 'anonymous' ({CLIENT}:5060)"
        honest = [pjsip(s, "No matching endpoint found", call=f"c{s}") for s in range(3)]
        for account in (lie, f"{lie}\n", f"x\n{start.replace('25528', '4711')}{lie}\n"):
            assert VICTIM not in failures(count(*honest, *FILLER, f"{start}{account}{end}"))

    def test_what_an_access_list_says_of_a_contact_is_not_believed(self, count: Count) -> None:
        """The client chose that address; who sent the request stands in another line."""
        acl, test = "due to a failure to pass ACL 'x'", "did not pass ACL test"
        lines = [
            f"{STAMP.format(1)} NOTICE[25528] acl.c: SIP Contact ACL: Rejecting '{VICTIM}' {acl}",
            f"{STAMP.format(1)} WARNING[8] res_pjsip_acl.c: Incoming SIP contact address {VICTIM}:0 {test}",
            f"{STAMP.format(2)} NOTICE[25528] acl.c: SIP ACL: Rejecting '{CLIENT}' {acl}",
            f"{STAMP.format(2)} WARNING[8] res_pjsip_acl.c: Incoming SIP message from {CLIENT}:5060 {test}",
        ]
        assert failures(count(*lines)) == {CLIENT: 1}

    def test_a_packet_that_the_parser_drops_is_no_attempt(self, count: Count) -> None:
        line = (
            f"{STAMP.format(1)} WARNING[25533] pjproject: \t       sip_transport.c Dropping 456 bytes packet from UDP "
            f"{CLIENT}:36821 : PJSIP syntax error exception when parsing 'From' header on line 4 col 15:"
        )
        assert failures(count(line)) == {}

    def test_a_dumped_packet_can_forge_nothing(self, count: Count) -> None:
        lines = [
            pjsip(1, "Failed to authenticate"),
            *FILLER,
            f"{STAMP.format(2)} WARNING[25533] pjproject: sip_transport.c Dropping 456 bytes from UDP {CLIENT}:5060 :",
            "REGISTER sip:x SIP/2.0",
            pjsip(2, "Failed to authenticate", address=VICTIM, call="f").replace("25528", "31337"),
            "X: y",
            "-- end of packet.",
        ]
        assert failures(count(*lines)) == {CLIENT: 1}


class TestSecurityFields:
    @pytest.mark.parametrize("field", ["account", "session"])
    def test_a_name_that_holds_another_remote_address_names_nobody_else(self, count: Count, field: str) -> None:
        lie = f'x\\",RemoteAddress=\\"IPV4/UDP/{VICTIM}/5060'
        line = security(1, "InvalidAccountID", **{field: lie})
        assert failures(count(line)) == {CLIENT: 1}

    def test_a_response_that_holds_another_remote_address_names_nobody_else(self, count: Count) -> None:
        tail = f',Challenge="1/a",Response="\\",RemoteAddress=\\"IPV4/UDP/{VICTIM}/5060",ExpectedResponse=""'
        assert failures(count(security(1, "ChallengeResponseFailed", tail=tail))) == {CLIENT: 1}

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=60), st.text(max_size=60))
    def test_no_name_yields_another_address(self, account: str, session: str) -> None:
        """Asterisk escapes quotes and backslashes; whatever else stands there, the address is the client's."""
        escaped = [
            text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "").replace("\r", "")
            for text in (account, session)
        ]
        parser = Parser(CATALOGUE, zone=UTC)
        line = security(1, "InvalidAccountID", account=escaped[0], session=escaped[1])
        events = parser.attempts.feed(
            parser.reader("log", reference=1.8e9).read(line.encode("utf-8", "replace") + b"\n", 1)
        )
        assert [event.address for event in events] == [CLIENT]


class TestChanSip:
    def challenge(self, second: int, account: str, token: str, address: str = CLIENT, session: str = "0x7f") -> str:
        return security(
            second,
            "ChallengeSent",
            "SIP",
            account=account,
            session=session,
            address=address,
            tail=f',Challenge="{token}"',
        )

    def wrong(self, second: int, token: str, address: str = CLIENT) -> str:
        tail = f',Challenge="{token}",ReceivedChallenge="{token}",ReceivedHash="aa"'
        return security(second, "InvalidPassword", "SIP", account="7001", session="0x7f", address=address, tail=tail)

    def test_a_wrong_answer_to_a_challenge_is_an_attempt(self, count: Count) -> None:
        assert failures(count(self.challenge(1, "7001", "aa"), self.wrong(1, "aa"))) == {CLIENT: 1}

    def test_an_answer_reported_under_an_address_that_was_never_challenged_is_not_believed(self, count: Count) -> None:
        """`Via: …;maddr=` makes Asterisk name another address than the one the challenge went to."""
        assert failures(count(self.challenge(1, "7001", "aa"), self.wrong(1, "aa", VICTIM))) == {}

    def test_a_scan_that_offers_no_password_is_found_by_its_many_accounts(self, count: Count) -> None:
        lines = [self.challenge(s, str(300 + s), f"t{s}", session=f"0x{s}") for s in range(6)]
        lines = [line.replace("/5071", f"/{6000 + s}") for s, line in enumerate(lines)]
        assert failures(count(*lines)) == {CLIENT: 6}

    def test_thirty_phones_that_register_again_at_once_are_innocent(self, count: Count) -> None:
        sent = [self.challenge(1, str(100 + n), f"t{n}").replace("/5071", f"/{6000 + n}") for n in range(30)]
        good = [
            security(
                4, "SuccessfulAuth", "SIP", account=str(100 + n), session="0x7f", tail=',UsingPassword="1"'
            ).replace("/5071", f"/{6000 + n}")
            for n in range(30)
        ]
        assert failures(count(*sent, *good)) == {}

    def test_calls_that_were_challenged_and_then_put_through_are_innocent(self, count: Count) -> None:
        assert (
            failures(
                count(*[self.challenge(s, "sip:7001@h", f"t{s}").replace("/5071", f"/{6000 + s}") for s in range(20)])
            )
            == {}
        )

    def test_a_guest_call_is_an_attempt_but_a_phones_wrong_number_is_not(self, count: Count) -> None:
        refused = security(2, "FailedACL", "SIP", account="90114420", tail=',ACLName="no_extension_match"')
        assert failures(count(refused)) == {CLIENT: 1}

    def test_after_a_challenge_a_wrong_number_is_no_attempt(self, count: Count) -> None:
        refused = security(2, "FailedACL", "SIP", account="999", tail=',ACLName="no_extension_match"')
        assert failures(count(self.challenge(1, "sip:7001@h", "aa"), refused)) == {}

    def test_a_phone_that_offers_an_expired_nonce_and_then_succeeds_is_innocent(self, count: Count) -> None:
        stale = ',Challenge="bb",ReceivedChallenge="aa",ReceivedHash="cc"'
        lines = [
            self.challenge(1, "7001", "aa"),
            security(1, "InvalidPassword", "SIP", account="7001", session="0x7f", tail=stale),
            self.challenge(1, "7001", "bb"),
            security(2, "SuccessfulAuth", "SIP", account="7001", session="0x7f", tail=',UsingPassword="1"'),
        ]
        assert failures(count(*lines)) == {}

    def test_a_registered_phone_that_dials_a_wrong_number_is_innocent_in_both_logs(self, count: Count) -> None:
        """chan_sip adds FailedACL to it, as if it were a guest."""
        refused = security(1, "FailedACL", "SIP", account="999", tail=',ACLName="no_extension_match"')
        line = (
            f"{STAMP.format(1)} NOTICE[25559][C-00000003] chan_sip.c: Call from '7001' ({CLIENT}:5071) to extension "
            "'999' rejected because extension not found in context 'internal'."
        )
        assert failures(count(line, refused)) == {}

    def test_the_address_of_a_client_that_lies_by_maddr_is_not_believed_where_messages_are_read(
        self, count: Count
    ) -> None:
        honest = f"{STAMP.format(1)} NOTICE[25559] chan_sip.c: Registration from '<sip:7001@h>' failed for '{CLIENT}:5060' - Wrong password"  # noqa: E501
        told = [
            security(2, event, "SIP", account="7001", session="0x9", address=VICTIM, tail=tail)
            for event, tail in (
                ("InvalidAccountID", ""),
                ("FailedACL", ',ACLName="device_must_match_acl"'),
                ("FailedACL", ',ACLName="no_extension_match"'),
                ("InvalidTransport", ',Transport="UDP"'),
                ("UnexpectedAddress", ',ExpectedAddress="IPV4/UDP/198.51.100.9/5060"'),
                ("ChallengeResponseFailed", ',Challenge="a",Response="b",ExpectedResponse="c"'),
            )
        ]
        assert VICTIM not in failures(count(honest, *told))


class TestManager:
    """AMI: what is asked for before any login, and by users that are logged in."""

    @pytest.mark.parametrize(
        ("event", "account", "tail", "cause"),
        [
            ("InvalidPassword", "admin", "", "wrong password"),
            ("InvalidAccountID", "admin", "", "unknown account"),
            ("ChallengeResponseFailed", "admin", ',Challenge="1",Response="2",ExpectedResponse="3"', "wrong password"),
            ("FailedACL", "admin", ',ACLName="x"', "refused by acl"),
            ("AuthMethodNotAllowed", "admin", ',AuthMethod="plain"', "forbidden"),
            ("UnexpectedAddress", "admin", ',ExpectedAddress="IPV4/TCP/198.51.100.9/5038"', "forbidden"),
            ("SessionLimit", "", "", "too many attempts"),
            ("RequestNotAllowed", "", ',RequestType="Action: Command"', "forbidden"),
            ("RequestNotAllowed", "monitor", ',RequestType="Action: Command",RequestParams="x"', ""),
            ("RequestNotSupported", "monitor", ',RequestType="Action: X"', ""),
            ("MemoryLimit", "admin", "", ""),
            ("LoadAverageLimit", "admin", "", ""),
            ("ChallengeSent", "admin", ',Challenge="1"', ""),
        ],
    )
    def test_each_event_of_the_security_log_has_its_cause(
        self, count: Count, event: str, account: str, tail: str, cause: str
    ) -> None:
        events = count(security(1, event, "AMI", account=account, transport="TCP", tail=tail))
        assert [(each.service, each.cause, each.proven) for each in events] == ([("ami", cause, True)] if cause else [])

    def test_a_request_that_is_none_has_no_account(self, count: Count) -> None:
        line = security(1, "RequestBadFormat", "AMI", transport="TCP", tail=',RequestType="Action: "')
        events = count(line.replace('AccountID="6001",', ""))
        assert [(each.address, each.cause) for each in events] == [(CLIENT, "protocol abuse")]

    def test_a_login_is_one_attempt_in_both_logs(self, count: Count) -> None:
        """Three lines in `messages` and one event in the security log of one login that an access list refuses."""
        acl = "due to a failure to pass ACL '(BASELINE)'"
        lines = [
            f"{STAMP.format(1)} NOTICE[3] acl.c: Manager User ACL: Rejecting '{CLIENT}' {acl}",
            f"{STAMP.format(1)} NOTICE[3] manager.c: {CLIENT} failed to pass IP ACL as 'admin'",
            f"{STAMP.format(1)} NOTICE[3] manager.c: {CLIENT} failed to authenticate as 'admin'",
            security(1, "FailedACL", "AMI", account="admin", transport="TCP"),
        ]
        for order in (lines, lines[::-1]):
            assert failures(count(*order)) == {CLIENT: 1}


class TestIax:
    """What chan_iax2 says with `authdebug=yes`; it has no events in the security log."""

    @pytest.mark.parametrize(
        ("lines", "cause"),
        [
            (["No registration for peer '900' (from {0})"] * 2, "unknown account"),
            (["Host {0} failed MD5 authentication for '900' (aa != bb)"], "wrong password"),
            (["Host {0} did not provide proper plaintext password for '900'"], "wrong password"),
            (["Host {0} failed RSA authentication with inkeys 'key'"], "wrong password"),
            (["Host {0} denied access to register peer '900'"], "refused by acl"),
            (["Peer '900' is not dynamic (from {0})"], "forbidden"),
            (["Host {0}:4569 failed to authenticate as 900"], "wrong password"),
            (["Rejected connect attempt from {0}, who was trying to reach '900@'"], "forbidden"),
            (["Rejected connect attempt from {0}, request '900@default' does not exist"], "forbidden"),
        ],
    )
    def test_each_refusal_is_one_attempt_with_its_cause(self, count: Count, lines: list[str], cause: str) -> None:
        events = count(*[iax(1, line.format(CLIENT)) for line in lines])
        assert [(each.service, each.address, each.cause) for each in events] == [("iax", CLIENT, cause)]


class TestBlocks:
    def test_a_break_reaches_as_far_into_the_next_block_as_within_its_own(self, parser: Parser) -> None:
        reader = parser.reader("log", reference=1.8e9)
        first = iax(1, f"No registration for peer '0' (from {VICTIM})", thread=4711)
        near = iax(1, f"No registration for peer '1' (from {VICTIM})", thread=4711)
        far = iax(2, f"No registration for peer '2' (from {CLIENT})")
        assert reader.read(f"{first}\nbare\n".encode(), 1) == []
        found = reader.read(f"{near}\n{FILLER[0]}\n{far}\n".encode(), 3)
        assert [event.address for event in found] == [CLIENT]


class TestLineBreaks:
    """A client writes line breaks: whole lines of its own choice appear."""

    def test_a_forged_line_is_dropped_and_the_torn_one_names_its_true_author(self, count: Count) -> None:
        lines = [
            iax(1, f"No registration for peer '900' (from {CLIENT})"),
            *FILLER,
            iax(2, "No registration for peer 'x"),
            iax(2, f"No registration for peer '901' (from {VICTIM})", thread=4711),
            f"' (from {CLIENT})",
            iax(20, f"No registration for peer '902' (from {CLIENT})"),
        ]
        found = failures(count(*lines))
        assert VICTIM not in found
        assert found[CLIENT] == 3

    def test_a_line_that_is_whole_only_thanks_to_the_client_is_not_believed(self, count: Count) -> None:
        lines = [
            *[iax(s, f"Host {CLIENT} failed MD5 authentication for '8001' (aa != bb)") for s in range(3)],
            *FILLER,
            iax(30, f"No registration for peer 'a' (from {VICTIM})"),
            f"junk' (from {CLIENT})",
        ]
        found = failures(count(*lines))
        assert VICTIM not in found
        assert found[CLIENT] == 4

    def test_a_whole_forged_line_behind_a_name_at_the_end_of_a_line_is_not_believed(self, count: Count) -> None:
        lines = [
            *[iax(s, f"Host {CLIENT}:4569 failed to authenticate as 910") for s in range(1, 4)],
            iax(9, f"No registration for peer '900' (from {VICTIM})", thread=4711),
        ]
        assert VICTIM not in failures(count(*lines))

    def test_manager_logins_over_http_can_forge_nothing(self, count: Count) -> None:
        lines = [
            f"{STAMP.format(1)} NOTICE[31008] manager.c: {CLIENT} tried to authenticate with nonexistent user 'x",
            f"{STAMP.format(1)} NOTICE[1] manager.c: {VICTIM} failed to authenticate as 'admin'",
            "'",
        ]
        assert VICTIM not in failures(count(*lines))


CATALOGUE: Catalogue = load_catalogue()
