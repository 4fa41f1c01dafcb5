"""What is taken over finds the same lines, with the same address, as fail2ban itself — or believes a line less."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from fail2ban_machines import everything, gate
from fail2ban_oracle import Oracle, missing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.importing.expressions import CannotTake
from ringfence.importing.jails import Jail, read_machine
from ringfence.importing.kinds import Carried, carry_over
from ringfence.parse.addresses import canonical
from ringfence.parse.linear import Linear

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

JUNK = (
    "x", "root", " from 192.0.2.99", " from 192.0.2.99 port 22", " 192.0.2.99", "'", '"', "[", "]", "é", "«", " ", "  ",
    "\u00a0", "\u0661", "rhost=192.0.2.99", "-1", ": ", "\t", "(", ")", " Nov 21 20:34:50 ", "2001:db8::1", "{", "\\",
    "::ffff:192.0.2.9", "example.com", "evil.example.com", "\x1b[31m", ", client: 192.0.2.99", "[192.0.2.99]", "\x00",
)  # fmt: skip
"""What a client may write into the middle of a line."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    one = Oracle()
    yield one
    one.close()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Jail, Carried]]:
    """Every jail of Debian's that can be carried over."""
    found = []
    for jail in read_machine(everything(tmp_path_factory.mktemp("all"))).jails:
        try:
            found.append((jail, carry_over(jail)))
        except CannotTake:
            continue
    assert len(found) > 65
    return found


def values_of(jail: Jail, carried: Carried) -> dict[str, object]:
    """What fail2ban is asked with: the same filter, without the expressions that were refused."""
    refused = dict(carried.refused)
    return {
        "failregex": [text for text in jail.filter.failregex if text not in refused],
        "ignoreregex": jail.filter.ignoreregex,
        "prefregex": jail.filter.prefregex,
        "datepattern": jail.filter.datepattern,
        "usedns": jail.filter.usedns,
    }


def same(theirs: str | None, ours: str | None) -> bool:
    """Whether both found the same address; a host name is no address for either."""
    return (canonical(theirs) if theirs else None) == (canonical(ours) if ours else None)


def test_every_example_is_a_line_that_fail2ban_takes(oracle: Oracle, taken: list[tuple[Jail, Carried]]) -> None:
    for jail, carried in taken:
        lines = [line for line, _ in carried.examples]
        found = oracle.addresses(values_of(jail, carried), lines)
        assert found == [address for _, address in carried.examples], jail.name


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lines_with_anything_in_them_come_out_as_fail2ban_has_them(
    oracle: Oracle, taken: list[tuple[Jail, Carried]], data: st.DataObject
) -> None:
    """Only a line that reads two ways may be left unbelieved; no line gives another address."""
    cuts = st.tuples(st.floats(0, 1), st.sampled_from(JUNK) | st.text(string.printable, max_size=6), st.integers(0, 3))
    changes = data.draw(st.lists(st.lists(cuts, min_size=1, max_size=3), min_size=3, max_size=3))
    for jail, carried in taken:
        linear, lines = Linear(carried.searched), []
        for line, _ in carried.examples:
            for change in changes:
                text = line
                for place, junk, dropped in change:
                    begin = text.find("20:34:50") + 15  # the time stays: without one a line is not taken here
                    at = begin + int(place * max(0, len(text) - begin))
                    text = text[:at] + junk.replace("\n", " ").replace("\r", " ") + text[at + dropped :]
                lines.append(text)
        for line, theirs in zip(lines, oracle.addresses(values_of(jail, carried), lines), strict=True):
            ours = linear.takes(line)
            assert ours == "" or same(theirs, ours), (jail.name, line, theirs, ours)


HOSTILE = st.lists(
    st.sampled_from(
        (*JUNK, "ann", " refused ", "port 1", '" [192.0.2.99]', "$", '" from 192.0.2.99:1: x', "refused x from ")
    ),
    max_size=5,
).map("".join)  # fmt: skip
CLIENT = "203.0.113.7"
CARELESS = {
    "refused .* from <HOST>$": "refused {} from 203.0.113.7",
    "refused .*? from <HOST>": "refused {} from 203.0.113.7",
    "refused (?P<user>.+) from <HOST>": "refused {} from 203.0.113.7",
    " from <HOST>": "refused {} from 203.0.113.7",
    r"refused [^\[]*\[?.*from <ADDR>(?: port \d+)?": "refused {} from 203.0.113.7 port 1024",
    "refused <F-USER>.*?</F-USER> from <HOST>( |$)": "refused {} from 203.0.113.7",
    r'refused "<F-USER>[^"]*</F-USER>" from <HOST>:\d+': 'refused "{}" from 203.0.113.7:1024: wrong password',
    r"from <HOST> for <F-USER>\S*</F-USER>": "refused from 203.0.113.7 for {}",
    r"rhost=<HOST>(?: +user=<F-USER>.*</F-USER>)?": "refused; user={} rhost=203.0.113.7  user={}",
}
"""Filters as people write them: greedy, lazy, without an end; and the line that the server writes for an account."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE)
def test_a_hostile_account_never_moves_the_address(
    oracle: Oracle, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """The client's address or none at all, also where fail2ban finds the one in the name."""
    for text, message in CARELESS.items():
        linear = Linear(carry_over(made_jail(tmp_path_factory, text)).searched)
        line = "Nov 21 20:34:50 gate gated[812]: " + message.replace("{}", name)
        ours = linear.takes(line)
        assert not ours or canonical(ours) in (None, CLIENT), (text, line, ours)
        if ours and canonical(ours):
            assert same(oracle.addresses({"failregex": [text]}, [line])[0], ours), (text, line)


def test_what_fail2ban_believes_of_a_name_is_not_believed_here(
    oracle: Oracle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The words before the address stand twice: one of them is the client's."""
    text = r'refused "<F-USER>[^"]*</F-USER>" from <HOST>:\d+'
    line = 'Nov 21 20:34:50 gate gated[812]: refused "x" from 192.0.2.99:1" from 203.0.113.7:1024: wrong password'
    assert oracle.addresses({"failregex": [text]}, [line]) == ["192.0.2.99"]
    assert Linear(carry_over(made_jail(tmp_path_factory, text)).searched).takes(line) == ""


def made_jail(factory: pytest.TempPathFactory, text: str) -> Jail:
    """A jail whose filter has one expression."""
    if text not in MADE:
        made = gate(factory.mktemp("gate"), filter_text=f"[Definition]\nfailregex = {text.replace('%', '%%')}\n")
        MADE[text] = next(jail for jail in read_machine(made).jails if jail.name == "gate")
    return MADE[text]


MADE: dict[str, Jail] = {}


def test_the_gate_and_what_it_ignores(oracle: Oracle, tmp_path: Path) -> None:
    """A whole made-up filter: prefix, two messages, an exception, an address that a name hides."""
    jail = next(jail for jail in read_machine(gate(tmp_path)).jails if jail.name == "gate")
    carried = carry_over(jail)
    linear = Linear(carried.searched)
    lines = {
        "Nov 21 20:34:50 host gated[812]: refused ann from 203.0.113.7 (port 1024)": "203.0.113.7",
        "2026-11-21T20:34:50.123456+01:00 host gated[812]: refused ann from 2001:db8::7": "2001:db8::7",
        "Nov 21 20:34:50 host gated: no such user: \"x from 198.51.100.9\" [203.0.113.7] and more": "203.0.113.7",
        "Nov 21 20:34:50 host gated[812]: refused ann from 192.0.2.99": None,
        "Nov 21 20:34:50 host other[812]: refused ann from 203.0.113.7": None,
        "Nov 21 20:34:50 host gated[812]: refused ann from 203.0.113.7 (port 1024) again": None,
        "Nov 21 20:34:50 host gated[812]: refused ann from ::ffff:203.0.113.7": "203.0.113.7",
        "gated[812]: refused ann from 203.0.113.7": None,
    }  # fmt: skip
    assert {line: linear.takes(line) for line in lines} == lines
    dated = [line for line in lines if not line.startswith("gated")]
    assert oracle.addresses(values_of(jail, carried), dated) == [lines[line] for line in dated]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("failregex = x from <HOST>\nignoreregex = (?!a)b", "ignoreregex: it has look-around"),
        ("prefregex = ^(?<=a)<F-CONTENT>.+</F-CONTENT>$\nfailregex = x from <HOST>", "prefregex: it has look-around"),
        ("failregex = x from <HOST>\ndatepattern = ^%%d/%%m/%%y", "times of this form are not read here"),
        ("failregex = x from\\n<HOST>\nmaxlines = 3", "reads 3 lines as one"),
        ("failregex = .*<HOST>", "no line could be made that it takes with a whole address"),
        ("failregex = ^\\s\\S+\\s<HOST>$", "no fixed text"),
        ("failregex =", "has no failregex"),
        ("failregex = just words", "names no address"),
    ],
)
def test_a_filter_that_cannot_be_taken_says_why(tmp_path: Path, text: str, reason: str) -> None:
    made = gate(tmp_path, filter_text=f"[Definition]\n{text}\n")
    jail = next(jail for jail in read_machine(made).jails if jail.name == "gate")
    with pytest.raises(CannotTake, match=reason):
        carry_over(jail)
