"""A real OpenLDAP server of the images "slapd" and "ldap-utils", and its real client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .borrowed import Wire, run_as
from .machine import until
from .net import Net

PACKAGES = ("slapd", "ldap-utils")
DELAY = 0.1
"""Seconds between connecting and the first request. slapd's threads log each for itself: with no network between them,
the result of a first bind now and then comes before the line that opens its connection."""
_SETTINGS = """\
dn: cn=config
changetype: modify
replace: olcLogLevel
olcLogLevel: {level}
"""
_PERSON = """\
dn: cn={name},dc=nodomain
objectClass: person
cn: {name}
sn: {name}
userPassword: {password}
"""


def bind(number: int, name: bytes, password: bytes) -> bytes:
    """A simple bind request as its bytes (RFC 4511 section 4.2); `number` tells it from others of the connection."""
    request = _element(2, b"\x03") + _element(4, name) + _element(0x80, password)
    return _element(0x30, _element(2, bytes([number])) + _element(0x60, request))


def _element(tag: int, content: bytes) -> bytes:
    """Tag, length and content by the basic encoding rules of ASN.1."""
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


class Slapd:
    """slapd as Debian sets it up, but with the log level `level`; the entry of alice may log in."""

    service = "ldap"
    port = 389

    def __init__(self, net: Net, *, level: str = "stats") -> None:
        self._net = net
        self.machine = machine = net.server
        as_ldap = ["runuser", "-u", "openldap", "--"]
        machine.run([*as_ldap, "slapmodify", "-b", "cn=config"], input=_SETTINGS.format(level=level), cwd="/")
        alice = _PERSON.format(name="alice", password=net.accounts["alice"])
        machine.run([*as_ldap, "slapadd"], input=alice, cwd="/")
        machine.run(["install", "-d", "-o", "openldap", "-g", "openldap", "/run/slapd"])
        machine.run(["slapd", "-h", "ldap:/// ldapi:///", "-u", "openldap", "-g", "openldap"], capture_output=False)
        until(lambda: machine.path("/run/slapd/ldapi").exists(), 10, "slapd")

    def search(self, source: str, words: Sequence[str]) -> int:
        """ldapsearch(1) from `source` for alice's entry with further options; returns its code."""
        with Wire(self._net, source, self.port, DELAY) as wire:
            server = f"ldap://127.0.0.1:{wire.port}"
            command = ["ldapsearch", "-H", server, "-LLL", "-b", "dc=nodomain", "-o", "nettimeout=8", *words]
            return run_as(self._net, source, command).returncode

    def login(self, source: str, account: str, password: str) -> bool:
        """A simple bind by ldapsearch(1) as the entry of `account`, then a search."""
        return self.search(source, ["-x", "-D", f"cn={account},dc=nodomain", "-w", password]) == 0

    def __enter__(self) -> Slapd:
        return self

    def __exit__(self, *_: Any) -> None:
        pid = self.machine.path("/run/slapd/slapd.pid")
        self.machine.run(["kill", "-9", pid.read_text().strip()], check=False)
