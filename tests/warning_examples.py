"""Warnings made by real commands, for tests of the page and the API; and settings of warnings that send nothing."""

from __future__ import annotations

from ringfence.answers import Applied, LockdownRow, PolicyAnswer
from ringfence.report_commands import Reported
from web_site import Site

TELLING = """
[rules.told]
failures = 2
within = "1h"
ban = "1h"
actions = ["mail"]
"""
SECRETS = ("s3cret-of-mail", "s3cret-key", "s3cret-token", "s3cret-hook")
SETTINGS = """\
# why it is so
[mail]
recipients = ["boss@example.org"]
server = "127.0.0.1"  # nobody listens there
port = 1
security = "starttls"
user = "ringfence"
password = "s3cret-of-mail"
interval = "2h"

# of telephony somebody else hears at once
[[mail_for]]
service = ["sip"]
recipients = ["pbx@example.org"]
interval = "none"

[[channel]]
name = "hook"
type = "webhook"
url = "http://127.0.0.1:1/s3cret-hook"  # the hook
secret = "s3cret-key"
kind = ["lockdown"]

[[channel]]
name = "chat"
type = "command"
command = ["/bin/true"]
quiet = "22:00-07:00"

[[channel]]
name = "hidden"
type = "webhook"
url = "https://127.0.0.1:1/s3cret-token"
kind = ["canary"]
"""


def lock_and_unlock(site: Site, service: str = "iax") -> None:
    """Two grave warnings: a lockdown began, and ended."""
    site.guard.ask(LockdownRow, "lock_down", services=[service], seconds=60.0)
    site.guard.ask(LockdownRow, "end_lockdown")
    site.web.guard.changed()


def attempt(site: Site, address: str, account: str = "100", detail: str = "", service: str = "http") -> None:
    """A rule that only warns fires for `address`; the policy is as before afterwards, which is warned of, too."""
    before = site.guard.ask(PolicyAnswer, "policy")
    site.guard.ask(Applied, "apply_policy", text=before.text + TELLING)
    event = {"service": service, "outcome": "failed", "address": address, "account": account, "detail": detail}
    site.guard.ask(Reported, "report_events", events=[event] * 2)
    site.guard.ask(Applied, "rollback", revision=before.revision)
    site.web.guard.changed()


def tell(site: Site, text: str) -> int:
    """Warn by these settings; returns their revision."""
    return site.guard.ask(int, "apply_alerting", text=text, name="test")
