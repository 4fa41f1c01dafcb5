"""When a certificate ends: read from its file without a cryptographic library, which the guard has no room for.

A certificate is DER in PEM (RFC 7468); its validity is the fifth field of what was signed (RFC 5280, 4.1), after the
serial number, the algorithm and the issuer, and before them an optional version that is tagged [0].
"""

from __future__ import annotations

import binascii
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
END: Final = b"-----END CERTIFICATE-----"
LONGEST: Final = 1 << 20
"""Bytes of a file that are looked at."""
_SEQUENCE, _VERSION, _UTC, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18


def end_of(file: Path) -> float:
    """When the first certificate in `file` ends, seconds UTC. Raises OSError and ValueError."""
    with file.open("rb") as opened:
        text = opened.read(LONGEST)
    _, begun, rest = text.partition(BEGIN)
    body, ended, _ = rest.partition(END)
    if not begun or not ended:
        raise ValueError("there is no certificate in it (PEM)")
    try:
        return not_after(binascii.a2b_base64(body))
    except (binascii.Error, IndexError) as error:
        raise ValueError("its certificate is damaged") from error


def not_after(der: bytes) -> float:
    """The end of a certificate's validity, seconds UTC. Raises ValueError and IndexError."""
    _, certificate, _ = _field(der, 0)
    _, signed, _ = _field(certificate, 0)
    tag, _, place = _field(signed, 0)
    if tag == _VERSION:
        _, _, place = _field(signed, place)  # the serial number
    for _ in range(2):  # the algorithm and the issuer
        _, _, place = _field(signed, place)
    tag, validity, _ = _field(signed, place)
    if tag != _SEQUENCE:
        raise ValueError("its certificate is damaged")
    _, _, place = _field(validity, 0)
    tag, text, _ = _field(validity, place)
    return _time(tag, text.decode("ascii"))


def _field(data: bytes, place: int) -> tuple[int, bytes, int]:
    """The tag and content of the DER value at `place`, and where the next one begins (X.690, 8.1)."""
    tag, length, begin = data[place], data[place + 1], place + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(data[begin : begin + count], "big")
        begin += count
    if begin + length > len(data):
        raise ValueError("its certificate is cut short")
    return tag, data[begin : begin + length], begin + length


def _time(tag: int, text: str) -> float:
    """RFC 5280, 4.1.2.5: years of two digits from 50 on are of the last century."""
    if tag == _UTC:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED:
        raise ValueError("its certificate is damaged")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
