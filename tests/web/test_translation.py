"""Texts for translators: every one of pages and warnings is in the list, and a translation reaches every page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from ringfence.parse.catalogue import load_catalogue
from ringfence.web.app import handlers_of
from ringfence.web.recognise import PROGRAMS
from ringfence.web.templating import HERE, Pages
from web_site import Site

POT = HERE / "locale" / "ringfence.pot"
ROOT = Path(__file__).parent.parent.parent
MARK = "¤"
TOLD = ("h1", "h2", "h3", "label", "button", "th", "legend", "summary")
"""What a page tells of itself; not options, which are often names of services and rules."""
"""Elements whose text is ours, unless marked as data."""
DATA = re.compile(r"^(?:[\d\W]*|administrator\d*|viewer\d*|/tmp/.*|guard|sip|http\w*|standard)$")


def texts() -> set[str]:
    """Every text of templates and code, as `make messages` finds them."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = extract_from_dir(
        ROOT / "src", [(pattern.removeprefix("src/"), method) for pattern, method in methods],
        {pattern.removeprefix("src/"): given for pattern, given in options.items()},
    )  # fmt: skip
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


@pytest.fixture
def translated(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The site with a language in which every text is marked."""
    with POT.open("rb") as file:
        template = read_po(file)
    catalog = Catalog(locale="eo", domain="ringfence")
    for message in template:
        if message.id and isinstance(message.id, str):
            catalog.add(message.id, f"{MARK}{message.id}{MARK}")
    folder = tmp_path / "eo" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "ringfence.mo").open("wb") as file:
        write_mo(file, catalog)
    english, site.web.pages = site.web.pages, Pages(locale=tmp_path)
    yield site
    site.web.pages = english


def test_the_words_of_warnings_are_among_the_texts() -> None:
    assert {"%(address)s banned from %(service)s", "%(count)s attempt", "Open the page of Ringfence"} <= texts()


def test_every_text_is_in_the_list_for_translators() -> None:
    with POT.open("rb") as file:
        ids = [message.id for message in read_po(file) if message.id]
    listed = {one if isinstance(one, str) else one[0] for one in ids}
    assert texts() == listed, "run `make messages`"


def test_a_text_keeps_its_values_apart_from_its_words() -> None:
    """A value that was put into a text before it is looked up would never find its translation."""
    for text in texts():
        assert "%s" not in text and "{" not in text and not text.startswith(" ") and not text.endswith(" "), text


class Told(HTMLParser):
    """Collects the texts of `TOLD` elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        scope = dict(attributes).get("scope")
        self._open.append("row" if tag == "th" and scope == "row" else tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() not in (tag, "row" if tag == "th" else tag):
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in TOLD and data.strip():
            self.found.append((self._open[-1], data.strip()))


def pages_of(site: Site) -> list[str]:
    """Every page that has an address of its own, for people."""
    return sorted(
        path
        for path, handler in handlers_of(site.app)
        if "GET" in handler.http_methods and "{" not in path and not path.startswith(PROGRAMS)
        and path not in ("/live", "/favicon.ico") and not path.endswith((".csv", ".json", ".txt"))
    )  # fmt: skip


def test_every_page_comes_out_translated(translated: Site) -> None:
    browser, guest = translated.browser(), translated.client()
    language = {"accept-language": "eo,en;q=0.5"}
    holder, services = translated.browser("holder", accounts=["100"]), load_catalogue().services
    who = {"/login": guest, "/mine": holder.client}
    for path in pages_of(translated):
        answer = who.get(path, browser.client).get(path, headers=language)
        if path == "/users/one":
            answer = browser.client.get(f"{path}?name={browser.name}", headers=language)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert answer.status_code == 200 and '<html lang="eo"' in answer.text, path
        told = Told()
        told.feed(answer.text)
        plain = [(tag, html.unescape(text)) for tag, text in told.found if MARK not in text]
        forgotten = [(tag, text) for tag, text in plain if not DATA.match(text) and text not in services]
        assert forgotten == [], path


def test_who_asks_for_a_language_that_there_is_not_gets_english(translated: Site) -> None:
    for accepted in ("", "xx", "fr;q=x", "en-GB,eo;q=0.1", "*", "," * 1000):
        text = translated.client().get("/login", headers={"accept-language": accepted}).text
        assert "Log in to Ringfence" in text and MARK not in text and '<html lang="en"' in text
