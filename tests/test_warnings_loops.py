"""Warnings about our own mail can't come about: what a mail server here says of us is heard and leads to nothing."""

from __future__ import annotations

import time
from pathlib import Path

from guard_process import GuardProcess, running
from ringfence.alert_answers import WarningList
from ringfence.answers import Attacks
from ringfence.own import own_addresses

POLICY = """
[rules.standard]
failures = 3
within = "1h"
ban = "2h"
actions = ["block", "mail"]
[rules.told]
failures = 3
within = "1h"
ban = "1h"
actions = ["mail"]
"""


def refused(address: str, count: int) -> str:
    """What Postfix says of so many wrong passwords from `address`."""
    stamp = time.strftime("%b %d %H:%M:%S", time.gmtime())
    return "".join(
        f"{stamp} pbx postfix/smtpd[{number}]: warning: unknown[{address}]: SASL LOGIN authentication failed: "
        "authentication failure\n"
        for number in range(1000, 1000 + count)
    )


def test_a_mail_server_here_that_refuses_our_warnings_raises_none(tmp_path: Path) -> None:
    """Only the stranger's refusals are warned of; ours are counted, and no rule fires, not even one that only warns."""
    log = tmp_path / "mail.log"
    log.write_text("")
    own = sorted({"127.0.0.1", "::1", *own_addresses()})
    source = f'[[source]]\nkind = "smtp-postfix"\nfiles = ["{log}"]\n'
    with running(GuardProcess(tmp_path, policy=POLICY, settings=source)) as guard:
        with log.open("a") as file:
            file.write("".join(refused(address, 50) for address in own))
            file.write(refused("203.0.113.5", 3))
        guard.wait_for(lambda: guard.ask(WarningList, "warnings").warnings, "the stranger is not warned of")
        told = guard.ask(WarningList, "warnings").warnings
        assert {one.subject for one in told} == {"203.0.113.5"}
        assert {one.facts["rule"] for one in told} == {"standard", "told"}
        heard = {row.address: row.attempts for row in guard.ask(Attacks, "attacks").rows}
        assert heard["203.0.113.5"] == 3 and sum(heard.values()) > 3, "ours were heard, too"
