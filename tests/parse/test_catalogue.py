"""Catalogue files: users add and override kinds of servers; what is wrong is told, and the rest goes on working."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue, check_examples, load_catalogue
from ringfence.parse.parser import Parser

CLIENT = "203.0.113.7"
DOOR = """\
kind = "door"
title = "The door"
service = "door"
envelope = "syslog"
programs = ["doord"]
logs = ["/var/log/door.log"]
units = ["doord.service"]

[services]
door = ["7000/tcp", "7001-7005/udp", "22"]

[[pattern]]
name = "refused"
template = 'refused {account} at {address}'
cause = "wrong key"
examples = [
  { line = "Nov 21 20:34:50 pbx doord[7]: refused bob at 203.0.113.7", address = "203.0.113.7", account = "bob", cause = "wrong key" },
]
counter_examples = ["Nov 21 20:34:50 pbx doord[7]: refused bob at home"]
"""  # noqa: E501
REFUSED = f"Nov 21 20:34:50 pbx doord[7]: refused bob at {CLIENT}\n"
SSH = f"Nov 21 20:34:50 pbx sshd[7]: Failed password for bob from {CLIENT} port 5 ssh2\n"


def load(folder: Path, *texts: str | bytes) -> Catalogue:
    for number, text in enumerate(texts):
        (folder / f"{number}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_catalogue([folder])


def read(catalogue: Catalogue, text: str) -> list[Event]:
    return Parser(catalogue, zone=UTC).reader("log", reference=1.8e9).read(text.encode(), 1)


def test_every_example_of_the_built_in_kinds_comes_out_as_told(catalogue: Catalogue) -> None:
    assert catalogue.problems == ()
    assert {"ssh-openssh", "sip-asterisk", "sip-kamailio", "own"} <= set(catalogue.kinds)
    assert check_examples(catalogue) == []


def test_the_services_have_their_ports(catalogue: Catalogue) -> None:
    assert catalogue.services["ssh"].ports == (("tcp", 22, 22),)
    assert ("udp", 5060, 5061) in catalogue.services["sip"].ports
    assert {"sip", "iax", "ami", "ssh"} <= set(catalogue.services)


class TestUserFiles:
    def test_a_file_adds_a_kind(self, tmp_path: Path) -> None:
        catalogue = load(tmp_path, DOOR)
        assert catalogue.problems == ()
        assert check_examples(catalogue) == []
        kind = catalogue.kinds["door"]
        assert (kind.title, kind.logs, kind.units) == ("The door", ("/var/log/door.log",), ("doord.service",))
        assert catalogue.services["door"].ports == (("tcp", 7000, 7000), ("udp", 7001, 7005), ("tcp", 22, 22))
        (event,) = read(catalogue, REFUSED)
        assert (event.address, event.account, event.service, event.cause) == (CLIENT, "bob", "door", "wrong key")
        assert len(read(catalogue, SSH)) == 1

    def test_a_file_of_the_same_kind_takes_the_place_of_a_built_in_one(self, tmp_path: Path) -> None:
        catalogue = load(tmp_path, DOOR.replace('kind = "door"', 'kind = "ssh-openssh"'))
        assert catalogue.problems == ()
        assert read(catalogue, SSH) == []
        assert len(read(catalogue, REFUSED)) == 1
        assert catalogue.kinds["ssh-openssh"].origin == str(tmp_path / "0.toml")

    def test_a_later_directory_wins(self, tmp_path: Path) -> None:
        for name, title in (("a", "first"), ("b", "second")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "door.toml").write_text(DOOR.replace("The door", title))
        assert load_catalogue([tmp_path / "a", tmp_path / "b"]).kinds["door"].title == "second"

    def test_a_directory_that_does_not_exist_is_no_problem(self, tmp_path: Path) -> None:
        assert load_catalogue([tmp_path / "none"]).problems == ()

    def test_letters_of_any_language_may_stand_in_a_template(self, tmp_path: Path) -> None:
        text = DOOR.replace("refused", "Zugang verwährt für").replace("bob", "jörg")
        catalogue = load(tmp_path, text)
        assert catalogue.problems == ()
        assert check_examples(catalogue) == []

    @pytest.mark.parametrize("text", [DOOR.replace("\n", "\r\n"), DOOR + "\n# a comment"])
    def test_the_form_of_the_file_does_not_matter(self, tmp_path: Path, text: str) -> None:
        assert load(tmp_path, text).problems == ()


def line_of(text: str, wanted: str) -> int:
    return text[: text.index(wanted)].count("\n") + 1


BROKEN = {
    "unclosed string": (DOOR.replace('"The door"', '"The door'), 2, "no valid TOML"),
    "end of document": (DOOR + "x = [\n\n", 22, "no valid TOML"),
    "unknown key": (DOOR.replace("units", "unit"), 7, "unknown field `unit`"),
    "unknown key of a pattern": (DOOR.replace("cause =", "reason ="), 15, "unknown field `reason`"),
    "unknown key of an example": (DOOR.replace("account =", "user ="), 17, "unknown field `user`"),
    "missing key": (DOOR.replace('title = "The door"\n', ""), 1, "missing required field `title`"),
    "wrong type": (DOOR.replace('title = "The door"', "title = 7"), 2, "Expected `str`, got `int`"),
    "wrong attempt": (DOOR + 'attempt = "perhaps"\n', 20, "Invalid enum value 'perhaps'"),
    "no lines": (DOOR + "lines = 0\n", 20, "Expected `int` >= 1"),
    "no examples": (DOOR[: DOOR.index("examples")], 13, "pattern 'refused': has no examples"),
    "bad template": (DOOR.replace("refused {account} at", "refused {account:what} at"), 13, "the type 'what' of {account} is unknown"),  # noqa: E501
    "no address": (DOOR.replace("at {address}", "at {detail}"), 13, "names no {address}"),
    "no stamp": (DOOR.replace('"syslog"', '"none"'), 13, "names no {stamp}"),
    "bad join": (DOOR + 'join = ["callid"]\n', 13, "join names 'callid'"),
    "bad hint": (DOOR + 'hints = [""]\n', 13, "the hint '' is shorter than 5 characters"),
    "bad envelope": (DOOR.replace('"syslog"', '"sislog"'), 4, "envelope 'sislog' is unknown; known are: syslog"),
    "bad envelope of a pattern": (DOOR + 'envelope = "x"\n', 13, "envelope 'x' is unknown"),
    "bad type": (DOOR.replace("{account}", "{account:t}").replace("[services]", "[types]\nt = '('\n[services]"), 15, "no valid regular expression"),  # noqa: E501
    "bad port": (DOOR.replace("7000/tcp", "7000/icmp"), 10, "'7000/icmp' is no port; write 5060/udp"),
    "port too high": (DOOR.replace("7005", "70000"), 10, "lies outside of 1-65535"),
    "same name twice": (DOOR + DOOR[DOOR.index("[[pattern]]") :], 13, "the name stands twice"),
    "an envelope's field": (DOOR.replace("{account}", "{stamp}"), 13, "no valid regular expression: redefinition of group name"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_with_file_line_and_reason_and_the_rest_works(tmp_path: Path, case: str) -> None:
    text, line, reason = BROKEN[case]
    catalogue = load(tmp_path, text, DOOR.replace("door", "gate"))
    (problem,) = catalogue.problems
    assert problem.startswith(f"{tmp_path / '0.toml'}:{line}: "), problem
    assert reason in problem
    assert "\n" not in problem
    assert "door" not in catalogue.kinds
    assert [event.service for event in read(catalogue, REFUSED.replace("door", "gate") + SSH)] == ["gate", "ssh"]


def test_a_broken_override_leaves_the_built_in_kind_working(tmp_path: Path) -> None:
    catalogue = load(tmp_path, DOOR.replace('kind = "door"', 'kind = "ssh-openssh"').replace("7000/tcp", "7000/icmp"))
    assert len(catalogue.problems) == 1
    assert len(read(catalogue, SSH)) == 1


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, b'kind = "\xff\xfe"').problems
    assert problem == f"{tmp_path / '0.toml'}: is not UTF-8 (byte 8)"


def test_a_file_that_is_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").mkdir()
    (problem,) = load_catalogue([tmp_path]).problems
    assert problem.startswith(f"{tmp_path / 'x.toml'}: can't be read")


class TestExamples:
    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('account = "bob"', 'account = "ann"', "door/refused: example 1: account is 'bob', not 'ann'"),
            (
                'address = "203.0.113.7"',
                'address = "203.0.113.8"',
                "example 1: address is '203.0.113.7', not '203.0.113.8'",
            ),
            ('cause = "wrong key" }', 'cause = "x" }', "example 1: cause is 'wrong key', not 'x'"),
            ("refused bob at 203", "refused bob of 203", "example 1: no pattern takes the line"),
            ("doord[7]: refused bob at 203", "other[7]: refused bob at 203", "example 1: no pattern takes the line"),
            ("bob at home", "bob at 192.0.2.1", "door/refused: counter-example 1 matches"),
            ('account = "bob",', 'outcome = "succeeded",', "example 1: outcome is not 'succeeded'"),
            (
                '"Nov 21 20:34:50 pbx doord[7]: refused bob at 203.0.113.7"',
                '"Nov 21 20:34:50 pbx sshd[7]: Invalid user bob from 203.0.113.7"',
                "example 1: the line is taken by ssh-openssh/invalid-user",
            ),
        ],
    )
    def test_one_that_comes_out_wrong_is_told(self, tmp_path: Path, old: str, new: str, told: str) -> None:
        assert old in DOOR
        (problem,) = check_examples(load(tmp_path, DOOR.replace(old, new)))
        assert told in problem
