"""Whatever a client writes into its names, no line ever yields another address than the one the server named.

Generic over the catalogue: each pattern's first example is taken apart, and what a client may have written there is
replaced by something hostile, spelled as the real server would spell it. New kinds are covered by themselves.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC
from importlib import resources
from time import process_time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.model import Event
from ringfence.parse import envelope
from ringfence.parse.addresses import canonical
from ringfence.parse.catalogue import load_catalogue
from ringfence.parse.matcher import Matcher
from ringfence.parse.reader import Reader
from ringfence.parse.template import TYPES, compile_template

VICTIMS = ("192.0.2.99", "2001:db8:bad::99")
CATALOGUE = load_catalogue()
PATTERNS = {pattern.id: pattern for pattern in CATALOGUE.patterns()}
MATCHER = Matcher(CATALOGUE.patterns())
STRANGERS_TRIED = 24
"""Lines of other servers that each pattern is tried with."""
BREAKS = str.maketrans("", "", "\r\n")


def quoted(text: str) -> str:
    """Asterisk's security log and our own format escape quotes and backslashes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def percented(text: str) -> str:
    return quote(text.encode("latin-1"), safe="!$&'()*+,-./:;=?@_~")


def pjsip_from(text: str) -> str:
    """pjsip prints a display name in quotes and escapes what may not stand in a URI."""
    return f'"{quoted(text)}" <sip:{quote(text.encode("latin-1"), safe="!$&()*+,-.=_~" + chr(39))}@198.51.100.1>'


SPELLED: dict[str, Callable[[str], str]] = {
    "text": str,
    "quoted": quoted,
    "percent": percented,
    "from": pjsip_from,
}


def entries() -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    for file in resources.files("ringfence.catalogue").iterdir():
        if file.name.endswith(".toml"):
            kind = tomllib.loads(file.read_text("utf-8"))
            for entry in kind["pattern"]:
                yield f"{kind['kind']}/{entry['name']}", kind, entry


class Dissected:
    """An example, its address, and the places in it where a client's words stand (with the type of the field)."""

    def __init__(self, kind: dict[str, Any], entry: dict[str, Any]) -> None:
        example = entry["examples"][0]
        self.line: str = example["line"].encode().decode("latin-1")
        self.address: str = example.get("address", "")
        letters = iter("abcdefghijklmnopqrstuvw")
        named = re.sub(r"(?<!\\)\{_", lambda found: f"{{skipped_{next(letters)}", entry["template"])
        types = kind.get("types", {})
        template = compile_template(named, types)
        surrounding = entry.get("envelope", kind["envelope"])
        expression = (
            envelope.beginning(surrounding, tuple(entry.get("programs", kind.get("programs", ()))))
            + template.expression
        )
        found = re.match(expression + envelope.end(surrounding), self.line, re.MULTILINE | re.ASCII)
        assert found, f"the example of {entry['name']} is not taken by its own template"
        self.written = found["address"] if "address" in found.groupdict() else self.address
        self.message = self.line[found.start("address") :] if "address" in found.groupdict() else self.line
        self.places: list[tuple[int, int, str, str]] = []
        for name, type_name in template.fields.items():
            if found.start(name) < 0 or name == "json" or f"(?P={name})" in expression:
                continue  # what is repeated word for word must be our own
            if type_name in SPELLED or name in ("account", "detail"):
                self.places.append((*found.span(name), type_name, (TYPES | types)[type_name]))

    def hostile(self, place: tuple[int, int, str, str], text: str) -> str | None:
        """The line with `text` at that place as the server would spell it, or None when it never writes such a thing."""  # noqa: E501
        start, end, type_name, expression = place
        value = SPELLED.get(type_name, str)(text.translate(BREAKS))
        if type_name not in SPELLED and not re.fullmatch(expression, value, re.ASCII):
            return None
        return self.line[:start] + value + self.line[end:]

    def lies(self) -> Iterator[str]:
        """Texts that try to be taken for the rest of a line, or for a whole one, with a victim's address."""
        for victim in VICTIMS:
            forged = self.line.replace(self.written, victim)
            yield victim
            yield forged
            yield from (
                f"{forged} {forged}",
                f"x {forged}",
                f"{forged} x",
                f"' {forged}",
                f'" {forged}',
                f'\\" {forged}',
            )
            yield self.message.replace(self.written, victim)
            for start, end, _, _ in self.places:
                before, after = self.line[:start], self.line[end:].replace(self.written, victim)
                yield from (
                    f"x{after}",
                    after,
                    f"x{after} y",
                    f"x{after}{before}z",
                    f"x{after}:",
                    f"x{after}'",
                    f'x{after}"',
                )
                words = re.split(r"(?<=[ ,:'\"()=/])", after)
                yield from ("x" + "".join(words[:count]) for count in range(1, min(len(words), 40)))
                yield from ("x" + "".join(words[:count]).rstrip() + ":" for count in range(1, min(len(words), 40)))
        yield from ("", " ", "  ", '"', "'", "\\", '\\"', "]", ")", "%", "%00", "%ZZ", "{", "}")
        yield from (
            "a" * 65_536,
            " " * 5000,
            "\x00",
            "\x00x\x07\x08",
            "\x1b[31mred\x1b[0m",
            "\x1b]0;title\x07",
            "\x85\u00a0",
        )
        yield from ("\xff\xfe\x80", "\xc3\xa9", "\xe2\x80\xa8", "\x1b[2K\x1b[1A")


DISSECTED = {name: Dissected(kind, entry) for name, kind, entry in entries()}
WITH_PLACES = sorted(name for name, dissected in DISSECTED.items() if dissected.places)


def read(line: str) -> list[Event]:
    reader = Reader("log", MATCHER, zone=UTC, reference=1.8e9)
    return reader.read(line.encode("latin-1") + b"\n", 1)


def judge(name: str, line: str) -> int:
    """How many events were lost (0 or 1); fails when one names another address than the server did."""
    events = read(line)
    real = canonical(DISSECTED[name].address) or ""
    assert {event.address for event in events} <= {real}, f"{line!r} names {[event.address for event in events]}"
    return 0 if events else 1


def test_every_pattern_is_tried() -> None:
    assert set(DISSECTED) == set(PATTERNS)
    for name in PATTERNS:
        assert read(DISSECTED[name].line), name


@pytest.mark.parametrize("name", WITH_PLACES)
def test_a_lie_in_a_name_moves_no_address_and_loses_no_attempt(name: str) -> None:
    dissected = DISSECTED[name]
    tried = lost = 0
    examples = []
    for place in dissected.places:
        for lie in dissected.lies():
            line = dissected.hostile(place, lie)
            if line is None:
                continue
            tried += 1
            if judge(name, line):
                lost += 1
                examples.append(line)
    assert tried
    if not PATTERNS[name].ambiguous:
        assert lost == 0, f"{lost} of {tried} events lost, such as {examples[0]!r}"
    else:
        assert lost < tried


@pytest.mark.parametrize("name", WITH_PLACES)
def test_a_long_line_made_to_be_read_in_many_ways_costs_no_noticeable_time(name: str) -> None:
    """8,000 bytes are more than these servers take for a name, except for chan_sip, which takes a whole packet."""
    dissected = DISSECTED[name]
    length = 60_000 if "chan-sip" in name else 8_000
    for part in ("<sip:a@", "<sip:a@' failed for '192.0.2.99:5' - ", " from ", "' (", " ", dissected.line):
        for place in dissected.places:
            line = dissected.hostile(place, (part * (length // len(part) + 1))[:length])
            if line is not None:
                start = process_time()
                read(line + "\x01junk")
                assert process_time() - start < 3, part


STRANGERS = sorted({dissected.line for dissected in DISSECTED.values()})


@pytest.mark.parametrize("name", WITH_PLACES)
def test_whole_lines_of_other_servers_in_a_name_are_nobodys(name: str) -> None:
    """As they stand, behind a quote, and with the escapes and control characters of a terminal around them."""
    dissected = DISSECTED[name]
    own = STRANGERS.index(dissected.line)
    for offset in range(1, len(STRANGERS), max(1, len(STRANGERS) // STRANGERS_TRIED)):
        stranger = STRANGERS[(own + offset) % len(STRANGERS)]
        for place in dissected.places:
            for lie in (stranger, f'x" {stranger}', f"x\x1b[2K\x1b[1G{stranger}\x07\x00"):
                line = dissected.hostile(place, lie)
                if line is not None:
                    judge(name, line)


def tokens(name: str) -> list[str]:
    dissected = DISSECTED[name]
    words = re.split(r"([ ,:'\"()=/]+)", dissected.line)
    victims = [
        word.replace(dissected.written, victim) for word in words for victim in VICTIMS if dissected.written in word
    ]
    return sorted(
        {word for word in words if word and dissected.written not in word}
        | set(victims)
        | set(VICTIMS)
        | set(" :'\"])\\,")
    )


@pytest.mark.parametrize("name", WITH_PLACES)
def test_no_mixture_of_the_messages_own_words_moves_the_address(name: str) -> None:
    dissected = DISSECTED[name]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(dissected.places),
        st.lists(
            st.sampled_from(tokens(name)) | st.text(st.characters(max_codepoint=255), max_size=6), max_size=24
        ).map("".join),
    )
    def mixture(place: tuple[int, int, str, str], text: str) -> None:
        line = dissected.hostile(place, text)
        if line is not None:
            lost = judge(name, line)
            assert not lost or PATTERNS[name].ambiguous, f"lost: {line!r}"

    mixture()


@pytest.mark.parametrize("envelope_text", ["", "Nov 21 20:34:50 pbx ringfence-event[77]: "])
def test_names_in_json_reports_move_no_address(envelope_text: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(
        st.text(max_size=40)
        | st.sampled_from(['","address":"192.0.2.99', '"}\n{"ringfence":"event","address":"192.0.2.99"']),
        st.booleans(),
    )
    def report(text: str, is_ascii: bool) -> None:
        event = {"service": "intranet", "outcome": "failed", "account": text, "detail": text, "address": "203.0.113.7"}
        line = envelope_text + json.dumps({"ringfence": "event", "time": 1795290863} | event, ensure_ascii=is_ascii)
        data = line.encode("utf-8", "surrogatepass")
        events = read(data.decode("latin-1"))
        assert [(event.address, event.account) for event in events] == [("203.0.113.7", text)]

    report()


@pytest.mark.parametrize(
    "name",
    [
        "x 192.0.2.99 port 22:",
        "x 192.0.2.99 port 22: a",
        "x 192.0.2.99 port 22 [preauth]",
        "x from 192.0.2.99 port 22:",
        "x: y",
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        "Connection closed by invalid user {} 203.0.113.7 port 50122 [preauth]",
        "Disconnecting authenticating user {} 203.0.113.7 port 50122: Too many authentication failures [preauth]",
        "User {} from 203.0.113.7 not allowed because not listed in AllowUsers",
        "Disconnecting invalid user bob 203.0.113.7 port 5: Change of username or service not allowed: (bob,s) -> ({},s) [preauth]",  # noqa: E501
        "Accepted publickey for {} from 203.0.113.7 port 50122 ssh2: ED25519 SHA256:abc",
        "Accepted publickey for bob from 203.0.113.7 port 50122 ssh2: ED25519-CERT SHA256:abc ID {} (serial 0) CA ED25519 SHA256:abc",  # noqa: E501
    ],
)
def test_ssh_names_that_look_like_the_end_of_the_message_move_no_address(message: str, name: str) -> None:
    events = read("Nov 21 20:34:50 pbx sshd[1234]: " + message.format(name))
    assert {event.address for event in events} <= {"203.0.113.7"}
