"""Warnings, statistics and diagnostics, audit: what is shown, what is reset, and that hostile names stay inert."""

from __future__ import annotations

import csv
import io
import itertools
import re
import time

import pytest

from guard_process import failure, stamp
from ringfence.answers import Stats
from ringfence.live import Vitals
from ringfence.web.counting import FRESH, USABLE
from ringfence.web.exporting import csv_lines
from ringfence.web.kept import Kept
from web_site import Site

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-2+3",
    "\u202egpj.exe", "\u2066x\u2069", "\x1b[31mred\x1b]0;title\x07", "'; DROP TABLE event; --", "{{ 7*7 }}", "%(name)s",
    "</bdi></td></table><h1>x", "\u200b", "&lt;b&gt;", "javascript:alert(1)",
)  # fmt: skip
LONG = "ä" * 10_000


@pytest.fixture(scope="module")
def hostile(site: Site) -> Site:
    """A site whose audit, bans and logs hold what attackers and careless people write."""
    site.guard.ask(dict, "allow", target="198.51.100.251", note=LONG, seconds=3600.0)
    for number, text in enumerate(HOSTILE):
        site.guard.ask(dict, "ban", target=f"198.51.100.{number}", note=text, seconds=3600.0)
    for text in HOSTILE:
        site.guard.write(failure("203.0.113.90", f"hostile-{time.monotonic_ns()}", account=text.replace("\n", " ")))
        line = f"NOTICE[1] chan_x.c: login failed for {text} from 192.0.2.9 authentication failed"
        site.guard.write(f"[{stamp(time.time())}] {line}\n" * 4)
    site.guard.wait_for(lambda: site.guard.ask(Vitals, "vitals").unknown, "no unknown form was noticed")
    return site


def test_warnings_show_what_is_wrong_now(site: Site) -> None:
    text = site.browser("viewer").get("/warnings").text
    main = text[text.index("<main") : text.index("</main>")]
    assert "monitor mode" in main and 'method="post"' not in main


def test_diagnostics_tell_memory_lists_logs_and_versions(hostile: Site) -> None:
    text = hostile.browser("viewer").get("/diagnostics").text
    for told in ("guard", "page", "1,000,000", "tracked addresses", "sip-asterisk", str(hostile.guard.log), "Python",
                 "SQLite", "litestar", "Lines of unknown form", "login failed for"):  # fmt: skip
        assert told in text, told
    assert 'action="/diagnostics/reset"' not in text


def test_statistics_are_reset_for_one_service_or_for_all(hostile: Site) -> None:
    browser = hostile.browser("operator")

    def counted() -> dict[str, int]:
        return {row.service: row.attempts for row in hostile.guard.ask(Stats, "statistics").rows}

    assert counted()["sip"] > 0
    assert "tick the box" in browser.post("/diagnostics/reset", service="sip", back="/diagnostics").text
    answer = browser.post("/diagnostics/reset", service="sip", sure="yes", back="/diagnostics")
    assert "The statistics of sip begin anew" in answer.text and counted()["sip"] == 0
    row = re.search(r'id="s-sip".*?</tr>', answer.text, re.DOTALL)
    assert row is not None and re.findall(r">([\d,]+)</td>", row[0])[:2] == ["0", "0"]
    answer = browser.post("/diagnostics/reset", service="no-such", sure="yes", back="/diagnostics")
    assert "nothing was counted" in answer.text
    assert "every service begin anew" in browser.post("/diagnostics/reset", service="all", sure="yes").text


def test_without_its_guard_the_page_still_tells_what_the_ledger_holds(site: Site) -> None:
    browser = site.browser("viewer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.web.guard, "_socket", site.guard.folder / "no-such.sock")
        site.web.guard.changed()
        diagnostics, warnings = browser.get("/diagnostics"), browser.get("/warnings")
    site.web.guard.changed()
    assert diagnostics.status_code == warnings.status_code == 200
    assert "guard is not running" in diagnostics.text and "In the ledger" in diagnostics.text
    assert "The guard does not answer" in warnings.text


def test_the_audit_tells_who_did_what_from_where(site: Site) -> None:
    admin = site.browser("administrator", address="203.0.113.222")
    admin.post("/users/add", name="grace", role="viewer", by="link")
    text = admin.get("/audit?q=grace").text
    assert f"{admin.name} (page)" in text and "user add" in text and "web, from 203.0.113.222" in text
    assert "name: grace; role: viewer" in text and "user invite" in text
    assert "Nothing of that kind" in admin.get("/audit?q=no-such-word-anywhere").text


def test_the_audit_is_read_part_by_part_without_gap_or_repetition(hostile: Site) -> None:
    for _ in range(120):
        hostile.guard.ask(dict, "allow", target="198.51.100.250", seconds=3600.0)
    browser, path, seen = hostile.browser("viewer"), "/audit", []
    for _ in range(50):
        text = browser.get(path).text
        seen += [int(number) for number in re.findall(r'id="e-(\d+)"', text)]
        more = re.search(r'href="([^"]+)" rel="next"', text)
        if more is None:
            break
        path = more[1].replace("&amp;", "&")
    assert seen == sorted(set(seen), reverse=True) and len(seen) > 110 and seen[-1] == 1


@pytest.mark.parametrize("path", ["/audit", "/audit?q=ban", "/diagnostics", "/warnings", "/users"])
def test_hostile_names_are_inert_on_every_page(hostile: Site, path: str) -> None:
    browser = hostile.browser("administrator")

    browser.post("/tokens/add", user="", label=HOSTILE[0], scope="read", holds="1d")
    text = browser.get(path).text
    for bad in ("<script>alert", "<img src=x", "<h1>x", "\u202e", "\u2066", "\u200b", "\x1b", "\x07", "\x9b"):
        assert bad not in text, repr(bad)
    assert all(character.isprintable() or character in "\n" for character in text)
    if "q=ban" in path:
        assert "&lt;script&gt;" in text and "\\u202e" in text and "{{ 7*7 }}" in text


def test_hostile_names_are_inert_in_the_file(hostile: Site) -> None:
    answer = hostile.browser("viewer").client.get("/audit.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["number", "time", "who", "command", "arguments", "from"] and len(rows) > len(HOSTILE)
    assert {len(row) for row in rows} == {6}
    for row in rows:
        assert all(cell.isprintable() and not cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
    assert any(LONG in cell for row in rows for cell in row)


def test_a_cell_that_would_be_a_formula_is_a_text() -> None:
    for text in ("=1+1", "+1", "-1", "@x", " =1+1", "|x", "%x"):
        assert csv_lines([[text]]).startswith(("'", "\"'"))
    assert csv_lines([[3, -2.5, "plain", 'a "b", c', None]]) == '3,-2.5,plain,"a ""b"", c",\r\n'


def test_what_is_counted_is_kept_for_a_while_and_counted_anew_behind_the_readers_back() -> None:
    now, made = [0.0], itertools.count(1)
    kept = Kept(clock=lambda: now[0])

    def count() -> int:
        return kept.get("one", lambda: next(made), FRESH, USABLE)

    assert [count(), count()] == [1, 1]
    now[0] = FRESH + 1
    assert count() in (1, 2)  # at once, whether or not the new one is there already
    end = time.monotonic() + 10
    while count() == 1 and time.monotonic() < end:
        time.sleep(0.005)
    assert count() == 2
    now[0] += USABLE
    assert count() == 3  # too old to be shown
