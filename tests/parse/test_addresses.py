"""One address has one spelling, however a log writes it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.parse.addresses import ADDRESS, canonical


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7.", "203.0.113.7"),
        ("203.0.113.7:", "203.0.113.7"),
        ("[203.0.113.7]", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("[::ffff:203.0.113.7]", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"),
        ("2001:0db8::0007", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0.20]", "fe80::1"),
        ("2001:db8::7:", "2001:db8::7"),
        ("2001:db8::", "2001:db8::"),
        ("::", "::"),
        ("::1", "::1"),
    ],
)
def test_every_spelling_of_an_address_is_the_same_address(written: str, address: str) -> None:
    assert canonical(written) == address
    assert re.fullmatch(ADDRESS, written, re.ASCII) or written.endswith((".", ":"))


@pytest.mark.parametrize(
    "written",
    [
        "", ".", ":", ":::", "[]", "example.org", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "1.2.3.4/24",
        "2001:db8::7::1", "2001:db8::g", "12345::", "1.2.3.4%eth0", " 1.2.3.4", "1.2.3.4\n", "１.２.３.４", "-1.2.3.4",  # noqa: RUF001
        "2001:db8::/32", "::ffff:1.2.3.256", "localhost", "0x7f.1", "127.1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(written: str) -> None:
    assert canonical(written) is None


@given(st.ip_addresses())
def test_canonical_addresses_stay_as_they_are(address: object) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    assert canonical(str(address)) == str(mapped or address)


@given(st.ip_addresses(v=6))
def test_a_long_upper_case_spelling_is_the_same_address(address: object) -> None:
    assert canonical(address.exploded.upper()) == canonical(str(address))  # type: ignore[attr-defined]


@given(st.text(alphabet="0123456789abcdefABCDEF.:[]%x", max_size=50))
def test_whatever_comes_out_is_canonical_itself(text: str) -> None:
    address = canonical(text)
    assert address is None or canonical(address) == address
