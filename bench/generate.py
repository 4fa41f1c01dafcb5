"""Generated logs: the same bytes for the same seed and start, in the shape that sshd and its neighbours write.

Stamps are RFC 3164 in local time, `PER_SECOND` lines to a second of log time, and the last line is written "now",
so that tools which look at the clock take every line as recent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

PER_SECOND = 500
ADDRESSES = 20_000
SEED = 20260
HOST = "gate"

ACCOUNTS = (
    "root",
    "admin",
    "ubuntu",
    "oracle",
    "postgres",
    "test",
    "git",
    "pi",
    "deploy",
    "backup",
    "mysql",
    "ftpuser",
)
"""Names that are tried; the first exists on the machine, the others are reported as invalid."""


def stamp(when: float) -> str:
    """`when` (seconds UTC) as an RFC 3164 stamp in local time."""
    local = time.localtime(when)
    return time.strftime("%b ", local) + f"{local.tm_mday:2d}" + time.strftime(" %H:%M:%S", local)


def addresses(count: int, seed: int = SEED) -> list[str]:
    """`count` different public-looking IPv4 addresses, none of them loopback, private, multicast or documentation."""
    chosen = random.Random(seed).sample(range(20 << 24, 99 << 24), count)
    return [".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) for number in chosen]


def failed(when: str, pid: int, account: str, address: str, port: int) -> str:
    """The line that sshd writes for one wrong password."""
    known = "" if account == ACCOUNTS[0] else "invalid user "
    return f"{when} {HOST} sshd[{pid}]: Failed password for {known}{account} from {address} port {port} ssh2\n"


CHATTER = (
    "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
    "CRON[{pid}]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)",
    "systemd[1]: Started session-{number}.scope - Session {number} of User operator.",
    "systemd[1]: logrotate.service: Deactivated successfully.",
    "systemd-logind[611]: New session {number} of user operator.",
    "kernel: [{number}.{pid}] eth0: renewed neighbour entry 10.1.{octet}.7, {number} in use",
    "kernel: [{number}.{pid}] [UFW AUDIT] IN=eth0 OUT= SRC=192.0.2.{octet} DST=192.0.2.1 LEN=60 TTL=51 ID={pid} DF "
    "PROTO=TCP SPT={number} DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0",
    "postfix/smtp[{pid}]: {hex}: to=<user{number}@example.org>, relay=mx.example.org[192.0.2.{octet}]:25, "
    "delay=1.{octet}, delays=0.1/0.01/0.5/0.4, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {hex})",
    "postfix/smtpd[{pid}]: disconnect from mail.example.net[198.51.100.{octet}] ehlo=1 mail=1 rcpt=1 quit=1 commands=4",
    "sshd[{pid}]: Accepted publickey for operator from 203.0.113.{octet} port {number} ssh2: RSA SHA256:{hex}{hex}",
    "sshd[{pid}]: pam_unix(sshd:session): session opened for user operator(uid=1000) by (uid=0)",
    "sshd[{pid}]: Received disconnect from 203.0.113.{octet} port {number}:11: disconnected by user",
    "sshd[{pid}]: Disconnected from user operator 203.0.113.{octet} port {number}",
    "sshd[{pid}]: pam_unix(sshd:session): session closed for user operator",
    "systemd-logind[611]: Session {number} logged out. Waiting for processes to exit.",
    "systemd-logind[611]: Removed session {number}.",
)
"""What else a syslog holds."""


def chatter(when: str, dice: random.Random) -> str:
    """A line that tells of no attack."""
    pick = dice.random
    text = CHATTER[int(pick() * len(CHATTER))].format(
        pid=400 + int(pick() * 31000),
        number=1024 + int(pick() * 64000),
        octet=int(pick() * 256),
        hex=f"{dice.getrandbits(44):011X}",
    )
    return f"{when} {HOST} {text}\n"


def attack_lines(
    lines: int, end: float, share: float = 1.0, sources: int = ADDRESSES, seed: int = SEED
) -> Iterator[str]:
    """`lines` lines ending at `end` (seconds UTC), of which `share` are failed passwords from `sources` addresses."""
    dice = random.Random(seed)
    pool = addresses(sources, seed)
    begin, second, when = end - lines / PER_SECOND, -1, ""
    pick, whole = dice.random, share >= 1.0
    for number in range(lines):
        if number // PER_SECOND != second:
            second = number // PER_SECOND
            when = stamp(begin + second)
        if whole or pick() < share:
            account = ACCOUNTS[int(pick() * len(ACCOUNTS))]
            address = pool[int(pick() * sources)]
            yield failed(when, 400 + int(pick() * 31000), account, address, 1024 + int(pick() * 64000))
        else:
            yield chatter(when, dice)


def rounds(sources: int, times: int, end: float, per_second: int = PER_SECOND, seed: int = SEED) -> Iterator[str]:
    """Every one of `sources` addresses fails `times` times in a row with one account; the last line stands at `end`."""
    pool, total = addresses(sources, seed), sources * times
    begin, second, when, number = end - total / per_second, -1, "", 0
    for address in pool:
        for attempt in range(times):
            if number // per_second != second:
                second = number // per_second
                when = stamp(begin + second)
            yield failed(when, 400 + number % 31000, ACCOUNTS[0], address, 1024 + attempt)
            number += 1


def write(path: Path, lines: Iterator[str]) -> int:
    """Write `lines` to `path`; returns the number of bytes."""
    with path.open("w", encoding="ascii", buffering=1 << 20) as out:
        out.writelines(lines)
    return path.stat().st_size
