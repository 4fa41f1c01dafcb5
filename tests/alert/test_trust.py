"""Who may only use the page can't have the server's files read or programs run by naming them in the settings."""

from __future__ import annotations

import pytest

from ringfence.alert.alerting import load_alerting
from ringfence.alert.trust import only_for_root

BEFORE = """
[mail]
recipients = ["a@b"]
server = "mail.example.org"
security = "tls"
user = "me"
password = "secret"
[[channel]]
name = "pager"
type = "command"
command = ["/usr/local/bin/page"]
"""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[mail]\npassword_file = "/etc/shadow"', "password_file"),
        ('[mail]\nrecipients_file = "/etc/shadow"', "recipients_file"),
        ('[mail]\nca = "/tmp/mine.pem"', "[mail] ca"),
        ('[mail]\nserver = ""\nsendmail = "/tmp/x"', "sendmail"),
        ('[watch]\ncertificates = "/etc/shadow"', "certificates"),
        ('[[mail_for]]\nkind = "rule"\nrecipients_file = "/etc/shadow"', "recipients_file"),
        ('[[channel]]\nname = "x"\ntype = "command"\ncommand = ["/bin/sh", "-c", "id"]', '"x" command'),
        ('[[channel]]\nname = "pager"\ntype = "command"\ncommand = ["/bin/sh"]', '"pager" command'),
        ('[[channel]]\nname = "x"\ntype = "webhook"\nurl_file = "/etc/shadow"', "url_file"),
        ('[[channel]]\nname = "x"\ntype = "webhook"\nurl = "https://x"\nsecret_file = "/etc/shadow"', "secret_file"),
        (BEFORE.replace("mail.example.org", "evil.example.org"), "password stays the same"),
        (BEFORE.replace('security = "tls"', 'security = "starttls"'), "password stays the same"),
        (BEFORE.replace('user = "me"', 'user = "me"\nverify = false'), "password stays the same"),
    ],
)
def test_files_programs_and_the_way_of_a_password_are_for_root(text: str, place: str) -> None:
    assert place in only_for_root(load_alerting(BEFORE, "x"), load_alerting(text, "x"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        BEFORE,
        BEFORE.replace('"a@b"', '"a@b", "c@d"').replace('user = "me"', 'user = "me"\nquiet = "22:00-07:00"'),
        BEFORE.replace("mail.example.org", "mail.example.net").replace("secret", "another"),
        '[mail]\nrecipients = ["a@b"]\nserver = "relay.example.org"',
        '[[channel]]\nname = "x"\ntype = "webhook"\nurl = "https://x"\nsecret = "y"',
    ],
)  # fmt: skip
def test_everything_else_may_be_changed_on_the_page(text: str) -> None:
    assert only_for_root(load_alerting(BEFORE, "x"), load_alerting(text, "x")) == ""
