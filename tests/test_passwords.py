"""Passwords: which will do, and that only the right one opens."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ringfence.errors import RingfenceError
from ringfence.passwords import check_strength, hash_password, verify

GOOD = "four words by chance"


def test_only_the_right_password_opens() -> None:
    hash = hash_password(GOOD)
    assert hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify(hash, GOOD)
    assert not verify(hash, GOOD + " ") and not verify(hash, GOOD.upper()) and not verify(hash, "")
    assert hash_password(GOOD) != hash, "each hash has a salt of its own"


def test_the_same_password_typed_on_another_keyboard_opens() -> None:
    """Composed and decomposed letters, and full-width ones."""
    hash = hash_password("grüße aus Südtirol")
    assert verify(hash, "gru\u0308ße aus Su\u0308dtirol")
    assert verify(hash_password("\uff21\uff22\uff23 four words"), "ABC four words")


@pytest.mark.parametrize("hash", ["", "nonsense", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
def test_nothing_opens_what_has_no_password(hash: str) -> None:
    for text in ("", GOOD, "nonsense"):
        assert not verify(hash, text)


@pytest.mark.parametrize("text", ["x" * 10_000_000, "\ufdfa" * 1000, "\ud800" + GOOD], ids=["huge", "grows", "half"])
def test_what_can_not_be_a_password_is_neither_taken_nor_checked_at_length(text: str) -> None:
    assert not verify(hash_password(GOOD), text)
    with pytest.raises(RingfenceError):
        check_strength(text)
    with pytest.raises(RingfenceError):
        hash_password(text)


@pytest.mark.parametrize(
    "text", [GOOD, "dé 12 zeichen", "日本語の長い合言葉です。", "x" * 1000 + "yzw", "        a1b2c3"]
)
def test_long_passwords_of_any_alphabet_will_do(text: str) -> None:
    check_strength(text, "ann")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "too short"), ("elevenchars", "too short"), ("Ann@Example.org", "user's name"),
        ("aaaaaaaaaaaa", "repeats"), ("abababababab", "repeats"), ("Password1234", "tried first"),
        ("\uff50assword1234", "tried first"), ("x" * 1000 + "äöü" * 10, "too long"),
    ],
)  # fmt: skip
def test_a_weak_password_is_refused_with_what_to_do(text: str, why: str) -> None:
    with pytest.raises(RingfenceError, match=why):
        check_strength(text, "ann@example.org")


@pytest.mark.parametrize("module", ["ringfence.daemon", "ringfence.people_commands", "ringfence.cli.people"])
def test_the_guard_and_other_commands_never_load_the_password_library(module: str) -> None:
    program = f"import {module}, sys; print('argon2' in sys.modules, 'ringfence.passwords' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
