"""Generated logs: the same bytes for the same seed and start, in the shape that sshd and its neighbours write.

Stamps are RFC 3164 in local time, `PER_SECOND` lines to a second of log time, and the last line is written "now", so that
tools which look at the clock take every line as recent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PER_SECOND = 500
ADDRESSES = 20_000
SEED = 20260
HOST = "gate"

ACCOUNTS = ("root", "admin", "ubuntu", "oracle", "postgres", "test", "git", "pi", "deploy", "backup", "mysql", "ftpuser")
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


Chatter = Callable[[str, random.Random], str]


def _cron(when: str, dice: random.Random) -> str:
    return f"{when} {HOST} CRON[{dice.randrange(400, 32000)}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)\n"


def _systemd(when: str, dice: random.Random) -> str:
    return f"{when} {HOST} systemd[1]: Started session-{dice.randrange(1, 99999)}.scope - Session of User operator.\n"


def _logind(when: str, dice: random.Random) -> str:
    return f"{when} {HOST} systemd-logind[611]: New session {dice.randrange(1, 99999)} of user operator.\n"


def _kernel(when: str, dice: random.Random) -> str:
    return (
        f"{when} {HOST} kernel: [{dice.randrange(1, 999999)}.{dice.randrange(10**6):06d}] eth0: "
        f"renewed neighbour entry 10.1.{dice.randrange(256)}.{dice.randrange(256)}, {dice.randrange(2000)} in use\n"
    )


def _postfix(when: str, dice: random.Random) -> str:
    return (
        f"{when} {HOST} postfix/smtp[{dice.randrange(400, 32000)}]: {dice.getrandbits(40):010X}: to=<user{dice.randrange(9999)}@example.org>, "
        f"relay=mx.example.org[192.0.2.{dice.randrange(1, 255)}]:25, delay={dice.randrange(1, 90) / 10}, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
    )


def _postfix_connect(when: str, dice: random.Random) -> str:
    return f"{when} {HOST} postfix/smtpd[{dice.randrange(400, 32000)}]: disconnect from mail.example.net[198.51.100.{dice.randrange(1, 255)}] ehlo=1 quit=1 commands=2\n"


def _accepted(when: str, dice: random.Random) -> str:
    return (
        f"{when} {HOST} sshd[{dice.randrange(400, 32000)}]: Accepted publickey for operator from 203.0.113.{dice.randrange(1, 255)} "
        f"port {dice.randrange(1024, 65535)} ssh2: ED25519 SHA256:{dice.getrandbits(240):060x}\n"
    )


def _session(when: str, dice: random.Random) -> str:
    return f"{when} {HOST} sshd[{dice.randrange(400, 32000)}]: pam_unix(sshd:session): session closed for user operator\n"


CHATTER: tuple[Chatter, ...] = (_cron, _cron, _systemd, _systemd, _logind, _kernel, _kernel, _postfix, _postfix,
                                _postfix_connect, _accepted, _session)  # fmt: skip
"""What else a syslog holds, each as often as it stands here."""


def attack_lines(lines: int, end: float, share: float = 1.0, sources: int = ADDRESSES, seed: int = SEED) -> Iterator[str]:
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
            yield CHATTER[int(pick() * len(CHATTER))](when, dice)


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
