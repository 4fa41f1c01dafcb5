"""Makes a ledger as a busy machine has it after a month, by the way that lines take: events in batches, then bans.

Usage: python -m bench.web_ledger FILE [--events N] [--attackers N] [--bans N]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ringfence.ledger import Ledger
from ringfence.model import FOREVER, AllowEntry, Event, Verdict
from ringfence.policy import default_policy_text

DAY: Final = 86_400.0
DAYS: Final = 30
BATCH: Final = 4_000
SERVICES: Final = (
    "ssh", "sip", "iax", "ami", "ari", "smtp", "submission", "pop3", "imap", "http", "ftp", "telnet", "vpn", "turn",
    "xmpp", "ldap", "redis", "mysql", "postgresql", "mongodb", "proxy", "web", "pam", "sieve", "rdp", "vnc",
    "nextcloud",
    "wordpress", "gitea", "grafana", "jellyfin", "vaultwarden", "webmin", "cockpit", "phpmyadmin", "roundcube", "horde",
    "zabbix", "nagios", "openvpn", "ipsec", "wireguard", "radius", "kerberos", "samba", "nfs", "rsync",
)  # fmt: skip
HOSTILE: Final = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=cmd|' /C calc'!A0", "\u202egnp.exe",
    "\x1b[31mroot",
    "'; DROP TABLE event; --", "a" * 250, "admin\r\nBcc: all@example.org", "%00%0a%0d", "sip:100@192.0.2.1;x=y",
    "\u0430dmin", "&amp;lt;", "../../etc/passwd", "@SUM(1+1)*cmd", "\u200b",
)  # fmt: skip
COMMON: Final = ("root", "admin", "test", "user", "oracle", "postgres", "ubuntu", "guest", "support", "info")
CAUSES: Final = ("wrong password", "unknown account", "forbidden", "probe")


def address_of(number: int) -> str:
    """The attacker with this number: four of ten have IPv6, each in a network of its own or with a few neighbours."""
    if number % 5 < 3:
        return f"{1 + number // 65_536 % 200}.{number // 1024 % 64 + 64}.{number // 256 % 256}.{number % 256}"
    site, host = divmod(number, 3)
    return f"2001:db8:{site >> 16 & 0xFFFF or 1:x}:{site & 0xFFFF:x}::{host + 1:x}"


def account_of(chance: random.Random) -> str:
    """A name that is tried: few common ones often, telephone extensions, addresses, and what attackers make up."""
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(COMMON)
    if kind < 0.7:
        return str(chance.randrange(100, 10_000))
    if kind < 0.8:
        return f"sip:{chance.randrange(100, 2_000)}@pbx.example.org"
    if kind < 0.99:
        return f"user{chance.randrange(50_000)}@example.org"
    return chance.choice(HOSTILE)


def events(count: int, attackers: int, now: float, seed: int = 4) -> Iterator[Event]:
    """`count` events of the last DAYS days in order of time; every attacker at least once, some very often."""
    chance = random.Random(seed)
    numbers = list(range(attackers))
    chance.shuffle(numbers)
    weights = [1 + SERVICES.index(name) for name in SERVICES]
    chosen = chance.choices(SERVICES, [1 / weight for weight in weights], k=10_000)
    for position in range(count):
        instant = now - DAYS * DAY * (1 - position / count)
        fresh, before = position * attackers // count, (position - 1) * attackers // count
        number = numbers[fresh] if fresh > before else numbers[int((fresh + 1) * chance.random() ** 4)]
        service = chosen[(number * 7 + (position % 11 == 0)) % len(chosen)]
        failed = fresh > before or chance.random() >= 0.02 * count / (count - attackers + 1)
        account = account_of(chance)
        yield Event(
            instant, address_of(number), service, account, failed, chance.choice(CAUSES) if failed else "",
            f"sip:{chance.randrange(10_000)}@pbx.example.org" if service == "sip" else "", True, f"{service}/login",
            f"/var/log/{service}.log", position, str(position % 30_000),
        )  # fmt: skip


def verdict_for(event: Event, now: float, number: int) -> Verdict:
    """A ban that runs: for an hour to a year or for good; IPv6 with its network, a few IPv4 networks too."""
    address = event.address
    target = ":".join(address.split(":")[:4]) + "::/64" if ":" in address else address
    if number % 500 == 0 and ":" not in address:
        target = address.rsplit(".", 1)[0] + ".0/24"
    until = FOREVER if number % 50 == 0 else now + 3600 * (1 + number % 8_760)
    rule, scope = ("burst", "standard", "persistent")[number % 3], "all" if number % 10 == 0 else "service"
    return Verdict(
        event.time, rule, event.service, target, address, until, ("block",), scope, 10, event.time - 600  # type: ignore[arg-type]
    )  # fmt: skip


def make(path: Path, now: float, count: int = 1_000_000, attackers: int = 200_000, bans: int = 100_000) -> float:
    """Make the ledger; returns the seconds it took to record everything."""
    made: list[Event] = list(events(count, attackers, now))
    begin = time.perf_counter()
    ledger = Ledger.open(path, now=now)
    banned: set[str] = set()
    running = 0
    for start in range(0, count, BATCH):
        batch = made[start : start + BATCH]
        verdicts: list[Verdict] = []
        wanted = bans * (start + len(batch)) // count
        for event in batch:
            if event.failed and running < wanted and event.address not in banned:
                verdict = verdict_for(event, now, running)
                if verdict.target not in banned:
                    verdicts.append(verdict)
                    banned |= {verdict.target, event.address}
                    running += 1
        # As after a month of work: what was banned then was told to the kernel then.
        _record(ledger, batch, verdicts, batch[-1].time)
    took = time.perf_counter() - begin
    ledger.allow(AllowEntry(target="192.0.2.0/24", created=now), author="user:root", now=now)
    policy = default_policy_text({})
    for number in range(200):
        ledger.apply_policy(f"{policy}# {number}\n", author="user:root", now=now)
    ledger.close()
    return took


def _record(ledger: Ledger, batch: Sequence[Event], verdicts: Sequence[Verdict], now: float) -> None:
    recorded = ledger.record(batch, verdicts, [], now)
    ledger.mark_enforced(recorded.wanted, now)


def main() -> None:
    """Make one where the command line says."""
    parser = argparse.ArgumentParser(prog="bench.web_ledger", description="A large ledger to measure pages with.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--attackers", type=int, default=200_000)
    parser.add_argument("--bans", type=int, default=100_000)
    options = parser.parse_args()
    begin = time.perf_counter()
    took = make(options.path, time.time(), options.events, options.attackers, options.bans)
    print(f"{options.path}: recorded in {took:.1f} s, made in {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
