"""What the pages show is what happens: their catalogue file, log lines and reports are read here."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC
from pathlib import Path

import pytest

from ringfence.model import Event
from ringfence.parse.catalogue import check_examples, load_catalogue
from ringfence.parse.entries import PatternEntry
from ringfence.parse.envelope import ENVELOPES
from ringfence.parse.parser import Parser
from ringfence.parse.template import FIELD_TYPES, TYPES
from ringfence.settings import parse_settings

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "catalogue.md").read_text()


def blocks(language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in fences if name == language]


def read(folder: Path, text: str) -> list[Event]:
    (folder / "turnstile.toml").write_text(blocks("toml")[0])
    catalogue = load_catalogue([folder])
    assert catalogue.problems == ()
    assert check_examples(catalogue) == []
    parser = Parser(catalogue, zone=UTC)
    return parser.attempts.feed(parser.reader("log", reference=1.8e9).read(text.encode(), 1))


def test_the_catalogue_file_of_the_page_reads_the_log_of_the_page(tmp_path: Path) -> None:
    log = next(block for block in blocks("") if "turnstiled[812]" in block)
    events = read(tmp_path, log)
    assert [(event.failed, event.account, event.cause, event.line) for event in events] == [
        (True, "ann", "wrong password", 1),
        (True, "ann", "wrong password", 2),
        (True, "root", "unknown account", 4),
        (False, "ann", "", 5),
    ]
    assert all(event.proven and event.service == "turnstile" for event in events)


def test_the_connection_of_the_page_lends_its_address(tmp_path: Path) -> None:
    """The line that names the account has no address of its own."""
    whole = blocks("toml")[0] + blocks("toml")[1]
    (tmp_path / "turnstile.toml").write_text(whole)
    catalogue = load_catalogue([tmp_path])
    assert catalogue.problems == () and check_examples(catalogue) == []
    parser = Parser(catalogue, zone=UTC)
    log = next(block for block in blocks("") if "conn 17" in block)
    (event,) = parser.attempts.feed(parser.reader("log", reference=1.8e9).read(log.encode(), 1))
    assert (event.address, event.account, event.line, event.proven) == ("203.0.113.7", "ann", 2, True)


def test_the_reports_of_the_page_are_read(tmp_path: Path) -> None:
    log = next(block for block in blocks("") if "ringfence-event[77]: service=" in block)
    assert [(event.address, event.failed, event.account) for event in read(tmp_path, log)] == [
        ("203.0.113.7", True, "ann"),
        ("2001:db8::7", False, "ann"),
        ("203.0.113.7", True, 'ann "the" admin'),
    ]
    (tmp_path / "turnstile.toml").unlink()
    assert [(event.address, event.failed, event.detail) for event in read(tmp_path, blocks("json")[0])] == [
        ("203.0.113.7", True, "/login"),
        ("2001:db8::7", False, ""),
    ]


def test_the_line_that_logger_is_given_is_read(tmp_path: Path) -> None:
    (message,) = re.findall(r"^logger -t ringfence-event '(.*)'$", PAGE, re.MULTILINE)
    (event,) = read(tmp_path, f"Nov 21 20:34:50 gate ringfence-event: {message}\n")
    assert (event.service, event.address, event.account, event.cause) == (
        "intranet", "203.0.113.7", "ann", "wrong password",
    )  # fmt: skip


def test_the_access_log_template_of_the_page_works(tmp_path: Path) -> None:
    (lines,) = (block for block in blocks("") if block.startswith("template = "))
    example = '203.0.113.7 - ann [21/Nov/2026:20:34:50 +0000] "GET / HTTP/1.1" 401 12 "-" "curl"'
    (tmp_path / "access.toml").write_text(
        'kind = "access"\ntitle = "Access"\nservice = "http"\nenvelope = "none"\n[[pattern]]\nname = "denied"\n'
        + lines
        + f"examples = [{{ line = '{example}', address = '203.0.113.7', account = 'ann', detail = 'GET / HTTP/1.1' }}]\n"  # noqa: E501
    )
    catalogue = load_catalogue([tmp_path])
    assert catalogue.problems == ()
    assert check_examples(catalogue) == []


def test_the_settings_of_the_page_are_good() -> None:
    settings = parse_settings(blocks("toml")[-1], "page", {}, is_root=True)
    assert "intranet" in settings.services


@pytest.mark.parametrize("key", [key for key in PatternEntry.__struct_fields__ if key not in ("name", "template")])
def test_every_key_of_a_pattern_is_explained(key: str) -> None:
    assert f"`{key}`" in PAGE or f"{key} = " in PAGE


@pytest.mark.parametrize(
    "word", [*ENVELOPES, *TYPES, *(field for field in FIELD_TYPES if field not in ("word", "number"))]
)
def test_every_envelope_type_and_field_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_asterisk_page_says_to_switch_on_what_the_catalogue_needs() -> None:
    page = (DOCS / "asterisk.md").read_text()
    note = load_catalogue().kinds["sip-asterisk"].note
    for setting in re.findall(r"`([^`]+)`", note):
        assert setting in page, setting


def test_the_toml_of_the_page_is_one_file() -> None:
    assert tomllib.loads(blocks("toml")[0])["kind"] == "turnstile"
