"""What `ringfence run` says at its start: what is guarded, where, by which rules; the first administrator's link."""

from __future__ import annotations

import hashlib
import secrets

import ringfence
from ringfence.guard import Guard
from ringfence.render import duration, few, plural, rule_in_brief, safe

FIRST_LINK = 86_400.0
"""Seconds for which the link for the first administrator holds; the next start prints a new one."""


def say(text: str) -> None:
    """One line on standard output, at once; nothing from outside can break it."""
    print(safe(text), flush=True)


def greet(guard: Guard) -> None:
    """The first lines: what is guarded, where, by which rules."""
    barrier = guard.barrier
    mode = barrier.mode if barrier.blocks else f"{barrier.mode}: bans are decided and recorded, {barrier.blocked()}"
    say(f"ringfence {ringfence.__version__}: {mode}")
    say(f"ledger {guard.settings.ledger.path}: {plural(guard.ledger.count_bans(), 'running ban')}")
    found = guard.watch.found()
    for path, kinds in sorted(found):
        say(f"log {path} ({few(kinds)})")
    if not found:
        say("no log found yet: name one with [[source]] in the settings; logs that appear later are taken up")
    for rule in guard.policy.rules:
        say(f"rule {rule.name}: {describe(guard, rule.name)}")
    # Troubles of logs are told while they are so: later, their lines might have been acted on already.
    for problem in [*barrier.problems(), *guard.catalogue_problems, *guard.watch.troubles()]:
        say(f"problem: {problem}")
    say(f"socket {guard.settings.control.socket}")


def invite_first(guard: Guard) -> None:
    """While nobody can log in to the page: print a one-time link with which the first administrator is made."""
    if guard.ledger.count_users():
        return
    secret, now = secrets.token_urlsafe(32), guard.clock()
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    guard.ledger.add_invitation(hashed, "", "administrator", now + FIRST_LINK, author="guard", now=now)
    say(f"nobody can log in to the page yet: within {duration(FIRST_LINK)}, make yourself its administrator at")
    say(f"  {guard.settings.web.base}/welcome/{secret}")


def describe(guard: Guard, name: str) -> str:
    """A rule in brief, and for which of the services that there are it is another one."""
    rule = next(one for one in guard.policy.rules if one.name == name)
    others = [
        f"{service}: {rule_in_brief(own, what=False)}"
        for service, rules in guard.policy.overrides.items()
        for own in rules
        if own.name == name and own != rule and service in guard.services
    ]
    return rule_in_brief(rule) + (f" ({'; '.join(others)})" if others else "")
