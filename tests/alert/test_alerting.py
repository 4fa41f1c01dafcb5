"""The settings of warnings: what they mean for one warning, and what is said of those that can't be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringfence.alert.alerting import TABLES, load_alerting
from ringfence.alert.settings_text import example_file
from ringfence.declared import docs_of
from ringfence.errors import SettingsError

TEXT = """
[mail]
recipients = ["all@example.org"]
interval = "10m"
quiet = "22:00-07:00"
[[mail_for]]
service = "sip"
recipients = ["voice@example.org"]
[[mail_for]]
kind = "attack"
interval = "none"
quiet = ""
[[mail_for]]
kind = "attack"
service = "sip"
body = "short"
recipients = ["4930123@sms.example.org"]
"""


def test_what_is_not_overridden_is_inherited_and_the_most_special_wins() -> None:
    alerting = load_alerting(TEXT, "x")
    assert alerting.recipients("rule", "ssh") == ("all@example.org",)
    plain = alerting.manner("rule", "ssh", "all@example.org")
    assert (plain.interval, plain.quiet, plain.body) == (600.0, (22 * 60, 7 * 60), "standard")
    assert alerting.recipients("rule", "sip") == ("voice@example.org",)
    attack = alerting.manner("attack", "ssh", "all@example.org")
    assert attack.interval == 0.0 and attack.quiet is None
    assert alerting.recipients("attack", "sip") == ("4930123@sms.example.org",)
    special = alerting.manner("attack", "sip", "4930123@sms.example.org")
    assert (special.body, special.interval) == ("short", 0.0)


def test_one_recipient_is_told_in_a_manner_of_its_own() -> None:
    """A telephone gets short messages of what others read in full; where several fit, that for the kind, too, wins."""
    alerting = load_alerting(
        """
        [mail]
        recipients = ["boss@example.org", "4930123@sms.example.org"]
        interval = "1h"
        [[mail_for]]
        kind = "attack"
        interval = "5m"
        [[mail_for]]
        to = "4930123@sms.example.org"
        kind = "lockdown"
        interval = "none"
        [[mail_for]]
        to = "4930123@sms.example.org"
        body = "short"
        interval = "15m"
        """,
        "x",
    )
    sms = "4930123@sms.example.org"
    assert alerting.recipients("attack", "") == ("boss@example.org", sms)
    for kind, recipient, body, interval in (
        ("rule", "boss@example.org", "standard", 3600.0), ("attack", "boss@example.org", "standard", 300.0),
        ("rule", sms, "short", 900.0), ("attack", sms, "short", 900.0), ("lockdown", sms, "short", 0.0),
    ):  # fmt: skip
        manner = alerting.manner(kind, "", recipient)
        assert (manner.body, manner.interval) == (body, interval), (kind, recipient)


def test_recipients_stand_in_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    file.write_text("# on duty\nann@example.org\nbob@example.org  # until May\n\n")
    alerting = load_alerting(f'[mail]\nrecipients = "boss@example.org"\nrecipients_file = "{file}"\n', "x")
    assert alerting.tells()
    assert alerting.recipients("rule", "") == ("boss@example.org", "ann@example.org", "bob@example.org")
    file.write_text("ann@example.org\nBcc: eve@example.org\n")
    with pytest.raises(SettingsError, match="line 2: must be a mail address"):
        alerting.recipients("rule", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mial]", "nearest known: mail"),
        ('[mail]\nrecipient = "a@b"', "nearest known: recipients"),
        ('[mail]\nrecipients = "a@b.c\\nBcc: eve@x"', "must be a mail address"),
        ('[mail]\ninterval = "59s"', "from 1m to 45d"),
        ('[mail]\ninterval = "46d"', "from 1m to 45d"),
        ('[mail]\nquiet = "7-8"', '"22:00-07:00"'),
        ('[mail]\nlanguage = "fr"', 'language = "fr": must be "en" or "de"'),
        ('[[mail_for]]\nkind = "rule"\nlanguage = "DE"', 'must be "en" or "de"'),
        ('[mail]\nuser = "me"', "needs a password"),
        ('[mail]\nuser = "me"\npassword = "x"', "unencrypted"),
        ("[[mail_for]]\nrecipients = []", "neither kind nor service"),
        ('[[mail_for]]\nto = "a@b"\nrecipients = ["c@d"]', "no. 1: with `to`"),
        ('[[mail_for]]\nkind = "atack"', 'nearest: "attack"'),
        ('[[channel]]\ntype = "webhook"', "each channel needs one of its own"),
        ('[[channel]]\nname = "a"\ntype = "webhook"', "url: is missing"),
        ('[[channel]]\nname = "a"\ntype = "command"\ncommand = ["tell"]', "absolute path"),
        ('[[channel]]\nname = "a"\ntype = "command"\ncommand = "/bin/sh -c x"', "list of texts"),
        ('[[channel]]\nname = "mail"\ntype = "webhook"\nurl = "https://x"', "one of its own"),
        ("[mail", "x:1: not valid TOML"),
    ],
)
def test_what_can_not_be_used_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_alerting(text, "x")
    assert str(caught.value).startswith("x") and said in str(caught.value)


def test_without_recipients_and_channels_nobody_is_told() -> None:
    assert not load_alerting("", "x").tells()
    assert load_alerting("[journal]\nbans = true", "x").tells()
    silent = load_alerting('[mail]\nrecipients = ["a@b"]\n[[mail_for]]\nkind = "rule"\nrecipients = []', "x")
    assert not silent.recipients("rule", "sip")


def test_the_example_file_holds_every_setting_and_can_be_applied_as_it_is() -> None:
    text = example_file()
    load_alerting(text, "example")
    for table, declared in TABLES.items():
        part = text.partition(f"[{table}]")[2]
        for key in docs_of(declared):
            assert re.search(rf"^#:{key} = ", part, re.MULTILINE), f"{table}.{key}"


def test_the_page_about_warnings_holds_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "warnings.md").read_text()
    for table, declared in TABLES.items():
        for key, doc in docs_of(declared).items():
            assert doc.meaning and f"| `{key}` |" in page, f"{table}.{key}"
