"""The page of warnings: listed, filtered, acknowledged, kept back; hostile texts in them stay inert; live."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest

from ringfence.ledger import Mute
from ringfence.model import Alert
from warning_examples import attempt, lock_and_unlock
from web_site import Browser, Site, lines_of

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>\u202e\x1b[31m'


@pytest.fixture
def operator(site: Site) -> Browser:
    return site.browser("operator")


def newest(site: Site, kind: str | None = None) -> Alert:
    return site.web.readers.ledger().warnings(kind=kind, limit=1)[0]


def row_of(text: str, number: int) -> str:
    found = re.search(rf'<tr id="w-{number}">(.*?)</tr>', text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def test_a_warning_tells_what_happened_how_grave_it_is_and_about_whom(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.1", "mallory")
    lock_and_unlock(site)
    text = operator.get("/warnings").text
    ended = newest(site, "lockdown")
    row = row_of(text, ended.id)
    for told in ("Lockdown ended", "iax", "grave", "ended", "lockdown", "<details", "<time"):
        assert told in row, told
    assert "began" in row_of(text, ended.id - 1)
    row = row_of(text, newest(site, "rule").id)
    for told in ("10.66.0.1", 'href="/attacks/10.66.0.1"', "rule told", "http", "mallory", "only warns"):
        assert told in row, told
    assert "grave" not in row


def test_the_list_is_narrowed_by_kind_and_service(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.2")
    lock_and_unlock(site)
    rule, lockdown = newest(site, "rule").id, newest(site, "lockdown").id
    text = operator.get("/warnings?kind=rule").text
    assert row_of(text, rule) and not row_of(text, lockdown)
    text = operator.get("/warnings?service=http").text
    assert row_of(text, rule) and not row_of(text, lockdown)
    assert "No warning fits" in operator.get("/warnings?kind=canary&show=all").text
    text = operator.get("/warnings?kind=nonsense").text
    assert row_of(text, rule) and row_of(text, lockdown)
    for label in ("f-kind", "f-service"):
        assert f'for="{label}"' in text


def test_one_some_and_all_are_acknowledged(site: Site, operator: Browser) -> None:
    lock_and_unlock(site)
    lock_and_unlock(site)
    last = newest(site).id
    answer = operator.post("/warnings/acknowledge", one=str(last), back="/warnings")
    assert "1 warning acknowledged" in answer.text and not row_of(answer.text, last)
    every = operator.get("/warnings?show=all").text
    row = row_of(every, last)
    assert f"{operator.name} (page)" in row and "<time" in row and f'name="one" value="{last}"' not in row
    answer = operator.post("/warnings/acknowledge", warning=[str(last - 1), str(last - 2)], back="/warnings")
    assert "2 warnings acknowledged" in answer.text and row_of(answer.text, last - 3)
    assert "no warning is selected" in html.unescape(operator.post("/warnings/acknowledge", back="/warnings").text)
    lock_and_unlock(site)
    later = newest(site).id
    assert f'name="upto" value="{later}"' in operator.get("/warnings").text
    answer = operator.post("/warnings/acknowledge", upto=str(later - 1), back="/warnings")
    assert row_of(answer.text, later) and not row_of(answer.text, later - 1)
    assert "Everything is acknowledged" in operator.post("/warnings/acknowledge", upto=str(later)).text


def test_the_menu_tells_how_many_are_not_acknowledged(site: Site, operator: Browser) -> None:
    lock_and_unlock(site)
    operator.post("/warnings/acknowledge", upto=str(newest(site).id))
    badge = re.compile(r'<span id="unseen" data-live="status">(.*?)</span></a>', re.DOTALL)
    found = badge.search(operator.get("/bans").text)
    assert found is not None and not found[1].strip()
    lock_and_unlock(site)
    found = badge.search(operator.get("/bans").text)
    assert found is not None and "(2)" in found[1] and "not acknowledged" in found[1]
    assert 'id="unseen"' not in site.browser("holder", accounts=["100"]).get("/mine").text


def test_the_overview_shows_the_newest_grave_ones_until_somebody_acknowledges_them(
    site: Site, operator: Browser
) -> None:
    lock_and_unlock(site, "telnet")
    text = operator.get("/").text
    assert "Grave warnings" in text and "Lockdown ended: telnet" in text
    operator.post("/warnings/acknowledge", upto=str(newest(site).id))
    assert "Grave warnings" not in operator.get("/").text


def test_nobody_is_told_again_for_a_while_and_then_they_are(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.3")
    first = newest(site, "rule")
    answer = operator.post("/warnings/mute", of=str(first.id), what="subject", length="7d", back="/warnings?show=all")
    assert "For 7d nobody is told of “rule fired” about 10.66.0.3" in answer.text
    attempt(site, "10.66.0.3")
    muted = newest(site, "rule")
    assert muted.id > first.id and muted.muted
    assert "nobody was told" in row_of(operator.get("/warnings?show=all").text, muted.id)
    (mute,) = [one for one in site.guard.ask(list[Mute], "mutes") if one.subject == "10.66.0.3"]
    assert mute.kind == "rule" and operator.name in mute.author
    assert f'id="mute-{mute.id}"' in answer.text and "Tell again" in answer.text
    answer = operator.post("/warnings/unmute", mute=str(mute.id), back="/warnings")
    assert "told again" in answer.text and f'id="mute-{mute.id}"' not in answer.text


def test_a_whole_kind_or_one_for_a_service_is_kept_back(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.4")
    number = str(newest(site, "rule").id)
    operator.post("/warnings/mute", of=number, what="service", length="1h")
    operator.post("/warnings/mute", of=number, what="kind", length="30d")
    made = [(one.kind, one.subject, one.service) for one in site.guard.ask(list[Mute], "mutes")]
    assert ("rule", "", "http") in made and ("rule", "", "") in made
    for fields in ({"what": "all"}, {"length": "10y"}, {"of": "999999"}, {"of": "x"}):
        sent = {"of": number, "what": "kind", "length": "1h", **fields}
        answer = operator.send("/warnings/mute", **sent)
        assert answer.status_code in (303, 404) and len(site.guard.ask(list[Mute], "mutes")) == len(made), fields
    for one in site.guard.ask(list[Mute], "mutes"):
        operator.post("/warnings/unmute", mute=str(one.id))


def test_a_long_list_goes_on_without_gap_or_repetition(site: Site, operator: Browser) -> None:
    for _ in range(30):
        lock_and_unlock(site)
    path, seen = "/warnings?show=all", list[int]()
    for _ in range(40):
        text = operator.get(path).text
        seen += [int(number) for number in re.findall(r'<tr id="w-(\d+)"', text)]
        more = re.search(r'href="([^"]+)" rel="next"', text)
        if more is None:
            break
        path = html.unescape(more[1])
    assert seen == sorted(set(seen), reverse=True) and len(seen) > 60
    assert seen[0] == newest(site).id and seen[-1] == 1


def test_the_file_holds_what_the_filter_lets_through(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.5", '=cmd|"/C calc"')
    lock_and_unlock(site)
    answer = operator.client.get("/warnings.csv?show=all&kind=rule")
    assert answer.headers["content-disposition"] == 'attachment; filename="ringfence-warnings.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert {row[3] for row in rows[1:]} == {"rule"} and any("10.66.0.5" in row for row in rows)
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    found = json.loads(operator.client.get("/warnings.json?kind=lockdown").text)
    assert found[0]["id"] == newest(site, "lockdown").id and found[0]["facts"]["services"] == ["iax"]
    assert {one["kind"] for one in found} == {"lockdown"}


def test_what_an_attacker_wrote_is_inert(site: Site, operator: Browser) -> None:
    attempt(site, "10.66.0.6", HOSTILE, HOSTILE)
    site.guard.ask(Mute, "mute", kind="rule", subject=HOSTILE, seconds=60.0)
    for path in ("/warnings", "/warnings?kind=rule&show=all", f"/warnings?service={HOSTILE[:40]}", "/"):
        text = operator.get(path).text
        for bad in ("<script>alert", "<img src=x", "\u202e", "\x1b"):
            assert bad not in text, (path, bad)
    number = newest(site, "rule").id
    assert "alert" in row_of(operator.get("/warnings").text, number)


def test_who_only_looks_changes_nothing(site: Site) -> None:
    lock_and_unlock(site)
    viewer, number = site.browser("viewer"), newest(site).id
    page = viewer.get("/warnings").text
    assert row_of(page, number) and 'method="post" action="/warnings' not in page and 'name="warning"' not in page
    assert "/warnings/settings" not in page
    for path in ("/warnings/acknowledge", "/warnings/mute", "/warnings/unmute"):
        assert viewer.post(path, one=str(number), upto=str(number), mute="1", of=str(number)).status_code == 403
    assert newest(site).acknowledged is None
    assert site.browser("holder").get("/warnings").status_code == 403


def test_open_pages_hear_of_a_new_warning(site: Site, operator: Browser) -> None:
    """The list is a part that renews itself when the topic `warnings` changed, which the stream tells."""
    assert 'id="warnings" data-live="warnings audit"' in operator.get("/warnings").text
    with operator.client.stream("GET", "/live") as stream:
        lines = lines_of(stream)
        assert next(lines) == "retry: 3000"
        lock_and_unlock(site)
        assert any(line.startswith("data: ") and "warnings" in line.split() for line in lines)


def test_a_fault_while_looking_for_changes_is_told_and_does_not_end_what_open_pages_hear(
    site: Site, operator: Browser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ringfence.web.app.AGAIN", 0.1)
    with operator.client.stream("GET", "/live") as stream:
        lines = lines_of(stream)
        assert next(lines) == "retry: 3000"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.web.guard, "pulse", lambda: 1 / 0)
            site.guard.wait_for(lambda: "Live failed" in capsys.readouterr().err, "no fault was told")
        lock_and_unlock(site)
        assert any(line.startswith("data: ") and "warnings" in line.split() for line in lines)
