"""`ringfence import-fail2ban`: what is written is used by Ringfence as it stands, and nothing is left unsaid."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # where `guard_process` is
from fail2ban_machines import GATE, everything, folder, gate
from fail2ban_oracle import missing

from guard_process import GuardProcess, running
from ringfence.policy import load_policy
from ringfence.settings import load_settings

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def ringfence(*arguments: object, code: int = 0, text: str = "") -> str:
    """What the program prints."""
    command = [sys.executable, "-m", "ringfence", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, input=text, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def wrong_in(made: Path) -> list[str]:
    """What `ringfence check` finds wrong with the settings, policy and kinds of a folder (not with this machine)."""
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "--config", str(made / "ringfence.toml"), "check", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    findings = json.loads(done.stdout)["findings"]
    assert any(finding["what"] == "policy" and finding["good"] for finding in findings), findings
    about = ("f2b-", str(made))
    return [each["detail"] for each in findings if not each["good"] and any(word in each["detail"] for word in about)]


def test_all_jails_of_debian_give_files_that_are_used_as_they_are(tmp_path: Path) -> None:
    made = tmp_path / "made"
    told = ringfence("import-fail2ban", everything(tmp_path), "--output", made)
    assert wrong_in(made) == []
    assert "good" in ringfence("policy", "check", made / "policy.toml")
    assert len(list((made / "catalogue.d").glob("f2b-*.toml"))) > 40
    for line in (
        "jail sshd, filter sshd: kind ssh-openssh",
        "jail recidive: rule recidive",
        "jail slapd",
        "jail pass2allow-ftp: its action iptables-multiport opens ports",
        "jail traefik-auth, filter traefik-auth: it has look-around",
        "jail openwebmail, filter openwebmail: it has a back reference",
        "datepattern ^L %d/%m/%Y - %H:%M:%S: times of this form are not read here",
    ):
        assert line in told, line
    assert (made / "report.txt").read_text() in told


def test_debian_as_it_is_needs_no_kind_of_its_own(tmp_path: Path) -> None:
    made = tmp_path / "made"
    told = ringfence("import-fail2ban", "/etc/fail2ban", "--output", made)
    assert "jail sshd, filter sshd: kind ssh-openssh" in told and "jails not enabled" in told
    policy = load_policy((made / "policy.toml").read_text())
    assert [(rule.name, rule.failures, rule.within, rule.ban) for rule in policy.rules_for("ssh")] == [
        ("standard", 5, 600.0, 600.0)
    ]
    assert policy.rules_for("ssh")[0].causes == ("!probe",)
    assert not (made / "catalogue.d").exists()


def test_without_a_folder_to_write_to_nothing_is_written(tmp_path: Path) -> None:
    told = ringfence("import-fail2ban", gate(tmp_path))
    assert "Nothing was written" in told and "kind f2b-gate" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fail2ban"]


def test_files_that_are_there_stay_unless_told_otherwise(tmp_path: Path) -> None:
    source, made = gate(tmp_path), tmp_path / "made"
    made.mkdir()
    (made / "policy.toml").write_text("mine")
    told = ringfence("import-fail2ban", source, "--output", made, code=1)
    assert "policy.toml already" in told and "--force" in told
    assert [path.name for path in made.iterdir()] == ["policy.toml"] and (made / "policy.toml").read_text() == "mine"
    ringfence("import-fail2ban", source, "--output", made, "--force")
    assert "failures = 4" in (made / "policy.toml").read_text() and wrong_in(made) == []


@pytest.mark.parametrize("argument", ["/nowhere", "/etc/hostname", "/etc"])
def test_what_is_no_folder_of_fail2bans_is_told_in_one_sentence(argument: str) -> None:
    told = ringfence("import-fail2ban", argument, code=4)
    assert (
        told
        == f"ringfence: {argument}: holds neither jail.conf nor jail.local; name fail2ban's folder, as /etc/fail2ban\n"
    )


def test_a_server_of_ones_own_is_read_and_banned_by_its_own_numbers(tmp_path: Path) -> None:
    """From fail2ban's folder to a verdict: its lines, its threshold, its duration, its ports."""
    made = tmp_path / "made"
    ringfence("import-fail2ban", gate(tmp_path, "bantime = 2h\nfindtime = 5m\n"), "--output", made)
    log = tmp_path / "gate.log"
    lines = [
        f"Nov 21 20:34:{second} host gated[812]: refused ann from 203.0.113.7 (port {second})"
        for second in (50, 51, 52)
    ]
    lines += ['Nov 21 20:34:53 host gated[813]: no such user: "x" [203.0.113.7]']
    lines += ["Nov 21 20:34:54 host gated[814]: refused bob from 192.0.2.99"] * 9  # the filter ignores these
    log.write_text("\n".join(lines) + "\n")
    arguments = ("--config", made / "ringfence.toml", "scan", "--policy", made / "policy.toml", "--year", 2026)
    found = json.loads(ringfence(*arguments, "--json", log))
    assert [(each["address"], each["attempts"]) for each in found["attackers"]] == [("203.0.113.7", 4)]
    assert [(ban["rule"], ban["service"]) for ban in found["attackers"][0]["bans"]] == [("standard", "gate")]
    events = [json.loads(line) for line in ringfence(*arguments, "--format", "events", log).splitlines()]
    assert [event["account"] for event in events] == ["ann", "ann", "ann", "x"]
    kind = tomllib.loads((made / "catalogue.d" / "f2b-gate.toml").read_text())
    assert kind["services"] == {"gate": ["7000/tcp", "7001/tcp"]} and kind["logs"] == ["/var/log/gate.log"]
    assert kind["proven"] is True


WHOLE = """
[DEFAULT]
maxretry = 6
findtime = 15m
bantime = 20m
bantime.increment = true
bantime.multipliers = 1 3 9 27
bantime.maxtime = 8h
bantime.rndtime = 5m
ignoreip = 127.0.0.1/8 ::1 198.51.100.77/24 office.example.org 2001:DB8:0:0::/48
action = %(action_mw)s

[sshd]
enabled = true
port = 2222
maxretry = 3
filter = sshd[mode=aggressive]
logpath = /srv/log/auth.log
ignoreip = %(known/ignoreip)s 203.0.113.9 nonsense!

[sshd-slow]
enabled = true
filter = sshd
port = 2222
maxretry = 20
findtime = 1d
bantime = 1w
logpath = /srv/log/auth.log

[gate]
enabled = true
port = gatekeeper,7000
logpath = /var/log/gate.log
backend = systemd
journalmatch = _SYSTEMD_UNIT=gate.service + _COMM=gated
banaction = iptables-allports
ignorecommand = /usr/local/bin/mine <ip>

[twin]
enabled = true
filter = gate
port = 7000
maxretry = 2
logpath = /var/log/twin.log
action = own-script[name=x]
         %(action_)s

[recidive]
enabled = true
"""


def test_a_whole_machine(tmp_path: Path) -> None:

    source = folder(tmp_path, {"jail.local": WHOLE, "filter.d/gate.conf": GATE, "filter.d/sshd.local": SSHD_LOCAL})
    made = tmp_path / "made"
    told = ringfence("import-fail2ban", source, "--output", made)
    assert wrong_in(made) == []
    policy = load_policy((made / "policy.toml").read_text())
    assert policy.whitelist == ("198.51.100.0/24", "office.example.org", "2001:db8::/48")
    ssh = {rule.name: rule for rule in policy.rules_for("ssh")}
    assert (ssh["standard"].failures, ssh["standard"].ban, ssh["standard"].actions) == (3, 1200.0, ("block", "mail"))
    assert (ssh["sshd-slow"].failures, ssh["sshd-slow"].within, ssh["sshd-slow"].ban) == (20, 86400.0, 604800.0)
    assert [(rule.bans, rule.ban) for name, rule in ssh.items() if name.startswith("again-")] == [
        (2, 3600.0), (3, 10800.0), (4, 28800.0)
    ]  # fmt: skip
    assert ssh["standard"].causes == () and ssh["sshd-slow"].causes == ("!probe",)  # mode aggressive counts them all
    assert (ssh["recidive"].bans, ssh["recidive"].scope) == (6, "all")
    gate_rules = {rule.name: rule for rule in policy.rules_for("gate")}
    assert gate_rules["standard"].scope == "all" and gate_rules["twin"].failures == 2
    settings = load_settings(made / "ringfence.toml", {}, is_root=True)
    assert settings.services["ssh"].ports == (("tcp", 2222, 2222),)
    sources = {source.kind: [str(path) for path in source.files] for source in settings.source}
    usual = ["/var/log/auth.lo[g]", "/var/log/secur[e]"]
    assert sources == {("ssh-openssh",): ["/srv/log/auth.log", *usual]}
    kind = tomllib.loads((made / "catalogue.d" / "f2b-gate.toml").read_text())
    assert (
        kind["units"] == ["gate.service"] and kind["identifiers"] == ["gated"] and kind["logs"] == ["/var/log/twin.log"]
    )
    for line in (
        "ignoreip 203.0.113.9: holds for one jail only: ringfence allow 203.0.113.9 --service ssh",
        "ignoreip nonsense!: is no address, network or host name",
        "ignoreip 127.0.0.1/8 ::1: this machine itself is never banned",
        "jail gate: ports gatekeeper: no such service",
        "jail gate: ignorecommand = /usr/local/bin/mine <ip>: no program is run",
        "jail twin: action own-script: no program is run here",
        "bantime.rndtime has no equal",
        "jail sshd, filter sshd: kind f2b-sshd, 1 of 1 expressions",
        "datepattern changed by a .local file",
        "fail2ban counted the bans of all jails together",
    ):
        assert line in told, line


SSHD_LOCAL = """
[Definition]
failregex = %(known/failregex)s
            ^my own message about <F-USER>.*</F-USER> at <HOST>$
datepattern = {^LN-BEG}%%Y-%%m-%%d %%H:%%M:%%S
"""


def test_the_same_as_json(tmp_path: Path) -> None:
    answer = json.loads(ringfence("import-fail2ban", "--json", gate(tmp_path)))
    assert (
        answer["files"] == []
        and ["jail gate, filter gate", "kind f2b-gate, 2 of 2 expressions; [rules.standard.gate]"]
        in (answer["report"]["taken"])
    )


def test_nothing_from_the_files_reaches_the_terminal_raw(tmp_path: Path) -> None:
    source = gate(tmp_path, "ignoreip = \x1b[31mred\nignorecommand = \x1b]0;title\x07\n")
    told = ringfence("import-fail2ban", source)
    assert "\x1b" not in told and "\x07" not in told and r"\x1b[31mred" in told


def test_an_expression_that_would_take_years_is_read_in_no_time(tmp_path: Path) -> None:
    made = tmp_path / "made"
    text = "[Definition]\nfailregex = ^ gated: (\\S+\\s?)+refused from <HOST>$\n  ^ gated: (?:a|aa)+!? wrong <HOST>$\n"
    ringfence("import-fail2ban", gate(tmp_path, filter_text=text), "--output", made)
    log = tmp_path / "log"
    log.write_text(
        "Nov 21 20:34:50 gated: "
        + "a" * 40_000
        + " refused from nobody\n"
        + "Nov 21 20:34:51 gated: a refused from 203.0.113.7\n"
    )
    found = json.loads(ringfence("--config", made / "ringfence.toml", "scan", "--json", "--year", 2026, log))
    assert [each["address"] for each in found["attackers"]] == ["203.0.113.7"] and found["seconds"] < 5


def test_a_guard_bans_by_what_was_taken_over(tmp_path: Path) -> None:
    """A real guard on a growing log, with the catalogue and the policy as they were written."""
    made = tmp_path / "made"
    ringfence("import-fail2ban", gate(tmp_path, "bantime = 2h\n"), "--output", made)
    (tmp_path / "guard").mkdir()
    process = GuardProcess(tmp_path / "guard", policy=(made / "policy.toml").read_text())
    config = process.config.read_text().replace("directories = []", f'directories = ["{made}/catalogue.d"]')
    process.config.write_text(config.replace('"sip-asterisk"', '"f2b-gate"'))
    process.log.touch()
    with running(process):
        now = time.strftime("%b %e %H:%M:%S", time.gmtime())
        for number in range(4):
            process.write(f"{now} host gated[{number}]: refused ann from 203.0.113.7 (port {number})\n")
        process.write(f'{now} host gated[9]: refused "x" from 198.51.100.1 from 203.0.113.8\n' * 9)
        bans: list[dict[str, str]] = []

        def banned() -> bool:
            bans[:] = json.loads(process.cli("bans", "--json").stdout)["rows"]
            return bool(bans)

        process.wait_for(banned, "nothing is banned")
    assert [(ban["target"], ban["service"]) for ban in bans] == [("203.0.113.7", "gate")]
