"""fail2ban itself, as Debian packages it: what its own code makes of a filter and of lines.

Runs in an interpreter of its own (the system's), which has fail2ban's modules; asked and answered in lines of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PYTHON = "/usr/bin/python3"
MODULES = Path("/usr/lib/python3/dist-packages/fail2ban")
STOCK = Path("/etc/fail2ban")


def missing() -> str:
    """Why it can't be asked; empty if it can."""
    if not MODULES.is_dir() or not STOCK.joinpath("jail.conf").exists():
        return "needs the Debian package fail2ban"
    return "" if Path(PYTHON).exists() else f"needs {PYTHON}"


class Oracle:
    """One interpreter with fail2ban's code."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [PYTHON, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, **question: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "fail2ban's code ended with an error"
        return json.loads(answer)

    def options(self, folder: Path, name: str, options: dict[str, str], systemd: bool) -> dict[str, Any]:
        """The filter's values as fail2ban would use them."""
        found: dict[str, Any] = self._ask(do="options", folder=str(folder), name=name, options=options, systemd=systemd)
        return found

    def jails(self, folder: Path) -> dict[str, dict[str, Any]]:
        """The enabled jails and their values."""
        found: dict[str, dict[str, Any]] = self._ask(do="jails", folder=str(folder))
        return found

    def addresses(self, values: dict[str, Any], lines: Sequence[str]) -> list[str | None]:
        """Whom each line tells of, as the filter with these values finds it; None: no failure."""
        found: list[str | None] = self._ask(do="lines", values=values, lines=list(lines))
        return found


def _options(question: dict[str, Any]) -> Any:
    from fail2ban.client.filterreader import FilterReader  # type: ignore[import-not-found]

    reader = FilterReader(question["name"], "jail", question["options"], basedir=question["folder"], share_config={})
    reader.read()
    reader.applyAutoOptions("systemd" if question["systemd"] else "auto")
    reader.getOptions({}, all=True)
    return reader.getCombined()


def _jails(question: dict[str, Any]) -> Any:
    from fail2ban.client.jailsreader import JailsReader  # type: ignore[import-not-found]

    reader = JailsReader(basedir=question["folder"], share_config={})
    reader.read()
    reader.getOptions(None)
    return {jail.getName(): jail.options for jail in reader._JailsReader__jails}


def _lines(question: dict[str, Any]) -> Any:
    from fail2ban.server.filter import Filter  # type: ignore[import-not-found]

    values = question["values"]
    found = Filter(None)
    found.checkFindTime = False
    found.returnRawHost = True
    found.setUseDns(values.get("usedns") or "warn")
    if values.get("datepattern"):
        found.setDatePattern(values["datepattern"])
    if values.get("prefregex"):
        found.prefRegex = values["prefregex"]
    for text in values["failregex"]:
        found.addFailRegex(text)
    for text in values.get("ignoreregex", []):
        found.addIgnoreRegex(text)
    answers = []
    for line in question["lines"]:
        found._Filter__mlfidCache = None  # each line for itself, not as one more of a connection
        try:
            failures = found.processLine(line)
        except Exception:  # it stops at some lines, such as those with an unknown zone in their time
            failures = []
        answers.append(str(failures[0][1]) if failures and failures[0][1] is not None else None)
    return answers


def _serve() -> None:
    import logging

    sys.path.insert(0, str(MODULES.parent))
    logging.disable(logging.CRITICAL)
    from fail2ban.server.mytime import MyTime  # type: ignore[import-not-found]

    MyTime.setTime(1795294800)  # the year of the lines' times
    known = {"options": _options, "jails": _jails, "lines": _lines}
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(known[question["do"]](question), default=str), flush=True)


if __name__ == "__main__":
    _serve()
