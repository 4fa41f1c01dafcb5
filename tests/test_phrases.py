"""What the guard says is told in the reader's language where it has a known shape, and is otherwise left as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.barrier import Barrier
from ringfence.errors import RingfenceError
from ringfence.heard import Heard
from ringfence.ledger.trials import BanUndo, LockdownUndo, PolicyUndo
from ringfence.model import Position
from ringfence.orders import is_or_holds
from ringfence.passwords import check_strength
from ringfence.phrases import _VALUE, _known, _value, in_words
from ringfence.policy import load_policy
from ringfence.policy_draft import check_value
from ringfence.policy_text import difference
from ringfence.sense.chunk import Chunk
from ringfence.translating import ENGLISH, Words

GERMAN = Words.of("de")
SAMPLES = {"count": "1,204", "counted": "3", "needed": "10", "least": "1", "most": "10 years"}


def german(sentence: str) -> str:
    """`sentence` in German, with plain spaces."""
    return in_words(sentence, GERMAN).replace("\u00a0", " ")


def sample(name: str) -> str:
    return "2m 10s" if name.startswith("time") else SAMPLES.get(name, f"X{name}")


@pytest.mark.parametrize("text", [text for _, shape in _known() for text in shape])
def test_every_shape_is_found_with_its_own_values(text: str) -> None:
    """No shape is hidden by a more general one that is tried first."""
    values = {name: sample(name) for name in _VALUE.findall(text)}
    told = {name: _value(name, value, GERMAN, 1) for name, value in values.items()}
    shape = next(shape for _, shape in _known() if text in shape)
    wanted = GERMAN.ngettext(*shape, 1204, **told) if len(shape) == 2 else GERMAN(text, **told)
    assert in_words(text % values, GERMAN) == wanted
    assert in_words(text % values, ENGLISH) == text % values


def test_values_are_told_as_is_usual_in_the_language() -> None:
    assert german("1,204 bans are not in force: the kernel refused it") == (
        "1.204 Sperren sind nicht in Kraft: der Kernel hat sie abgelehnt"
    )
    assert german("/var/log/a: can't be read: Permission denied; tried again every few seconds") == (
        "/var/log/a: nicht lesbar: keine Berechtigung; alle paar Sekunden ein neuer Versuch"
    )
    assert german("rule flood for all services: 4 of 10 attempts in 10m") == (
        "Regel flood für alle Dienste: 4 von 10 Versuchen in 10 min"
    )


def test_a_sentence_within_a_sentence_is_told_too() -> None:
    assert german(
        "192.0.2.9 is banned from sip, all services until 2026-02-03 05:05:06 CET "
        "(recorded only, monitor mode (by the settings): nothing is blocked)"
    ) == (
        "192.0.2.9 ist für sip, alle Dienste gesperrt bis 2026-02-03 05:05:06 CET "
        "(nur aufgezeichnet, Beobachtungsmodus (laut Einstellungen): nichts wird gesperrt)"
    )


def test_what_has_no_known_shape_stays_as_it_is() -> None:
    for text in ("nft: Operation not supported", "no such thing", "", "a" * 2000, "ban"):
        assert in_words(text, GERMAN) == text


@given(st.text() | st.lists(st.sampled_from(["rule ", " for ", ": ", " is ", "it is ", "x", "(", ")"])).map("".join))
def test_no_sentence_is_too_strange(text: str) -> None:
    assert isinstance(in_words(text, GERMAN), str)
    assert in_words(text, ENGLISH) == text


def test_the_state_of_the_guard_is_known() -> None:
    barrier = Barrier(None, None, "monitor mode (by the settings)")
    told = german(f"{barrier.mode}: {barrier.blocked()}")
    assert told.startswith("Beobachtungsmodus (laut Einstellungen): nichts") and "blocked" not in told


def test_what_is_heard_of_a_log_is_known() -> None:
    heard = Heard("/var/log/asterisk/full")
    for moment in (0.0, 600.0, 7200.0):
        heard.take(Chunk(heard.source, b"x\n", 1, Position(source=heard.source), True, moment), [], 1)
    heard.named = 2
    notices = [german(one) for one in heard.notices(7200.0 * 100)]
    assert [one.partition(": ")[0] for one in notices] == [heard.source] * 2
    assert "stumm seit 8 d 6 h, nie zuvor länger als 1 h 50 min" in notices[0]
    assert notices[1].startswith(f"{heard.source}: 2 Zeilen nannten einen Rechnernamen")
    assert next(german(words) for _, words in heard.faults(7200.0 * 100)).startswith("stumm seit ")


def test_what_is_on_trial_is_known() -> None:
    assert german(PolicyUndo(tried=4, before=3).words()) == "Regelwerk, Fassung 4"
    assert german(LockdownUndo(tried=1, on=True, before=None).words()) == "Notsperre ein"
    assert german(BanUndo(tried=1, target="192.0.2.0/23", until=1.0, before=None).words()) == "Sperre von 192.0.2.0/23"


def test_why_an_order_is_refused_is_known() -> None:
    import ipaddress

    network = ipaddress.ip_network("192.0.2.0/24")
    why = is_or_holds("192.0.2.7", "where you are looking from", network)
    assert german(f"192.0.2.0/24 is not banned: {why}. Confirm it to ban it all the same") == (
        "192.0.2.0/24 ist nicht gesperrt: enthält 192.0.2.7, das ist die Adresse, von der Sie zugreifen. "
        "Zum Sperren trotzdem bitte bestätigen"
    )
    assert german(is_or_holds("192.0.2.0/24", "on the whitelist", network)) == "steht auf der Ausnahmeliste"


def test_what_changed_of_a_policy_is_known() -> None:
    rule = "[rules.{}]\nfailures = {}\nwithin = '10m'\nban = '1h'\n"
    old = load_policy(rule.format("a", 5) + rule.format("b", 5), "x")
    new = load_policy("whitelist = ['192.0.2.1']\n" + rule.format("a", 6) + "[services.sip]\nenabled = false\n", "x")
    told = [german(line) for line in difference(old, new)]
    assert set(told) == {
        "Regel a: failures 5 → 6", "Regel b: entfernt", "Dienst sip: abgeschaltet",
        "Ausnahmeliste: 192.0.2.1 hinzugefügt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text"),
    [("failures", "0"), ("within", "x"), ("within", "99y"), ("ban", "0s"), ("proven", "perhaps"), ("whitelist", "-"),
     ("whitelist", "192.0.2.1/24"), ("ipv4_network", "99"), ("name", "A B")],
)  # fmt: skip
def test_what_is_wrong_with_a_value_is_known(key: str, text: str) -> None:
    said = check_value(key, text)
    assert said and german(said) != said and "must" not in german(said)


@pytest.mark.parametrize(
    "password", ["short", "aaaaaaaaaaaaaaaa", "administrator", "x" * 5000, "correcthorsebatterystaple"]
)
def test_what_is_wrong_with_a_password_is_known(password: str) -> None:
    with pytest.raises(RingfenceError) as caught:
        check_strength(password, "administrator")
    assert german(str(caught.value)).startswith("das Passwort ")
