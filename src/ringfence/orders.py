"""What is asked before an order is carried out: what it names, where it came from, and whom it would hit.

Pure but for the guard that it is asked about. Raises RingfenceError kinds with a sentence for whoever gave the order.
"""

from __future__ import annotations

import ipaddress

from ringfence.control import Caller
from ringfence.durations import TEN_YEARS
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.guard import Guard
from ringfence.model import EVERY, FOREVER
from ringfence.values import address as address_form

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def target_of(text: str, *, hosts: bool = False) -> str:
    """An address or network (with `hosts`, also a host name) in canonical spelling."""
    try:
        return address_form(hosts=hosts).parse(text)
    except ValueError as error:
        raise RingfenceError(f"{text}: {error}") from error


def known_service(guard: Guard, name: str) -> str:
    """`name` if there is such a service. Raises NotFoundError with those that there are."""
    if name in ("", EVERY, "all"):
        return EVERY
    if name not in guard.services:
        raise NotFoundError(f"there is no service {name!r}; known: {', '.join(sorted(guard.services))}")
    return name


def until_of(now: float, seconds: float | None) -> float:
    """The end of what lasts `seconds` from now on, None for ever."""
    if seconds is None:
        return FOREVER
    if not 1 <= seconds <= TEN_YEARS:
        raise RingfenceError("a duration is from 1 second to 10 years, or forever")
    return now + seconds


def named(service: str) -> str:
    """A service in a sentence."""
    return "all services" if service == EVERY else service


def origin_of(caller: Caller) -> str:
    """Where a command came from, for the audit: the process on the socket and its SSH client, or the page's reader."""
    if caller.via:
        return f"{caller.via}, from {caller.address or 'an unknown address'}"
    return f"pid {caller.pid}" + (f", ssh from {caller.ssh_client}" if caller.ssh_client else "")


def refuse(caller: Caller, what: str, reason: str, again: str) -> RefusedError:
    """The refusal of `what` for `reason`, with how to do it all the same: `again` in words."""
    how = f"Confirm it to {again}" if caller.via else f"Use --force to {again}"
    return RefusedError(f"{what}: {reason}. {how} all the same")


def own_session(target: str, caller: Caller) -> str:
    """That a ban of `target` would cut off who gives the command: a sentence, or nothing."""
    network = ipaddress.ip_network(target)
    if caller.address is None or not overlap(caller.address, network):
        return ""
    return is_or_holds(caller.address, where_from(caller), network)


def where_from(caller: Caller) -> str:
    """What the caller's address is to them."""
    if caller.via == "api":
        return "where this request comes from"
    return "where you are looking from" if caller.via else "where your own SSH session comes from"


def yours(caller: Caller, reason: str) -> str:
    """A reason that names the caller's address, with what that is to them."""
    return f"{reason}; {caller.address} is {where_from(caller)}"


def is_large(target: str) -> bool:
    """Whether a ban of `target` is risky for its size alone: larger than /24, or /48 with IPv6."""
    network = ipaddress.ip_network(target)
    return network.prefixlen < (24 if network.version == 4 else 48)


def is_or_holds(one: str, what: str, network: Network) -> str:
    """What speaks against `network`: that it is, is within or holds `one` (an address, network or host name)."""
    try:
        other = ipaddress.ip_network(one)
    except ValueError:
        whom = "it is" if network.num_addresses == 1 else "it holds what is"
        return f"{whom} {what} as {one}"
    if other == network:
        return f"it is {what}"
    if covers(one, network):
        return f"it is within {one}, {what}"
    return f"it holds {one}, {what}"


def overlap(one: str, network: Network) -> bool:
    """Whether `one` (an address or network) shares an address with `network`."""
    other = ipaddress.ip_network(one)
    return other.version == network.version and other.overlaps(network)


def covers(one: str, network: Network) -> bool:
    """Whether all of `network` lies within `one`."""
    other = ipaddress.ip_network(one)
    return other.version == network.version and network.subnet_of(other)  # type: ignore[arg-type]
