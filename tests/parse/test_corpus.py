"""Real output of real servers: the attempts counted are the attempts that were made."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from ringfence.model import Event
from ringfence.parse.catalogue import Catalogue
from ringfence.parse.parser import Parser

CORPUS = Path(__file__).parent.parent / "corpus"
REFERENCE = 1_795_300_000.0


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def counted(catalogue: Catalogue, *logs: Path, block: int = 1 << 20) -> list[Event]:
    parser = Parser(catalogue, zone=UTC)
    sightings: list[Event] = []
    for log in logs:
        reader = parser.reader(str(log), reference=REFERENCE)
        lines = log.read_bytes().splitlines(keepends=True)
        step = max(1, block // 200)
        for start in range(0, len(lines), step):
            sightings += reader.read(b"".join(lines[start : start + step]), start + 1)
    sightings.sort(key=lambda event: event.time)
    return parser.attempts.feed(sightings) + parser.attempts.finish(float("inf"))


ASTERISK_READINGS = [
    *permutations(["messages.log", "security.log"], 1),
    *permutations(["messages.log", "security.log"], 2),
    ("full.log",),
    ("security.log", "full.log", "messages.log"),
]


@pytest.mark.parametrize("logs", ASTERISK_READINGS, ids="+".join)
def test_asterisk_attempts_equal_the_truth_whichever_logs_are_read(catalogue: Catalogue, logs: tuple[str, ...]) -> None:
    failed = Counter(
        event.address for event in counted(catalogue, *(CORPUS / "asterisk" / log for log in logs)) if event.failed
    )
    labels = rows(CORPUS / "asterisk" / "labels.jsonl")
    reads_messages = any(log != "security.log" for log in logs)
    reads_security = any(log != "messages.log" for log in logs)
    for label in labels:
        seen = label["observed"]
        named = (reads_messages and seen["messages"]) or (reads_security and sum(seen["security"].values()))
        assert failed[label["src"]] == (label["failed_attempts"] if named else 0), label["case"]
    assert set(failed) <= {label["src"] for label in labels}, "an address that sent nothing is held guilty"


def test_asterisk_successes_are_told_too(catalogue: Catalogue) -> None:
    events = counted(catalogue, CORPUS / "asterisk" / "security.log")
    good = Counter(event.address for event in events if not event.failed)
    assert good["127.0.1.20"] == 4  # pjsip registrations
    assert good["127.0.1.32"] == 4  # chan_sip registrations
    assert good["127.0.1.53"] == 3  # manager logins


# A session that is given up before any password counts as one attempt without credentials: that is how scans look.
# And keys that were offered and refused count once for the session, since agents offer all that they hold.
GIVEN_UP = ("none only", "keyboard-interactive wrong", "keyboard-interactive right")
KEYS = {"publickey refused, then wrong password": 1, "6 publickeys refused (max attempts)": 1}
# Connections that never came to a login are told of apart from the attempts, each once.
CONTACTS = {
    "disconnect before user name": "probe",
    "key exchange done, then closed without user": "probe",
    "immediate close, no banner": "probe",
    "hostile client version": "probe",
    "no matching kex": "probe",  # the server's offer made this client hang up before it sent anything
    "login grace time passed, nothing tried": "probe",
    "no matching cipher": "protocol abuse",
    "bad banner: HTTP": "protocol abuse",
    "bad banner: TLS": "protocol abuse",
    "bad banner: hostile": "protocol abuse",
    "SSH-1 client": "protocol abuse",
    "hostile user: NUL": "protocol abuse",
}
UNSEEN = {("openssh-gracetime-maxstartups.log", "login grace time passed, nothing tried")}
"""Of which the server wrote nothing at all."""
DROPPED = "MaxStartups: 6 connections at once, nothing tried"


def contacts(step: dict[str, Any]) -> Counter[str]:
    """What must be told of connections without a login in a step, by cause."""
    if step["step"] == DROPPED:
        return Counter({"probe": 4})  # four of the six were dropped; the other two ended with the server
    cause = CONTACTS.get(step["step"])
    return Counter() if cause is None or (step["log"], step["step"]) in UNSEEN else Counter({cause: 1})


@pytest.mark.parametrize("log", sorted(path.name for path in (CORPUS / "openssh").glob("*.log")))
def test_openssh_attempts_equal_the_truth(catalogue: Catalogue, log: str) -> None:
    events = counted(catalogue, CORPUS / "openssh" / log)
    steps = [row for row in rows(CORPUS / "openssh" / "truth.jsonl") if row["log"] == log]
    assert steps
    for step in steps:
        mine = [event for event in events if step["first"] <= event.line <= step["last"]]
        told = Counter(event.cause for event in mine if event.failed)
        without_login = Counter({cause: told.pop(cause) for cause in ("probe", "protocol abuse") if cause in told})
        failed = told.total()
        assert {event.address for event in mine} <= {step["source"]}, step
        assert sum(not event.failed for event in mine) == step["succeeded"], step
        assert without_login == contacts(step), step
        if step["failed"] == 0 and step["step"].startswith(GIVEN_UP):
            assert failed <= 1, step
        else:
            assert failed == KEYS.get(step["step"], step["failed"]), step


NEWER_OPENSSH = """\
sshd-session[900]: Invalid user admin from 203.0.113.7 port 50122
sshd-session[900]: Failed password for invalid user admin from 203.0.113.7 port 50122 ssh2
sshd-session[900]: Connection closed by invalid user admin 203.0.113.7 port 50122 [preauth]
sshd-session[901]: Failed password for root from 203.0.113.7 port 50124 ssh2
sshd[812]: Timeout before authentication for connection from 203.0.113.7 to 198.51.100.1, pid = 901
sshd[812]: srclimit_penalise: ipv4: new 203.0.113.7/32 active penalty of 20 seconds for penalty: exceeded LoginGraceTime
sshd[812]: drop connection #0 from [203.0.113.7]:50126 on [198.51.100.1]:22 penalty: exceeded LoginGraceTime
sshd[812]: drop connection #0 from [203.0.113.7]:50128 on [198.51.100.1]:22 penalty: exceeded LoginGraceTime
sshd-session[902]: Accepted password for alice from 203.0.113.8 port 50130 ssh2
sshd-session[904]: Received disconnect from 203.0.113.8 port 50130:11: disconnected by user
sshd-session[904]: Disconnected from user alice 203.0.113.8 port 50130
"""
"""As the sources of OpenSSH 9.8 have it (sshd.c, sshd-session.c, srclimit.c): a connection has a program of its own."""


def test_openssh_since_9_8_counts_attempts_and_each_refused_connection_as_a_probe(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    log = tmp_path / "auth.log"
    log.write_text("".join(f"Nov 21 20:34:50 pbx {line}\n" for line in NEWER_OPENSSH.splitlines()))
    told = Counter((event.address, event.failed, event.cause) for event in counted(catalogue, log))
    assert told == {
        ("203.0.113.7", True, "unknown account"): 1,
        ("203.0.113.7", True, "wrong password"): 1,
        ("203.0.113.7", True, "probe"): 2,
        ("203.0.113.8", False, ""): 1,
    }


@pytest.mark.parametrize("form", ["rfc3164", "iso"])
def test_kamailio_attempts_equal_the_truth(catalogue: Catalogue, form: str) -> None:
    events = counted(catalogue, CORPUS / "kamailio" / f"kamailio-{form}.log")
    for step in rows(CORPUS / "kamailio" / f"kamailio-{form}.truth.json"):
        mine = [event for event in events if step["first_line"] <= event.line <= step["last_line"]]
        failed = sum(event.failed for event in mine)
        assert (failed, len(mine) - failed) == (step["failed"], step["succeeded"]), step
        assert {event.address for event in mine} <= {step["source"]}, step


def test_the_events_do_not_depend_on_how_the_lines_are_cut_into_blocks(catalogue: Catalogue) -> None:
    for log in (CORPUS / "openssh" / "openssh-verbose-iso.log", CORPUS / "kamailio" / "kamailio-iso.log"):
        whole = counted(catalogue, log)
        assert whole == counted(catalogue, log, block=200) == counted(catalogue, log, block=1400)
