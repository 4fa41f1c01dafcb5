"""Who is told of warnings: the table, the form, the text, its history; secrets are never shown; the test button."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from ringfence.alert.alerting import load_alerting
from ringfence.errors import SettingsError
from ringfence.ledger import AlertingRevision, Delivery
from ringfence.web.alert_table import EXAMPLES, told_table
from ringfence.web.alert_text import HIDDEN, difference, hidden, readable, restored, secrets_in, with_mail
from warning_examples import SECRETS, SETTINGS, tell
from web_site import Browser, Site

PATHS = ("/warnings/settings", "/warnings/settings/history", "/warnings/outbox", "/audit?q=mail")


@pytest.fixture
def boss(site: Site) -> Browser:
    return site.browser()


@pytest.fixture
def told(site: Site) -> Iterator[Site]:
    """Settings with secrets; afterwards nobody is told again."""
    tell(site, SETTINGS)
    yield site
    tell(site, "")


def in_force(site: Site) -> AlertingRevision:
    return site.guard.ask(AlertingRevision, "alerting")


def usual(page: str) -> dict[str, str]:
    """The fields of the form as a browser would send them back."""
    form = page[page.index('aria-labelledby="usual-title">') :]
    form = form[: form.index("</form>")]
    found = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', form))
    found |= dict(re.findall(r'name="(\w+)"[^>]*>(?:(?!</select>).)*<option value="([^"]*)" selected', form))
    found |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL))
    return {name: html.unescape(value) for name, value in found.items() if name not in ("csrf", "forget")}


def text_of(page: str) -> str:
    found = re.search(r'<textarea id="text"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


# ---- the page


def test_as_long_as_nobody_is_told_that_is_said_and_examples_lead_on(site: Site, boss: Browser) -> None:
    tell(site, "")
    text = boss.get("/warnings/settings").text
    assert "Nobody is told yet" in text and text.count('id="example-') == 3
    text = boss.get("/warnings/settings?example=provider").text
    assert text_of(text) == EXAMPLES["provider"] and "not in force" in text and in_force(site).text == ""
    revision = str(in_force(site).revision)
    answer = boss.post("/warnings/settings/text", revision=revision, text=EXAMPLES["relay"].replace("25", "1"))
    assert "are in force" in answer.text and in_force(site).text == EXAMPLES["relay"].replace("25", "1")
    tell(site, "")


def test_the_table_tells_who_is_told_of_what(told: Site, boss: Browser) -> None:
    page = html.unescape(boss.get("/warnings/settings").text)

    def line(kind: str, service: str = "") -> str:
        found = re.search(rf'<tr id="k-{kind}-{service}">(.*?)</tr>', page, re.DOTALL)
        assert found is not None
        return found[1]

    assert "boss@example.org" in line("rule") and "every 2h at most" in line("rule") and "chat" in line("rule")
    assert "quiet 22:00-07:00" in line("rule") and "hook" not in line("rule")
    assert "pbx@example.org" in line("rule", "sip") and "boss@" not in line("rule", "sip")
    assert "hook" in line("lockdown") and "only shown here" in line("delivery")


def test_secrets_never_leave_the_server(told: Site, boss: Browser) -> None:
    revision = str(in_force(told).revision)
    pages = [boss.get(path).text for path in PATHS]
    pages.append(boss.post("/warnings/settings", **{**usual(pages[0]), "port": "x"}).text)
    pages.append(boss.post("/warnings/settings/text", revision=revision, text=text_of(pages[0]) + "[nonsense]").text)
    for page in pages:
        for secret in SECRETS:
            assert secret not in page
    assert HIDDEN in text_of(pages[0]) and 'placeholder="unchanged"' in pages[0]


def test_what_is_typed_into_the_form_is_all_that_changes(told: Site, boss: Browser) -> None:
    before = in_force(told)
    fields = usual(boss.get("/warnings/settings").text)
    assert fields["recipients"].split() == ["boss@example.org"] and fields["interval"] == "2h"
    assert fields["security"] == "starttls" and fields["revision"] == str(before.revision)
    answer = boss.post("/warnings/settings", **fields)
    assert "Nothing was to be changed" in answer.text and in_force(told).revision == before.revision
    fields |= {"recipients": "boss@example.org\r\n\r\n night@example.org \r\n", "quiet": "22:00-06:00", "note": "two"}
    assert "are in force" in boss.post("/warnings/settings", **fields).text
    after = in_force(told)
    assert after.note == "two" and boss.name in after.author
    assert after.text == before.text.replace(
        '["boss@example.org"]', '["boss@example.org", "night@example.org"]'
    ).replace('interval = "2h"\n', 'interval = "2h"\nquiet = "22:00-06:00"\n')


def test_a_password_is_set_kept_and_taken_away(told: Site, boss: Browser) -> None:
    def password() -> str:
        return load_alerting(in_force(told).text, "test").mail.password

    fields = usual(boss.get("/warnings/settings").text)
    boss.post("/warnings/settings", **fields, password="another one")
    assert password() == "another one"
    fields = usual(boss.get("/warnings/settings").text)
    boss.post("/warnings/settings", **{**fields, "port": "2"}, password="")
    assert password() == "another one"
    fields = usual(boss.get("/warnings/settings").text)
    refused = boss.post("/warnings/settings", **fields, forget="yes")
    assert "needs a password" in refused.text and password() == "another one"
    boss.post("/warnings/settings", **{**fields, "user": ""}, forget="yes")
    assert password() == ""


def test_what_is_wrong_stands_beside_and_what_was_typed_stays(told: Site, boss: Browser) -> None:
    before = in_force(told).revision
    fields = usual(boss.get("/warnings/settings").text)
    wrong = {"port": "70000", "recipients": "not an address", "quiet": "late", "interval": "5s"}
    answer = boss.post("/warnings/settings", **{**fields, **wrong})
    assert answer.status_code == 400 and in_force(told).revision == before
    for key, typed in wrong.items():
        assert f'id="x-{key}"' in answer.text and f'aria-describedby="x-{key}"' in answer.text
        assert typed in usual(answer.text)[key]
    answer = boss.post("/warnings/settings/text", revision=str(before), text='[mail]\nrecipient = ["x@y.z"]\n')
    assert answer.status_code == 400 and "recipients" in answer.text and text_of(answer.text).startswith("[mail]")
    answer = boss.post("/warnings/settings/text", revision=str(before), text="[mail\n")
    assert "not valid TOML" in answer.text and in_force(told).revision == before


@pytest.mark.parametrize(
    "text",
    [
        '[[channel]]\nname = "x"\ntype = "command"\ncommand = ["/bin/sh", "-c", "id"]\n',
        '[mail]\nserver = "evil.example.org"\npassword_file = "/etc/shadow"\n',
    ],
)
def test_programs_and_files_are_named_by_root_only(told: Site, boss: Browser, text: str) -> None:
    """Whoever has the page has not the server: neither its files nor its programs."""
    before = in_force(told)
    answer = boss.post("/warnings/settings/text", revision=str(before.revision), text=text)
    assert answer.status_code == 400 and "set by root on the server itself" in html.unescape(answer.text)
    with told.token() as program:
        refused = program.put("/api/v1/warnings/settings", json={"text": text})
    assert refused.status_code >= 400 and "set by root" in refused.text
    assert in_force(told) == before


def test_two_editors_do_not_overwrite_each_other_unawares(told: Site, boss: Browser) -> None:
    page = boss.get("/warnings/settings").text
    tell(told, SETTINGS.replace("2h", "3h"))
    answer = boss.post("/warnings/settings/text", revision=usual(page)["revision"], text=text_of(page) + "# mine\n")
    assert answer.status_code == 400 and "changed meanwhile" in answer.text and "# mine" in text_of(answer.text)
    assert "3h" in in_force(told).text
    fields = {**usual(page), "port": "9"}
    assert (
        "changed meanwhile" in boss.post("/warnings/settings", **fields).text and "port = 9" not in in_force(told).text
    )
    again = boss.post("/warnings/settings/text", revision=usual(answer.text)["revision"], text=text_of(answer.text))
    assert "are in force" in again.text and in_force(told).text.endswith("# mine\n")


def test_hidden_secrets_stay_when_the_text_is_saved(told: Site, boss: Browser) -> None:
    page = boss.get("/warnings/settings").text
    text = text_of(page).replace('kind = ["lockdown"]', 'kind = ["lockdown", "attack"]')
    boss.post("/warnings/settings/text", revision=usual(page)["revision"], text=text.replace("\n", "\r\n"))
    assert in_force(told).text == SETTINGS.replace('kind = ["lockdown"]', 'kind = ["lockdown", "attack"]')
    page = boss.get("/warnings/settings").text
    renamed = text_of(page).replace('name = "hook"', 'name = "other"')
    answer = boss.post("/warnings/settings/text", revision=usual(page)["revision"], text=renamed)
    assert answer.status_code == 400 and "nothing stood there that could be kept" in answer.text


def test_an_earlier_revision_is_taken_over_again(told: Site, boss: Browser) -> None:
    first = in_force(told).revision
    tell(told, SETTINGS.replace('"2h"', '"4h"').replace("s3cret-of-mail", "another"))
    history = html.unescape(boss.get("/warnings/settings/history").text)
    row = re.search(rf'<tr id="v-{first + 1}">(.*?)</tr>', history, re.DOTALL)
    assert row is not None and '-interval = "2h"' in row[1] and '+interval = "4h"' in row[1]
    assert "mail: another password" in row[1] and "another" not in row[1].replace("another password", "")
    fields = {"revision": str(first), "force": str(first + 1), "back": "/warnings/settings/history"}
    assert "what revision" in boss.post("/warnings/settings/again", **fields).text
    assert in_force(told).text == SETTINGS
    assert "changed meanwhile" in boss.post("/warnings/settings/again", **fields).text


def test_the_test_button_shows_how_far_the_message_is(told: Site, boss: Browser) -> None:
    page = boss.get("/warnings/settings").text
    assert page.count('action="/warnings/test"') == 1 + 2 + 3 + 1
    answer = boss.post("/warnings/test", channel="mail", recipient="pbx@example.org")
    assert str(answer.url).startswith(f"{told.base}/warnings/test?id=")
    number = int(str(answer.url).rpartition("=")[2])
    assert told.guard.ask(Delivery, "delivery", id=number).recipient == "pbx@example.org"
    assert "pbx@example.org" in answer.text and 'id="results" data-live="outbox status"' in answer.text
    assert f'id="m-{number}"' in boss.get("/warnings/outbox").text
    assert "no channel" in boss.post("/warnings/test", channel="nowhere", back="/warnings/settings").text
    assert "a mail address" in boss.post("/warnings/test", recipient="x y", back="/warnings/settings").text
    assert "no such message" in boss.get("/warnings/test?id=99999&id=x").text


def test_only_administrators_see_and_change_who_is_told(told: Site) -> None:
    before = in_force(told).revision
    for role in ("operator", "viewer", "holder"):
        browser = told.browser(role)
        for path in ("/warnings/settings", "/warnings/settings/history", "/warnings/test"):
            assert browser.get(path).status_code == 403
        for path in ("/warnings/settings", "/warnings/settings/text", "/warnings/settings/again", "/warnings/test"):
            assert browser.post(path, revision=str(before), text="", force=str(before)).status_code == 403
    assert in_force(told).revision == before


# ---- the text


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_applied_and_tells_somebody(name: str) -> None:
    assert load_alerting(EXAMPLES[name], name).tells()


def test_hiding_and_restoring_changes_no_other_character() -> None:
    assert set(secrets_in(SETTINGS).values()) == {"s3cret-of-mail", "s3cret-key", *(
        "http://127.0.0.1:1/s3cret-hook", "https://127.0.0.1:1/s3cret-token",
    )}  # fmt: skip
    shown = hidden(SETTINGS)
    assert not any(secret in shown for secret in SECRETS) and "# the hook" in shown and "# why it is so" in shown
    assert restored(shown, SETTINGS) == SETTINGS
    for text in (
        'mail = {password = "pw"}\n',
        'mail.password = "pw"\n',
        "channel = [{name = 'x', url = 'https://k'}]\n",
    ):
        assert "pw" not in hidden(text) and "https://k" not in hidden(text)
        assert secrets_in(restored(hidden(text), text)) == secrets_in(text)


def test_what_is_commented_out_is_hidden_from_who_only_looks() -> None:
    assert "old-pw" not in readable('[mail]\n# password = "old-pw"\n') and "[mail]" in readable(
        '[mail]\n#password = "x"'
    )
    assert difference('[mail]\n#password = "x"\n', '[mail]\n#password = "y"\n') == []


def test_a_value_goes_into_its_table_however_that_is_written() -> None:
    for text in ("", "# a comment\n", '[[channel]]\nname = "x"\ntype = "command"\ncommand = ["/bin/true"]\n',
                 "mail = {port = 2}\n", "mail.port = 2\n",
                 "[mail]\nport = 2 # two\n\n# of journals\n[journal]\n"):  # fmt: skip
        edited = with_mail(text, {"recipients": ("a@example.org",), "port": 3})
        found, before = load_alerting(edited, "test"), load_alerting(text, "test")
        assert found.mail.recipients == ("a@example.org",) and found.mail.port == 3
        assert found.channel == before.channel and found.journal == before.journal
        assert all(comment in edited for comment in re.findall(r"#.*", text))
    with pytest.raises(SettingsError, match="would travel unencrypted"):
        with_mail("[mail]\npassword = 'x'\n", {"user": "u"})


def test_a_table_without_its_file_says_so_and_tells_the_rest() -> None:
    alerting = load_alerting(SETTINGS.replace("port = 1\n", 'port = 1\nrecipients_file = "/nowhere/at/all"\n'), "test")
    line = next(one for one in told_table(alerting) if one.kind == "rule" and not one.service)
    assert "/nowhere/at/all" in line.wrong and [way.channel for way in line.ways] == ["chat"]
