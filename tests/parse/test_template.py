"""Templates: the message as the server writes it, with fields in braces."""

from __future__ import annotations

import re

import pytest

from ringfence.errors import CatalogueError
from ringfence.parse.template import compile_template

NONE: dict[str, str] = {}


def fields(template: str, line: str, types: dict[str, str] = NONE) -> dict[str, str] | None:
    """The fields of `line`, or None when the template does not take it."""
    found = re.compile(compile_template(template, types).expression + "$", re.ASCII).match(line)
    return None if found is None else {name: value for name, value in found.groupdict().items() if value is not None}


class TestLanguage:
    def test_fields_are_read_between_fixed_text(self) -> None:
        assert fields("login of {account} from {address} failed", "login of bob from 203.0.113.7 failed") == {
            "account": "bob",
            "address": "203.0.113.7",
        }

    def test_a_field_may_be_empty_or_hold_blanks(self) -> None:
        template = "login of {account} from {address} failed"
        assert fields(template, "login of  from 203.0.113.7 failed") == {"account": "", "address": "203.0.113.7"}
        found = fields(template, "login of a from 1.2.3.4 failed x from 203.0.113.7 failed")
        assert found == {"account": "a from 1.2.3.4 failed x", "address": "203.0.113.7"}

    def test_optional_parts_may_be_missing(self) -> None:
        template = "login failed from {address}[ port {port}]"
        assert fields(template, "login failed from 203.0.113.7 port 22") == {"address": "203.0.113.7", "port": "22"}
        assert fields(template, "login failed from 203.0.113.7") == {"address": "203.0.113.7"}
        assert fields(template, "login failed from 203.0.113.7 port") is None

    def test_one_of_several(self) -> None:
        template = "(bad|wrong|no) password from {address}"
        assert fields(template, "wrong password from ::1") == {"address": "::1"}
        assert fields(template, "right password from ::1") is None

    def test_brackets_within_brackets(self) -> None:
        template = "refused: {address}[ (user {account}|nobody[ at {port}])]"
        assert fields(template, "refused: ::1") == {"address": "::1"}
        assert fields(template, "refused: ::1 user bob") == {"address": "::1", "account": "bob"}
        assert fields(template, "refused: ::1 nobody at 5") == {"address": "::1", "port": "5"}
        assert fields(template, "refused: ::1 nobody") == {"address": "::1"}

    def test_a_backslash_takes_the_next_character_literally(self) -> None:
        template = r"\[login\] \{failed\} \(a\|b\) c:\\d {address}"
        assert fields(template, r"[login] {failed} (a|b) c:\d ::1") == {"address": "::1"}

    def test_characters_that_mean_something_to_regular_expressions_mean_nothing_here(self) -> None:
        assert fields("a.b*c+d?e^f$ {address}", "a.b*c+d?e^f$ ::1") == {"address": "::1"}
        assert fields("a.b*c+d?e^f$ {address}", "aXb*c+d?e^f$ ::1") is None

    def test_types(self) -> None:
        template = 'tried {a:number} {b:hex} {c:word} "{d:quoted}" {e:percent} by {address}'
        line = r'tried 12 aF x/y "say \"hi\" \\" a%20b by ::1'
        assert fields(template, line) == {
            "a": "12", "b": "aF", "c": "x/y", "d": r"say \"hi\" \\", "e": "a%20b", "address": "::1",
        }  # fmt: skip
        assert fields(template, line.replace("12", "x12")) is None
        assert fields(template, line.replace("a%20b", "a b")) is None
        assert fields(template, line.replace(r"\\", "\\")) is None

    def test_a_type_of_ones_own(self) -> None:
        template, types = "door {account:door} stays shut for {address}", {"door": "[A-Z]-[0-9]+"}
        assert fields(template, "door B-12 stays shut for ::1", types) == {"account": "B-12", "address": "::1"}
        assert fields(template, "door 12 stays shut for ::1", types) is None

    def test_the_field_called_underscore_is_skipped_and_may_stand_often(self) -> None:
        assert fields("{_} login of {_:number} refused for {address}", "x login of 7 refused for ::1") == {
            "address": "::1"
        }

    def test_both_ends_are_anchored(self) -> None:
        assert fields("login refused for {address}", "login refused for ::1 or so") is None
        assert fields("login refused for {address}", "my login refused for ::1") is None

    def test_an_epoch_or_iso_stamp_of_the_template_itself(self) -> None:
        template = "{stamp} {address} login denied"
        for stamp in ("1795290863.5", "2026-11-21T20:34:50Z", "21/Nov/2026:20:34:50 +0000", "2026/11/21 20:34:50"):
            assert fields(template, f"{stamp} ::1 login denied") == {"stamp": stamp, "address": "::1"}


class TestMistakes:
    @pytest.mark.parametrize(
        ("template", "told"),
        [
            ("login failed from {address}[ port {port}", "a bracket is not closed: ']' is missing"),
            ("login (failed from {address}", r"a bracket is not closed: '\)' is missing"),
            ("login failed] from {address}", r"']' closes nothing; write \\] for the character itself"),
            ("login [failed) from {address}", r"'\)' closes nothing; write"),
            ("login a|b failed from {address}", r"\| stands outside of \( \); write \\| for the character itself"),
            ("login [a|b] failed from {address}", r"\| stands outside of"),
            ("login of {account:nmae} from {address}", "the type 'nmae' of {account} is unknown; known are: address, "),
            ("{account} failed as {account} from {address}", "the field {account} stands twice"),
            ("{account} at {address}", "no run of 5 or more fixed characters outside of"),
            ("{account}[ failed login] {address}", "no run of 5 or more fixed characters outside of"),
            ("", "no run of 5 or more fixed characters"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_told_with_what_to_do(self, template: str, told: str) -> None:
        with pytest.raises(CatalogueError, match=told):
            compile_template(template, NONE)


class TestFreeText:
    def test_free_text_on_both_sides_of_the_address_is_ambiguous(self) -> None:
        assert compile_template("login of {account} from {address} refused: {detail}", NONE).ambiguous == " from "

    @pytest.mark.parametrize(
        "template",
        [
            "login of {account} from {address} refused",
            "login from {address} refused for {account}",
            "from {address} refused",
        ],
    )
    def test_free_text_on_one_side_is_not(self, template: str) -> None:
        assert compile_template(template, NONE).ambiguous == ""

    def test_what_follows_the_last_free_text_decides_where_it_ends_even_if_it_could_be_read_earlier(self) -> None:
        """A name that ends like the message begins to end must not be cut there."""
        template, types = "bye user {account} {address} port {port}[: {_:reason}]", {"reason": "[a-z0-9. :]+"}
        found = fields(template, "bye user x 192.0.2.99 port 22: 203.0.113.7 port 50122", types)
        assert found is not None
        assert found["address"] == "203.0.113.7"
