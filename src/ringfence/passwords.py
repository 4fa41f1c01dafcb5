"""Passwords: what is one, its hash, and whether a text is the password behind a hash.

argon2id with 19 MiB, two passes and one lane: what OWASP's Password Storage Cheat Sheet names as the least. One hash
takes some hundredths of a second and 19 MiB, so it belongs into the page's process or the command line, never into the
guard. A text is taken in Unicode's form NFKC (NIST SP 800-63B), so that a password typed on another keyboard stays the
same.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from ringfence.errors import RingfenceError

LEAST: Final = 12
"""Characters that a password has at least."""
MOST_BYTES: Final = 1024
"""Bytes of UTF-8 that it has at most: more is no password, and would only cost time."""
DIFFERENT: Final = 4
"""Different characters that it has at least."""

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_TRIED_FIRST: Final = """
000000000000 0123456789ab 012345678910 111111111111 123123123123 1234567890ab 123456789012 1234567890123
12345678901234 123456789abc 1234567891011 123456781234 123412341234 121212121212 112233445566 987654321098
9876543210987 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv 1qazxsw23edc qazwsxedcrfv qazwsxedc123
zaq12wsxcde3 qwertyuiop12 qwertyuiop123 qwertyuiopas qwertyuiop[] qwertyqwerty qwerty123456 qwerty1234567
qwerty12345678 123456qwerty 123qweasdzxc 1234qwerasdf qweasdzxc123 asdfghjkl123 asdfghjklzxc asdfasdfasdf
zxcvbnm12345 abcdefghijkl abcdefghijklm abcdef123456 abcd12345678 abc123abc123 abcdefg12345 aabbccddeeff
password1234 password12345 password123456 passwordpassword password2024 password2025 password2026 passw0rd1234
p@ssw0rd1234 p@ssword1234 p@ssw0rd2025 p@ssw0rd2026 mypassword12 mypassword123 newpassword1 newpassword123
changemenow1 changeme1234 changeme12345 changemechangeme letmein12345 letmeinletmein welcome12345 welcome123456
welcomewelcome iloveyou1234 iloveyou12345 iloveyouforever trustno1trustno1 administrator administrator1
administrator12 administrator123 administrator1234 adminadminadmin admin1234567 admin12345678 admin123456789
rootrootroot root12345678 superadmin123 superuser123 supersecret1 supersecret123 secretpassword secret123456
default12345 temporary123 testtesttest test12345678 testpassword guestguestguest asterisk1234 asteriskasterisk
freepbx12345 kamailio1234 kamailiorw12 voip12345678 telephone123 telefono1234 ringfence123 ringfenceringfence
ringfence1234 fail2banfail2ban sunshine1234 princess1234 football1234 baseball1234 dragondragon monkeymonkey
masterkey123 whatever1234 correcthorsebatterystaple
"""
_KNOWN: Final = frozenset(_TRIED_FIRST.split())
"""What is tried first by whoever guesses passwords of this length."""


def check_strength(text: str, name: str = "") -> None:
    """Whether `text` will do as the password of user `name`. Raises RingfenceError with what to do instead."""
    password = _normal(text)
    if password is None or len(password.encode()) > MOST_BYTES:
        raise RingfenceError(f"the password is too long or no text: give one of at most {MOST_BYTES:,} bytes")
    if len(password) < LEAST:
        raise RingfenceError(f"the password is too short: take {LEAST} characters or more, such as four or five words")
    if name and password.casefold() == name.casefold():
        raise RingfenceError("the password is the user's name: choose something that nobody knows of you")
    if len(set(password)) < DIFFERENT:
        raise RingfenceError(f"the password repeats itself: use {DIFFERENT} different characters at least")
    if password.casefold() in _KNOWN:
        raise RingfenceError("the password is among those that are tried first: choose four or five words by chance")


def hash_password(text: str) -> str:
    """The argon2id hash of a password that passed `check_strength`, in PHC string form with a salt of its own."""
    password = _normal(text)
    if password is None:
        raise RingfenceError("the password is too long or no text")
    return _HASHER.hash(password)


def verify(hash: str, text: str) -> bool:
    """Whether `text` is the password behind `hash`; takes the same time for an empty hash (nobody's)."""
    password = _normal(text)
    if password is None:
        return False
    try:
        return _HASHER.verify(hash or _nobody(), password) and bool(hash)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """The hash of a password that nobody has, so that guessing names learns nothing from the time it takes."""
    import secrets

    return _HASHER.hash(secrets.token_hex(32))


def _normal(text: str) -> str | None:
    """`text` in the form in which it is hashed; None for what can't be a password (far too long, half characters)."""
    if len(text) > MOST_BYTES:
        return None
    normal = unicodedata.normalize("NFKC", text)
    try:
        return normal if len(normal.encode()) <= MOST_BYTES else None
    except UnicodeEncodeError:
        return None
