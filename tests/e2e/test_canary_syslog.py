"""The canary before a real rsyslogd and the kernel's own firewall: what works is shown, what breaks is named."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Net, Syslog, missing

from guard import Guard
from ringfence.answers import Attacks, Diag, Stats, Status
from ringfence.canary import STEPS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(missing("rsyslogd", "nft")), reason=missing("rsyslogd", "nft") or "runs"),
]

POLICY = """
[rules.strict]
failures = 1
within = "1h"
ban = "2h"
"""
"""Even by this policy a test line bans nobody."""
AUTH, KAMAILIO, MAIL, SYSLOG = "/var/log/auth.log", "/var/log/kamailio.log", "/var/log/mail.log", "/var/log/syslog"
ASTERISK = "/var/log/asterisk/full"


@pytest.fixture(params=["rfc3164", "iso", "rfc5424"])
def log(net: Net, request: pytest.FixtureRequest) -> Iterator[Syslog]:
    """rsyslogd in each of the formats that it writes, and a log that only Asterisk writes."""
    (net.server.log / "asterisk").mkdir()
    (net.server.log / "asterisk" / "full").touch()
    with Syslog(net.server, request.param) as one:
        yield one


@pytest.fixture
def guard(net: Net, tmp_path: Path) -> Iterator[Guard]:
    with Guard(net.server, tmp_path / "guard", policy=POLICY) as one:
        yield one


def canary(guard: Guard) -> tuple[int, dict[str, Any]]:
    """A run by the command line: its exit code, and what it tells of each log."""
    done = guard.cli("canary", "--json")
    assert done.stderr == "", done.stderr
    return done.returncode, {row["source"]: row for row in json.loads(done.stdout)["rows"]}


def nothing_remains(guard: Guard) -> bool:
    """Neither lists nor figures nor the kernel know anything of a test line."""
    return (
        guard.ask(Attacks, "attacks").rows == []
        and guard.bans(history=True) == []
        and guard.kernel() == {}
        and all(row.attempts == row.bans == row.packets == 0 for row in guard.ask(Stats, "statistics").rows)
        and all(source.events == 0 for source in guard.ask(Diag, "diag").sources)
        and guard.explain("192.0.2.17").events == []
    )


def test_each_log_that_syslog_writes_is_tested_up_to_the_kernel(log: Syslog, guard: Guard) -> None:
    code, rows = canary(guard)
    assert code == 0, [(row["source"], row["state"], row["step"], row["why"]) for row in rows.values()]
    for source in (AUTH, KAMAILIO, MAIL):
        assert rows[source]["state"] == "ok", rows[source]
        assert [step["name"] for step in rows[source]["steps"]] == list(STEPS)
        times = [step["ms"] for step in rows[source]["steps"]]
        assert times == sorted(times) and all("note" not in step or not step["note"] for step in rows[source]["steps"])
    assert rows[ASTERISK]["state"] == "untestable" and "only its program writes there" in rows[ASTERISK]["why"]
    assert (guard.machine.log / "asterisk" / "full").read_text() == ""
    assert nothing_remains(guard)
    assert guard.ask(Status, "status").guarded
    assert guard.cli("canary").returncode == 0
    assert nothing_remains(guard)


@pytest.mark.parametrize("log", ["rfc3164"], indirect=True)
def test_a_syslog_that_has_ended_is_named_as_the_broken_step(log: Syslog, guard: Guard) -> None:
    assert canary(guard)[0] == 0
    log.close()
    code, rows = canary(guard)
    assert code == 1
    assert {rows[source]["step"] for source in (AUTH, KAMAILIO, MAIL)} == {"source"}
    assert {rows[source]["state"] for source in (AUTH, KAMAILIO, MAIL)} == {"broken"}
    assert "BROKEN at the step source" in guard.said
    assert not guard.ask(Status, "status").guarded


@pytest.mark.parametrize("log", ["rfc3164"], indirect=True)
def test_a_log_that_is_written_elsewhere_since_is_named(log: Syslog, guard: Guard) -> None:
    """Somebody edited rsyslog.conf: all else goes on working."""
    assert canary(guard)[0] == 0
    log.close()
    text = log._configuration.read_text().replace("/var/log/mail.log", "/var/log/letters.log")
    log._configuration.write_text(text)
    again = log.machine.popen(["rsyslogd", "-n", "-iNONE", "-f", str(log._configuration)])
    guard.until(lambda: guard.machine.run(["logger", "here"], check=False).returncode == 0, "the new rsyslogd")
    code, rows = canary(guard)
    again.terminate()
    again.wait(10)
    assert code == 1
    assert (rows[AUTH]["state"], rows[MAIL]["state"], rows[MAIL]["step"]) == ("ok", "broken", "source")


@pytest.mark.parametrize("log", ["rfc3164"], indirect=True)
def test_a_kernel_that_takes_nothing_is_named_as_the_broken_step(log: Syslog, guard: Guard) -> None:
    """Another program owns a table of our name."""
    owner = guard.machine.popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert owner.stdin is not None
    for _ in range(20):  # the guard puts its table back at once: the owner has to be quicker
        owner.stdin.write(b"delete table inet ringfence; add table inet ringfence { flags owner; }\n")
        owner.stdin.flush()
        time.sleep(0.05)
        if "flags owner" in guard.nft("list", "ruleset", check=False):
            break
    guard.until(lambda: "tried again" in guard.said, "a word about the refusal", 15)
    code, rows = canary(guard)
    assert code == 1
    assert (rows[AUTH]["state"], rows[AUTH]["step"]) == ("broken", "kernel")
    assert [step["name"] for step in rows[AUTH]["steps"]] == list(STEPS[:-1])
    owner.kill()
    owner.wait()
    guard.until(lambda: "works again" in guard.said, "the table is there again", 15)
    assert canary(guard)[0] == 0 and nothing_remains(guard)


@pytest.mark.parametrize("log", ["rfc3164"], indirect=True)
def test_a_ban_of_the_same_address_is_not_touched(log: Syslog, guard: Guard) -> None:
    """Whoever uses a documentation address for real keeps the bans: of each service, and of all."""
    for target in ("192.0.2.0/24", "2001:db8::/32"):
        assert guard.cli("ban", target).returncode == 0
    before = guard.kernel()
    assert canary(guard)[0] == 0
    assert guard.kernel().keys() == before.keys()
    assert {row.target for row in guard.bans() if row.state == "enforced"} == {"192.0.2.0/24", "2001:db8::/32"}
