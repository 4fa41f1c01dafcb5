"""The page docs/services.md: every kind of server, where it logs, what is told apart, and what can't be seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ringfence.model import Service
from ringfence.parse.catalogue import Catalogue, Kind, Pattern, load_catalogue
from ringfence.values import format_ports

_HEAD = """\
# Services and servers

What Ringfence understands without being taught, one section for each kind of server. This page is made from the
catalogue files: `python -m ringfence.services > docs/services.md`. For a server that is not here, see
[catalogue.md](catalogue.md).

**Tried on** says how a kind was proved: servers that Debian packages are installed and started in network namespaces
by the tests, logged in to well and badly, and what is counted must be what was done. Kinds for other servers are
written after their documentation or sources, and say so.

**Switch on** is what the server needs so that its log names who failed. **Can't be seen** is what no reader of that
log can know.
"""


def reference_markdown(catalogue: Catalogue) -> str:
    """The whole page."""
    kinds = sorted(catalogue.kinds.values(), key=lambda kind: (kind.title.lower(), kind.name))
    return "\n".join([_HEAD, *_overview(catalogue), "", *(_section(kind, catalogue) for kind in kinds)])


def _overview(catalogue: Catalogue) -> Iterable[str]:
    yield "| service | a ban closes | servers |"
    yield "| --- | --- | --- |"
    for name, service in catalogue.services.items():
        kinds = [kind for kind in catalogue.kinds.values() if name in services_of(kind)]
        if kinds:
            titles = ", ".join(f"[{kind.title}](#{_anchor(kind.title)})" for kind in sorted(kinds, key=_by_title))
            yield f"| `{name}` | {_ports(service)} | {titles} |"


def _section(kind: Kind, catalogue: Catalogue) -> str:
    lines = [f"## {kind.title}", ""]
    lines += [f"Kind `{kind.name}`, {_told(kind)}.", ""]
    if kind.tested:
        lines += [f"**Tried on:** {_flowing(kind.tested)}", ""]
    if kind.note:
        lines += [f"**Switch on:** {_flowing(kind.note)}", ""]
    if kind.blind:
        lines += [f"**Can't be seen:** {_flowing(kind.blind)}", ""]
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| logs | {', '.join(f'`{log}`' for log in kind.logs)} |"] if kind.logs else []
    lines += [f"| journal | {', '.join(f'`{unit}`' for unit in kind.units)} |"] if kind.units else []
    for service in services_of(kind):
        ports = _ports(catalogue.services[service])
        lines += [f"| service `{service}` | {ports}; {_causes(kind, service)} |"]
    origins = sorted({example.origin for pattern in kind.patterns for example in pattern.examples if example.origin})
    lines += [f"| lines taken from | {'; '.join(origins)} |"] if origins else []
    return "\n".join([*lines, ""])


def services_of(kind: Kind) -> list[str]:
    """The services that a kind's patterns tell of."""
    return sorted({pattern.service for pattern in kind.patterns if pattern.service and pattern.attempt != "opens"})


def _told(kind: Kind) -> str:
    failed = sum(1 for pattern in kind.patterns if _counts(pattern))
    known = sum(1 for pattern in kind.patterns if pattern.attempt in ("none", "opens"))
    succeeded = len(kind.patterns) - failed - known
    parts = [(failed, "for failures"), (succeeded, "for successes"), (known, "for lines that are no attempt")]
    return "patterns: " + ", ".join(f"{count} {what}" for count, what in parts if count)


def _counts(pattern: Pattern) -> bool:
    return pattern.failed and pattern.attempt not in ("none", "opens")


def _causes(kind: Kind, service: str) -> str:
    mine = [pattern for pattern in kind.patterns if pattern.service == service]
    causes = sorted({pattern.cause for pattern in mine if _counts(pattern) and pattern.cause})
    told = ", ".join(causes) or "causes as the lines name them"
    return told + ("" if any(not pattern.failed for pattern in mine) else "; successes are not told")


def _ports(service: Service) -> str:
    return ", ".join(map(format_ports, service.ports)) or "no port of its own"


def _by_title(kind: Kind) -> str:
    return kind.title.lower()


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _anchor(title: str) -> str:
    """The anchor that Markdown viewers give a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    sys.stdout.write(reference_markdown(load_catalogue()))
