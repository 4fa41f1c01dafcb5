"""Builds the guard out of its parts, in the order that protects soonest: ledger, fence with its bans, windows, logs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from msgspec import structs

from ringfence.alert.alerting import Alerting, load_alerting
from ringfence.alert.journal import DEVICE, VARIABLE
from ringfence.barrier import Barrier
from ringfence.detect import AllowList, Detector
from ringfence.enforce.monitor import TableMonitor
from ringfence.enforce.nft import Nft, usable
from ringfence.enforce.reconcile import Fence
from ringfence.errors import EnforceError, LedgerError, SettingsError
from ringfence.guard import Guard, Parts, Say
from ringfence.ledger import Ledger
from ringfence.model import Ban, Policy, Service
from ringfence.parse.addresses import AddressSet
from ringfence.parse.catalogue import Catalogue, load_catalogue
from ringfence.parse.parser import Parser
from ringfence.policy import default_policy_text, load_policy
from ringfence.settings import Settings
from ringfence.watch import Watch
from ringfence.whitelist import Whitelist

GUARDING = "guarding with nftables"
PAGE = 5_000
"""Events that are restored at a time."""
SESSIONS = 900.0
"""Seconds for which later lines may still tell of an attempt that was counted before a restart."""


def assemble(settings: Settings, environ: Mapping[str, str], clock: Callable[[], float], say: Say) -> Guard:
    """A guard with every running ban in force; `restore` its windows before it reads logs. Raises RingfenceError."""
    now = clock()
    ledger = Ledger.open(
        settings.ledger.path, bans_capacity=settings.bans.capacity, keep_events=settings.ledger.keep_events,
        max_bytes=settings.ledger.max_size, now=now,
    )  # fmt: skip
    catalogue = load_catalogue(settings.catalogue.directories)
    services = all_services(catalogue, settings)
    revision, text, policy = policy_in_force(ledger, settings, environ, services, now)
    # A proxy that is trusted carries everybody: to ban it would close the service.
    whitelist = Whitelist(ledger, clock, (*settings.protect.addresses, *settings.logs.proxies))
    whitelist.rebuild(policy)
    ledger.expire(now)
    barrier = make_barrier(settings, services, policy)
    parser = Parser(
        catalogue, cache=settings.catalogue.cache, zone=zone_of(settings), names=settings.logs.names,
        proxies=AddressSet(settings.logs.proxies),
    )  # fmt: skip
    detector = Detector(policy, AllowList(()), capacity=settings.detector.capacity)
    detector.allow = whitelist.list
    parts = Parts(
        settings=settings, services=services, catalogue_problems=catalogue.problems, parser=parser, ledger=ledger,
        barrier=barrier, whitelist=whitelist, detector=detector, policy=policy, policy_text=text,
        policy_revision=revision, **alerting_in_force(ledger, settings, now),
        watch=Watch(settings, catalogue, parser, ledger.positions().values(), clock),
    )  # fmt: skip
    guard = Guard(parts, clock, say)
    guard.canary.device = Path(environ.get(VARIABLE) or DEVICE)
    difference = guard.reconcile(always=True)
    if difference is None or difference.missing < ledger.count_bans():
        # Bans that stood in the kernel before have counted packets already; new ones begin at nothing.
        barrier.dropped_since(fresh=True)
    return guard


def lock(path: Path) -> IO[bytes]:
    """Hold the ledger at `path` for this process alone; the lock goes with the process, however that ends."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = path.with_name(path.name + ".lock").open("ab")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LedgerError(
            f"{path}: another guard uses this ledger; stop it first, or set another [ledger] path"
        ) from error
    except OSError as error:
        raise LedgerError(f"{path}: the ledger can't be locked: {error.strerror}; check directory and owner") from error
    return file


def all_services(catalogue: Catalogue, settings: Settings) -> dict[str, Service]:
    """The services of the catalogue, with the ports and titles that the settings give them, and the settings' own."""
    services = dict(catalogue.services)
    port = settings.web.listen[1]
    if "web" in services:
        services["web"] = structs.replace(services["web"], ports=(("tcp", port, port),))
    for name, given in settings.services.items():
        known = services.get(name, Service(name=name, title=name.upper()))
        services[name] = structs.replace(known, title=given.title or known.title, ports=given.ports or known.ports)
    return services


def policy_in_force(
    ledger: Ledger, settings: Settings, environ: Mapping[str, str], services: Mapping[str, Service], now: float
) -> tuple[int, str, Policy]:
    """The newest revision of the ledger; before that, the policy file if it changed since it was last applied.

    At the very first start: the file, else the built-in policy with what the environment says.
    """
    last = ledger.policy()
    file = settings.policy.file
    if file is not None:
        author = f"file:{file}"
        text = read_applied(file)
        applied = next((one for one in ledger.policy_history(limit=10_000) if one.author == author), None)
        if applied is None or applied.text != text:
            policy = load_policy(text, str(file), services=services)
            return ledger.apply_policy(text, author=author, note="the file changed", now=now), text, policy
    if last is None:
        text = default_policy_text(environ)
        policy = load_policy(text, "built-in policy")
        return ledger.apply_policy(text, author="guard", note="first start", now=now), text, policy
    return last.revision, last.text, load_policy(last.text, f"policy revision {last.revision}")


def alerting_in_force(ledger: Ledger, settings: Settings, now: float) -> dict[str, Any]:
    """The settings of warnings as `Parts` wants them: of their file if it changed, else the newest of the ledger.

    What is wrong with them is a trouble and stops no guard: without warnings it still guards.
    """
    try:
        take_alerting_file(ledger, settings, now)
        trouble = ""
    except SettingsError as error:
        trouble = f"warnings: {error}"
    last = ledger.alerting()
    if last is None:
        return {"alerting": Alerting(), "alerting_revision": 0, "alerting_trouble": trouble}
    try:
        alerting = load_alerting(last.text, f"settings of warnings, revision {last.revision}")
    except SettingsError as error:
        return {
            "alerting": Alerting(),
            "alerting_revision": last.revision,
            "alerting_trouble": f"nobody is warned: {error}",
        }
    return {"alerting": alerting, "alerting_revision": last.revision, "alerting_trouble": trouble}


def take_alerting_file(ledger: Ledger, settings: Settings, now: float) -> bool:
    """Apply the file with the settings of warnings if it changed since it was; returns whether it did.

    Raises SettingsError.
    """
    file = settings.warnings.file
    if file is None:
        return False
    author, text = f"file:{file}", read_applied(file)
    applied = next((one for one in ledger.alerting_history(limit=10_000) if one.author == author), None)
    if applied is not None and applied.text == text:
        return False
    load_alerting(text, str(file))
    ledger.apply_alerting(text, author=author, note="the file changed", now=now)
    return True


def read_applied(file: Path) -> str:
    """The text of a file that is applied. Raises SettingsError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def make_barrier(settings: Settings, services: Mapping[str, Service], policy: Policy) -> Barrier:
    """The kernel side, or monitor mode where the settings or the process's rights leave nothing else."""
    mode = settings.enforce.mode
    if mode == "monitor":
        return Barrier(None, None, "monitor mode (by the settings)")
    reason = usable()
    if reason is not None:
        if mode == "nftables":
            raise EnforceError(f'{reason}; or set [enforce] mode = "monitor"')
        return Barrier(None, None, f"monitor mode ({reason})")
    media = settings.lockdown.media_ports if settings.lockdown.include_media else ()
    fence = Fence(Nft(), list(services.values()), media_ports=media, ipv6_prefix=policy.limits.ipv6_prefix)
    try:
        monitor = TableMonitor()
    except EnforceError:
        monitor = None  # then the table is only looked at every minute
    return Barrier(fence, monitor, GUARDING)


def restore(guard: Guard) -> Iterator[None]:
    """Take up the windows where they stood: earlier bans and events that are recent enough to count.

    Recent is meant from the newest event on: what was written to the logs while we were away is still to come.
    Works page by page, so that whoever waits for the guard meanwhile can be answered between them.
    """
    ledger, policy = guard.ledger, guard.policy
    newest = ledger.attackers(limit=1)
    if not newest:
        guard.parser.attempts.restore((), guard.pipeline.names.restored(ledger.held()))
        return
    rules = [rule for rules in (policy.rules, *policy.overrides.values()) for rule in rules if rule.enabled]
    now = min(guard.clock(), newest[0].last_seen)
    bans = max((rule.within for rule in rules if rule.bans is not None), default=0.0)
    longest = max((rule.within for rule in rules if rule.failures is not None), default=0.0)
    earlier: dict[int, Ban] = {ban.id: ban for ban in ledger.bans_since(now - bans)}
    earlier |= {ban.id: ban for ban in ledger.bans()}
    guard.detector.restore_bans(earlier.values())
    del earlier
    events = ledger.events_since(now - longest)
    while page := list(islice(events, PAGE)):
        guard.detector.restore_events(page)
        guard.parser.attempts.restore(event for event in page if event.time >= now - SESSIONS)
        yield
    guard.parser.attempts.restore((), guard.pipeline.names.restored(ledger.held()))


def zone_of(settings: Settings) -> ZoneInfo:
    """The zone of stamps that name none: the setting, else the system's."""
    name = settings.logs.timezone
    if name:
        return ZoneInfo(name)
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, key=os.environ.get("TZ") or time.tzname[0])
    except (OSError, ValueError):
        return ZoneInfo("UTC")
