"""A whole fail2ban -> the files that take its place, and the report."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ringfence.errors import CatalogueError
from ringfence.importing.covered import covering, is_shipped
from ringfence.importing.expressions import CannotTake
from ringfence.importing.jails import Jail, Machine, read_machine
from ringfence.importing.kinds import Carried, carry_over, kind_file, literal
from ringfence.importing.proving import wrong_examples
from ringfence.importing.report import Report
from ringfence.importing.rules import Policy, left_actions, rule_name
from ringfence.parse.catalogue import Catalogue, Kind, load_catalogue
from ringfence.parse.linear import Searched
from ringfence.render import plural
from ringfence.values import format_ports, is_host, quote

_UNIT: Final = re.compile(r"_SYSTEMD_UNIT=([\w:.@\\*-]+)")
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_TAKER: Final = re.compile(r"taken by ([\w-]+)/")
REPORT: Final = "report.txt"
_SHOWN: Final = 6


class Imported(Struct, frozen=True):
    """What was made: texts of files by their path below the folder that they are meant for, and the report."""

    files: dict[str, str]
    report: Report


class _Made(Struct):
    """A kind made of a filter, with the jails that use it."""

    name: str
    service: str
    carried: Carried
    jails: list[Jail]


def import_machine(folder: Path, target: Path, directories: Sequence[Path] = ()) -> Imported:
    """What fail2ban's `folder` comes to, as files for `target`.

    What our kinds and those of the catalogue's `directories` read is not made again. Raises ConfError when the folder
    is none of fail2ban's or a file can't be read.
    """
    machine = read_machine(folder)
    own = [each for each in directories if each.absolute() != (target / "catalogue.d").absolute()]
    work = _Import(machine, load_catalogue(own), Report(str(folder)))
    for jail in machine.jails:
        work.take(jail)
    return work.finish(target, own)


class _Import:
    """One import at work."""

    def __init__(self, machine: Machine, catalogue: Catalogue, report: Report) -> None:
        self._machine = machine
        self._catalogue = catalogue
        self._report = report
        self._policy = Policy(machine)
        self._made: dict[Searched, _Made] = {}
        self._sources: dict[tuple[str, ...], tuple[dict[str, None], dict[str, None]]] = {}
        self._ports: dict[str, tuple[str, ...]] = {}

    def take(self, jail: Jail) -> None:
        """One enabled jail."""
        opened = next((each.name for each in jail.actions if each.options.get("blocktype", "").upper() in _OPENS), None)
        if opened:
            self._left(jail, f"its action {opened} opens ports instead of closing them (blocktype=RETURN)")
        elif jail.filter.name == "recidive":
            self._policy.recidive(jail)
            self._report.taken.append((f"jail {jail.name}", "rule recidive, which counts bans and closes everything"))
        elif kinds := covering(jail.filter, jail.mode, self._catalogue):
            self._covered(jail, kinds)
        else:
            self._carry(jail, None)
        self._say_what_is_left(jail)

    def _covered(self, jail: Jail, kinds: list[Kind]) -> None:
        """A jail whose lines kinds of ours read: its numbers and logs, and expressions that were added to it."""
        names = tuple(kind.name for kind in kinds)
        services = dict.fromkeys(each for kind in kinds for each in (kind.service, *_services(kind)) if each)
        tables = [self._policy.add(service, jail) for service in services]
        how = f"kind {', '.join(names)}"
        if not is_shipped(jail.filter):
            how += f" (filter.d/{jail.filter.name}.conf is not as in fail2ban 1.0.2: if you edited it, compare)"
        self._report.covered.append((f"jail {jail.name}, filter {jail.filter.name}", how))
        self._report.taken.append((f"jail {jail.name}", f"numbers in {'; '.join(tables)}"))
        self._find_logs(jail, kinds)
        self._find_ports(jail, tuple(services))
        added = jail.filter.added
        if added:
            self._carry(jail, added)
        if changed := [key for key in jail.filter.changed if key not in ("failregex", "journalmatch", "usedns")]:
            self._left(
                jail,
                f"{', '.join(changed)} changed by a .local file or the jail: has no place in a kind of ours",
            )

    def _find_logs(self, jail: Jail, kinds: list[Kind]) -> None:
        usual = [path for kind in kinds for path in kind.logs]
        units = tuple(_UNIT.findall(jail.filter.journalmatch)) if jail.systemd else ()
        known = {unit for kind in kinds for unit in kind.units}
        paths = () if jail.systemd else tuple(path for path in jail.logpaths if path.startswith("/"))
        strange = [path for path in paths if not any(path == each or fnmatch.fnmatch(path, each) for each in usual)]
        if strange or set(units) - known:
            files, journal = self._sources.setdefault(tuple(kind.name for kind in kinds), ({}, {}))
            files |= dict.fromkeys((*paths, *map(_if_there, usual)))
            journal |= dict.fromkeys(units)
            self._report.taken.append((f"jail {jail.name}", f"logs {', '.join((*paths, *units))} as a [[source]]"))

    def _find_ports(self, jail: Jail, services: tuple[str, ...]) -> None:
        """Ports that differ from the usual ones, where it is plain which service they are of."""
        every = {format_ports(port) for service in self._catalogue.services.values() for port in service.ports}
        strange = [port for port in jail.ports if port not in every]
        if jail.all_ports or not strange:
            return
        if len(services) == 1:
            self._ports[services[0]] = tuple(dict.fromkeys((*self._ports.get(services[0], ()), *jail.ports)))
            self._report.taken.append((f"jail {jail.name}", f"ports {', '.join(jail.ports)} of {services[0]}"))
        elif len(strange) == len(jail.ports):
            self._left(jail, f"ports {', '.join(strange)}: which of {', '.join(services)} they are of can't be told")

    def _carry(self, jail: Jail, only: tuple[str, ...] | None) -> None:
        """A jail whose lines no kind of ours reads; `only`: these expressions of its filter."""
        try:
            carried = carry_over(jail, only)
        except (CannotTake, CatalogueError) as error:
            what = f"jail {jail.name}, filter {jail.filter.name}" + (", what was added to it" if only else "")
            self._report.left.append((what, str(error)))
            return
        known = self._made.get(carried.searched)
        if known is not None:
            known.jails.append(jail)
        else:
            service = rule_name(jail.name) if only is None else self._service_of(jail)
            name = f"f2b-{rule_name(jail.name)}"[:32]
            self._made[carried.searched] = _Made(name, service, carried, [jail])
        for text, reason in carried.refused:
            self._report.left.append((f"jail {jail.name}, failregex {text}", reason))
        self._report.left.extend((f"jail {jail.name}", remark) for remark in carried.remarks)

    def _service_of(self, jail: Jail) -> str:
        kinds = covering(jail.filter, jail.mode, self._catalogue)
        return next((kind.service for kind in kinds if kind.service), rule_name(jail.name))

    def _say_what_is_left(self, jail: Jail) -> None:
        for key, value in jail.left.items():
            self._left(jail, f"{key} = {value}: {_NO_EQUAL[key]}")
        for name in left_actions(jail):
            self._left(jail, f"action {name}: no program is run here; what is banned is kept in the firewall")
        if jail.strange_ports:
            self._left(jail, f"ports {', '.join(jail.strange_ports)}: no such service in /etc/services here")
        for path in jail.logpaths:
            if not path.startswith("/"):
                self._left(jail, f"logpath {path}: is no absolute path")

    def _left(self, jail: Jail, why: str) -> None:
        self._report.left.append((f"jail {jail.name}", why))

    def finish(self, target: Path, directories: Sequence[Path]) -> Imported:
        """The files and the report."""
        machine, report = self._machine, self._report
        self._whitelist()
        files = self._kind_files(directories)
        report.left.extend((f"jail {name}", reason) for name, reason in machine.broken)
        report.left.extend(("policy", difference) for difference in self._policy.differs)
        if machine.disabled:
            shown = ", ".join(machine.disabled[:_SHOWN]) + (", …" if len(machine.disabled) > _SHOWN else "")
            report.left.append((f"{plural(len(machine.disabled), 'jail')} not enabled", shown))
        files["policy.toml"] = self._policy.text(report.source)
        files["ringfence.toml"] = self._settings(target)
        report.next_steps = [
            f"ringfence policy check {target / 'policy.toml'}",
            f"ringfence --config {target / 'ringfence.toml'} check",
            f"ringfence --config {target / 'ringfence.toml'} scan LOG…",
        ]
        return Imported(files | {REPORT: report.text()}, report)

    def _kind_files(self, directories: Sequence[Path]) -> dict[str, str]:
        """The kinds, without examples that another kind takes first; jails of one without any go to that other one."""
        made = {each.name: each for each in self._made.values()}
        files = {f"catalogue.d/{each.name}.toml": self._file(each) for each in made.values()}
        for name, wrong in wrong_examples(files, directories).items():
            each, bad = made[name], {number for number, _ in wrong}
            good = tuple(one for number, one in enumerate(each.carried.examples, 1) if number not in bad)
            each.carried = replace(each.carried, examples=good)
            if 0 in bad or not good:
                del made[name]
                self._give_away(each, wrong[0][1], made)
        for each in made.values():
            count = len(each.carried.searched.regex)
            for jail in each.jails:
                own = each.service not in self._catalogue.services
                table = self._policy.add(each.service, jail, own=own)
                how = f"kind {each.name}, {count} of {count + len(each.carried.refused)} expressions; {table}"
                self._report.taken.append((f"jail {jail.name}, filter {jail.filter.name}", how))
        return {f"catalogue.d/{each.name}.toml": self._file(each) for each in made.values()}

    def _file(self, made: _Made) -> str:
        new = made.service not in self._catalogue.services
        return kind_file(made.name, made.service, made.jails, made.carried, with_ports=new)

    def _give_away(self, each: _Made, reason: str, made: dict[str, _Made]) -> None:
        """The jails of a kind whose lines another one takes."""
        found = _TAKER.search(reason)
        taker = found[1] if found else ""
        for jail in each.jails:
            what = f"jail {jail.name}, filter {jail.filter.name}"
            if taker in made:
                made[taker].jails.append(jail)
            elif taker in self._catalogue.kinds:
                table = self._policy.add(self._catalogue.kinds[taker].service, jail)
                self._report.covered.append((what, f"kind {taker}, which takes the same lines; numbers in {table}"))
            else:
                self._report.left.append((what, reason))

    def _whitelist(self) -> None:
        """ignoreip: what holds for every jail is the whitelist, the rest is for single services."""
        jails = self._machine.jails or (self._machine.defaults,)
        common = [entry for entry in jails[0].ignoreip if all(entry in jail.ignoreip for jail in jails)]
        entries = {entry: _allowed(entry) for jail in jails for entry in jail.ignoreip}
        taken = [entry for entry in dict.fromkeys(entries[each] for each in common) if entry]
        self._policy.allow(taken)
        if taken:
            self._report.taken.append(("ignoreip", f"whitelist {', '.join(taken)}"))
        if never := [entry for entry, spelled in entries.items() if spelled == ""]:
            self._report.covered.append((f"ignoreip {' '.join(never)}", "this machine itself is never banned"))
        for jail in jails:
            for entry in jail.ignoreip:
                spelled = entries[entry]
                if spelled is None:
                    row = (f"jail {jail.name}, ignoreip {entry}", "is no address, network or host name")
                elif spelled and entry not in common:
                    row = (f"jail {jail.name}, ignoreip {entry}", f"holds for one jail only: ringfence allow {spelled} "
                           f"--service {self._named(jail)}")  # fmt: skip
                else:
                    continue
                if row not in self._report.left:
                    self._report.left.append(row)

    def _named(self, jail: Jail) -> str:
        for made in self._made.values():
            if jail in made.jails:
                return made.service
        return self._service_of(jail)

    def _settings(self, target: Path) -> str:
        lines = [
            f"# Ringfence's settings, taken over from fail2ban ({self._report.source}).",
            "# The paths below are those of this folder: change them when you move it.",
            "",
            "[catalogue]",
            f"directories = [{quote(str(target / 'catalogue.d'))}]",
            "",
            "[policy]",
            f"file = {quote(str(target / 'policy.toml'))}",
        ]
        if self._sources:
            lines += ["", "# Besides fail2ban's logs the usual ones, should they be there: that is what the [ ] say."]
        for kinds, (files, units) in self._sources.items():
            lines += ["", "[[source]]", f"kind = [{', '.join(map(quote, kinds))}]"]
            lines += [f"files = [{', '.join(map(literal, files))}]"] if files else []
            lines += [f"units = [{', '.join(map(literal, units))}]"] if units else []
        for service, ports in self._ports.items():
            lines += ["", f"[services.{service}]", f"ports = [{', '.join(map(quote, ports))}]"]
        return "\n".join(lines) + "\n"


_OPENS: Final = ("RETURN", "ACCEPT")
_NO_EQUAL: Final = {
    "ignorecommand": "no program is run for an address",
    "logtimezone": "set [logs] timezone, which holds for all logs",
}


def _if_there(path: str) -> str:
    """The same file as a pattern: nobody misses it."""
    return path if any(mark in path for mark in "*?[") else f"{path[:-1]}[{path[-1]}]"


def _services(kind: Kind) -> list[str]:
    return [pattern.service for pattern in kind.patterns if pattern.failed]


def _allowed(entry: str) -> str | None:
    """The entry of a whitelist; empty for what is never banned anyway, None for what is no address, network or host."""
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.lower().removesuffix(".")
        return name if is_host(name) else None
    if any(network.version == each.version and network.subnet_of(each) for each in _LOOPBACK):  # type: ignore[arg-type]
        return ""
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
