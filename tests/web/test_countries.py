"""Country and network beside addresses, and nothing but a notice where the database is missing or broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from ringfence.web.countries import Countries, Place, place_of
from web_site import Site


def write(path: Path, country: str = "Germany", code: str = "DE") -> None:
    """A small database as its makers write it."""
    writer = MMDBWriter(6, "Test", languages=["en"], ipv4_compatible=True)
    record = {
        "country": {"iso_code": code, "names": {"en": country}}, "autonomous_system_number": 64500,
        "autonomous_system_organization": "Example",
    }  # fmt: skip
    writer.insert_network(IPSet(["203.0.113.0/24"]), record)
    writer.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": "FR", "names": {"en": "France"}}})
    writer.to_db_file(str(path))


def test_an_address_and_a_network_have_their_country_and_owner(tmp_path: Path) -> None:
    write(tmp_path / "c.mmdb")
    countries = Countries(tmp_path / "c.mmdb")
    assert countries.of("203.0.113.7") == Place("DE", "Germany", "AS64500 Example")
    assert countries.of("203.0.113.0/24") == countries.of("203.0.113.7")
    assert countries.of("2001:db8::5") == Place("FR", "France")
    assert countries.of("192.0.2.1") is None and countries.of("no address") is None
    assert countries.trouble == ""


def test_without_a_database_nothing_is_known_and_nothing_is_wrong() -> None:
    countries = Countries(None)
    assert countries.of("203.0.113.7") is None and countries.trouble == ""


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 100])
def test_a_missing_or_broken_file_is_a_notice(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.mmdb"
    if content is not None:
        path.write_bytes(content)
    countries = Countries(path)
    assert countries.of("203.0.113.7") is None
    assert "c.mmdb" in countries.trouble and "without country" in countries.trouble


def test_a_file_that_is_broken_inside_is_a_notice_too(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    write(path)
    whole = path.read_bytes()
    start = whole.index(b"\xab\xcd\xefMaxMind.com")
    path.write_bytes(whole[: start - 120] + b"\xff" * 120 + whole[start:])
    countries = Countries(path)
    assert countries.of("203.0.113.7") is None and "is broken" in countries.trouble


def test_a_newer_file_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.web.countries.LOOK_AGAIN", 0.0)
    path = tmp_path / "c.mmdb"
    write(path)
    countries = Countries(path)
    write(tmp_path / "new.mmdb", "Spain", "ES")
    (tmp_path / "new.mmdb").replace(path)
    found = countries.of("203.0.113.7")
    assert found is not None and found.code == "ES"


def test_the_records_of_other_makers_are_understood() -> None:
    assert place_of({"country": "NL", "asn": "AS64501", "as_name": "X"}) == Place("NL", "NL", "AS64501 X")
    assert place_of({"country_code": "IT", "country_name": "Italy"}) == Place("IT", "Italy", "")
    assert place_of({"city": {"names": {"en": "Rome"}}}) is None


def test_pages_show_the_country_beside_the_address_and_say_when_they_cannot(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "c.mmdb")
    monkeypatch.setattr(site.web, "countries", Countries(tmp_path / "c.mmdb"))
    browser = site.browser("viewer")
    page = browser.get("/attacks/203.0.113.0/24").text
    assert '<abbr title="Germany">DE</abbr> AS64500 Example' in page
    monkeypatch.setattr(site.web, "countries", Countries(tmp_path / "missing.mmdb"))
    assert "missing.mmdb" in browser.get("/").text
    assert browser.get("/attacks/203.0.113.0/24").status_code == 200
