"""The system log's line for every ban: stable, unbreakable, and never waited for."""

from __future__ import annotations

import math
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ringfence.alert.journal import SystemLog, datagram, line
from ringfence.ledger import BanLine
from ringfence.model import EVERY, FOREVER

SINCE = 1_795_744_800.0  # 2026-11-27 02:00:00 UTC
BAN = BanLine(
    id=1, time=SINCE, change="made", target="192.0.2.1", service="sip", until=SINCE + 3600, author="rule:flood", ban=17
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "ban service=sip address=192.0.2.1 seconds=3600 until=2026-11-27T03:00:00Z by=rule:flood id=17"),
        ({"change": "extended", "until": SINCE + 0.2},
         "ban service=sip address=192.0.2.1 seconds=1 until=2026-11-27T02:00:01Z by=rule:flood id=17"),
        ({"target": "2001:db8::/64", "service": EVERY, "until": FOREVER, "author": "user:alice"},
         "ban service=* address=2001:db8::/64 seconds=-1 until=never by=user:alice id=17"),
        ({"change": "lifted", "time": SINCE + 60, "until": FOREVER},
         "unban service=sip address=192.0.2.1 why=lifted at=2026-11-27T02:01:00Z by=rule:flood id=17"),
        ({"change": "expired", "time": SINCE + 3600},
         "unban service=sip address=192.0.2.1 why=expired at=2026-11-27T03:00:00Z by=rule:flood id=17"),
        ({"author": "user:a b=c\nban service=ssh"},
         "ban service=sip address=192.0.2.1 seconds=3600 until=2026-11-27T03:00:00Z "
         "by=user:a%20b%3Dc%0Aban%20service%3Dssh id=17"),
        ({"author": ""}, "ban service=sip address=192.0.2.1 seconds=3600 until=2026-11-27T03:00:00Z by=- id=17"),
    ],
)  # fmt: skip
def test_the_line_is_as_documented(changed: dict[str, Any], expected: str) -> None:
    assert line(structs.replace(BAN, **changed)) == expected


FORM = re.compile(
    r"ban service=[^ =]+ address=[^ =]+ seconds=(-1|[0-9]+) until=(never|[0-9TZ:-]+) by=[^ =]+ id=17"
    r"|unban service=[^ =]+ address=[^ =]+ why=(expired|lifted|evicted) at=(never|[0-9TZ:-]+) by=[^ =]+ id=17"
)
TEXT = st.text(max_size=60)


@settings(deadline=None)
@given(TEXT, TEXT, TEXT, st.sampled_from(["made", "extended", "set", "expired", "lifted", "evicted"]))
def test_nothing_that_somebody_wrote_breaks_the_line(author: str, target: str, service: str, change: str) -> None:
    told = structs.replace(BAN, author=author, target=target, service=service, change=change)
    assert FORM.fullmatch(line(told)) and line(told).isascii()


def test_the_log_gets_what_syslog_would_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert datagram("ban x=y", SINCE, 42) == b"<85>Nov 27 03:00:00 ringfence[42]: ban x=y"
        assert datagram("ban x=y", SINCE - 20 * 86400, 42) == b"<85>Nov  7 03:00:00 ringfence[42]: ban x=y"
    finally:
        monkeypatch.undo()
        time.tzset()


def listening(device: Path) -> socket.socket:
    device.unlink(missing_ok=True)
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.bind(str(device))
    daemon.settimeout(5)
    return daemon


def test_lines_arrive_and_go_on_arriving_when_the_daemon_begins_anew(tmp_path: Path) -> None:
    device = tmp_path / "log"
    log = SystemLog(str(device))
    for _ in range(2):
        with listening(device) as daemon:
            assert log.write("ban a=b", SINCE) == "" and log.write("ban c=d", SINCE) == ""
            assert daemon.recv(1000).endswith(b": ban a=b") and daemon.recv(1000).endswith(b": ban c=d")
    log.close()


def test_a_log_that_is_not_there_is_told_and_not_waited_for(tmp_path: Path) -> None:
    log = SystemLog(str(tmp_path / "log"))
    assert log.write("ban a=b", SINCE) == f"{tmp_path}/log: No such file or directory"
    with listening(tmp_path / "log"):
        assert log.write("ban a=b", SINCE) == ""
    assert "Connection refused" in log.write("ban a=b", SINCE)


def test_a_log_that_takes_nothing_is_told_and_not_waited_for(tmp_path: Path) -> None:
    log = SystemLog(str(tmp_path / "log"))
    with listening(tmp_path / "log"):
        said = [log.write("ban a=b", SINCE) for _ in range(2000)]
    assert said[0] == "" and said[-1] == f"{tmp_path}/log: the log takes nothing at the moment"


def test_a_log_of_another_kind_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        daemon.listen()
        assert "rotocol wrong type" in SystemLog(str(tmp_path / "log")).write("x", SINCE)


def test_a_ban_without_an_end_has_no_number_that_could_be_taken_for_one() -> None:
    assert math.isinf(FOREVER) and "seconds=-1 until=never" in line(structs.replace(BAN, until=FOREVER))
