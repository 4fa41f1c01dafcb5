"""The page in German: every page says so and has no English text of ours left, whatever a form comes to."""

from __future__ import annotations

import html
import re

import pytest
from babel.messages.pofile import read_po

from guard_process import failures
from ringfence.translating import LOCALE, Words
from web.test_translation import Told, pages_of
from web_site import HERE, Browser, Site

GERMAN = {"accept-language": "de-DE,de;q=0.9,en;q=0.5"}
FLASH = re.compile(r'<p class="flash \w+">(.*?)</p>', re.DOTALL)


@pytest.fixture
def boss(site: Site) -> Browser:
    browser = site.browser()
    browser.client.headers.update(GERMAN)
    return browser


def english() -> set[str]:
    """Our texts that are others in German."""
    german = Words.of("de")
    with (LOCALE / "ringfence.pot").open("rb") as file:
        found = [message.id for message in read_po(file) if message.id]
    texts = [one if isinstance(one, str) else one[0] for one in found]
    return {text for text in texts if "%(" not in text and german(text) != text}


def said(page: str) -> str:
    """What a form came to: the flashes on top of the page, with plain spaces."""
    return html.unescape(" ".join(FLASH.findall(page))).replace("\u00a0", " ")


def test_every_page_is_german(site: Site, boss: Browser) -> None:
    guest = site.client()
    guest.headers.update(GERMAN)
    forgotten: dict[str, list[tuple[str, str]]] = {}
    ours = english()
    for path in pages_of(site):
        answer = (guest if path == "/login" else boss.client).get(path, follow_redirects=False)
        if path == "/users/one":
            answer = boss.get(f"{path}?name={boss.name}")
        if answer.status_code != 200 or not answer.headers["content-type"].startswith("text/html"):
            continue
        assert '<html lang="de"' in answer.text, path
        told = Told()
        told.feed(answer.text)
        left = [(tag, text) for tag, text in told.found if html.unescape(text) in ours]
        forgotten |= {path: left} if left else {}
    assert forgotten == {}


def test_what_forms_come_to_is_told_in_german(boss: Browser) -> None:
    ban = boss.post("/bans", target="192.0.2.81", service="sip", length="1d", note="")
    assert "192.0.2.81 ist für sip gesperrt, Dauer 1 d" in said(ban.text)
    assert "Beobachtungsmodus (laut Einstellungen): nichts" in said(ban.text)
    allowed = said(boss.post("/attacks/allow", target="192.0.2.81").text)
    assert "192.0.2.81 steht für alle Dienste auf der Ausnahmeliste; war gesperrt: 1 Sperre aufgehoben" in allowed
    wrong = boss.post("/bans", target="192.0.2.82", service="sip", length="", custom="soon")
    assert 'Dauer: erlaubt ist eine Dauer wie "90s"' in said(wrong.text)
    assert "keine Sperre ist ausgewählt" in said(boss.post("/bans/unban").text)
    entry = said(boss.post("/whitelist", target="192.0.2.83").text)
    assert "192.0.2.83 steht für alle Dienste auf der Ausnahmeliste" in entry
    assert "es gibt keine Nummer 'x'" in html.unescape(boss.get("/bans/x").text)


def test_what_is_refused_is_told_in_german(boss: Browser) -> None:
    page = html.unescape(boss.post("/bans", target=HERE, service="sip", length="1d").text)
    assert f"{HERE} ist nicht gesperrt: das ist die Adresse, von der Sie zugreifen. Zum Sperren trotzdem" in page
    assert "Sind Sie sicher?" in page


def test_why_an_address_is_banned_is_told_in_german(site: Site, boss: Browser) -> None:
    site.guard.write(failures("192.0.2.84", 7))
    site.guard.wait_for(lambda: site.seen("192.0.2.84") == 7, "the attempts are not seen")
    page = html.unescape(boss.get("/attacks/192.0.2.84").text).replace("\u00a0", " ")
    assert "192.0.2.84 ist für sip gesperrt bis " in page and "Regel standard ausgelöst am " in page
    assert "falsches Passwort" in page and "bedrohlich" in page
    assert "is banned" not in page and "wrong password" not in page and "threatening</span>" not in page


def test_who_is_not_logged_in_is_told_in_german(site: Site) -> None:
    guest = site.client()
    guest.headers.update(GERMAN)
    form = guest.get("/login").text
    token = re.search(r'name="csrf" value="([^"]+)"', form)
    assert token is not None and "Bei Ringfence anmelden" in form
    answer = guest.post("/login", data={"csrf": token[1], "name": "nobody", "password": "x", "next": "/"})
    assert answer.status_code == 401 and "Name, Passwort oder Code stimmen nicht." in answer.text
    assert "dieses Formular ist veraltet" in html.unescape(guest.post("/login", data={"csrf": "x"}).text)


def test_the_state_and_the_policy_are_german(boss: Browser) -> None:
    page = html.unescape(boss.get("/").text).replace("\u00a0", " ")
    assert "Beobachtungsmodus (laut Einstellungen): nichts" in page and "monitor mode" not in page
    assert 'data-on="Diese Seite aktualisiert sich von selbst."' in page
    assert re.search(r"\d+ in 1 h → \d+ h", html.unescape(boss.get("/policy").text).replace("\u00a0", " "))
    check = boss.get("/policy/check?key=failures&value=0").text
    assert check == "erlaubt ist eine ganze Zahl von 1 bis 100000"


def test_the_settings_name_the_languages_and_refuse_others(boss: Browser) -> None:
    page = boss.get("/warnings/settings").text
    assert '<option value="en"' in page and ">Deutsch</option>" in page
    number = re.search(r'name="revision" value="(\d+)"', page)
    assert number is not None
    wrong = boss.post("/warnings/settings/text", revision=number[1], text='[mail]\nlanguage = "fr"\n', note="")
    assert 'language = "fr": must be "en" or "de"' in html.unescape(wrong.text)


def test_programs_are_answered_in_english(site: Site) -> None:
    program = site.token()
    program.headers.update(GERMAN)
    answer = program.post("/api/v1/bans", json={"target": "nowhere"})
    assert answer.status_code >= 400 and "must be an address" in answer.text
