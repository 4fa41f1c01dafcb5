"""What holds for every kind of server that we ship: one vocabulary, provenance, and no kind that hides another."""

from __future__ import annotations

import tomllib
from datetime import UTC
from importlib import resources

import pytest

from ringfence.parse.catalogue import Catalogue, Kind, Pattern, check_examples, load_catalogue
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader

CAUSES = {
    "wrong password", "unknown account", "no credentials", "refused by acl", "too many attempts", "protocol abuse",
    "probe", "forbidden",
}  # fmt: skip
SERVICES = {
    "ssh", "telnet", "sip", "iax", "ami", "smtp", "pop3", "imap", "http", "ftp", "web", "vpn", "mysql", "postgresql",
    "mongodb", "redis", "ldap", "proxy", "login", "esl", "turn", "sieve", "lmtp",
}  # fmt: skip
WITHOUT_CAUSE = {"own"}
"""Applications name the causes of what they report themselves."""

CATALOGUE = load_catalogue()
KINDS = sorted(CATALOGUE.kinds.values(), key=lambda kind: kind.name)
PATTERNS = CATALOGUE.patterns()
MATCHER = Matcher(PATTERNS)


def name(one: Kind | Pattern) -> str:
    return one.name if isinstance(one, Kind) else one.id


def test_every_example_of_every_kind_comes_out_as_told() -> None:
    assert CATALOGUE.problems == ()
    assert check_examples(CATALOGUE) == []


@pytest.mark.parametrize("pattern", [one for one in PATTERNS if one.kind not in WITHOUT_CAUSE], ids=name)
def test_a_cause_has_one_name_across_all_services(pattern: Pattern) -> None:
    if pattern.failed and pattern.attempt not in ("none", "opens") and "{cause" not in pattern.template:
        assert pattern.cause in CAUSES
    assert pattern.service in SERVICES


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_a_kind_says_what_it_was_tried_on_and_where_its_server_logs(kind: Kind) -> None:
    assert kind.tested or kind.name in WITHOUT_CAUSE
    assert kind.logs or kind.identifiers


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_a_kind_that_was_not_run_says_where_each_line_comes_from(kind: Kind) -> None:
    if kind.tested.endswith("not run here"):
        assert all(example.origin for pattern in kind.patterns for example in pattern.examples)


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_every_service_of_a_kind_has_ports_that_a_ban_closes(kind: Kind) -> None:
    services = {pattern.service for pattern in kind.patterns} - {"", "login"}
    assert all(CATALOGUE.services[service].ports for service in services)


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_a_line_reads_the_same_when_its_address_and_time_are_known_already(pattern: Pattern) -> None:
    """What was seen before is read by a shorter way; both must say the same."""
    for example in pattern.examples:
        reader = Reader("log", MATCHER, zone=UTC, reference=1.8e9)
        data = example.line.encode() + b"\n"
        first, second, third = (reader.read(data, 1) for _ in range(3))
        assert first and first == second == third


def test_files_are_named_after_their_kinds() -> None:
    """So that who looks for a kind finds its file."""
    for file in resources.files("ringfence.catalogue").iterdir():
        if file.name.endswith(".toml"):
            assert tomllib.loads(file.read_text("utf-8"))["kind"] == file.name.removesuffix(".toml")


def test_the_order_of_kinds_does_not_decide_who_takes_an_example() -> None:
    """No line of one server is taken by a pattern of another, whichever is asked first."""
    backwards = Catalogue(kinds=dict(reversed(list(CATALOGUE.kinds.items()))), services=CATALOGUE.services, problems=())
    assert check_examples(backwards) == []


def test_no_fragment_is_so_common_that_an_ordinary_log_is_full_of_it() -> None:
    """What lines are found by must not stand in the lines of a quiet machine: each such place costs a look."""
    quiet = b"".join(
        line.encode() + b"\n"
        for line in (
            "Nov 21 20:34:50 pbx CRON[77]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            "Nov 21 20:34:50 pbx systemd[1]: Started session-5.scope - Session 5 of User operator.",
            "Nov 21 20:34:50 pbx kernel: [12.5] [UFW AUDIT] IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 LEN=60 PROTO=TCP",
            "Nov 21 20:34:50 pbx postfix/smtp[77]: 4X: to=<u@example.org>, relay=mx[192.0.2.8]:25, status=sent (250)",
            '203.0.113.7 - - [21/Nov/2026:20:34:50 +0000] "GET /index.html HTTP/1.1" 200 5124 "-" "Mozilla/5.0"',
            "[2026-11-21 20:34:50] VERBOSE[77][C-0000001f] app_dial.c: Called PJSIP/6001",
        )
    )
    found = [MATCHER.candidates()[index][0].pattern.id for _, index in MATCHER.find(quiet)]
    assert found == []
